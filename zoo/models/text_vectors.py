"""Vectors of documents and queries of systems that start from them.

A vector is that of a frozen text encoder, of unit length, and behind it the BM25 scores in few
dimensions: with W f32[V, N] the weights of terms in documents and W = X S Y' its truncated SVD,
a document has sqrt(alpha) X'w and a query sqrt(alpha) X'c, w its column and c the counts of the
query's terms. So the inner product of a query and a document is

    cosine + alpha * (BM25 score, of rank R)
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo import records
from zoo.index import lexical
from zoo.nets import pretrained
from zoo.text import embed
from zoo.train import log as logs

AUTO = "auto"
ENCODERS = (AUTO, *embed.EMBEDDINGS)
SAMPLE = 200  # texts, and characters of each, that show the script
POWER_ITERATIONS: Any = 2  # of the randomised SVD
QUIET = logs.Log(quiet=True)


class Vectors(NamedTuple):
    """Vectors of N documents, and what places queries and new documents in the same space."""

    state: dict  # of the encoder, part of the state of a system as "embedder"
    documents: np.ndarray  # f32[N, D]


def resolve(encoder: str, texts: Sequence[str] = ()) -> str:
    """The encoder that is used: auto is minilm where its weights are installed, else tfidf.

    minilm is a model of English: for texts whose letters are mostly not Latin auto is tfidf.
    """
    if encoder != AUTO:
        return encoder
    return "minilm" if pretrained.minilm_available() and _latin(texts) else "tfidf"


def _latin(texts: Sequence[str]) -> bool:
    """Whether at least half of the letters of the first texts are Latin; True without letters."""
    letters = [letter for text in texts[:SAMPLE] for letter in text[:SAMPLE] if letter.isalpha()]
    latin = sum("LATIN" in unicodedata.name(letter, "") for letter in letters)
    return 2 * latin >= len(letters)


def fit(corpus: records.Corpus, encoder: str, log: Any, *, width: int) -> Vectors:
    """Vectors of documents; width: D of tfidf."""
    how = resolve(encoder, corpus.contents())
    state, documents = embed.fit(corpus, how, log, dim=width)
    return Vectors(state, np.asarray(documents, np.float32))


def of_queries(embedder: Mapping[str, Any], texts: Sequence[str], log: Any = QUIET) -> np.ndarray:
    """f32[n, D] vectors of queries; embedder: the state of `Vectors`."""
    return _of_texts(embedder, texts, log, embed.QUERY)


def of_documents(embedder: Mapping[str, Any], texts: Sequence[str], log: Any = QUIET) -> np.ndarray:
    """f32[n, D] vectors of new documents."""
    return _of_texts(embedder, texts, log, embed.DOCUMENT)


def _of_texts(embedder: Mapping[str, Any], texts: Sequence[str], log: Any, side: str) -> np.ndarray:
    if not len(texts):
        return np.zeros((0, 0), np.float32)
    rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    vectors = embed.embed_texts(embedder, tuple(rows), log, side=side)
    return np.asarray(vectors, np.float32)[[rows[text] for text in texts]]


def components(index: lexical.Index, rank: int, seed: int = 0) -> np.ndarray:
    """f32[V, R] left singular vectors of the weights of an index, R = min(rank, V, N)."""
    from sklearn.utils import extmath

    weights: Any = lexical.matrix(index)
    rank = min(rank, *weights.shape)
    if not rank:
        return np.zeros((weights.shape[0], 0), np.float32)
    left, _, _ = extmath.randomized_svd(weights, rank, n_iter=POWER_ITERATIONS, random_state=seed)
    return np.asarray(left, np.float32)


class Space(NamedTuple):
    """The space of a fitted system; a part of its state, so that leaves are arrays and text."""

    embedder: Mapping[str, Any]
    index: lexical.Index  # of the documents alone, whose terms `components` has a row for
    components: np.ndarray  # f32[V, R]
    alpha: np.ndarray  # f32[]

    def queries(self, texts: Sequence[str], log: Any = QUIET) -> np.ndarray:
        """f32[B, D + R]."""
        dense = of_queries(self.embedder, texts, log)
        return self.join(dense, lexical.bags(self.index, texts) @ self.components)

    def new_documents(self, corpus: records.Corpus) -> np.ndarray:
        """f32[n, D + R] vectors of documents that the index does not have."""
        contents = corpus.contents()
        grown = lexical.extend(self.index, contents)
        weights = lexical.matrix(grown)[:, len(self.index["lengths"]) :].tocsr()
        rows = lexical.rows_of_terms(self.index, grown)
        return self.join(of_documents(self.embedder, contents), weights[rows].T @ self.components)

    def join(self, dense: np.ndarray, terms: np.ndarray) -> np.ndarray:
        """Dense and lexical parts side by side."""
        scaled = np.float32(np.sqrt(self.alpha)) * np.asarray(terms, np.float32)
        return np.concatenate([dense, scaled], axis=1).astype(np.float32)


def lexical_part(index: lexical.Index, components: np.ndarray) -> np.ndarray:
    """f32[N, R] of the documents of an index, before alpha."""
    return np.asarray(lexical.matrix(index).T @ components, np.float32)
