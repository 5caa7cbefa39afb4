"""Occurrences of n-grams in texts on the host: all of many n-grams, or those of a range of rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def join(documents: Sequence[Sequence[int] | np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Concatenated tokens i32[n] of documents and their starts i64[N + 1]."""
    starts = np.cumsum([0, *map(len, documents)], dtype=np.int64)
    parts = [np.asarray(one, np.int32) for one in documents]
    return np.concatenate([np.zeros(0, np.int32), *parts]), starts


def take(tokens: np.ndarray, starts: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The documents at rows i64[m] of a joined text, joined."""
    lengths = np.diff(starts)[rows]
    ends = np.cumsum(lengths)
    place = np.repeat(starts[:-1][rows] - ends + lengths, lengths) + np.arange(lengths.sum())
    return tokens[place], np.concatenate([[0], ends]).astype(np.int64)


def match(
    tokens: np.ndarray, ngrams: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(key i64[M], place i64[M] of the first token) of each occurrence of distinct n-grams.

    All places walk down the trie of the n-grams together. Cost: O(n) for the first token, and a
    binary search per further token of a place whose tokens so far begin an n-gram.

    Args:
      tokens, starts: a joined text i32[n], i64[N + 1]; no n-gram crosses the end of a document.
      ngrams: i32[Q, L], padded with 0.
    """
    size = int(max(tokens.max(initial=0), ngrams.max(initial=0))) + 1
    node = np.zeros(len(ngrams), np.int64)  # of the prefixes of the n-grams of each depth
    alive = np.arange(len(ngrams))
    place, at = np.arange(len(tokens)), np.zeros(len(tokens), np.int64)
    ends = np.repeat(starts[1:], np.diff(starts))  # end of the document of each place
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for depth in range(ngrams.shape[1]):
        alive = alive[ngrams[alive, depth] != 0]
        inside = place + depth < ends[place]
        place, at = place[inside], at[inside]
        if not len(alive) or not len(place):
            break
        children, node[alive] = np.unique(
            node[alive] * size + ngrams[alive, depth], return_inverse=True
        )
        at, hit = _step(children, at, tokens[place + depth], size)
        place = place[hit]
        ended = alive[_last(ngrams[alive], depth)]
        key_of = np.full(len(children), -1)
        key_of[node[ended]] = ended
        key = key_of[at]
        found.append((key[key >= 0], place[key >= 0]))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate([key for key, _ in found]), np.concatenate([at for _, at in found])


def _step(
    children: np.ndarray, node: np.ndarray, token: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes below `node` by `token` where they exist, and bool[n] where."""
    code = node * size + token
    if children[-1] < 4 * size:  # at the root: a table by token
        table = np.full(4 * size, -1)
        table[children] = np.arange(len(children))
        below = table[np.minimum(code, len(table) - 1)]
        hit = (below >= 0) & (code < len(table))
        return below[hit], hit
    below = np.searchsorted(children, code)
    hit = children[np.minimum(below, len(children) - 1)] == code
    return below[hit], hit


def _last(ngrams: np.ndarray, depth: int) -> np.ndarray:
    """bool[n] which n-grams end at this depth."""
    if depth + 1 == ngrams.shape[1]:
        return np.ones(len(ngrams), bool)
    return ngrams[:, depth + 1] == 0
