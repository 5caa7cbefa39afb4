"""Vectors of documents from an encoder by name, or from a file."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo import records
from zoo.data import npy
from zoo.records import DataError
from zoo.text import encoders, languages, tokens, vectors as texts_vectors, words

EMBEDDINGS = ("tfidf", "minilm")  # of texts: TF-IDF and SVD, all-MiniLM-L6-v2


def refuse_embedding(system: str, how: str) -> None:
    """Raises DataError, naming the system, unless `embed` knows the name."""
    if how not in EMBEDDINGS and not how.endswith(".npy"):
        raise DataError(
            f"{system}: option vectors expects one of {', '.join(EMBEDDINGS)}, or FILE.npy with a row "
            f"an item, got {how!r}"
        )


def embed(
    corpus: records.Corpus, how: str, log: Any, *, dim: int = 384, vocabulary: int = 8000
) -> np.ndarray:
    """Vectors f32[N, D] of documents; D is `dim` under tfidf, 384 under minilm.

    how: a name of EMBEDDINGS, or the path of a .npy file with a row per document, in the order of
      the corpus.
    """
    if how.endswith(".npy"):
        if len(vectors := npy.read_vectors(how)) != len(corpus):
            raise DataError(
                f"{how}: expected {len(corpus)} rows, a vector for each document in their order, got "
                f"{len(vectors)}"
            )
        return vectors
    if how == "minilm":
        return encoders.encode(corpus.contents(), log=log)
    contents = corpus.contents()
    contents = languages.stem_texts(
        contents, languages.choose(languages.AUTO, words.segment(contents))
    )
    tokenizer = tokens.train(contents, size=vocabulary)
    rows = tokens.whole(tokenizer, contents)
    return texts_vectors.tfidf_svd(
        rows, vocabulary=tokens.count(tokenizer), dim=dim, seed=0
    ).documents
