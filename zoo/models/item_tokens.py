"""Histories as tokens: what a system that generates the identifier of the next item reads."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from zoo import records
from zoo.docids import table


def prefixes(
    histories: records.Histories, longest: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Events before each target i32[n, longest], the targets i32[n], and their users i64[n].

    Targets are all events but the first of each user. Events before a target stand oldest first and
    end in the last column; -1 = none.
    """
    place = np.arange(len(histories.items))
    first = histories.starts[histories.users]
    target = place[place > first]
    window = target[:, None] - longest + np.arange(longest)
    inside = window >= first[target][:, None]
    before = np.where(inside, histories.items[np.maximum(window, 0)], -1).astype(np.int32)
    return before, histories.items[target], histories.users[target]


def to_tokens(ids: table.Docids, items: np.ndarray) -> np.ndarray:
    """i32[B, H L] tokens of items i32[B, H], -1 = none, oldest first, padding at the end."""
    num_users, longest = items.shape
    tokens = np.where((items >= 0)[..., None], ids.tokens[np.maximum(items, 0)], table.PAD).reshape(
        num_users, longest * ids.tokens.shape[1]
    )
    order = np.argsort(tokens == table.PAD, axis=1, kind="stable")
    return np.take_along_axis(tokens, order, axis=1).astype(np.int32)


def after_users(
    sources: np.ndarray, names: Sequence[str], alphabet: int, num_tokens: int
) -> np.ndarray:
    """Sources i32[B, S] behind the token of each user, a hash of the name (TIGER, sec. 3.2.1).

    num_tokens: of users, numbered from `alphabet`; with 0 the sources stay as they are.
    """
    if not num_tokens:
        return sources
    users = [
        alphabet + zlib.crc32(name.encode("utf-8", "surrogatepass")) % num_tokens for name in names
    ]
    return np.concatenate([np.array(users, np.int32).reshape(-1, 1), sources], axis=1)


def repeats(histories: records.Histories) -> bool:
    """Whether any user took an item twice."""
    pairs = histories.users * (int(histories.items.max(initial=0)) + 1) + histories.items
    return len(np.unique(pairs)) < len(pairs)
