"""Logs in which some items are new: nobody took them before the event that is to be predicted. TIGER, sec. 4.3 (arXiv 2305.05065)."""

from __future__ import annotations

import dataclasses

import numpy as np

from zoo import records
from zoo.data import histories


def hide(interactions: records.Interactions, share: float, seed: int = 0) -> records.Interactions:
    """The log without the events of some items but those that end a history, so that they are to be predicted and never learned.

    share: of the items that `test` asks for, drawn by the seed. An event before the last of an item that is drawn is left out, and with
    it users of whom fewer than 3 events are left; they count as left out.
    Raises DataError if no item would be drawn, or no user left.
    """
    if not 0 < share < 1:
        raise records.DataError(
            f"cold: expected a share above 0 and below 1 of the items of test, got {share}"
        )
    before = interactions.histories
    last = before.starts[1:] - 1
    asked = np.unique(before.items[last])
    count = round(share * len(asked))
    if not count:
        raise records.DataError(
            f"cold: {share} of the {len(asked)} items that test asks for is none; take a larger share"
        )
    hidden = np.zeros(len(interactions.corpus), bool)
    hidden[np.random.default_rng(seed).choice(asked, count, replace=False)] = True
    stays = ~hidden[before.items]
    stays[last] = True
    lengths = np.bincount(before.users[stays], minlength=len(before))
    kept = lengths >= histories.FEWEST
    if not kept.any():
        raise records.DataError(
            f"cold: without {count} items no user has {histories.FEWEST} events left; take a smaller share"
        )
    stays &= kept[before.users]
    ids = tuple(name for name, keep in zip(before.ids, kept) if keep)
    starts = np.concatenate([[0], np.cumsum(lengths[kept])]).astype(np.int64)
    left = records.Histories(ids, before.items[stays], starts)
    return dataclasses.replace(
        interactions,
        name=f"{interactions.name}-cold",
        histories=left,
        left_out=interactions.left_out + int((~kept).sum()),
        tied=0,
    )
