"""Documents as the token rows of an FM-index: title, body and pseudo-queries between markers.

    [title] tokens of the title [text] tokens of the body [query] tokens [end] [query] ...

SEAL (arXiv 2204.10628, sec. 3.1) separates title and body; MINDER (arXiv 2305.16675, sec. 3.1) adds
the pseudo-queries, so that one index holds all kinds of n-grams. A document without a title begins
with its body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo import records
from zoo.index import fm, ngrams
from zoo.text import tokens

TITLE, TEXT, QUERY, END = MARKERS = ("[title]", "[text]", "[query]", "[end]")
ROWS = "text"  # entry of a state


class Marks(NamedTuple):
    """Tokens of the markers."""

    title: int
    text: int
    query: int
    end: int


class Parts(NamedTuple):
    """The tokens of N documents."""

    titles: list[np.ndarray]
    bodies: list[np.ndarray]
    queries: list[list[np.ndarray]]  # pseudo-queries of each


class Indexed(NamedTuple):
    """The rows of an index on the host, and the index on the device."""

    tokens: np.ndarray  # i32[n]
    starts: np.ndarray  # i64[N + 1]
    counts: np.ndarray  # i64[V] of each token
    heads: np.ndarray  # i64[V + 1] first row of the index that begins with each token
    rows: fm.Rows
    index: fm.FMIndex

    def occurrences(self, node: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, ...]:
        """(key, document, place of the first token in `tokens`) of n-grams i[Q, 2] of i[Q] tokens.

        All of them, in the order of the keys.
        """
        counts = node[:, 1] - node[:, 0]
        key = np.repeat(np.arange(len(node)), counts)
        ends = np.cumsum(counts)
        row = np.arange(counts.sum()) + np.repeat(node[:, 0] - ends + counts, counts)
        document, after = self.rows.locate(row)
        return key, document, self.starts[document] + after - length[key]


def marks(tokenizer: str) -> Marks:
    """The tokens of the markers, which a tokenizer has as prompts."""
    return Marks(*(int(tokens.encode(tokenizer, [""], length=1, prompt=m)[0, 0]) for m in MARKERS))


def encode(tokenizer: str, corpus: records.Corpus, *, most: int = 0) -> Parts:
    """Tokens of documents as the system reads them, without pseudo-queries.

    most: tokens of a body; 0 = all.
    """
    bodies = [body[: most or None] for body in tokens.whole(tokenizer, corpus.texts)]
    return Parts(tokens.whole(tokenizer, corpus.titles), bodies, [[] for _ in corpus.ids])


def with_queries(
    parts: Parts, tokenizer: str, queries: Sequence[str], origins: Sequence[int], *, most: int
) -> Parts:
    """Documents with the first `most` tokens of pseudo-queries; origins: row of each's document."""
    made: list[list[np.ndarray]] = [[] for _ in parts.bodies]
    for row, query in zip(origins, tokens.whole(tokenizer, queries), strict=True):
        made[row].append(query[:most])
    return parts._replace(queries=made)


def pack(parts: Parts, marks: Marks) -> dict[str, np.ndarray]:
    """The rows of documents, as part of a state."""
    rows = []
    for title, body, queries in zip(*parts, strict=True):
        row = [[marks.title], title] if len(title) else []
        row += [[marks.text], body]
        for query in queries:
            row += [[marks.query], query, [marks.end]]
        rows.append(np.concatenate([np.asarray(part, np.int32) for part in row]))
    joined, starts = ngrams.join(rows)
    return {"tokens": joined, "starts": starts}


def parts(document: np.ndarray, place: np.ndarray, markers: Sequence[int]) -> list[str]:
    """The part of a document i32[n] that each place lies in: title, text or query."""
    borders = np.flatnonzero(np.isin(document, markers))
    of = np.array([markers.index(token) for token in document[borders].tolist()])
    inside = of[np.searchsorted(borders, place, side="right") - 1]
    return [MARKERS[number].strip("[]") for number in inside.tolist()]


def index(state: Mapping[str, Any], *, alphabet: int) -> Indexed:
    """The index of the documents of a state."""
    text, starts = (np.asarray(state[ROWS][name]) for name in ("tokens", "starts"))
    rows = fm.sort(text, starts, alphabet=alphabet)
    tested = int(np.clip(alphabet // 64, 8, fm.TESTED))  # few tokens are cheap to look at in full
    built = fm.of_rows(rows, alphabet=alphabet, tested=tested)
    counts = np.bincount(text, minlength=alphabet)
    heads = np.cumsum(np.concatenate([[0, len(starts) - 1], counts[1:]]))  # separators first
    return Indexed(text, starts, counts, heads, rows, built)
