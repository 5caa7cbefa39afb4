"""Self-contained HTML pages: escaped elements, tables and embedded figures; no network.

A value that is not `Html` is text and is escaped, so that titles and queries cannot become markup.
"""

from __future__ import annotations

import base64
import html
import pathlib
import re
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

STYLE = """
:root { color-scheme: light dark; }
:root { --ink: #222; --paper: #fff; --line: #ccc; }
:root { --good: #00734f; --bad: #b03a00; --pale: #f4f5f7; }
@media (prefers-color-scheme: dark) {
:root { --ink: #e6e6e6; --paper: #16181b; --line: #444; }
:root { --good: #4cc38a; --bad: #ff8b5c; --pale: #202327; } }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
body { max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: .82rem; }
table { width: 100%; display: block; overflow-x: auto; }
td, th { border-bottom: 1px solid var(--line); padding: .25rem .5rem; }
td, th { text-align: left; vertical-align: top; }
img { width: 100%; height: auto; border-radius: 4px; }
.pass { color: var(--good); font-weight: 600; } .fail { color: var(--bad); font-weight: 600; }
.small { font-size: .85rem; opacity: .85; }
h2 { margin-top: 3rem; border-top: 2px solid var(--line); padding-top: 1rem; }
h3 { margin-top: 2.2rem; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.number, th.number { font-variant-numeric: tabular-nums; }
tr.own td { font-weight: 600; } caption { text-align: left; }
.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0 2rem; }
.pair { overflow-wrap: anywhere; font-size: .9rem; }
.pair :is(ol, ul, h4, p) { margin: .2rem 0; } .pair h4:not(:first-child) { margin-top: .8rem; }
.card { background: var(--pale); border-radius: 6px; padding: .5rem 1rem 1rem; margin: 1rem 0; }
.card h3 { margin: .2rem 0; font-size: 1rem; }
.lead { font-size: 1.1rem; } summary { cursor: pointer; } code { overflow-wrap: anywhere; }
@media (max-width: 40rem) { .pair { grid-template-columns: minmax(0, 1fr); } }
"""
_EMPTY = {"img", "meta", "br"}  # elements without an end tag
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # not allowed in HTML


class Html(str):
    """Text that is markup already."""


def element(tag: str, *children: Any, **attributes: Any) -> Html:
    """`<tag ...>children</tag>`; children and attributes are escaped unless they are `Html`.

    A trailing underscore of an attribute's name is dropped (class_). A child may be a list.
    """
    named = "".join(f' {name.rstrip("_")}="{escaped(value)}"' for name, value in attributes.items())
    return Html(f"<{tag}{named}>" if tag in _EMPTY else f"<{tag}{named}>{joined(children)}</{tag}>")


def escaped(value: Any) -> Html:
    """The text of a value as markup; surrogates and control characters are replaced."""
    if isinstance(value, Html):
        return value
    text = _CONTROL.sub("\ufffd", str(value)).encode("utf-8", "replace").decode("utf-8")
    return Html(html.escape(text))


def joined(children: Any) -> Html:
    """Children, or lists of them, one after another."""
    return Html(
        "".join(
            joined(child) if isinstance(child, (list, tuple)) else escaped(child)
            for child in children
        )
    )


def table(
    header: Sequence[Any],
    rows: Sequence[Sequence[Any]],
    *,
    own: int | None = None,
    caption: str = "",
) -> Html:
    """A table; columns of numbers are right-aligned.

    own: number of the row to emphasise, the page's own system.
    """
    right = [
        bool(rows) and all(_is_number(row[column]) for row in rows) for column in range(len(header))
    ]
    where = [{"class_": "number"} if is_right else {} for is_right in right]
    head = element("tr", [element("th", title, **place) for title, place in zip(header, where)])
    body = [
        element(
            "tr",
            [element("td", cell, **place) for cell, place in zip(row, where)],
            **({"class_": "own"} if number == own else {}),
        )
        for number, row in enumerate(rows)
    ]
    return element(
        "table",
        [element("caption", caption, class_="small")] if caption else [],
        element("tbody", head, body),
    )


def pairs(rows: dict[str, Any]) -> Html:
    """A table of names and values."""
    return element(
        "table",
        element(
            "tbody",
            [
                element("tr", element("th", name), element("td", value))
                for name, value in rows.items()
            ],
        ),
    )


def items(lines: Sequence[Any], *, ordered: bool = False) -> Html:
    """A list."""
    return element("ol" if ordered else "ul", [element("li", line) for line in lines])


def section(heading: str, *parts: Any, name: str) -> Html:
    """A section of the page, with the anchor `#name`."""
    return element("section", element("h2", heading), *parts, id=name)


def picture(png: bytes, alt: str) -> Html:
    """A figure embedded in the page."""
    return element("img", alt=alt, src="data:image/png;base64," + base64.b64encode(png).decode())


def figure(draw: Callable[..., pathlib.Path], alt: str) -> Html:
    """The figure that `draw(path=...)` saves."""
    with tempfile.TemporaryDirectory() as folder:
        return picture(draw(path=pathlib.Path(folder) / "figure.png").read_bytes(), alt)


def page(title: str, *parts: Any) -> str:
    """The whole file."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(STYLE)),
    )
    body = element("body", element("h1", title), [[part, "\n"] for part in parts])
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def short(text: str, most: int = 90) -> str:
    """The text on one line, cut between words if possible."""
    text = " ".join(text.split())
    if len(text) <= most:
        return text
    cut = text[: most - 1]
    return (cut[: cut.rfind(" ")] if " " in cut[most // 2 :] else cut).rstrip(" ,;:") + "…"


def _is_number(cell: Any) -> bool:
    """Whether a cell begins with a number, after a sign or a bracket, or is empty."""
    return str(cell) in ("-", "") or str(cell).lstrip("+-−[< .")[:1].isdecimal()
