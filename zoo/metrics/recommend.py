"""Measures of recommendation: each user has one target item, ranked among all items of the corpus.

Ties are resolved at the expected rank: with `above` items that score higher and `tied` items with
the target's score (itself included), the target's rank is

    rank = above + (tied - 1) / 2                from 0, the mean over all orders of the tie

and   R@k = Success@k = [rank < k]   nDCG@k = [rank < k] / log2(rank + 2)   RR = 1 / (rank + 1)

so the order in which a system sorts its ties does not matter, and a system that scores all items
alike finds nothing. The rank may be a half; rank k - 1/2, a tie of two items across the cut-off,
counts as found. `expected` is the mean of the measure over all orders of the tie instead, and
counts such a tie as one half. For a Markov chain on Amazon Beauty, which has many ties, the two
give R@5 .0507 and .0504, R@10 .0661 and .0659.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zoo import records

DEFAULT = ("R@5", "nDCG@5", "R@10", "nDCG@10", "R@20", "nDCG@20", "RR")  # ir-measures' names
BY_IDENTIFIER = " by identifier"  # suffix of the measures of `identifier_places`


class Places(NamedTuple):
    """Rank information of each user's target item."""

    above: np.ndarray  # i64[B] items with a higher score
    tied: np.ndarray  # i64[B] items with the same score, itself included; 0 = no answer
    num_items: int

    def ranks(self) -> np.ndarray:
        """Expected rank from 0 as f64[B]; inf if the target is not among the answers."""
        return np.where(self.tied > 0, self.above + (self.tied - 1) / 2, np.inf)


def targets(qrels: records.Qrels, users: Sequence[str], corpus: records.Corpus) -> np.ndarray:
    """Row of each user's target item, i32[B].

    Raises DataError if a user has none or several.
    """
    rows, found = corpus.rows(), np.empty(len(users), np.int32)
    for number, user in enumerate(users):
        items = [item for item, grade in qrels.grades.get(user, {}).items() if grade > 0]
        if len(items) != 1:
            raise records.DataError(f"user {user!r}: expected one target item, got {len(items)}")
        found[number] = rows[items[0]]
    return found


def places(scores: np.ndarray, targets: np.ndarray) -> Places:
    """Places from the scores of all items, float[B, N], -inf = no answer; targets i32[B]."""
    own = np.take_along_axis(scores, targets[:, None], axis=1)
    if np.isnan(scores).any():
        raise ValueError(
            f"scores of {int(np.isnan(scores).any(axis=1).sum())} users hold NaN; "
            "expected numbers or -inf"
        )
    tied = np.where(np.isneginf(own[:, 0]), 0, (scores == own).sum(axis=1))
    return Places((scores > own).sum(axis=1), tied, scores.shape[1])


def places_in(ranking: records.Ranking, targets: np.ndarray) -> Places:
    """Places from a ranking: items of equal score are tied.

    A tie across the end of the ranking counts only as far as the end, so retrieve more answers than
    the measures' cut-off.
    """
    mine = (ranking.documents == targets[:, None]) & (ranking.documents >= 0)
    own = np.where(mine, ranking.scores, -np.inf).max(axis=1, initial=-np.inf)[:, None]
    found = mine.any(axis=1)
    valid = ranking.documents >= 0
    above, tied = (
        (valid & (ranking.scores > own)).sum(axis=1),
        (valid & (ranking.scores == own)).sum(axis=1),
    )
    return Places(above, np.where(found, tied, 0), len(ranking.corpus_ids))


def identifier_places(ranking: records.Ranking, codes: np.ndarray, targets: np.ndarray) -> Places:
    """Places of identifiers that several items may share.

    An identifier has the score of its best item in the ranking and competes with identifiers, so it
    ranks at or above the item itself (`places_in`); one identifier for all items is always first.
    It measures how well identifiers are generated and is no measure of recommendation: report both.

    codes: i[N, L] without the token that separates collisions. targets: i32[B].
    Raises ValueError if there are not as many rows of codes as items.
    """
    if len(codes) != len(ranking.corpus_ids):
        raise ValueError(
            f"codes: expected a row for each of {len(ranking.corpus_ids)} items, got {len(codes)}"
        )
    named = np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1)
    valid = ranking.documents >= 0
    groups = np.where(valid, named[ranking.documents], -1)  # [B, k]
    order = np.argsort(groups, axis=1, kind="stable")
    in_order = np.take_along_axis(groups, order, axis=1)
    first = np.zeros_like(valid)
    # the first of its identifier, so its best
    np.put_along_axis(first, order, np.diff(in_order, axis=1, prepend=-2) != 0, axis=1)
    best = records.Ranking(
        ranking.query_ids,
        tuple(map(str, range(named.max() + 1))),
        np.where(first & valid, groups, -1),
        np.where(first & valid, ranking.scores, -np.inf),
    )
    return places_in(best, named[targets])


def sentence_by_identifier(values: Mapping[str, float]) -> str:
    """One line of text with the measures of identifiers, not comparable with those of items."""
    found = ", ".join(
        f"{name.removesuffix(BY_IDENTIFIER)} {value:.4f}"
        for name, value in values.items()
        if name.endswith(BY_IDENTIFIER)
    )
    return f"by identifier, items with the same codes counted as one: {found}."


def joined(parts: Sequence[Places]) -> Places:
    """The places of several groups of users, concatenated."""
    return Places(
        np.concatenate([part.above for part in parts]),
        np.concatenate([part.tied for part in parts]),
        parts[0].num_items,
    )


def per_query(places: Places, measures: Sequence[str] = DEFAULT) -> dict[str, np.ndarray]:
    """Each measure at the expected rank, f64[B].

    Raises DataError for a measure other than R, Success, nDCG and RR.
    """
    ranks, values = places.ranks(), {}
    for name in measures:
        kind, depth = _parsed(name)
        values[name] = np.where(ranks < depth, _GAINS[kind](ranks), 0.0)
    return values


def expected(places: Places, measures: Sequence[str] = DEFAULT) -> dict[str, np.ndarray]:
    """Mean of each measure over all orders of the ties, f64[B]. Raises as `per_query`."""
    values = {}
    for name in measures:
        kind, depth = _parsed(name)
        gains = np.where(
            np.arange(places.num_items) < depth,
            _GAINS[kind](np.arange(places.num_items, dtype=np.float64)),
            0.0,
        )
        total = np.concatenate([[0.0], np.cumsum(gains)])
        end = np.minimum(places.above + places.tied, places.num_items)
        values[name] = np.where(
            places.tied > 0, (total[end] - total[places.above]) / np.maximum(places.tied, 1), 0.0
        )
    return values


def hit_curve(places: Places, max_k: int = 100) -> np.ndarray:
    """Success@k for k = 1 .. max_k as f64[max_k]."""
    return (places.ranks()[:, None] < np.arange(1, max_k + 1)).mean(axis=0)


_GAINS = {  # by rank from 0
    "R": np.ones_like,
    "Success": np.ones_like,
    "nDCG": lambda rank: 1 / np.log2(rank + 2),
    "RR": lambda rank: 1 / (rank + 1),
}


def _parsed(name: str) -> tuple[str, float]:
    """Kind and cut-off of a measure's name; infinite without @k."""
    kind, at, depth = name.partition("@")
    if kind not in _GAINS or (at and not (depth.isdecimal() and int(depth) > 0)):
        known = ", ".join(f"{one}@k" for one in _GAINS)
        raise records.DataError(
            f"measure {name!r}: recommendation has {known}; for example {', '.join(DEFAULT)}"
        )
    return kind, int(depth) if at else np.inf
