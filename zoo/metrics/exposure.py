"""Measures over all users of a recommender: coverage, Gini, entropy, recall by popularity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zoo import records
from zoo.metrics import recommend

BUCKETS = ("head", "middle", "tail", "new")


def coverage(ranking: records.Ranking, k: int = 10) -> float:
    """Fraction of the items among the first k answers of at least one user."""
    return float((shown(ranking, k) > 0).mean())


def gini(ranking: records.Ranking, k: int = 10) -> float:
    """Gini coefficient of how often each item is among the first k answers; 0 = equally often.

        G = sum over i of (2 i - N - 1) x_i / (N sum x),   x sorted ascending, i from 1

    0 if there are no answers at all.
    """
    counts = np.sort(shown(ranking, k)).astype(np.float64)
    num_items = len(counts)
    return float(
        ((2 * np.arange(1, num_items + 1) - num_items - 1) * counts).sum()
        / max(num_items * counts.sum(), 1.0)
    )


def entropy(ranking: records.Ranking, categories: list[str], k: int = 10) -> float:
    """Entropy@k: mean over users of the entropy (nats) of their first k answers' categories.

    TIGER, sec. 4.4 (arXiv:2305.05065). categories: of each item, in the order of the corpus.
    """
    kinds = np.unique(categories, return_inverse=True)[1].reshape(-1)
    first = ranking.documents[:, :k]
    users, places = np.nonzero(first >= 0)
    counts = np.zeros((len(first), kinds.max() + 1))
    np.add.at(counts, (users, kinds[first[users, places]]), 1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return float(-(share * np.log(np.where(share > 0, share, 1))).sum(axis=1).mean())


def shown(ranking: records.Ranking, k: int) -> np.ndarray:
    """Number of users with each item among their first k answers, i64[N]."""
    first = ranking.documents[:, :k]
    return np.bincount(first[first >= 0], minlength=len(ranking.corpus_ids))


def buckets(counts: np.ndarray) -> np.ndarray:
    """Bucket of each item as an index of BUCKETS, i64[N], from its training events, i[N].

    Items are sorted by falling popularity, ties by row: the head covers the first third of all
    events, the middle the second, the tail the last; new items have no event.
    """
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]  # events of more popular items
    bucket = np.empty(len(counts), np.int64)
    bucket[order] = np.minimum(3 * before // max(int(counts.sum()), 1), 2)
    bucket[counts == 0] = BUCKETS.index("new")
    return bucket


def by_popularity(
    places: recommend.Places, targets: np.ndarray, counts: np.ndarray, measure: str = "R@10"
) -> dict[str, tuple[float, int]]:
    """Bucket -> (mean of the measure over users whose target is in it, their number)."""
    (values,) = recommend.per_query(places, (measure,)).values()
    of_target = buckets(counts)[targets]
    found = {}
    for number, name in enumerate(BUCKETS):
        inside = of_target == number
        found[name] = (float(values[inside].mean()) if inside.any() else 0.0, int(inside.sum()))
    return found


def summary(
    ranking: records.Ranking,
    places: recommend.Places,
    targets: np.ndarray,
    counts: np.ndarray,
    categories: list[str] | None = None,
) -> dict[str, float]:
    """Coverage@10, Gini@10, Entropy@10 with categories; R@10 and users of each bucket, by name.

    targets: i32[B] rows of the target items. counts: i[N] training events of each item.
    """
    values = {"coverage@10": coverage(ranking), "gini@10": gini(ranking)}
    if categories is not None:
        values["entropy@10"] = entropy(ranking, categories)
    for name, (recall, users) in by_popularity(places, targets, counts).items():
        if users:
            values |= {f"R@10 {name}": recall, f"users {name}": float(users)}
    return values


def sentence(values: Mapping[str, float]) -> str:
    """One line of text with the values of `summary`."""
    found = [
        f"{name} {values[f'R@10 {name}']:.4f} ({values[f'users {name}']:.0f} users)"
        for name in BUCKETS
        if f"users {name}" in values
    ]
    spread = f", Entropy@10 {values['entropy@10']:.3f}" if "entropy@10" in values else ""
    return (
        f"coverage@10 {values['coverage@10']:.3f}, Gini@10 {values['gini@10']:.3f}{spread}; "
        f"Recall@10 by popularity: {', '.join(found)}."
    )
