"""Vectors of documents from an encoder by name, or from a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
            f"{system}: option vectors expects one of {', '.join(EMBEDDINGS)}, or FILE.npy with a "
            "row "
            f"an item, got {how!r}"
        )


def embed(
    corpus: records.Corpus, how: str, log: Any, *, dim: int = 384, vocabulary: int = 8000
) -> np.ndarray:
    """Vectors f32[N, D] of documents; D is `dim` under tfidf, 384 under minilm.

    how: a name of EMBEDDINGS, or the path of a .npy file with a row per document, in the order of
      the corpus.
    """
    return fit(corpus, how, log, dim=dim, vocabulary=vocabulary)[1]


def fit(
    corpus: records.Corpus, how: str, log: Any, *, dim: int = 384, vocabulary: int = 8000
) -> tuple[dict, np.ndarray]:
    """State that places new documents in the same space (`embed_new`); the result of `embed`."""
    if how.endswith(".npy"):
        if len(vectors := npy.read_vectors(how)) != len(corpus):
            raise DataError(
                f"{how}: expected {len(corpus)} rows, a vector for each document in their order, "
                "got "
                f"{len(vectors)}"
            )
        return {"how": how}, vectors
    if how == "minilm":
        return {"how": how}, encoders.encode(corpus.contents(), log=log)
    contents = corpus.contents()
    chosen = languages.choose(languages.AUTO, words.segment(contents))
    contents = languages.stem_texts(contents, chosen)
    tokenizer = tokens.train(contents, size=vocabulary)
    rows = tokens.whole(tokenizer, contents)
    found = texts_vectors.tfidf_svd(rows, vocabulary=tokens.count(tokenizer), dim=dim, seed=0)
    kept = {"tokenizer": tokenizer, "words": found.words, "languages": json.dumps(chosen)}
    return {"how": how} | kept, found.documents


def embed_new(state: Mapping[str, Any], corpus: records.Corpus, log: Any) -> np.ndarray:
    """Vectors f32[M, D] of new documents in the space of a fit; state: of a system, `fit` made its
    "embedder".

    Raises DataError if there is none, or the vectors of the fit came from a file.
    """
    if "embedder" not in state:
        raise DataError(
            "fitted by an earlier version, which kept nothing to embed new documents by; fit again"
        )
    embedder = state["embedder"]
    how = embedder["how"]
    if how.endswith(".npy"):
        raise DataError(
            f"vectors={how} has a row for each document of the fit and none for new ones; "
            "fit again with vectors of all documents"
        )
    if how == "minilm":
        return encoders.encode(corpus.contents(), log=log)
    contents = languages.stem_texts(corpus.contents(), json.loads(embedder["languages"]))
    rows = tokens.whole(embedder["tokenizer"], contents)
    return texts_vectors.embed(rows, np.asarray(embedder["words"]))
