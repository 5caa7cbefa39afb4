"""Which generated queries are kept: no junk, none twice, and those that find their document.

The round trip is that of Alberti et al. 2019 (arXiv 1906.05416, consistency) and Dai et al. 2022
(Promptagator, arXiv 2209.11755): a query stays if a retriever, here BM25 over the corpus,
has the document it was made of among its first answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo import records
from zoo.index import lexical
from zoo.text import words

SHARED = 3  # documents that one query may be made of; a query of more tells none apart
EXAMPLES = 5  # queries of each fate that a report shows
KEPT, JUNK, REPEATED, LOST = "kept", "junk", "repeated", "lost"


class Filtered(NamedTuple):
    """Queries that are kept, in their order, and a report of all."""

    queries: list[str]
    rows: list[int]  # document of each
    # {"made", "kept_share", and by fate {"number", "examples"}}
    report: dict[str, Any]


def keep(
    corpus: records.Corpus, queries: Sequence[str], rows: Sequence[int], *, first: int
) -> Filtered:
    """Drops junk, repetitions and, if `first` is above 0, queries whose document is not among the
    first so many of BM25.

    rows: document of each query.
    """
    fate = _form(queries, rows)
    if first:
        standing = np.flatnonzero(fate == KEPT)
        found = _round_trip(
            corpus,
            [queries[n] for n in standing.tolist()],
            [rows[n] for n in standing.tolist()],
            first,
        )
        fate[standing[~found]] = LOST
    kept = np.flatnonzero(fate == KEPT).tolist()
    report: dict[str, Any] = {
        "made": len(queries),
        "kept_share": round(len(kept) / max(len(queries), 1), 4),
    }
    for name in (KEPT, JUNK, REPEATED, LOST):
        of_fate = np.flatnonzero(fate == name)
        # spread over the corpus
        shown = of_fate[np.linspace(0, len(of_fate) - 1, min(EXAMPLES, len(of_fate)), dtype=int)]
        report[name] = {"number": len(of_fate), "examples": [queries[n] for n in shown]}
    return Filtered([queries[n] for n in kept], [rows[n] for n in kept], report)


def describe(report: Mapping[str, Any]) -> str:
    """A line on a report of `keep`: the kept share, and how many were dropped for what."""
    dropped = {JUNK: "junk", REPEATED: "repeated", LOST: "not found by BM25"}
    parts = []
    for fate, why in dropped.items():
        if report[fate]["number"]:
            parts.append(f"{report[fate]['number']:,} {why}, as {report[fate]['examples'][0]!r}")
    kept = f"kept {report['kept_share']:.0%} of {report['made']:,} generated queries"
    return f"{kept}; dropped: {'; '.join(parts)}" if parts else kept


def is_junk(query: str) -> bool:
    """Whether a query says nothing: no word, or one word over and over.

    >>> [is_junk(query) for query in ("-", ") ( )", "the the the", "how to list files")]
    [True, True, True, False]
    """
    found = words.split(words.fold(query))
    most = max((found.count(word) for word in set(found)), default=0)
    return not any(any(map(str.isalnum, word)) for word in found) or most > max(2, len(found) // 2)


def _form(queries: Sequence[str], rows: Sequence[int]) -> np.ndarray:
    """What becomes of each query by its text alone: KEPT, JUNK or REPEATED."""
    texts = [" ".join(words.split(words.fold(query))) for query in queries]
    owners: dict[str, set[int]] = {}
    for text, row in zip(texts, rows):
        owners.setdefault(text, set()).add(row)
    fate, seen = np.full(len(queries), KEPT, object), set()
    for number, (query, text, row) in enumerate(zip(queries, texts, rows)):
        if is_junk(query):
            fate[number] = JUNK
        elif (text, row) in seen or len(owners[text]) > SHARED:
            fate[number] = REPEATED
        seen.add((text, row))
    return fate


def _round_trip(
    corpus: records.Corpus, queries: Sequence[str], rows: Sequence[int], first: int
) -> np.ndarray:
    """bool[n]: whether BM25 finds the document of each query among its first answers."""
    if not len(queries):
        return np.zeros(0, bool)
    documents, _ = lexical.search(lexical.build(corpus.contents()), queries, first)
    return (documents == np.asarray(rows)[:, None]).any(axis=1)
