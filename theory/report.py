"""One self-contained HTML page that tells the theory in order, a figure for every claim."""

from __future__ import annotations

import base64
import html
import os
import pathlib
import sys
import time
from collections.abc import Iterable

import jax
import numpy as np

from theory import claims, plots
from zoo.data import atomic
from zoo.report import html as page

PAGE = "theory.html"
PARTS = {  # first claim of each part -> its heading and what it is about
    "jensen_identity": (
        "What the constraint costs",
        "A Bayes-optimal model knows the relevance of every identifier that could exist. A corpus holds some of them. Masking what does not exist "
        "and renormalising tells the decoder which branches live, not how much of each does. The difference has a price, step by step.",
    ),
    "count_correction": (
        "Ways out of the cost",
        "The price is what the decoder does not know of the survivors. Some of it can be told for free.",
    ),
    "recall_half": (
        "What beam search misses",
        "A beam ranks prefixes by the mass below them. Where relevance is sparse and most mass lies in many moderate documents, half of the "
        "relevant branches look no better than the rest.",
    ),
    "wider_beams": (
        "Ways out of the ceiling",
        "A wider beam pays for recall. Ranking by the best leaf gets it for nothing, if that leaf is known.",
    ),
    "concentration": (
        "Both at once",
        "The two effects pull in opposite directions; and a decoder is close to a multi-vector scorer, but not one.",
    ),
}


def write(
    folder: str | os.PathLike, key: jax.Array, *, names: Iterable[str] = (), quick: bool = True
) -> tuple[pathlib.Path, bool]:
    """Checks the claims, draws their figures, writes PAGE; returns its path and whether every claim passed.

    names: of claims; all if empty. quick: as many draws as a quick check.
    """
    from tqdm import tqdm

    path = pathlib.Path(folder) / PAGE
    path.parent.mkdir(parents=True, exist_ok=True)
    started, sections, summary, passed = time.monotonic(), [], [], True
    chosen = list(names) or list(claims.names())
    for name in tqdm(chosen, desc="claims", file=sys.stderr, disable=not sys.stderr.isatty()):
        claim = claims.get(name)
        check = claims.check(claim, key, quick=quick)
        passed &= check.passed
        if name in PARTS:
            heading, about = PARTS[name]
            sections.append(f"<h2>{html.escape(heading)}</h2><p>{html.escape(about)}</p>")
        sections.append(
            _section(
                check, plots.of_claim(claim, check, jax.random.fold_in(key, 1000), claim.quick)
            )
        )
        summary.append(
            f'<tr><td><a href="#{name}">{html.escape(claim.title)}</a></td><td>{_verdict(check.passed)}</td></tr>'
        )
    seconds = time.monotonic() - started
    text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Constrained decoding: theory, measured</title><style>{page.STYLE}</style></head><body>
<h1>Constrained decoding: theory, measured</h1>
<p>The theorems of “Constrained Auto-Regressive Decoding Constrains Generative Retrieval” (Wu et al., SIGIR 2025, arXiv 2504.09935),
re-derived, sharpened, and checked through the beam search and the trie that retrieve. Each claim names its source, predicts numbers, measures them,
and rejects a wrong prediction; its limits are measured too. All logarithms are natural.</p>
<table><tr><th>claim</th><th>check</th></tr>{"".join(summary)}</table>
{"".join(sections)}
<p class="small">{len(chosen)} claims in {seconds:.0f} s on {html.escape(jax.devices()[0].device_kind)}, jax {jax.__version__}.
<code>python -m theory check NAME</code> repeats one.</p></body></html>
"""
    with atomic.file(path) as out:
        out.write(text)
    return path, passed


def _section(check: claims.Check, picture: bytes) -> str:
    claim = check.claim
    rows = "".join(
        f"<tr><td>{html.escape(case(row.params))}</td><td>{number(row.predicted)}</td><td>{measured(row.found)}</td><td>{_verdict(row.passed)}</td></tr>"
        for row in check.rows
    )
    limits = "".join(f"<li>{html.escape(line)}</li>" for line in check.limits)
    image = base64.b64encode(picture).decode()
    return f"""<section id="{claim.name}"><h3>{html.escape(claim.title)}</h3>
<p><strong>Statement.</strong> {html.escape(claim.statement)}</p>
<p class="small">Source: {html.escape(claim.source)}. Assumes: {html.escape("; ".join(claim.assumptions))}.</p>
<img alt="{html.escape(claim.title)}" src="data:image/png;base64,{image}">
<table><tr><th>case</th><th>predicted</th><th>measured ({claim.relation})</th><th></th></tr>{rows}</table>
{f"<p><strong>Limits.</strong></p><ul>{limits}</ul>" if limits else ""}</section>
"""


def _verdict(passed: bool) -> str:
    return '<span class="pass">PASS</span>' if passed else '<span class="fail">FAIL</span>'


def case(params: claims.Params) -> str:
    """Parameters in a line."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in params.items()
    )


def number(values: np.ndarray, most: int = 4) -> str:
    """A few numbers, and how many more."""
    values = np.atleast_1d(values)
    told = ", ".join(f"{value:.6g}" for value in values[:most])
    return told if len(values) <= most else f"{told}, ... ({len(values)})"


def measured(found) -> str:
    """Means with standard errors where there are any."""
    mean, stderr = np.atleast_1d(found.mean), np.atleast_1d(found.stderr)
    if not stderr.any():
        return number(mean)
    told = ", ".join(f"{m:.6g} ± {s:.1g}" for m, s in zip(mean[:4], stderr[:4]))
    return f"{told} (n = {found.n:,})"
