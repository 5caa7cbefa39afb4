"""BM25, the lexical baseline of every generative system.

Robertson and Zaragoza 2009, "The probabilistic relevance framework: BM25 and beyond"; Lucene's
variant over the title and text of each document.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np

from zoo import options, recipes, records
from zoo.index import lexical
from zoo.models import development, lexical_plan
from zoo.options import option
from zoo.text import languages
from zoo.update import catalogue


@dataclasses.dataclass(frozen=True)
class Config(options.Checked):
    """Options of BM25; they do not depend on the collection's size, so all presets are equal."""

    k1: float = option(lexical.K1, "saturation of term frequency", limits=(0.0, 1e6))
    b: float = option(
        lexical.B, "document-length normalisation, 0 = none", limits=options.PROBABILITY
    )
    expand_with_queries: bool = option(False, "append the train queries of a document to its text")
    language: str = option(
        languages.AUTO,
        "language of the stemmer and the stop words; auto = detected, none = neither",
        one_of=languages.names(),
    )
    strip_accents: bool = option(False, "ignore accents on Latin, Greek and Cyrillic letters")

    SYSTEM = "bm25"


def fit(collection: records.Collection, config: Config, key, log) -> dict:
    """The index of titles and texts; `key` is unused, nothing here is random."""
    log.phase("index")
    contents = collection.corpus.contents()
    if config.expand_with_queries:
        contents = _expand(collection, contents)
    index = lexical.build(
        contents,
        k1=config.k1,
        b=config.b,
        language=config.language,
        strip_accents=config.strip_accents,
    )
    return {"index": index, "corpus_ids": json.dumps(collection.corpus.ids)}


def open(config: Config, state: dict) -> Callable[[records.Queries, int], records.Ranking]:
    """Documents that share a word with the query, by score."""
    corpus_ids = tuple(json.loads(state["corpus_ids"]))

    def ask(queries: records.Queries, k: int) -> records.Ranking:
        documents, scores = lexical.search(state["index"], queries.texts, k)
        return records.Ranking(queries.ids, corpus_ids, documents, scores)

    return ask


def add(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with the documents of `corpus` behind its own; equals a fit to all of them.

    With `language="auto"`, in the language of the first fit. New documents have no train queries.
    """
    index = lexical.extend(state["index"], corpus.contents())
    return catalogue.append(state, corpus) | {"index": index}


def remove(config: Config, state: dict, rows: np.ndarray) -> dict:
    """The state without documents i[n]; equals a fit to the others."""
    return catalogue.delete(state, rows) | {"index": lexical.remove(state["index"], rows)}


def _expand(collection: records.Collection, contents: list[str]) -> list[str]:
    """Contents with the train queries of each document on lines of their own.

    Raises DataError if there is no train split.
    """
    collection.split("train")  # refuses a collection without
    return lexical_plan.expand(contents, *development.all_pairs(collection))


RECIPE = recipes.Recipe(
    name="bm25",
    paper="Robertson and Zaragoza 2009, The probabilistic relevance framework: BM25 and beyond",
    presets={size: Config() for size in recipes.SIZES},
    fit=fit,
    open=open,
    add=add,
    remove=remove,
    deviations=(
        "Lucene's variant: idf is log(1 + ...), never negative, and k1 + 1 is left out",
        "documents that share no word with the query are not answered; the original ranks them "
        "last",
        "k1 = .9, b = .4 (Anserini's defaults) instead of values tuned for each collection",
        "pairs of characters instead of words in scripts without spaces, as Lucene's CJKAnalyzer",
    ),
)
