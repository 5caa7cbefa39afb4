"""Hybrid: BM25 over documents and their train queries, fused with dense search.

fusion=weighted: cosine + w * BM25, scaled and weighted as ranks the dev queries best (Wang et al.
2021, "BERT-based Dense Retrievers Require Interpolation with BM25", ICTIR 2021).
fusion=reciprocal: sum over both of 1 / (60 + rank) (Cormack et al. 2009, "Reciprocal Rank Fusion
Outperforms Condorcet and Individual Rank Learning Methods", SIGIR 2009). Nothing is trained here.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

from zoo import recipes, records
from zoo.index import lexical
from zoo.models import development, frozen_dense, lexical_plan, text_vectors, vector_start
from zoo.options import option
from zoo.ranking import scores
from zoo.update import vectors

RANK = 60.0  # Cormack et al.'s constant


@dataclasses.dataclass(frozen=True)
class Config(vector_start.Frozen):
    """Options of hybrid."""

    fusion: str = option(
        "weighted",
        "weighted (cosine + w BM25, w chosen on dev queries) or reciprocal (of ranks)",
        one_of=("weighted", "reciprocal"),
    )

    SYSTEM = "hybrid"


def fit(collection: records.Collection, config: Config, key: Any, log: Any) -> dict:
    """Vectors of the documents, BM25 with the train queries, and its weight."""
    state = frozen_dense.fit(collection, config, log)
    given, contents = development.split(collection), collection.corpus.contents()
    held_out = lexical.build(lexical_plan.expand(contents, given.queries, given.answers))
    asked = text_vectors.of_queries(state["encoder"], given.dev, log)
    sequence = asked @ state["params"]["document"].T if given.dev else asked
    words = [lexical_plan.scores(held_out, given.dev)]
    _, scale, value = lexical_plan.choose(sequence, words, given)
    log.facts |= {"scale": scale.kind, "weight": scale.weight, "dev_value": round(value, 4)}
    index = lexical.build(lexical_plan.expand(contents, *development.all_pairs(collection)))
    return state | {"lexical": lexical_plan.pack(index, scale)}


def open(config: Config, state: dict) -> recipes.Ask:
    """Documents by the fused scores."""
    corpus_ids = tuple(json.loads(state["corpus_ids"]))
    documents = np.asarray(state["params"]["document"])
    weight = 1.0 if config.fusion == "reciprocal" else -1.0
    plan = lexical_plan.open(state["lexical"], weight=weight, unit=1.0)

    def ask(queries: records.Queries, k: int) -> records.Ranking:
        def search(block: records.Queries) -> tuple[np.ndarray, np.ndarray]:
            cosine = text_vectors.of_queries(state["encoder"], block.texts) @ documents.T
            words = np.zeros_like(cosine) if plan is None else plan(block)
            fuse = _reciprocal if config.fusion == "reciprocal" else np.add
            return scores.top(fuse(cosine, words), k)

        return scores.ranking(queries, corpus_ids, k, search)

    return ask


def _reciprocal(cosine: np.ndarray, words: np.ndarray) -> np.ndarray:
    """f32[B, N] sum of reciprocal ranks, 0 by BM25 without a word of the query."""
    ranks = lambda values: np.argsort(np.argsort(-values, axis=1, kind="stable"), axis=1) + 1
    lexical_share = np.where(words > 0, 1 / (RANK + ranks(words)), 0.0)
    return (1 / (RANK + ranks(cosine)) + lexical_share).astype(np.float32)


def add(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with more documents, which have no train queries."""
    index = lexical.extend(state["lexical"]["index"], corpus.contents())
    grown = vectors.add(state, corpus)
    return grown | {"lexical": dict(state["lexical"]) | {"index": index}}


def remove(config: Config, state: dict, rows: np.ndarray) -> dict:
    """The state without documents i[n]."""
    index = lexical.remove(state["lexical"]["index"], rows)
    left = vectors.remove(state, rows)
    return left | {"lexical": dict(state["lexical"]) | {"index": index}}


RECIPE = recipes.Recipe(
    name="hybrid",
    paper="Cormack et al. 2009, Reciprocal Rank Fusion, and Wang et al. 2021, BERT-based Dense "
    "Retrievers Require Interpolation with BM25",
    presets=vector_start.frozen_presets(Config),
    fit=fit,
    open=open,
    add=add,
    remove=remove,
    deviations=(
        "BM25 reads the train queries of documents too; the papers' reads documents alone",
        "all documents are fused, not the first thousand of each list",
    ),
    answering=("fusion",),
)
