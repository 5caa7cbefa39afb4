"""Item-based nearest neighbours: recommends the items most similar to the last ones of the history.

    score(j | history) = sum over the last `last` items i of decay^age(i) * s(i, j)
    s(i, j) = c(i, j) / (sqrt(n(i) n(j)) + shrinkage) for the `neighbours` largest of i, else 0

where the last event has age 0, n counts the events of an item, and c(i, j) sums over the pairs of
events of one user: 1 / distance each if `window` is above 0 (pairs further apart do not count),
else 1 at any distance. After Deshpande and Karypis 2004, "Item-based top-N recommendation
algorithms",
sec. 4 (cosine, k neighbours of an item).
"""

from __future__ import annotations

import dataclasses
import functools
import json

import numpy as np

from zoo import options, recipes, records
from zoo.options import option
from zoo.ranking import scores as scoring
from zoo.recipes import markov, popularity
from zoo.update import catalogue


@dataclasses.dataclass(frozen=True)
class Config(options.Checked):
    """Options of item-based nearest neighbours; every size has the same."""

    window: int = option(
        5,
        "maximal distance, in events, of two items that count as a pair; 0 = any, unweighted",
        limits=options.COUNT,
    )
    neighbours: int = option(100, "neighbours per item", limits=options.SIZE)
    shrinkage: float = option(
        0.0, "added to the denominator of a similarity, against rare items", limits=(0.0, 1e6)
    )
    last: int = option(10, "number of latest items that vote", limits=options.SIZE)
    decay: float = option(
        0.7, "factor of an item's weight per event since", limits=options.PROBABILITY
    )
    filter: bool = option(True, "never recommend items of the user's history")

    SYSTEM = "itemknn"


def fit(collection: records.Interactions, config: Config, key, log) -> dict:
    """The neighbours of each item, without the events of `dev`; `key` is unused.

    Raises DataError if no user has two different items there: nothing would ever be answered.
    """
    log.phase("neighbours")
    seen, num_items = collection.without("dev").histories, len(collection.corpus)
    pairs = (
        markov.pair_counts(seen, num_items, config.window, True, lambda gap: 1 / gap)
        if config.window
        else together(seen, num_items)
    )
    similar = nearest(
        similarities(pairs, popularity.counts(seen, num_items), config.shrinkage), config.neighbours
    )
    if not similar.nnz:
        raise records.DataError(
            f"itemknn: no user of {collection.name} has two different items before the events of "
            "dev "
            "and test, so no item has a neighbour; name data with longer histories"
        )
    return {
        "starts": similar.indptr.astype(np.int32),
        "neighbours": similar.indices.astype(np.int32),
        "similarities": similar.data.astype(np.float32),
        "num_items": np.int32(num_items),
        "corpus_ids": json.dumps(collection.corpus.ids),
    }


def together(histories: records.Histories, num_items: int):
    """Sparse f64[N, N]: pairs of events of one user at any distance."""
    from scipy import sparse

    events = (np.ones(len(histories.items)), (histories.users, histories.items))
    by_user = sparse.coo_array(events, shape=(len(histories), num_items)).tocsr()
    return (by_user.T @ by_user).tocsr()


def similarities(pairs, counts: np.ndarray, shrinkage: float):
    """Sparse f64[N, N] cosines of sparse pairs and event counts i32[N]; the diagonal is empty."""
    pairs = pairs.tocoo()
    rows, columns = pairs.coords
    norms = np.sqrt(counts.astype(np.float64))
    values = np.where(rows == columns, 0.0, pairs.data / (norms[rows] * norms[columns] + shrinkage))
    pairs.data = values
    similar = pairs.tocsr()
    similar.eliminate_zeros()
    return similar


def nearest(similar, count: int):
    """The `count` largest of each row of a sparse matrix; the lower column wins ties."""
    from scipy import sparse

    rows = np.repeat(np.arange(similar.shape[0]), np.diff(similar.indptr))
    order = np.lexsort((similar.indices, -similar.data, rows))
    kept = np.sort(order[np.arange(len(rows)) - similar.indptr[rows] < count])
    return sparse.coo_array(
        (similar.data[kept], (rows[kept], similar.indices[kept])), shape=similar.shape
    ).tocsr()


def score(config: Config, state: dict, histories: records.Histories) -> np.ndarray:
    """Summed similarity to the last items, f64[B, N]; -inf for items without any similarity."""
    from scipy import sparse

    num_items = int(state["num_items"])
    latest = histories.latest(min(config.last, int(histories.lengths.max(initial=1))))
    users, place = np.nonzero(latest >= 0)
    weights = config.decay ** (latest.shape[1] - 1.0 - place)
    voters = sparse.csr_array(
        (weights, (users, latest[users, place])), shape=(len(histories), num_items)
    )
    parts = tuple(np.asarray(state[name]) for name in ("similarities", "neighbours", "starts"))
    similar = sparse.csr_array(parts, shape=(num_items, num_items), dtype=np.float64)
    scores = sparse.csr_array(voters @ similar).toarray()
    scores[scores == 0] = -np.inf
    return scoring.recommendable(scores, histories, state, filter=config.filter)


def open(config: Config, state: dict) -> scoring.Scored:
    """The k most similar items; fewer if fewer have a similarity."""
    return scoring.Scored(functools.partial(score, config, state), state["corpus_ids"])


def add(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with new items; they are similar to nothing until a fit to their events."""
    starts = np.asarray(state["starts"])
    return catalogue.append(state, corpus) | {
        "starts": np.concatenate([starts, np.full(len(corpus), starts[-1])]),
        "num_items": np.int32(int(state["num_items"]) + len(corpus)),
    }


RECIPE = recipes.Recipe(
    name="itemknn",
    paper="Deshpande and Karypis 2004, Item-based top-N recommendation algorithms",
    presets={size: Config() for size in recipes.SIZES},
    fit=fit,
    open=open,
    deviations=(
        "pairs are weighted by 1 / distance within a window and older items count less, because "
        "histories are ordered; "
        "window=0 decay=1 with a large `last` is the paper's",
        "columns are not normalised to sum to one, nor rows of users to length one",
    ),
    asks="history",
    answering=("last", "decay", "filter"),
    add=add,
    remove=catalogue.hide,
)
