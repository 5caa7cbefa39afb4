"""Spans of documents that resemble a query: what SEAL learns to generate for it.

Bevilacqua et al. 2022 (arXiv 2204.10628), sec. 3.3: spans are drawn with probability proportional
to exp(s / T), where s is the summed similarity of the span's words to the words of the query.

Deviations: words are sub-words, and spans are counted in them. The similarity of two is the Dice
coefficient of their sets of three letters (with marks at both ends), counted from .5 on; the paper
names no more than a fuzzy match.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse

LEAST = 0.5  # similarity that counts


def draw(
    queries: Sequence[np.ndarray],
    documents: Sequence[np.ndarray],
    likeness: scipy.sparse.csr_matrix,
    *,
    count: int,
    length: int,
    temperature: float,
    seed: int,
) -> np.ndarray:
    """i32[n, count, length] spans of each query's document, drawn with replacement, 0 = pad.

    A document shorter than a span is the span; without tokens, the span is empty.

    likeness: of tokens, see `similar`. Cost: O(tokens of the documents).
    """
    found = np.zeros((len(queries), count, length), np.int32)
    uniform = np.random.default_rng(seed).random((len(queries), count))
    weight = np.zeros(len(likeness.indptr) - 1)  # a row per token
    for row, (query, document) in enumerate(zip(queries, documents, strict=True)):
        near: Any = likeness[np.unique(query)]
        np.maximum.at(weight, near.indices, near.data)
        sums = np.concatenate([[0.0], np.cumsum(weight[document])])
        weight[near.indices] = 0
        size = min(length, len(document))
        score = (sums[size:] - sums[: len(sums) - size]) / temperature
        bounds = np.cumsum(np.exp(score - score.max()))
        first = np.searchsorted(bounds[:-1], uniform[row] * bounds[-1], side="right")
        found[row, :, :size] = document[first[:, None] + np.arange(size)]
    return found


def similar(tokenizer: str) -> scipy.sparse.csr_matrix:
    """f32[V, V] similarity of sub-words from LEAST on."""
    model = json.loads(tokenizer)["model"]["vocab"]
    pairs = model.items() if isinstance(model, dict) else ((w, i) for i, (w, _) in enumerate(model))
    names = {int(i): word.removeprefix("##").removeprefix("▁") for word, i in pairs}
    size = max(names) + 1
    grams: dict[str, int] = {}
    rows, columns = [], []
    for token, word in names.items():
        marked = f"^{word}$"
        for gram in {marked[i : i + 3] for i in range(max(len(marked) - 2, 1))}:
            rows.append(token)
            columns.append(grams.setdefault(gram, len(grams)))
    shape = (size, len(grams))
    held = scipy.sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    sizes = np.asarray(held.sum(axis=1)).ravel()
    both = (held @ held.T).tocoo()
    dice = 2 * both.data / (sizes[both.row] + sizes[both.col])
    kept = dice >= LEAST
    return scipy.sparse.csr_matrix(
        (dice[kept], (both.row[kept], both.col[kept])), shape=(size, size)
    )
