"""One self-contained HTML page: definitions, every claim with its formula, figure and meaning."""

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

from theory import claims, mathml, plots
from zoo.data import atomic
from zoo.report import html as page

PAGE = "theory.html"
DEFINITIONS = (  # symbol, meaning
    ("b, m, N = b^m", "children of a node, levels (tokens of an identifier), leaves (documents)"),
    ("r(d), r(T_v)", "relevance of a document; its sum over the subtree below prefix v"),
    ("p", "share of the documents that is in the corpus; each stays independently"),
    ("n, n_t", "leaves below a branch; below a node of level t, b^(m-t)"),
    ("w_c", "share of the parent's relevance that lies below child c"),
    ("S_c", "share of the relevance below c that survives in the corpus"),
    ("P, Q", "decoder that masks dead children and renormalises; the true law given the corpus"),
    ("A", "Simpson index of a branch: sum of the squared shares of its leaves, in [1/n, 1]"),
    (r"\bar{E}_t", "mean Simpson index of the nodes at level t, weighted by relevance"),
    ("k, K, c", "relevant documents, beam width, score of a relevant document"),
    (r"\mu, \tau, \rho_3", "mean, standard deviation, third absolute moment of other scores"),
    (r"\kappa", "share of branches that hold a relevant document, k/b"),
    (
        r"\lambda",
        "lead of a relevant document over the noise of its branch, (c - mu) / (tau sqrt n)",
    ),
    (r"\lambda_t", "the same at level t: lambda_1 b^((t-1)/2)"),
    (r"\rho, \rho_t", "recall of the whole search; of level t given survival so far"),
)
THEOREMS = (
    ("T1", "a step's KL is the Jensen gap of log over surviving shares", "jensen_identity"),
    ("T2", "the KL of steps adds up to the KL of sequences", "chain_rule"),
    ("T3", "its expectation is an integral, exactly", "exact_kl"),
    ("T4", "to second order it is linear in the Simpson index", "sharp_law"),
    ("T5", "lower bounds, without conditions and in readable forms", "rigorous_bound"),
    ("T6", "first-step recall is at most 1/2 + o(1)", "recall_half"),
    ("T7", "precision@1 stays near one", "precision"),
    ("T8", "first-step recall in closed form", "closed_forms"),
    ("T9", "the signal up to which 1/2 is the ceiling", "half_ceiling"),
    ("T10", "which tails are thick", "thick_tails"),
    ("product law", "recall of the whole search is a product over levels", "product_law"),
)
PARTS = {  # first claim of each part -> its heading and introduction
    "jensen_identity": (
        "What the constraint costs",
        "A Bayes-optimal model knows the relevance of every identifier that could exist; a corpus "
        "holds some of them. Masking the others and renormalising informs the decoder which "
        "branches are alive, not how much of each is left. The difference costs KL at every step.",
    ),
    "count_correction": (
        "Ways out of the cost",
        "The decoder pays for what it does not know about the survivors. Part of that knowledge "
        "is free.",
    ),
    "recall_half": (
        "What the first beam misses",
        "A beam ranks prefixes by the mass below them. Where relevance is sparse and most mass "
        "lies in many moderate documents, half of the relevant branches look like the others.",
    ),
    "wider_beams": (
        "Ways out of the ceiling",
        "A wider first beam buys recall. Ranking by the best leaf is exact, if that leaf is known.",
    ),
    "concentration": (
        "Both at once",
        "The two effects pull in opposite directions: concentrated relevance costs KL and saves "
        "recall.",
    ),
    "product_law": (
        "What the whole search misses: the product law",
        "One half is the first factor. Every level selects again, with a signal that grows by "
        "sqrt(b), so recall is a product that an index designer can compute beforehand.",
    ),
    "multi_vector": (
        "What a trained network adds",
        "The theorems speak of any law r(d | q). Two questions are about networks: is a generative "
        "retriever a multi-vector scorer, and does a dense one lack dimensions?",
    ),
}
STYLE = (
    "math{font-size:1.15em;margin:.5em 0} .meaning{border-left:3px solid #4477aa;"
    "padding-left:.8em} td math{display:inline;margin:0}"
)


def write(
    folder: str | os.PathLike,
    key: jax.Array,
    *,
    names: Iterable[str] = (),
    quick: bool = True,
    fitted: str | None = None,
    data: str | None = None,
) -> tuple[pathlib.Path, bool]:
    """Checks claims, draws their figures and writes PAGE; returns its path and whether all passed.

    names: of claims; all if empty. quick: use the draws of a quick check. fitted: folder of a
    fitted system whose own law ends the page, asked the dev queries of `data` (see
    `explain.of_folder`).
    """
    from tqdm import tqdm

    path = pathlib.Path(folder) / PAGE
    path.parent.mkdir(parents=True, exist_ok=True)
    started, sections, summary, passed = time.monotonic(), [], [], True
    chosen = list(names) or list(claims.names())
    for name in tqdm(chosen, desc="claims", file=sys.stderr, disable=not sys.stderr.isatty()):
        claim, began = claims.get(name), time.monotonic()
        check = claims.check(claim, key, quick=quick)
        passed &= check.passed
        if name in PARTS:
            heading, about = PARTS[name]
            sections.append(f"<h2>{html.escape(heading)}</h2><p>{html.escape(about)}</p>")
        drawn = plots.of_claim(claim, check, jax.random.fold_in(key, 1000), claim.quick)
        sections.append(_section(check, drawn))
        summary.append(
            f'<tr><td><a href="#{name}">{html.escape(claim.title)}</a></td>'
            f"<td>{_verdict(check.passed)}</td><td>{time.monotonic() - began:.0f} s</td></tr>"
        )
    if fitted is not None:
        sections.append(_of_system(fitted, data))
    seconds = time.monotonic() - started
    device = html.escape(jax.devices()[0].device_kind)
    text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Constrained decoding: theory, measured</title><style>{page.STYLE}{STYLE}</style></head><body>
<h1>Constrained decoding: theory, measured</h1>
<p>The theorems of “Constrained Auto-Regressive Decoding Constrains Generative Retrieval” (Wu et
al., SIGIR 2025, arXiv 2504.09935), re-derived, sharpened, and checked through the beam search and
the trie of the retrieval systems; the story ends in a product law for the recall of the whole
search. Each claim names its source, predicts numbers, measures them, and rejects a wrong prediction
nearby; its limits are measured too.</p>
{_definitions()}
<h2>Claims</h2>
<table><tr><th>claim</th><th>check</th><th>took</th></tr>{"".join(summary)}</table>
{"".join(sections)}
<p class="small">{len(chosen)} claims in {seconds:.0f} s on {device}, jax {jax.__version__}.
<code>python -m theory check NAME</code> repeats one.</p></body></html>
"""
    with atomic.file(path) as out:
        out.write(text)
    return path, passed


def _definitions() -> str:
    rows = "".join(
        f"<tr><td>{mathml.convert(symbol)}</td><td>{html.escape(text)}</td></tr>"
        for symbol, text in DEFINITIONS
    )
    theorems = "".join(
        f"<tr><td>{name}</td><td>{html.escape(text)}</td>"
        f'<td><a href="#{claim}">{claim}</a></td></tr>'
        for name, text, claim in THEOREMS
    )
    return (
        f"<h2>Definitions</h2><table>{rows}</table>"
        "<p>All logarithms are natural, KL is in nats.</p>"
        f"<table><tr><th>theorem</th><th>says</th><th>claim</th></tr>{theorems}</table>"
    )


def _of_system(folder: str, data: str | None) -> str:
    """The same quantities for the law of one fitted system."""
    from theory import explain, fitted as fits

    system = fits.open(folder)
    source = fits.sources(system, fits.example_queries(system, data, explain.QUERIES))
    lines = explain.of_law(system, source)
    picture = plots.of_law(system.about.name, system.ids, fits.relevance_trees(system, source))
    image = base64.b64encode(picture).decode()
    return f"""<section id="fitted"><h2>Your system: {html.escape(system.about.name)}</h2>
<p>Relevance is no longer assumed: it is what the fitted network says of every document. The same
formulas give what a cut corpus costs, and the same search shows which answers its beams keep.</p>
<img alt="KL of masking for the law of the fitted system" src="data:image/png;base64,{image}">
<pre>{html.escape(chr(10).join(lines))}</pre>
<p class="meaning"><strong>What this means for your index.</strong> A model that is sure of its
answer (a large Simpson index) loses several times the KL that equal relevance predicts when
documents leave, and counts repair little of it. Ranks suffer less than probabilities: see how often
the best document flips. Use look-ahead decoding, or fit again, once flips matter.</p></section>
"""


def _section(check: claims.Check, picture: bytes) -> str:
    claim = check.claim
    rows = "".join(
        f"<tr><td>{html.escape(case(row.params))}</td><td>{number(row.predicted)}</td>"
        f"<td>{measured(row.found)}</td><td>{_verdict(row.passed)}</td></tr>"
        for row in check.rows
    )
    limits = "".join(f"<li>{html.escape(line)}</li>" for line in check.limits)
    limits = f"<p><strong>Limits.</strong></p><ul>{limits}</ul>" if limits else ""
    meaning = (
        '<p class="meaning"><strong>What this means for your index.</strong> '
        f"{html.escape(claim.meaning)}</p>"
        if claim.meaning
        else ""
    )
    formula = mathml.convert(claim.formula) if claim.formula else ""
    image = base64.b64encode(picture).decode()
    return f"""<section id="{claim.name}"><h3>{html.escape(claim.title)}</h3>
{formula}<p><strong>Statement.</strong> {html.escape(claim.statement)}</p>
<p class="small">Source: {html.escape(claim.source)}.
Assumes: {html.escape("; ".join(claim.assumptions))}.</p>
<img alt="{html.escape(claim.title)}" src="data:image/png;base64,{image}">
<table><tr><th>case</th><th>predicted</th><th>measured ({relation(claim)})</th><th></th></tr>
{rows}</table>{limits}{meaning}</section>
"""


def relation(claim: claims.Claim) -> str:
    """How measured values relate to predictions, in words."""
    return claim.relation if isinstance(claim.relation, str) else ", ".join(claim.relation)


def _verdict(passed: bool) -> str:
    return '<span class="pass">PASS</span>' if passed else '<span class="fail">FAIL</span>'


def case(params: claims.Params) -> str:
    """Parameters on one line."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in params.items()
    )


def number(values: np.ndarray, most: int = 4) -> str:
    """The first few numbers, and their total number."""
    values = np.atleast_1d(values)
    shown = ", ".join(f"{value:.6g}" for value in values[:most])
    return shown if len(values) <= most else f"{shown}, ... ({len(values)})"


def measured(found) -> str:
    """Means, with standard errors if sampled."""
    mean, stderr = np.atleast_1d(found.mean), np.atleast_1d(found.stderr)
    if not stderr.any():
        return number(mean)
    shown = ", ".join(f"{m:.6g} ± {s:.1g}" for m, s in zip(mean[:4], stderr[:4]))
    return f"{shown} (n = {found.n:,})"
