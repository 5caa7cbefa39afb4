"""How much of document vectors identifiers keep, measured before any training.

A system whose state h_t is the query's vector at every step and whose score is the sum of raw
logits, S(q, d) = sum_t E_t[c_t(d)] . h_t (RIPOR, Zeng et al. 2024), ranks documents by
q . sum_t E_t[c_t(d)]. The tables E that keep the most are those of least squares.

Own definitions: `tables` by backfitting from the first position on, which gives residual k-means
its centroids; `neighbours_first` with one neighbour and one random document each.
"""

from __future__ import annotations

import numpy as np

from zoo.docids import table

SWEEPS = 3  # of backfitting


def reconstruct(tokens: np.ndarray, vectors: np.ndarray, *, sweeps: int = SWEEPS) -> np.ndarray:
    """f32[N, D] sum_t E_t[c_t] closest to the vectors, with a table E_t for each position.

    tokens: i32[N, L], 0 = pad, which adds nothing; vectors: f32[N, D]. O(sweeps L N D).
    """
    vectors = np.asarray(vectors, np.float32)
    residual, parts = vectors.copy(), np.zeros((tokens.shape[1], *vectors.shape), np.float32)
    for position in np.tile(np.arange(tokens.shape[1]), sweeps):
        residual += parts[position]
        parts[position] = _means(tokens[:, position], residual)
        residual -= parts[position]
    return vectors - residual


def shared_prefix(tokens: np.ndarray, others: np.ndarray) -> np.ndarray:
    """i64[N] tokens that identifiers i32[N, L] and i32[N, L] have in common before they part."""
    same = (tokens == others) & (tokens != table.PAD)
    return np.cumprod(same, axis=1, dtype=np.int64).sum(axis=1)


def neighbours_first(tokens: np.ndarray, nearest: np.ndarray, random: np.ndarray) -> float:
    """Share of documents whose nearest neighbour shares a longer prefix than a random document.

    Ties count one half, so identifiers that ignore the vectors get 0.5 on average.

    tokens: i32[N, L]; nearest, random: i[N] rows.
    """
    near, far = (shared_prefix(tokens, tokens[rows]) for rows in (nearest, random))
    return float(np.mean((near > far) + 0.5 * (near == far)))


def colliding(tokens: np.ndarray) -> float:
    """Share of documents whose identifier another document has, too."""
    _, group, count = np.unique(tokens, axis=0, return_inverse=True, return_counts=True)
    return float(np.mean(count[group.reshape(-1)] > 1))


def balance(tokens: np.ndarray) -> float:
    """Mean over positions of exp(entropy) / distinct tokens: 1 if all are used equally often."""
    found = []
    for column in tokens.T:
        share = np.unique(column, return_counts=True)[1] / len(column)
        found.append(np.exp(-(share * np.log(share)).sum()) / len(share))
    return float(np.mean(found))


def bits(tokens: np.ndarray) -> float:
    """Bits of an identifier: sum over positions of log2(distinct tokens)."""
    return float(sum(np.log2(len(np.unique(column))) for column in tokens.T))


def _means(column: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """f32[N, D] for each row the mean over rows of equal token; 0 for pads."""
    order = np.argsort(column, kind="stable")
    _, first, group, count = np.unique(
        column[order], return_index=True, return_inverse=True, return_counts=True
    )
    mean = np.add.reduceat(vectors[order], first, axis=0) / count[:, None]
    found = np.empty_like(vectors)
    found[order] = mean[group.reshape(-1)]
    found[column == table.PAD] = 0
    return found
