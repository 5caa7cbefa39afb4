"""Semantic nearest neighbours: recommends items whose texts resemble the last ones of the history.

    score(j | history) = sum over the last `last` items i of decay^age(i) * cos(x_i, x_j)

where the last event has age 0 and x are vectors of item texts; popularity has no influence. It is
the baseline of TIGER's cold-start experiment (arXiv 2305.05065, sec. 4.3).
"""

from __future__ import annotations

import dataclasses
import functools
import json

import numpy as np

from zoo import options, recipes, records
from zoo.options import option
from zoo.ranking import scores as scoring
from zoo.text import embed
from zoo.train import log as logs
from zoo.update import catalogue


@dataclasses.dataclass(frozen=True)
class Config(options.Checked):
    """Options of Semantic-KNN; sizes differ in the vectors alone."""

    vectors: str = option(
        "tfidf",
        "item vectors: tfidf (TF-IDF and SVD), minilm (all-MiniLM-L6-v2), or FILE.npy, a row per "
        "item",
    )
    last: int = option(1, "number of latest items that vote", limits=options.SIZE)
    decay: float = option(
        0.7, "factor of an item's weight per event since", limits=options.PROBABILITY
    )
    filter: bool = option(True, "never recommend items of the user's history")

    SYSTEM = "semanticknn"

    def __post_init__(self) -> None:
        super().__post_init__()
        embed.refuse_embedding("semanticknn", self.vectors)


def fit(collection: records.Interactions, config: Config, key, log) -> dict:
    """The vectors of the items; `key` is unused, nothing here is random."""
    log.phase("vectors")
    embedder, vectors = embed.fit(collection.corpus, config.vectors, log)
    return {
        "embedder": embedder,
        "vectors": vectors.astype(np.float32),
        "corpus_ids": json.dumps(collection.corpus.ids),
    }


def add(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with new items, whose vectors are in the space of the fit."""
    fresh = embed.embed_new(state, corpus, logs.Log(quiet=True))
    vectors = np.concatenate([state["vectors"], fresh.astype(np.float32)])
    return catalogue.append(state, corpus) | {"vectors": vectors}


def score(config: Config, state: dict, histories: records.Histories) -> np.ndarray:
    """Summed cosines to the last items, f32[B, N]."""
    vectors = np.asarray(state["vectors"])
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-9))
    latest = histories.latest(min(config.last, int(histories.lengths.max(initial=1))))
    weights = np.where(
        latest >= 0, config.decay ** (latest.shape[1] - 1.0 - np.arange(latest.shape[1])), 0
    ).astype(np.float32)
    asked = np.einsum("bh,bhd->bd", weights, vectors[np.maximum(latest, 0)])
    scores = asked @ vectors.T
    return scoring.recommendable(scores, histories, state, filter=config.filter)


def open(config: Config, state: dict) -> scoring.Scored:
    """The k items with the highest scores."""
    return scoring.Scored(functools.partial(score, config, state), state["corpus_ids"])


RECIPE = recipes.Recipe(
    name="semanticknn",
    paper="the baseline Semantic-KNN of Rajput et al. 2023, "
    "Recommender Systems with Generative Retrieval, arXiv 2305.05065",
    presets={
        size: Config(vectors="minilm" if size in ("base", "paper") else "tfidf")
        for size in recipes.SIZES
    },
    fit=fit,
    open=open,
    deviations=(
        "the paper does not say which items of a history are searched for; the last one is the "
        "default",
    ),
    asks="history",
    answering=("last", "decay", "filter"),
    add=add,
    remove=catalogue.hide,
)
