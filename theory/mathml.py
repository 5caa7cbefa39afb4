"""MathML of a formula in a small part of TeX: browsers set it without a script, font or network.

Known: letters, numbers, operators, ^ and _ with one symbol or {...}, \\frac{a}{b}, \\sqrt{a},
\\bar{a}, \\sum, \\prod, \\int with limits, Greek letters and the names in SYMBOLS.
"""

from __future__ import annotations

import html
import re

SYMBOLS = {
    **{
        name: chr(0x3B1 + i)
        for i, name in enumerate(
            "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi "
            "rho varsigma sigma tau upsilon phi chi psi omega".split()
        )
    },
    "Phi": "Φ",
    "Psi": "Ψ",
    "sim": "∼",
    "ge": "≥",
    "le": "≤",
    "ne": "≠",
    "to": "→",
    "cdots": "⋯",
    "propto": "∝",
    "cdot": "⋅",
    "cap": "∩",
    "in": "∈",
    "infty": "∞",
    "sum": "∑",
    "prod": "∏",
    "int": "∫",
    "log": "log",
    "max": "max",
    "#": "#",
    "{": "{",
    "}": "}",
}
LARGE = ("sum", "prod", "max")  # with their limits below and above
TOKEN = re.compile(r"\\([A-Za-z]+|[#{}])|(\d+(?:\.\d+)?)|([A-Za-z]+)|(\S)")


def convert(formula: str) -> str:
    """`<math>` element of the formula; ValueError for a command that is not known."""
    tokens = [(m.lastindex, m.group(m.lastindex or 0)) for m in TOKEN.finditer(formula)]
    parts, rest = _row(tokens, top=True)
    if rest:
        raise ValueError(f"mathml: unbalanced braces in {formula!r}")
    label = html.escape(formula, quote=True)
    return f'<math display="block" aria-label="{label}"><mrow>{parts}</mrow></math>'


def _row(tokens: list, *, top: bool = False) -> tuple[str, list]:
    """MathML up to the closing brace, and what is left after it."""
    parts = []
    while tokens:
        if tokens[0] == (4, "}"):
            if top:
                raise ValueError("mathml: a closing brace without an opening one")
            return "".join(parts), tokens[1:]
        base, large, tokens = _atom(tokens)
        scripts = {}
        while tokens and tokens[0] in ((4, "^"), (4, "_")):
            kind = tokens[0][1]
            scripts[kind], _, tokens = _atom(tokens[1:])
        parts.append(_scripted(base, scripts, large))
    if not top:
        raise ValueError("mathml: a brace is not closed")
    return "".join(parts), []


def _scripted(base: str, scripts: dict[str, str], large: bool) -> str:
    low, high = scripts.get("_"), scripts.get("^")
    names = ("munder", "mover", "munderover") if large else ("msub", "msup", "msubsup")
    if low and high:
        return f"<{names[2]}>{base}{low}{high}</{names[2]}>"
    if low:
        return f"<{names[0]}>{base}{low}</{names[0]}>"
    return f"<{names[1]}>{base}{high}</{names[1]}>" if high else base


def _atom(tokens: list) -> tuple[str, bool, list]:
    """One symbol, group or command; whether it takes limits; the tokens after it."""
    if not tokens:
        raise ValueError("mathml: a formula ends where a symbol is expected")
    (kind, text), tokens = tokens[0], tokens[1:]
    if kind == 4 and text == "{":
        inner, tokens = _row(tokens)
        return f"<mrow>{inner}</mrow>", False, tokens
    if kind == 2:
        return f"<mn>{text}</mn>", False, tokens
    if kind == 3:
        return f"<mi>{text}</mi>", False, tokens
    if kind == 4:
        sign = "−" if text == "-" else html.escape(text)
        return f"<mo>{sign}</mo>", False, tokens
    if text == "frac":
        above, _, tokens = _atom(tokens)
        below, _, tokens = _atom(tokens)
        return f"<mfrac>{above}{below}</mfrac>", False, tokens
    if text == "sqrt":
        inner, _, tokens = _atom(tokens)
        return f"<msqrt>{inner}</msqrt>", False, tokens
    if text == "bar":
        inner, _, tokens = _atom(tokens)
        # browsers without a math font set an overline character onto the letter itself
        bar = "border-top:.06em solid;padding-top:.1em"
        return f'<mrow style="{bar}">{inner}</mrow>', False, tokens
    if text not in SYMBOLS:
        raise ValueError(f"mathml: expected a command of this module, got \\{text}")
    tag = "mi" if text in ("log",) or SYMBOLS[text].isalpha() and text not in LARGE else "mo"
    return f"<{tag}>{SYMBOLS[text]}</{tag}>", text in LARGE, tokens
