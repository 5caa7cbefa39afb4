"""Logs in which some items are new: nobody had them before the event that is to be predicted.

TIGER, sec. 4.3 (arXiv:2305.05065).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from zoo import records
from zoo.data import histories


def hide(interactions: records.Interactions, share: float, seed: int = 0) -> records.Interactions:
    """The log without the events of some items, except where they end a history.

    So these items are to be predicted and never learned.

    share: of the items that `test` asks for, drawn by the seed. Users with fewer than 3 events
      after that are left out, and counted as such.
    Raises DataError if no item would be drawn, no user is left, or the split is not leave-one-out.
    """
    if not 0 < share < 1:
        raise records.DataError(
            f"cold: expected a share above 0 and below 1 of the items of test, got {share}"
        )
    if seed < 0:
        raise records.DataError(f"cold: expected a seed of 0 or more, got {seed}")
    if not all(isinstance(place, int) for place in interactions.held.values()):
        raise records.DataError(
            f"cold: {interactions.name} is split by time or ratio; expected leave-one-out"
        )
    before = interactions.histories
    last = before.starts[1:] - 1
    targets = np.unique(before.items[last])
    count = round(share * len(targets))
    if not count:
        raise records.DataError(
            f"cold: {share} of the {len(targets)} items that test asks for is none; take a larger "
            "share"
        )
    hidden = np.zeros(len(interactions.corpus), bool)
    hidden[np.random.default_rng(seed).choice(targets, count, replace=False)] = True
    stays = ~hidden[before.items]
    stays[last] = True
    lengths = np.bincount(before.users[stays], minlength=len(before))
    kept = lengths >= histories.FEWEST
    if not kept.any():
        raise records.DataError(
            f"cold: without {count} items no user has {histories.FEWEST} events left; take a "
            "smaller share"
        )
    stays &= kept[before.users]
    ids = tuple(name for name, keep in zip(before.ids, kept) if keep)
    starts = np.concatenate([[0], np.cumsum(lengths[kept])]).astype(np.int64)
    return dataclasses.replace(
        interactions,
        name=f"{interactions.name}-cold",
        histories=records.Histories(ids, before.items[stays], starts),
        times=None if interactions.times is None else interactions.times[stays],
        left_out=interactions.left_out + int((~kept).sum()),
        tied=0,
        short=None,  # they may have hidden items
    )
