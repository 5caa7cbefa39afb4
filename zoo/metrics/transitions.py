"""Recall on transitions that training has and on those that a recommender has to generalise to.

The split of arXiv 2603.19809 by the transition from the last item of a history to its target: it
occurs between consecutive events of training (memorised), only the other way round (symmetric),
only in two steps over a third item (transitive), or in none of these ways (other). Departures: the
paper's second-order type counts as other, and code n-grams are not looked at.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping

import numpy as np

from zoo import records
from zoo.metrics import recommend

KINDS = ("memorised", "symmetric", "transitive", "other")


def kinds(learned: records.Histories, last: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """First kind of KINDS that each transition last -> target has, as its index, i64[B].

    learned: histories of training. last, targets: i32[B] rows of items.
    """
    after, before = collections.defaultdict(set), collections.defaultdict(set)
    follows = learned.users[1:] == learned.users[:-1]
    pairs = np.stack([learned.items[:-1][follows], learned.items[1:][follows]], axis=1)
    for item, following in np.unique(pairs, axis=0).tolist():
        after[item].add(following)
        before[following].add(item)
    nothing: set[int] = set()
    found = np.empty(len(last), np.int64)
    for row, (item, target) in enumerate(zip(last.tolist(), targets.tolist(), strict=True)):
        reached = after.get(item, nothing)
        holds = (
            target in reached,
            item in after.get(target, nothing),
            not reached.isdisjoint(before.get(target, nothing)),
            True,
        )
        found[row] = holds.index(True)
    return found


def summary(
    learned: records.Histories, last: np.ndarray, targets: np.ndarray, places: recommend.Places
) -> dict[str, float]:
    """R@10 and users of each kind that has some, by name; the users add up to all.

    Beside them R@10 of all that are not memorised, "R@10 generalised".
    """
    (recall,) = recommend.per_query(places, ("R@10",)).values()
    of_user, values = kinds(learned, last, targets), {}
    for number, name in enumerate(KINDS):
        inside = of_user == number
        if inside.any():
            values |= {f"R@10 {name}": float(recall[inside].mean())}
            values |= {f"users {name}": float(inside.sum())}
    if (of_user > 0).any():
        values["R@10 generalised"] = float(recall[of_user > 0].mean())
    return values


def sentence(values: Mapping[str, float]) -> str:
    """One line of text with the values of `summary`."""
    found = [
        f"{name} {values[f'R@10 {name}']:.4f} ({values[f'users {name}']:.0f} users)"
        for name in KINDS
        if f"users {name}" in values
    ]
    return f"Recall@10 by transition from the last item: {', '.join(found)}."
