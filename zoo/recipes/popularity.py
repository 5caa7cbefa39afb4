"""Popularity: recommends the items with the most events, a baseline that every system must beat."""

from __future__ import annotations

import dataclasses
import functools
import json

import numpy as np

from zoo import options, recipes, records
from zoo.options import option
from zoo.ranking import scores as scoring
from zoo.update import catalogue


@dataclasses.dataclass(frozen=True)
class Config(options.Checked):
    """Options of popularity; every size has the same."""

    filter: bool = option(False, "never recommend items of the user's history")

    SYSTEM = "popularity"


def fit(collection: records.Interactions, config: Config, key, log) -> dict:
    """Number of events of each item, without those of `dev`; `key` is unused."""
    log.phase("count")
    seen = collection.without("dev").histories
    return {
        "counts": counts(seen, len(collection.corpus)),
        "corpus_ids": json.dumps(collection.corpus.ids),
    }


def counts(histories: records.Histories, num_items: int) -> np.ndarray:
    """Number of events of each item, i32[N]."""
    return np.bincount(histories.items, minlength=num_items).astype(np.int32)


def score(config: Config, state: dict, histories: records.Histories) -> np.ndarray:
    """Number of events of each item, the same for every user, f64[B, N]."""
    scores = np.tile(np.asarray(state["counts"], np.float64), (len(histories), 1))
    return scoring.recommendable(scores, histories, state, filter=config.filter)


def open(config: Config, state: dict) -> scoring.Scored:
    """The k items with the most events."""
    return scoring.Scored(functools.partial(score, config, state), state["corpus_ids"])


def add(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with new items, which have no events yet."""
    counts = np.concatenate([state["counts"], np.zeros(len(corpus), np.int32)])
    return catalogue.append(state, corpus) | {"counts": counts}


RECIPE = recipes.Recipe(
    name="popularity",
    paper="Cremonesi, Koren and Turrin 2010, "
    "Performance of recommender algorithms on top-N recommendation tasks",
    presets={size: Config() for size in recipes.SIZES},
    fit=fit,
    open=open,
    deviations=(
        "seen items are recommended again unless filter is set; the paper ranks items that the "
        "user "
        "has not rated",
    ),
    asks="history",
    answering=("filter",),
    add=add,
    remove=catalogue.hide,
)
