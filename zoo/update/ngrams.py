"""New documents in the FM-index of a system that generates n-grams; nothing is learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo import records
from zoo.index import ngrams
from zoo.models import corpus_text, ngram_corpus, ngram_writer
from zoo.update import catalogue

ROWS = ngram_corpus.ROWS


def add(
    config: ngram_writer.Writing,
    state: Mapping[str, Any],
    corpus: records.Corpus,
    queries: Sequence[str] = (),
    origins: Sequence[int] = (),
) -> dict:
    """The state with more documents and their pseudo-queries; origins: row of each query's."""
    as_read = lambda texts: tuple(corpus_text.as_read(config, dict(state), texts))
    tokenizer = state["tokenizer"]
    read = records.Corpus(corpus.ids, as_read(corpus.titles), as_read(corpus.texts))
    parts = ngram_corpus.encode(tokenizer, read, most=config.document_length)
    if len(queries):
        most = config.longest() - 1
        made = as_read(queries)
        parts = ngram_corpus.with_queries(parts, tokenizer, made, origins, most=most)
    fresh = ngram_corpus.pack(parts, ngram_corpus.marks(tokenizer))
    old = state[ROWS]
    starts = np.concatenate([old["starts"], fresh["starts"][1:] + old["starts"][-1]])
    both = np.concatenate([old["tokens"], fresh["tokens"]])
    return catalogue.append(state, corpus) | {ROWS: {"tokens": both, "starts": starts}}


def remove(config: Any, state: Mapping[str, Any], rows: np.ndarray) -> dict:
    """The state without documents i[n]."""
    old = {name: np.asarray(leaf) for name, leaf in state[ROWS].items()}
    kept = np.delete(np.arange(len(old["starts"]) - 1), rows)
    text, starts = ngrams.take(old["tokens"], old["starts"], kept)
    return catalogue.delete(state, rows) | {ROWS: {"tokens": text, "starts": starts}}
