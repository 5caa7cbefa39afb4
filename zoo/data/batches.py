"""Batches of token rows over grain: shuffled, mixed by weight, grouped by length, and resumable at
any batch.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from zoo.records import DataError

if TYPE_CHECKING:
    import grain

SMALLEST_LENGTH = 8  # of the length classes 8, 16, 32, ...
RAREST_CLASS = 0.05  # a length class with a smaller share of the batches joins the next longer one
ONE = 1 << 30  # shares are integers out of this, so that quotas are exact


class Source(NamedTuple):
    """Examples of one kind."""

    # arrays [n, ...] of one n; "source" i32[n, S], 0 = pad, is grouped by length
    rows: Mapping[str, np.ndarray]
    weight: float  # share of the examples that are of this kind, relative to the other sources


class Stream:
    """The examples of one source that are of one length class, as an endless sequence of fresh
    permutations.
    """

    def __init__(self, rows: np.ndarray, *seed: int) -> None:
        """rows: i64[n] of the joined arrays."""
        self.rows, self._seed = rows, seed
        # an epoch and its permutation, kept because the next batch goes on in it
        self._order = -1, rows

    def take(self, first: int, last: int) -> np.ndarray:
        """i64[last - first] rows at these places of the sequence."""
        taken = [self.rows[:0]]
        while first < last:
            epoch, place = divmod(first, len(self.rows))
            taken.append(self._permuted(epoch)[place : place + last - first])
            first += len(taken[-1])
        return np.concatenate(taken)

    def _permuted(self, epoch: int) -> np.ndarray:
        kept, order = self._order
        if kept != epoch:
            order = np.random.default_rng([*self._seed, epoch]).permutation(self.rows)
            self._order = epoch, order
        return order


class Batches:
    """An endless iterator of dicts of arrays [batch_size / shards, ...], the same for the same
    seed.

    A batch is of one length class, and its examples are of the sources in the ratio of their
    weights; in a class, counts stray from that ratio by fewer examples than there are sources.
    Every epoch of a source is a fresh permutation of it. Batch number i is a function of i and the
    seed, so that `position()` and `seek()` lose and repeat nothing, and each of several processes
    can take its share of the same batches.
    """

    def __init__(self, sources: Sequence[Source], *, batch_size: int, seed: int) -> None:
        """Raises ValueError if no source has examples, or their arrays differ in name or shape."""
        sources = [source for source in sources if source.weight > 0 and len(source.rows["source"])]
        if not sources:
            raise ValueError(
                "batches: expected at least one source with examples and weight above 0; got none"
            )
        self.rows = _joined(sources)
        lengths = (self.rows["source"] != 0).sum(axis=1)
        sizes = [len(source.rows["source"]) for source in sources]
        owner = np.repeat(np.arange(len(sources)), sizes)
        total = sum(source.weight for source in sources)
        # of each row
        share = np.array([s.weight / total / n for s, n in zip(sources, sizes)])[owner]
        self.lengths = length_classes(lengths, share)
        kind = np.searchsorted(self.lengths, lengths)
        kinds = np.unique(kind)
        self._streams = {
            k: [
                Stream(np.flatnonzero((kind == k) & (owner == o)), seed, int(k), int(o))
                for o in np.unique(owner[kind == k])
            ]
            for k in kinds
        }
        self._kinds = kinds
        self._kind_shares = _shares([share[kind == k].sum() for k in kinds])
        self._shares = {
            k: _shares([share[stream.rows].sum() for stream in streams])
            for k, streams in self._streams.items()
        }
        self._batch_size, self._block = batch_size, slice(0, batch_size)
        self._identity = digest(self.rows, [s.weight for s in sources], sizes, batch_size, seed)
        self._iterator = numbered(self.batch)

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        return next(self._iterator)

    def share(self, part: int, parts: int) -> None:
        """From here on gives only the part-th of `parts` equal blocks of each batch's rows, as one
        of several processes does.

        Raises DataError if the parts do not divide a batch.
        """
        if self._batch_size % parts:
            raise DataError(
                f"batches: a batch of {self._batch_size} cannot be split over {parts} processes; "
                "choose a multiple"
            )
        size = self._batch_size // parts
        self._block = slice(part * size, (part + 1) * size)

    def position(self) -> dict:
        """Where the iterator stands and over what, as JSON-able values."""
        return {"place": self._iterator.get_state(), "batches": self._identity}

    def seek(self, position: dict) -> None:
        """Goes to where an iterator over the same sources stood.

        Raises DataError if the position is one of other examples, or of other batches of them.
        """
        if position["batches"] != self._identity:
            raise DataError(
                "batches: the examples, their weights, the batch size or the seed are not those "
                "of the run to go on from; "
                "what makes the examples must give the same each time; start again in another "
                "folder"
            )
        self._iterator.set_state(position["place"])

    def batch(self, number: int) -> dict[str, np.ndarray]:
        """The batch of that number, from 0."""
        picked, length = self._picked(number)
        batch = {name: values[picked] for name, values in self.rows.items() if name != "source"}
        return {"source": self.rows["source"][picked, :length], **batch}

    def examples(self, number: int) -> np.ndarray:
        """i64[B] which examples the batch of that number has: their rows in the sources, one after
        the other.
        """
        return self._picked(number)[0]

    def _picked(self, number: int) -> tuple[np.ndarray, int]:
        """Rows of the batch of that number, and the length that their sources are padded to."""
        before, after = quotas(number, self._kind_shares), quotas(number + 1, self._kind_shares)
        which = int(np.argmax(np.subtract(after, before)))
        kind, turn = self._kinds[which], before[which]  # the turn-th batch of this class
        shares = self._shares[kind]
        firsts, lasts = (quotas(count * self._batch_size, shares) for count in (turn, turn + 1))
        picked = np.concatenate(
            [s.take(*ends) for s, *ends in zip(self._streams[kind], firsts, lasts)]
        )
        return picked[self._block], self.lengths[kind]


def numbered(batch: Callable[[int], dict[str, np.ndarray]]) -> grain.DatasetIterator:
    """batch(0), batch(1), ... made ahead in a thread.

    Its `get_state` and `set_state` are grain's.
    """
    import grain

    numbers = grain.MapDataset.range(sys.maxsize)
    return iter(
        numbers.map(batch).to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=8))
    )


def length_classes(lengths: np.ndarray, share: np.ndarray | None = None) -> tuple[int, ...]:
    """Sizes that sources are padded to: powers of two from 8 on, the last cut to the longest.

    Rare ones join the next.

    lengths: i[n] tokens of each row; share: f[n] how much each row counts, equal if None.
    """
    share = np.full(len(lengths), 1 / len(lengths)) if share is None else share
    longest = max(int(lengths.max()), 1)
    sizes, below = [], 0.0
    size = SMALLEST_LENGTH
    while size < longest:
        within = float(share[lengths <= size].sum())
        if within - below >= RAREST_CLASS:
            sizes.append(size)
            below = within
        size *= 2
    return (*sizes, longest)


def quotas(count: int, shares: Sequence[int]) -> list[int]:
    """How many of the first `count` items belong to each share (integers out of ONE).

    Sums to count, never falls with it.

    The first takes its share of all, rounded down, the next its share of what is left, and so on.
    """
    taken, left, whole = [], count, ONE
    for share in shares[:-1]:
        taken.append(left * share // whole)
        left -= taken[-1]
        whole -= share
    return [*taken, left]


def _shares(weights: Sequence[float]) -> list[int]:
    """Weights as positive integers that sum to ONE."""
    total = float(sum(weights))
    cuts = [round(ONE * float(sum(weights[:end])) / total) for end in range(len(weights) + 1)]
    return [max(last - first, 1) for first, last in zip(cuts, cuts[1:])]


def _joined(sources: Sequence[Source]) -> dict[str, np.ndarray]:
    """The arrays of all sources, one after the other.

    Sources shorter than the longest are padded with 0.
    """
    names = list(sources[0].rows)
    longest = max(source.rows["source"].shape[1] for source in sources)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for number, source in enumerate(sources):
        sizes = {name: len(values) for name, values in source.rows.items()}
        if list(source.rows) != names or len(set(sizes.values())) != 1:
            raise ValueError(
                f"batches: source {number} has arrays {sizes}; expected {names}, all of one length"
            )
        for name, values in source.rows.items():
            if name == "source":
                values = np.pad(values, ((0, 0), (0, longest - values.shape[1])))
            expected = sources[0].rows[name].shape[1:]
            if name != "source" and values.shape[1:] != expected:
                raise ValueError(
                    f"batches: {name!r} of source {number} has rows {values.shape[1:]}, the first "
                    f"has {expected}"
                )
            parts[name].append(values)
    return {name: np.concatenate(values) for name, values in parts.items()}


def digest(rows: Mapping[str, np.ndarray], *settings: object) -> str:
    """First 16 hex digits of the SHA-256 of the arrays and settings that decide the batches."""
    digest = hashlib.sha256(repr(settings).encode())
    for name, values in rows.items():
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()[:16]
