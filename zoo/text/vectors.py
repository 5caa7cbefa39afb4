"""Vectors of documents from the words they hold, or of items from what stands near them.

Reduced by a truncated SVD.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

POWER_ITERATIONS: Any = 4  # of the randomised SVD (Halko et al. 2011, arXiv 0909.4061, alg. 4.4)


class Vectors(NamedTuple):
    """A corpus in D dimensions, and the words that place new texts in the same space."""

    documents: np.ndarray  # f32[N, D] of unit length; zeros for a document without a token
    # f32[V, D] idf times the word's right singular vector; all of the fit that `embed` needs
    words: np.ndarray


def tfidf_svd(rows: Sequence[np.ndarray], *, vocabulary: int, dim: int, seed: int) -> Vectors:
    """Latent semantic vectors of documents (Deerwester et al. 1990).

    A document is x_w = (1 + ln tf_w) idf_w with idf_w = 1 + ln((1 + N) / (1 + df_w)), scaled to
    unit length; its vector is x V of the truncated SVD X = U S V', scaled to unit length. Columns
    past the smaller of N and `vocabulary` are zero.

    Args:
      rows: N arrays i[...] of tokens from 0 to vocabulary - 1, of any lengths.
      vocabulary: number of tokens.
      dim: D.
      seed: of the randomised SVD; the same seed gives the same vectors.

    Raises:
      ValueError: no documents, dim below 1, or a token outside the vocabulary.

    O(T D) for T distinct (document, token) pairs, plus O((N + V) D^2).
    """
    from sklearn.utils import extmath

    if dim < 1 or not len(rows):
        raise ValueError(
            f"tfidf_svd: expected at least one document and dim of at least 1, got {len(rows)} "
            f"and dim={dim}"
        )
    weights = _log_counts(rows, vocabulary)
    seen = np.bincount(weights.indices, minlength=vocabulary)
    idf = (1 + np.log((1 + len(rows)) / (1 + seen))).astype(np.float32)
    weights = weights.multiply(idf).tocsr()
    lengths = np.sqrt(weights.multiply(weights).sum(axis=1))
    weights = weights.multiply(1 / np.maximum(np.asarray(lengths).reshape(-1, 1), 1e-9)).tocsr()
    rank = min(dim, *weights.shape)
    _, _, components = extmath.randomized_svd(
        weights, rank, n_iter=POWER_ITERATIONS, random_state=seed
    )
    words = np.zeros((vocabulary, dim), np.float32)
    words[:, :rank] = components.T * idf[:, None]
    return Vectors(embed(rows, words), words)


def cooccurrence_svd(
    items: np.ndarray, starts: np.ndarray, *, num_items: int, window: int, dim: int, seed: int
) -> np.ndarray:
    """f32[num_items, dim] of unit length: what stands near an item in sequences.

    Zeros for an item without a neighbour.

    c_ij = sum over places of i and j in one sequence at distance d <= window of 1 / d; the matrix
    of positive pointwise mutual information max(0, ln(c_ij C / (c_i c_j))) (Levy and Goldberg
    2014), with the largest of each row on the diagonal so that neighbours are near each other and
    not only their neighbours, = U S V', of which item i has U_i sqrt(S).

    items: i[E] sequences one after another; starts: i[B + 1] where each begins. O(E window) pairs
    and the SVD.
    """
    import scipy.sparse
    from sklearn.utils import extmath

    sequence = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    pairs = scipy.sparse.csr_array((num_items, num_items), dtype=np.float64)
    for distance in range(1, window + 1):
        together = sequence[distance:] == sequence[:-distance]
        first, second = items[:-distance][together], items[distance:][together]
        counts = scipy.sparse.coo_array(
            (np.full(len(first), 1 / distance), (first, second)), shape=pairs.shape
        )
        pairs = pairs + counts.tocsr() + counts.T.tocsr()
    pairs = pairs.tocoo()
    vectors = np.zeros((num_items, dim), np.float32)
    if not pairs.nnz:
        return vectors
    total = np.asarray(pairs.sum(axis=1)).reshape(-1)
    information = np.maximum(
        np.log(pairs.data * total.sum() / (total[pairs.row] * total[pairs.col])), 0
    )
    matrix = scipy.sparse.coo_array(
        (information.astype(np.float32), (pairs.row, pairs.col)), shape=pairs.shape
    ).tocsr()
    matrix = matrix + scipy.sparse.diags_array(matrix.max(axis=1).toarray()).tocsr()
    rank = min(dim, num_items)
    left, strength, _ = extmath.randomized_svd(
        matrix, rank, n_iter=POWER_ITERATIONS, random_state=seed
    )
    vectors[:, :rank] = left * np.sqrt(strength)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-9))


def embed(rows: Sequence[np.ndarray], words: np.ndarray) -> np.ndarray:
    """f32[N, D] vectors of unit length of texts, sum of (1 + ln tf_w) words_w.

    What `tfidf_svd` gave for the same rows.

    rows: N arrays i[...] of tokens; words: f32[V, D] of `Vectors`.
    """
    vectors = np.asarray(_log_counts(rows, len(words)) @ words, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-9))


def _log_counts(rows: Sequence[np.ndarray], vocabulary: int):
    """Sparse f32[N, V]: 1 + ln of how often a token stands in a row, 0 where it does not."""
    import scipy.sparse

    tokens = np.concatenate([np.zeros(0, np.int64), *(np.asarray(row, np.int64) for row in rows)])
    if len(tokens) and not 0 <= tokens.min() <= tokens.max() < vocabulary:
        raise ValueError(
            f"vectors: expected tokens from 0 to {vocabulary - 1}, got {tokens.min()} to "
            f"{tokens.max()}"
        )
    document = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    shape = (len(rows), vocabulary)
    counts = scipy.sparse.coo_array(
        (np.ones(len(tokens), np.float32), (document, tokens)), shape=shape
    ).tocsr()
    counts.sum_duplicates()
    counts.data = 1 + np.log(counts.data)
    return counts
