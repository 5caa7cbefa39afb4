"""Vectors of documents from an encoder by name, or from a file."""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo import records
from zoo.data import npy
from zoo.nets import pretrained
from zoo.records import DataError
from zoo.text import encoders, languages, tokens, vector_cache, vectors as texts_vectors, words

# AUTO: the vectors of a system's encoder, or TFIDF if it has none
AUTO, TFIDF, MINILM = "auto", "tfidf", pretrained.MINILM
EMBEDDINGS = (TFIDF, MINILM)  # of texts: TF-IDF and SVD, all-MiniLM-L6-v2
QUERY, DOCUMENT = pretrained.QUERY, pretrained.DOCUMENT


def is_encoder(how: str) -> bool:
    """Whether `encode` knows the name: "minilm", or a folder that exists."""
    return how == MINILM or bool(how) and pathlib.Path(how).is_dir()


def refuse_encoder(system: str, how: str) -> None:
    """Raises DataError, naming the system, unless the name is "" or `encode` knows it."""
    if how and not is_encoder(how):
        raise DataError(
            f"{system}: option encoder expects {MINILM}, or the folder of a BERT or MPNet in "
            f"Hugging Face's layout, got {how!r}"
        )


def refuse_embedding(system: str, how: str) -> None:
    """Raises DataError, naming the system, unless `embed` knows the name."""
    if how != TFIDF and not is_encoder(how) and not how.endswith(".npy"):
        raise DataError(
            f"{system}: option vectors expects one of {', '.join(EMBEDDINGS)}, the folder of an "
            f"encoder, or FILE.npy with a row an item, got {how!r}"
        )


def encode(texts: Sequence[str], how: str, log: Any, *, side: str = DOCUMENT) -> np.ndarray:
    """f32[n, D] vectors of texts from a pretrained encoder, once computed and kept on disk.

    how: "minilm" (D = 384, unit length), or a folder in Hugging Face's layout.
    side: DOCUMENT or QUERY; encoders with prompts tell them apart.

    Raises DataError if the encoder is not installed or not supported.
    """
    encoder = _load(how)
    identity = f"{encoder.digest} {side} float32 1"
    run = lambda missing: encoders.encode(missing, log=log, encoder=encoder, side=side)
    return vector_cache.compute(texts, identity, run)


def width_of(how: str) -> int:
    """D of the vectors of an encoder."""
    return _load(how).shape.width


def digest_of(how: str) -> str:
    """SHA-256 of the files of an encoder."""
    return _load(how).digest


@functools.lru_cache(maxsize=2)
def _load(how: str) -> pretrained.Encoder:
    return pretrained.load(how)


def embed(
    corpus: records.Corpus, how: str, log: Any, *, dim: int = 384, vocabulary: int = 8000
) -> np.ndarray:
    """Vectors f32[N, D] of documents; D is `dim` under tfidf, 384 under minilm.

    how: a name of EMBEDDINGS, the folder of an encoder, or the path of a .npy file with a row per
      document, in the order of the corpus.
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
    if is_encoder(how):
        return {"how": how, "digest": digest_of(how)}, encode(corpus.contents(), how, log)
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
    return embed_texts(state["embedder"], corpus.contents(), log)


def embed_texts(
    embedder: Mapping[str, Any], texts: Sequence[str], log: Any, *, side: str = DOCUMENT
) -> np.ndarray:
    """Vectors f32[n, D] of texts in the space of a fit, whose state is `embedder`.

    side: DOCUMENT or QUERY, see `encode`.

    Raises DataError if the vectors of the fit came from a file, or the encoder has changed.
    """
    how = embedder["how"]
    if how.endswith(".npy"):
        raise DataError(
            f"vectors={how} has a row for each document of the fit and none for new ones; "
            "fit again with vectors of all documents"
        )
    if "words" not in embedder:
        if embedder.get("digest", "") not in ("", digest_of(how)):
            raise DataError(f"{how}: the encoder is another than that of the fit; fit again")
        return encode(texts, how, log, side=side)
    stemmed = languages.stem_texts(texts, json.loads(embedder["languages"]))
    rows = tokens.whole(embedder["tokenizer"], stemmed)
    return texts_vectors.embed(rows, np.asarray(embedder["words"]))
