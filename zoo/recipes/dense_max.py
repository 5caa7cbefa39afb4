"""Dense-max: dense search in which a document is found by its own vector or that of any of its
train queries, whichever is nearer.

The score of a document is max(q . d, max_j q . t_j) over its train queries t_j, as late fusion of
several vectors for one document (Zhang et al. 2022, "Multi-View Document Representation Learning
for Open-Domain Dense Retrieval", arXiv 2203.08372, eq. 1). Nothing is trained here.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

from zoo import recipes, records
from zoo.models import development, frozen_dense, text_vectors, vector_start
from zoo.ranking import scores
from zoo.update import vectors


@dataclasses.dataclass(frozen=True)
class Config(vector_start.Frozen):
    """Options of dense-max."""

    SYSTEM = "dense-max"


def fit(collection: records.Collection, config: Config, key: Any, log: Any) -> dict:
    """Vectors of the documents and of their train queries."""
    state = frozen_dense.fit(collection, config, log)
    queries, rows = development.all_pairs(collection)
    width = state["params"]["document"].shape[1]
    views = text_vectors.of_queries(state["encoder"], queries, log).reshape(-1, width)
    return state | {
        "params": state["params"] | {"view": views},
        "owner": np.asarray(rows, np.int32),  # row of the document of each view
    }


def open(config: Config, state: dict) -> recipes.Ask:
    """Documents by the largest cosine of the query and their vectors."""
    corpus_ids = tuple(json.loads(state["corpus_ids"]))
    owner = np.asarray(state["owner"])
    order = np.argsort(owner, kind="stable")
    owners, first = np.unique(owner[order], return_index=True)
    documents = np.asarray(state["params"]["document"])
    views = np.asarray(state["params"]["view"])[order]

    def ask(queries: records.Queries, k: int) -> records.Ranking:
        def search(block: records.Queries) -> tuple[np.ndarray, np.ndarray]:
            asked = text_vectors.of_queries(state["encoder"], block.texts)
            score = asked @ documents.T
            if len(owners):
                best = np.maximum.reduceat(asked @ views.T, first, axis=1)
                score[:, owners] = np.maximum(score[:, owners], best)
            return scores.top(score, k)

        return scores.ranking(queries, corpus_ids, k, search)

    return ask


def add(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with more documents, which have no train queries."""
    return vectors.add(state, corpus)


def remove(config: Config, state: dict, rows: np.ndarray) -> dict:
    """The state without documents i[n], their vectors and those of their train queries."""
    owner = np.asarray(state["owner"])
    kept = ~np.isin(owner, rows)
    moved = owner[kept] - np.searchsorted(np.sort(rows), owner[kept])
    left = vectors.remove(state, rows)
    return left | {
        "params": left["params"] | {"view": np.asarray(state["params"]["view"])[kept]},
        "owner": moved.astype(np.int32),
    }


RECIPE = recipes.Recipe(
    name="dense-max",
    paper="Zhang et al. 2022, Multi-View Document Representation Learning for Open-Domain Dense "
    "Retrieval, arXiv 2203.08372",
    presets=vector_start.frozen_presets(Config),
    fit=fit,
    open=open,
    add=add,
    remove=remove,
    deviations=(
        "views are a document's own vector and those of its train queries, from a frozen encoder; "
        "the paper trains several viewer tokens",
    ),
)
