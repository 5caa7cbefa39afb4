"""Vectors of documents by the name of an encoder, or from a file."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from zoo import records
from zoo.records import DataError
from zoo.text import encoders, tokens, vectors as texts_vectors

EMBEDDINGS = ("tfidf", "minilm")  # of texts: TF-IDF and SVD, all-MiniLM-L6-v2


def refuse_embedding(system: str, how: str) -> None:
    """Raises DataError, in the name of who asks, for what `embed` does not know."""
    if how not in EMBEDDINGS and not how.endswith(".npy"):
        raise DataError(
            f"{system}: option vectors expects one of {', '.join(EMBEDDINGS)}, or FILE.npy with a row an item, got {how!r}"
        )


def embed(
    corpus: records.Corpus, how: str, log: Any, *, dim: int = 384, vocabulary: int = 8000
) -> np.ndarray:
    """Vectors f32[N, D] of documents; D is `dim` under tfidf, 384 under minilm.

    how: of EMBEDDINGS, or the path of a .npy file, a row a document in the order of the corpus.
    """
    if how.endswith(".npy"):
        if len(vectors := read_vectors(how)) != len(corpus):
            raise DataError(
                f"{how}: expected {len(corpus)} rows, a vector for each document in their order, got {len(vectors)}"
            )
        return vectors
    if how == "minilm":
        return encoders.encode(corpus.contents(), log=log)
    contents = tokens.stemmed(corpus.contents())
    tokenizer = tokens.train(contents, size=vocabulary)
    rows = tokens.whole(tokenizer, contents)
    return texts_vectors.tfidf_svd(
        rows, vocabulary=tokens.count(tokenizer), dim=dim, seed=0
    ).documents


def read_vectors(path: str | os.PathLike) -> np.ndarray:
    """f32[N, D] of a .npy file; DataError if it holds anything else."""
    try:
        vectors = np.load(path, allow_pickle=False)
    except (ValueError, EOFError):
        raise DataError(
            f"{path}: not an array of numbers in NumPy's format; write it with numpy.save"
        ) from None
    if (
        not isinstance(vectors, np.ndarray)
        or vectors.ndim != 2
        or not np.issubdtype(vectors.dtype, np.floating)
    ):
        got = (
            f"{vectors.dtype} {list(vectors.shape)}"
            if isinstance(vectors, np.ndarray)
            else "several arrays"
        )
        raise DataError(f"{path}: expected floats [N, D], a vector a document, got {got}")
    return vectors.astype(np.float32)
