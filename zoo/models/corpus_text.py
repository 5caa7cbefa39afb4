"""What systems share that read texts: queries made of documents, the tokenizer, and vectors of documents and words."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from zoo import records
from zoo.models import encoder_decoder, query_generator, warm_start
from zoo.text import tokens, vectors


class Texts(NamedTuple):
    """The texts of a collection as a system reads them: stemmed if it stems."""

    contents: list[str]  # N, of the documents
    queries: list[str]  # of the train split
    answers: list[int]  # row of a relevant document of each
    made: list[str]  # queries made from documents
    origins: list[int]  # row of the document of each
    tokenizer: str

    def encode(self, texts: list[str], length: int, prompt: str = "") -> np.ndarray:
        """i32[n, length] tokens of texts, see `tokens.encode`."""
        return tokens.encode(self.tokenizer, texts, length=length, prompt=prompt)


def read(
    collection: records.Collection,
    config,
    log,
    *,
    prompts: tuple[str, ...] = (),
    start: warm_start.Start | None = None,
    tokenizer: str | None = None,
) -> Texts:
    """Texts of a collection. config: of `options.Reading`.

    tokenizer: of an earlier reading; else that of `start`; else one is trained, with the prompts.
    """
    queries, answers = encoder_decoder.pairs(collection)
    made, origins = query_generator.make_queries(
        config.queries, collection, per_document=config.generated, seed=0, log=log
    )
    log.phase("tokens and vectors")
    contents = collection.corpus.contents()
    if config.stem:
        contents, queries, made = (tokens.stemmed(texts) for texts in (contents, queries, made))
    if tokenizer is None and start is not None:
        tokenizer = warm_start.reader(start, prompts)
    if tokenizer is None:
        tokenizer = tokens.train([*contents, *queries], size=config.vocabulary, prompts=prompts)
    return Texts(contents, queries, answers, made, origins, tokenizer)


def as_queries(config, queries: records.Queries) -> records.Queries:
    """Queries as the system reads them."""
    return (
        dataclasses.replace(queries, texts=tuple(tokens.stemmed(queries.texts)))
        if config.stem
        else queries
    )


def embed(texts: Texts, dim: int) -> vectors.Vectors:
    """TF-IDF and SVD vectors of the documents, each with the train queries that ask for it."""
    whole = list(texts.contents)
    for query, row in zip(texts.queries, texts.answers):
        whole[row] += "\n" + query
    return vectors.tfidf_svd(
        tokens.whole(texts.tokenizer, whole),
        vocabulary=tokens.count(texts.tokenizer),
        dim=dim,
        seed=0,
    )


def words(embedded: vectors.Vectors, config) -> np.ndarray | None:
    """f32[source_vocab, D] that source embeddings start from, of deviation 1; None where they are drawn (`vector_start`)."""
    return embedded.words / embedded.words.std() if config.vector_start else None
