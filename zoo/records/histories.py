"""Histories of users and collections of them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo.records.documents import Corpus, DataError, Qrels, refuse_repeated


@dataclasses.dataclass(frozen=True, eq=False)
class Histories:
    """The events of users, oldest first: the queries of recommendation."""

    ids: tuple[str, ...]  # B unique, the users
    items: np.ndarray  # i32[E] rows of the corpus, user after user
    starts: np.ndarray  # i64[B + 1]; the events of user b are items[starts[b] : starts[b + 1]]

    def __post_init__(self) -> None:
        if (
            len(self.starts) != len(self.ids) + 1
            or self.starts[0] != 0
            or self.starts[-1] != len(self.items)
        ):
            raise DataError(
                f"histories: expected {len(self.ids) + 1} starts from 0 to {len(self.items)}, "
                f"got {len(self.starts)}: {self.starts}"
            )
        if (np.diff(self.starts) < 0).any():
            raise DataError("histories: expected starts that never fall; sort the events by user")
        refuse_repeated("histories", self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """Number of events of each user, i64[B]."""
        return np.diff(self.starts)

    @property
    def users(self) -> np.ndarray:
        """Row of each event's user, i64[E]."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def history(self, row: int) -> np.ndarray:
        """Events of one user, i32[...], oldest first."""
        return self.items[self.starts[row] : self.starts[row + 1]]

    @classmethod
    def of(cls, corpus: Corpus, histories: Sequence[Sequence[str]] | Sequence[str]) -> Histories:
        """Histories with the ids "0", "1", ... from lists of item ids, or from one list.

        Raises DataError naming an item that is not in the corpus.
        """
        words = [isinstance(one, str) for one in histories]
        if any(words) and not all(words):
            raise DataError(
                "histories: expected item ids or lists of item ids, got some of both; "
                "put each history in a list"
            )
        given: Sequence[Any] = [histories] if all(words) else histories
        lists = [list(one) for one in given]
        rows = corpus.rows()
        for number, one in enumerate(lists):
            for item in one:
                if item not in rows:
                    known = ", ".join(corpus.ids[:3])
                    raise DataError(
                        f"history {number}: item {item!r} is not in the corpus; "
                        f"expected ids like {known}"
                    )
        items = np.array([rows[item] for one in lists for item in one], np.int32)
        return cls(
            tuple(map(str, range(len(lists)))),
            items,
            np.cumsum([0, *map(len, lists)], dtype=np.int64),
        )

    def take(self, rows: Sequence[int] | np.ndarray) -> Histories:
        """The histories at these rows, in this order."""
        at = np.asarray(rows, np.int64)
        return _gathered(
            self, tuple(self.ids[row] for row in at), self.starts[at], self.lengths[at]
        )

    def earlier(self, count: int | np.ndarray) -> Histories:
        """Each history without its last `count` events. count: one number, or i64[B]."""
        return _gathered(self, self.ids, self.starts[:-1], np.maximum(self.lengths - count, 0))

    def latest(self, count: int) -> np.ndarray:
        """The last `count` events of each user, i32[B, count], oldest first, -1 = no event."""
        place = self.starts[1:, None] - count + np.arange(count)
        inside = place >= self.starts[:-1, None]
        items = self.items if len(self.items) else np.full(1, -1, np.int32)
        return np.where(inside, items[np.where(inside, place, 0)], -1).astype(np.int32)

    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of users and events."""
        digest = hashlib.sha256("\x00".join(self.ids).encode("utf-8", "surrogatepass"))
        digest.update(
            np.asarray(self.items, "<i4").tobytes() + np.asarray(self.starts, "<i8").tobytes()
        )
        return digest.hexdigest()[:16]


class Short(NamedTuple):
    """Users with too few events for the splits."""

    histories: Histories
    times: np.ndarray | None  # i64[E] of their events


@dataclasses.dataclass(frozen=True, eq=False)
class Interactions:
    """Items and the events of users; the data of a recommender.

    A split cuts each history in two: the system is asked for the first event after the cut, given
    all events before it. Under leave-one-out `test` asks for the last event and `dev` for the last
    but one, so the history of `test` ends with the event that `dev` asks for. Other splits cut each
    user at a place of their own (`zoo.data.splits`); a user whose part after the cut is empty, or
    belongs to a later split, or whose part before the cut is empty, is not asked.
    """

    name: str
    corpus: Corpus  # the items
    histories: Histories  # whole sequences
    # split -> number of events after its cut: of every user alike, or i64[B]; earlier splits first
    held: Mapping[str, int | np.ndarray] = dataclasses.field(
        default_factory=lambda: {"dev": 2, "test": 1}
    )
    left_out: int = 0  # users with too few events, not in `histories`
    # events at the same time as another of their user
    tied: int = 0
    times: np.ndarray | None = None  # i64[E] of the events of `histories`, in any unit
    notes: tuple[str, ...] = ()  # remarks on how the data were read, one line each
    short: Short | None = None  # users of `left_out`, if their events are known

    def __post_init__(self) -> None:
        numbers = [place for place in self.held.values() if isinstance(place, int)]
        fewest = max(numbers, default=0) + 1
        short = np.flatnonzero(self.histories.lengths < fewest)
        if len(short):
            raise DataError(
                f"{self.name}: user {self.histories.ids[short[0]]!r} has "
                f"{self.histories.lengths[short[0]]} events; expected at least {fewest}, so that "
                "each split has a history; leave such users out"
            )
        for split, place in self.held.items():
            if not isinstance(place, int) and not (
                place.shape == self.histories.lengths.shape
                and (place >= 0).all()
                and (place <= self.histories.lengths).all()
            ):
                raise DataError(
                    f"{self.name}: split {split!r}: expected a number from 0 to the length of the "
                    "history for each user"
                )
        if self.times is not None and self.times.shape != self.histories.items.shape:
            raise DataError(
                f"{self.name}: expected a time for each of {len(self.histories.items)} events, got "
                f"{len(self.times)}"
            )
        items = self.histories.items
        if len(items) and not 0 <= items.min() <= items.max() < len(self.corpus):
            raise DataError(
                f"{self.name}: expected events to be rows from 0 to {len(self.corpus) - 1}, got "
                f"{items.min()} to {items.max()}"
            )

    @property
    def repeated(self) -> int:
        """Number of events with an item of an earlier event of the user."""
        pairs = self.histories.users * max(len(self.corpus), 1) + self.histories.items
        return len(pairs) - len(np.unique(pairs))

    @functools.cached_property
    def qrels(self) -> Mapping[str, Qrels]:
        """Split -> the target item of each user."""
        return {split: self._targets(split) for split in self.held}

    def everything(self) -> Interactions:
        """The interactions of all users, short ones last, without splits and times."""
        whole = dataclasses.replace(self, held={}, times=None)
        if self.short is None:
            return whole
        known, more = self.histories, self.short.histories
        items = np.concatenate([known.items, more.items])
        starts = np.concatenate([known.starts, known.starts[-1] + more.starts[1:]])
        joined = Histories((*known.ids, *more.ids), items, starts)
        return dataclasses.replace(
            whole, histories=joined, left_out=self.left_out - len(more), short=None
        )

    def asked(self, split: str) -> np.ndarray:
        """Rows of the users with a target in a split, i64[B'], ascending."""
        splits = list(self.held)
        place, lengths = self._places(split), self.histories.lengths
        asked = (place > 0) & (place < lengths)
        for later in splits[splits.index(split) + 1 :]:
            asked &= place != self._places(later)
        return np.flatnonzero(asked)

    def split(self, split: str) -> tuple[Histories, Qrels]:
        """Histories before the cut of a split, and the event of each after it.

        Raises DataError naming the splits that exist when there is no such split.
        """
        if split not in self.held:
            raise DataError(
                f"{self.name}: no split {split!r}; it has: "
                f"{', '.join(sorted(self.held)) or 'none'}; name another with --split"
            )
        rows = self.asked(split)
        if not len(rows):
            raise DataError(f"{self.name}: split {split!r} has no user; expected at least one")
        before = self.histories.earlier(self._places(split))
        return before if len(rows) == len(before) else before.take(rows), self.qrels[split]

    def without(self, *splits: str) -> Interactions:
        """The interactions before the earliest cut of these splits, without users who have none."""
        gone = [self.held[split] for split in splits if split in self.held]
        if all(isinstance(place, int) for place in self.held.values()):
            cut = max(gone, default=0)
            held = {split: place - cut for split, place in self.held.items() if place > cut}
            return dataclasses.replace(
                self, histories=self.histories.earlier(cut), held=held, times=None
            )
        cuts = functools.reduce(np.maximum, gone, np.zeros(len(self.histories), np.int64))
        histories = self.histories.earlier(cuts)
        kept = np.flatnonzero(histories.lengths)
        left = {split: (self._places(split) - cuts).clip(0)[kept] for split in self.held}
        held = {split: places for split, places in left.items() if places.any()}
        return dataclasses.replace(self, histories=histories.take(kept), held=held, times=None)

    def _places(self, split: str) -> np.ndarray:
        """Events after the cut of a split, i64[B]."""
        return np.broadcast_to(np.asarray(self.held[split], np.int64), (len(self.histories),))

    def _targets(self, split: str) -> Qrels:
        rows = self.asked(split)
        items = self.histories.items[self.histories.starts[rows + 1] - self._places(split)[rows]]
        return Qrels(
            {self.histories.ids[row]: {self.corpus.ids[item]: 1} for row, item in zip(rows, items)}
        )


def _gathered(
    histories: Histories, ids: tuple[str, ...], firsts: np.ndarray, lengths: np.ndarray
) -> Histories:
    """Histories of `lengths` i64[B] events, starting at the events `firsts` i64[B]."""
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    place = np.arange(starts[-1]) + np.repeat(firsts - starts[:-1], lengths)
    return Histories(ids, histories.items[place], starts)
