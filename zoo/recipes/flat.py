"""Flat: the rows of the tree without the tree: exact search over trained document rows.

The control of `zoo.recipes.tree`: same vectors, same training, no identifiers and no beam, so what
differs between the two is what generation costs and what BM25 in its score adds. As a system it is
a single-tower adapter over frozen vectors, one row a document, trained listwise (Zeng et al. 2024,
arXiv 2311.09134, sec. 3.1, have the dense model that a generator starts from).
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jax
import numpy as np

from zoo import recipes, records
from zoo.index import dense, lexical
from zoo.models import lexical_plan, row_training, text_vectors, vector_start
from zoo.nets import rows as row_net
from zoo.options import option
from zoo.ranking import scores
from zoo.train import stages
from zoo.update import catalogue

BLOCK = 64  # queries that are scored at once


@dataclasses.dataclass(frozen=True)
class Config(row_training.Config, vector_start.Config):
    """Options of flat."""

    lexical: float = option(
        0.0, "weight of BM25 in the score; 0 = none, -1 = chosen on dev queries", limits=(-1.0, 1e6)
    )

    SYSTEM = "flat"


def fit(collection: records.Collection, config: Config, key: jax.Array, log: Any) -> dict:
    """Vectors, rows, and BM25 with its weight."""
    start = vector_start.begin(collection, config, log)
    budget = stages.Budget.of(config, len(start.given.queries) or len(start.documents))
    found = vector_start.learn(start, config, key, log, budget=budget)
    return {
        "params": jax.device_get(dict(found)),
        "space": start.space._asdict(),
        "lexical": vector_start.plan(start, found, collection, log),
        "corpus_ids": json.dumps(collection.corpus.ids),
    }


def open(config: Config, state: dict) -> recipes.Ask:
    """Documents by their rows and BM25."""
    params, space = state["params"], text_vectors.Space(**state["space"])
    corpus_ids = tuple(json.loads(state["corpus_ids"]))
    unit = float(params["temperature"])
    plan = lexical_plan.open(state["lexical"], weight=config.lexical, unit=unit)
    index = dense.build(params["document"])
    encode = jax.jit(row_net.state)

    def ask(queries: records.Queries, k: int) -> records.Ranking:
        def search(block: records.Queries) -> tuple[np.ndarray, np.ndarray]:
            vectors = space.queries(block.texts)
            padded = vectors[np.resize(np.arange(len(vectors)), BLOCK)]
            state_ = np.asarray(encode(params["mlp"], padded))[: len(vectors)]
            if plan is None:
                rows, values = dense.search(index, state_, k)
                return rows, values * np.float32(unit)
            total = unit * (state_ @ np.asarray(params["document"]).T) + plan(block)
            return scores.top(total, k)

        return scores.ranking(queries, corpus_ids, k, search, block=BLOCK)

    return ask


def add(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with more documents, whose rows are their vectors."""
    vectors = text_vectors.Space(**state["space"]).new_documents(corpus)
    document = np.concatenate([np.asarray(state["params"]["document"]), vectors])
    index = lexical.extend(state["lexical"]["index"], corpus.contents())
    return catalogue.append(state, corpus) | {
        "params": dict(state["params"]) | {"document": document},
        "lexical": dict(state["lexical"]) | {"index": index},
    }


def remove(config: Config, state: dict, rows: np.ndarray) -> dict:
    """The state without documents i[n]."""
    document = np.delete(np.asarray(state["params"]["document"]), rows, axis=0)
    index = lexical.remove(state["lexical"]["index"], rows)
    return catalogue.delete(state, rows) | {
        "params": dict(state["params"]) | {"document": document},
        "lexical": dict(state["lexical"]) | {"index": index},
    }


RECIPE = recipes.Recipe(
    name="flat",
    paper="after Zeng et al. 2024, Scalable and Effective Generative Information Retrieval "
    "(RIPOR), arXiv 2311.09134: the dense model it starts from",
    presets=vector_start.presets(Config),
    fit=fit,
    open=open,
    deviations=(
        "the encoder is frozen; rows of documents and an MLP over the query's vector are trained",
        "listwise cross-entropy over all documents and KL to the start's own ranking; the paper "
        "has margins of a cross-encoder and mined negatives",
        "paper equals base: no paper describes this control",
    ),
    answering=("lexical",),
    add=add,
    remove=remove,
)
