"""A Markov chain of items: recommends the most frequent successors of the last item.

It has no trained parameters, and few systems beat it.

    score(j | history) = sum over the last `order` items i of count(i -> j)
                         + .001 * fraction of j among all events

where count(i -> j) is how often j came at most `window` events after i (or before it, if
symmetric). The fraction only breaks ties. After Rendle, Freudenthaler and Schmidt-Thieme 2010: the
maximum-likelihood chain that their model factorises.
"""

from __future__ import annotations

import dataclasses
import functools
import json

import numpy as np

from zoo import options, recipes, records
from zoo.options import option
from zoo.ranking import scores as scoring
from zoo.recipes import popularity
from zoo.update import catalogue

SHARE_WEIGHT = 0.001  # of popularity


@dataclasses.dataclass(frozen=True)
class Config(options.Checked):
    """Options of the Markov chain; every size has the same."""

    order: int = option(1, "number of latest items that vote, equally", limits=options.SIZE)
    window: int = option(
        1, "maximal distance, in events, of two items that count as a pair", limits=options.SIZE
    )
    symmetric: bool = option(False, "count each pair in both directions")
    filter: bool = option(False, "never recommend items of the user's history")

    SYSTEM = "markov"


def fit(collection: records.Interactions, config: Config, key, log) -> dict:
    """Counts of pairs without the events of `dev`, as a sparse matrix; `key` is unused."""
    log.phase("count")
    seen, num_items = collection.without("dev").histories, len(collection.corpus)
    pairs = _with_an_entry(pair_counts(seen, num_items, config.window, config.symmetric))
    return {
        "starts": pairs.indptr.astype(np.int32),
        "successors": pairs.indices.astype(np.int32),
        "counts": pairs.data.astype(np.float32),
        "popularity": popularity.counts(seen, num_items),
        "corpus_ids": json.dumps(collection.corpus.ids),
    }


def pair_counts(
    histories: records.Histories,
    num_items: int,
    window: int,
    symmetric: bool,
    weight=lambda distance: 1.0,
):
    """Sparse f64[N, N]: for items i and j, the sum of weight(distance) over their pairs of events.

    A pair is an event of i and one of j of the same user, at most `window` events later.
    """
    from scipy import sparse

    counts = sparse.csr_array((num_items, num_items))
    for distance in range(1, min(window, int(histories.lengths.max(initial=1)) - 1) + 1):
        first, second = histories.items[:-distance], histories.items[distance:]
        same = histories.users[:-distance] == histories.users[distance:]
        one = (np.full(same.sum(), float(weight(distance))), (first[same], second[same]))
        counts = counts + sparse.coo_array(one, shape=counts.shape).tocsr()
    counts = counts + counts.T if symmetric else counts
    counts = counts.tocsr()
    counts.sort_indices()
    return counts


def _with_an_entry(pairs):
    """The matrix, or one with an explicit zero if it is empty: an empty array cannot be saved.

    It is empty where every user has one event before those of `dev` and `test`. Popularity is then
    the whole answer.
    """
    from scipy import sparse

    if pairs.nnz:
        return pairs
    return sparse.csr_array(([0.0], ([0], [0])), shape=pairs.shape)


def score(config: Config, state: dict, histories: records.Histories) -> np.ndarray:
    """Counts after the last items, plus the tie-breaking fraction of each item, f64[B, N]."""
    from scipy import sparse

    num_items = len(state["popularity"])
    latest = histories.latest(min(config.order, int(histories.lengths.max(initial=1))))
    users, place = np.nonzero(latest >= 0)
    voters = sparse.csr_array(
        (np.ones(len(users)), (users, latest[users, place])), shape=(len(histories), num_items)
    )
    chain = sparse.csr_array(
        tuple(np.asarray(state[name]) for name in ("counts", "successors", "starts")),
        shape=(num_items, num_items),
        dtype=np.float64,
    )
    share = np.asarray(state["popularity"], np.float64)
    scores = sparse.csr_array(voters @ chain).toarray() + SHARE_WEIGHT * share / max(
        share.sum(), 1.0
    )
    return scoring.recommendable(scores, histories, state, filter=config.filter)


def open(config: Config, state: dict) -> scoring.Scored:
    """The k items with the highest counts."""
    return scoring.Scored(functools.partial(score, config, state), state["corpus_ids"])


def add(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with new items, which followed nothing yet."""
    starts, popular = np.asarray(state["starts"]), np.asarray(state["popularity"])
    return catalogue.append(state, corpus) | {
        "starts": np.concatenate([starts, np.full(len(corpus), starts[-1])]),
        "popularity": np.concatenate([popular, np.zeros(len(corpus), popular.dtype)]),
    }


RECIPE = recipes.Recipe(
    name="markov",
    paper="Rendle, Freudenthaler and Schmidt-Thieme 2010, "
    "Factorizing personalized Markov chains for next-basket recommendation",
    presets={size: Config() for size in recipes.SIZES},
    fit=fit,
    open=open,
    deviations=(
        "counts are not divided by the count of the preceding item: with one voter the order is "
        "the same",
        "the chain itself, neither factorised nor personal; popularity breaks its ties",
    ),
    asks="history",
    answering=("order", "filter"),
    add=add,
    remove=catalogue.hide,
)
