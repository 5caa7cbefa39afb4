"""Dense: exact search over the vectors of a frozen text encoder, the peer of systems that start
from them.

Reimers and Gurevych 2019, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks" (arXiv
1908.10084): a document and a query are encoded apart, and ranked by the cosine. Nothing is trained
here.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

from zoo import recipes, records
from zoo.index import dense
from zoo.models import frozen_dense, text_vectors, vector_start
from zoo.update import vectors


@dataclasses.dataclass(frozen=True)
class Config(vector_start.Frozen):
    """Options of dense search."""

    SYSTEM = "dense"


def fit(collection: records.Collection, config: Config, key: Any, log: Any) -> dict:
    """Vectors of the documents; `key` is unused, nothing here is random."""
    return frozen_dense.fit(collection, config, log)


def open(config: Config, state: dict) -> recipes.Ask:
    """Documents by the cosine of their vectors with the query's."""
    index = dense.build(state["params"]["document"])
    corpus_ids = tuple(json.loads(state["corpus_ids"]))

    def ask(queries: records.Queries, k: int) -> records.Ranking:
        asked = text_vectors.of_queries(state["encoder"], queries.texts)
        return records.Ranking(queries.ids, corpus_ids, *dense.search(index, asked, k))

    return ask


def add(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with more documents, encoded by the encoder as it is."""
    return vectors.add(state, corpus)


def remove(config: Config, state: dict, rows: np.ndarray) -> dict:
    """The state without documents i[n] and their vectors."""
    return vectors.remove(state, rows)


RECIPE = recipes.Recipe(
    name="dense",
    paper="Reimers and Gurevych 2019, Sentence-BERT, arXiv 1908.10084",
    presets=vector_start.frozen_presets(Config),
    fit=fit,
    open=open,
    add=add,
    remove=remove,
    deviations=(
        "the encoder is all-MiniLM-L6-v2, tuned as the paper's on pairs of sentences; the paper's "
        "are BERT and RoBERTa",
        "without its weights the vectors are TF-IDF and SVD of the collection itself "
        "(encoder=auto)",
    ),
)
