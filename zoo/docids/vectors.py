"""Vectors of documents from the words they hold: TF-IDF weights, reduced by a truncated SVD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

POWER_ITERATIONS = 4  # of the randomised SVD (Halko et al. 2011, arXiv 0909.4061, alg. 4.4)


class Vectors(NamedTuple):
    """A corpus in D dimensions, and the words that place new texts in the same space."""

    documents: np.ndarray  # f32[N, D] of unit length; zeros for a document without a token
    words: np.ndarray  # f32[V, D] idf times the word's right singular vector; all of the fit that `embed` needs


def tfidf_svd(rows: Sequence[np.ndarray], *, vocabulary: int, dim: int, seed: int) -> Vectors:
    """Latent semantic vectors of documents (Deerwester et al. 1990).

    A document is x_w = (1 + ln tf_w) idf_w with idf_w = 1 + ln((1 + N) / (1 + df_w)), scaled to unit length; its vector is
    x V of the truncated SVD X = U S V', scaled to unit length. Columns past the smaller of N and `vocabulary` are zero.

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
        raise ValueError(f"tfidf_svd: expected at least one document and dim of at least 1, got {len(rows)} and dim={dim}")
    weights = _log_counts(rows, vocabulary)
    seen = np.bincount(weights.indices, minlength=vocabulary)
    idf = (1 + np.log((1 + len(rows)) / (1 + seen))).astype(np.float32)
    weights = weights.multiply(idf).tocsr()
    lengths = np.sqrt(weights.multiply(weights).sum(axis=1))
    weights = weights.multiply(1 / np.maximum(np.asarray(lengths).reshape(-1, 1), 1e-9)).tocsr()
    rank = min(dim, *weights.shape)
    _, _, components = extmath.randomized_svd(weights, rank, n_iter=POWER_ITERATIONS, random_state=seed)
    words = np.zeros((vocabulary, dim), np.float32)
    words[:, :rank] = components.T * idf[:, None]
    return Vectors(embed(rows, words), words)


def embed(rows: Sequence[np.ndarray], words: np.ndarray) -> np.ndarray:
    """f32[N, D] vectors of unit length of texts, sum of (1 + ln tf_w) words_w; what `tfidf_svd` gave for the same rows.

    rows: N arrays i[...] of tokens; words: f32[V, D] of `Vectors`.
    """
    vectors = np.asarray(_log_counts(rows, len(words)) @ words, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-9))


def _log_counts(rows: Sequence[np.ndarray], vocabulary: int):
    """Sparse f32[N, V]: 1 + ln of how often a token stands in a row, 0 where it does not."""
    import scipy.sparse

    tokens = np.concatenate([np.zeros(0, np.int64), *(np.asarray(row, np.int64) for row in rows)])
    if len(tokens) and not 0 <= tokens.min() <= tokens.max() < vocabulary:
        raise ValueError(f"vectors: expected tokens from 0 to {vocabulary - 1}, got {tokens.min()} to {tokens.max()}")
    document = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    shape = (len(rows), vocabulary)
    counts = scipy.sparse.coo_array((np.ones(len(tokens), np.float32), (document, tokens)), shape=shape).tocsr()
    counts.sum_duplicates()
    counts.data = 1 + np.log(counts.data)
    return counts
