"""BM25, the lexical baseline that every generative system is set beside.

Robertson and Zaragoza 2009, "The probabilistic relevance framework: BM25 and beyond"; Lucene's variant, field title + text.
"""

from __future__ import annotations

import dataclasses
import json

from zoo import recipes, records
from zoo.index import lexical


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of BM25; they do not depend on the size of anything, so all presets are equal."""

    k1: float = lexical.K1  # how slowly repeated words saturate
    b: float = lexical.B  # how much long documents are discounted, 0 to 1
    expand_with_queries: bool = False  # append the train queries of a document to its text


def fit(collection: records.Collection, config: Config, key, log) -> dict:
    """The index of title and text; `key` is unused, nothing here is random."""
    log.phase("index")
    contents = collection.corpus.contents()
    if config.expand_with_queries:
        contents = _expanded(collection, contents)
    index = lexical.build(contents, k1=config.k1, b=config.b)
    return {"index": index, "corpus_ids": json.dumps(collection.corpus.ids)}


def retrieve(config: Config, state: dict, queries: records.Queries, k: int) -> records.Ranking:
    """Documents that share a word with the query, by score."""
    documents, scores = lexical.search(state["index"], queries.texts, k)
    return records.Ranking(queries.ids, tuple(json.loads(state["corpus_ids"])), documents, scores)


def _expanded(collection: records.Collection, contents: list[str]) -> list[str]:
    """Contents with the train queries of each document on lines of their own.

    Raises DataError if there is no train split.
    """
    queries, qrels = collection.split("train")
    texts, rows = dict(zip(queries.ids, queries.texts)), collection.corpus.rows()
    expanded = list(contents)
    for query, document in qrels.pairs():
        expanded[rows[document]] += f"\n{texts[query]}"
    return expanded


RECIPE = recipes.Recipe(
    name="bm25",
    paper="Robertson and Zaragoza 2009, The probabilistic relevance framework: BM25 and beyond",
    presets={size: Config() for size in recipes.SIZES},
    fit=fit,
    retrieve=retrieve,
    deviations=(
        "Lucene's variant: idf is log(1 + ...), never negative, and the constant factor k1 + 1 is left out",
        "documents that share no word with the query are no answers; the original ranks them last",
        "k1 = .9, b = .4 (Anserini's defaults) instead of values tuned for each collection",
    ),
)
