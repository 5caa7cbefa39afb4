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
        found = []
        for first in range(0, len(queries), BLOCK):
            block = queries.take(range(first, min(first + BLOCK, len(queries))))
            vectors = space.queries(block.texts)
            padded = vectors[np.resize(np.arange(len(vectors)), BLOCK)]
            state_ = np.asarray(encode(params["mlp"], padded))[: len(vectors)]
            if plan is None:
                rows, values = dense.search(index, state_, k)
                found.append((rows, values * np.float32(unit)))
            else:
                total = unit * (state_ @ np.asarray(params["document"]).T) + plan(block)
                found.append(scores.top(total, k))
        rows, values = (np.concatenate(part) for part in zip(*found))
        return records.Ranking(queries.ids, corpus_ids, rows, values)

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


BASE = Config(hidden=2048, generated=8, most_steps=5000, batch=256)

RECIPE = recipes.Recipe(
    name="flat",
    paper="after Zeng et al. 2024, Scalable and Effective Generative Information Retrieval "
    "(RIPOR), arXiv 2311.09134: the dense model it starts from",
    presets={
        "tiny": Config(
            encoder="tfidf",
            encoder_width=32,
            lexical_rank=32,
            hidden=32,
            batch=64,
            fewest_steps=300,
            most_steps=300,
            rate=1e-2,
            kept=1.0,
        ),
        "small": Config(),
        "base": BASE,
        "paper": BASE,
    },
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
