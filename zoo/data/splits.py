"""Ways to divide interactions into what is learned, tuned on and tested on.

    leave-one-out   test asks for each user's last event, dev for the last but one
    time            two moments cut all histories: dev asks for the first event after one, test for
                    the first after the other, given all events before it. Nothing that happened
                    later is learned from (Ji et al. 2023, arXiv:2010.11060)
    ratio           as time, but each history is cut after shares of its own events

Under time and ratio a user has one event asked per split at most, and none without an event before
and after the cut. The events after the one that is asked for are not used in that split.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from zoo import records

KINDS = ("leave-one-out", "time", "ratio")
TIES = ("file", "shuffled")


def split(
    interactions: records.Interactions,
    by: str,
    *,
    dev: float = 0.1,
    test: float = 0.1,
    ties: str = "file",
    seed: int = 0,
) -> records.Interactions:
    """The same interactions with other splits.

    by: one of KINDS. dev, test: shares of the events, under time of all and under ratio of each
      user; unused under leave-one-out.
    ties: order of a user's events of the same time: that of the file, or drawn by `seed`.
    Raises DataError for names and shares that mean nothing, for times that are needed and missing,
    and for splits that ask no user.
    """
    if by not in KINDS or ties not in TIES:
        raise records.DataError(
            f"split: expected one of {', '.join(KINDS)} and ties by {' or '.join(TIES)}, got {by} "
            f"and {ties}"
        )
    if ties == "shuffled":
        interactions = shuffle_ties(interactions, seed)
    if by == "leave-one-out":
        return leave_one_out(interactions)
    return by_time(interactions, dev, test) if by == "time" else by_ratio(interactions, dev, test)


def leave_one_out(interactions: records.Interactions) -> records.Interactions:
    """Test asks for the last event, dev for the last but one."""
    return dataclasses.replace(interactions, held={"dev": 2, "test": 1})


def by_time(interactions: records.Interactions, dev: float, test: float) -> records.Interactions:
    """Splits at two moments, after which shares of about `dev + test` and `test` of all events lie.

    Events of the moment itself are after the cut.
    """
    _refuse_shares(dev, test)
    times = _times(interactions)
    ordered = np.sort(times)
    held = {}
    for name, share in {"dev": dev + test, "test": test}.items():
        moment = ordered[min(len(ordered) - 1, round(len(ordered) * (1 - share)))]
        after = np.bincount(
            interactions.histories.users[times >= moment], minlength=len(interactions.histories)
        )
        held[name] = after.astype(np.int64)
    return _checked(interactions, held, f"time, dev={dev} and test={test}")


def by_ratio(interactions: records.Interactions, dev: float, test: float) -> records.Interactions:
    """Splits each history after shares of its events; each part has one event at least.

    A history of n events has max(1, round(n test)) in test and max(1, round(n dev)) in dev.
    """
    _refuse_shares(dev, test)
    lengths = interactions.histories.lengths
    last = np.maximum(1, np.round(lengths * test)).astype(np.int64)
    both = np.minimum(last + np.maximum(1, np.round(lengths * dev)).astype(np.int64), lengths - 1)
    held = {"dev": both, "test": np.minimum(last, both - 1)}
    return _checked(interactions, held, f"ratio, dev={dev} and test={test}")


def shuffle_ties(interactions: records.Interactions, seed: int) -> records.Interactions:
    """The interactions with each user's events of the same time in an order drawn by the seed."""
    if seed < 0:
        raise records.DataError(f"split: expected a seed of 0 or more, got {seed}")
    times, found = _times(interactions), interactions.histories
    drawn = np.random.default_rng(seed).random(len(times))
    order = np.lexsort((drawn, times, found.users))
    shuffled = records.Histories(found.ids, found.items[order], found.starts)
    return dataclasses.replace(interactions, histories=shuffled)


def describe(interactions: records.Interactions) -> str:
    """How many users each split asks, and the share of events whose order is that of ties.

    >>> from zoo.data import toy
    >>> describe(toy.interactions())
    'dev asks 200 of 200 users, test 200; times are unknown'
    """
    asked = {name: len(interactions.asked(name)) for name in interactions.held}
    users = len(interactions.histories)
    parts = [
        f"{name} {'asks ' if not place else ''}{count:,}{'' if place else f' of {users:,} users'}"
        for place, (name, count) in enumerate(asked.items())
    ]
    events = max(1, len(interactions.histories.items))
    ties = (
        "times are unknown"
        if interactions.times is None
        else f"{interactions.tied / events:.1%} of the events share their time with another of "
        "their user"
    )
    return f"{', '.join(parts)}; {ties}"


def _times(interactions: records.Interactions) -> np.ndarray:
    if interactions.times is None:
        raise records.DataError(
            f"{interactions.name}: has no times; name data with a time column, or split by ratio"
        )
    return interactions.times


def _refuse_shares(dev: float, test: float) -> None:
    if not (0 < dev < 1 and 0 < test < 1 and dev + test < 1):
        raise records.DataError(
            f"split: expected shares above 0 that leave something to learn, got dev={dev} and "
            f"test={test}"
        )


def _checked(
    interactions: records.Interactions, held: dict[str, np.ndarray], how: str
) -> records.Interactions:
    found = dataclasses.replace(interactions, held=held)
    for name in held:
        if not len(found.asked(name)):
            raise records.DataError(
                f"{interactions.name}: split by {how}, {name} asks no user; take another share"
            )
    if not len(found.without(*held).histories.items):
        raise records.DataError(f"{interactions.name}: split by {how}, nothing is left to learn")
    return found
