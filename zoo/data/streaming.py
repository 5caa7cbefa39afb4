"""Batches of examples that stay on the disk: read as they are needed, shuffled, sharded by process,
resumable at any batch.

`zoo.data.batches` keeps all examples in memory and groups them by length; this reads a source of
random access, such as `zoo.data.tfds_read.data_source`, and has the same contract: batch number i
is a function of i and the seed alone. The order of an epoch is grain's permutation of numbers,
which takes no memory, so that a source may have billions of examples.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np

from zoo.records import DataError

Arrays = Mapping[str, np.ndarray]


class StreamedBatches:
    """An endless iterator of dicts of arrays [batch_size / shards, ...], the same for the same
    seed.

    Every epoch is a fresh permutation of the source; a batch may end one and begin the next. The
    shards of a batch are parts of the batch that one process would get.
    """

    def __init__(
        self,
        source,
        arrays_of: Callable[[Sequence], Arrays],
        *,
        batch_size: int,
        seed: int,
        shard: int = 0,
        shards: int = 1,
    ) -> None:
        """source: has a length and gives the example of a number.

        If it has __getitems__, those of many at once.

        arrays_of: makes the arrays of a batch of a list of its examples; the same shapes each time,
        or jit compiles anew.

        Raises ValueError if the source is empty, or shards do not divide a batch.
        """
        import grain

        if not len(source):
            raise ValueError(
                "streaming: expected a source with at least one example, got an empty one"
            )
        if batch_size % shards:
            raise ValueError(
                f"streaming: a batch of {batch_size} cannot be split over {shards} processes; "
                "choose a multiple"
            )
        self._source, self._arrays_of = source, arrays_of
        self._batch_size, self._shard, self._shards = batch_size, shard, shards
        self._order = grain.MapDataset.range(len(source)).shuffle(seed=seed).repeat()
        probes = self._examples(sorted({0, len(source) // 2, len(source) - 1}))
        self._identity = _digest(len(source), batch_size, seed, probes)
        numbers = grain.MapDataset.range(sys.maxsize).map(self.batch)
        self._iterator = iter(
            numbers.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=8))
        )

    def __iter__(self) -> StreamedBatches:
        return self

    def __next__(self) -> Arrays:
        return next(self._iterator)

    def position(self) -> dict:
        """Where the iterator stands and over what, as JSON-able values."""
        return {"place": self._iterator.get_state(), "batches": self._identity}

    def seek(self, position: dict) -> None:
        """Goes to where an iterator over the same source stood.

        Raises DataError if the position is one of another source, by its length and three of its
        examples, or of other batches of it.
        """
        if position["batches"] != self._identity:
            raise DataError(
                "streaming: the examples, the batch size or the seed are not those of the run to "
                "go on from; start again in another folder"
            )
        self._iterator.set_state(position["place"])

    def batch(self, number: int) -> Arrays:
        """The batch of that number, from 0."""
        places = range(
            number * self._batch_size + self._shard, (number + 1) * self._batch_size, self._shards
        )
        rows = [cast(int, self._order[place]) for place in places]  # None only in filtered sets
        return self._arrays_of(self._examples([int(row) for row in rows]))

    def _examples(self, rows: Sequence[int]) -> list:
        if hasattr(self._source, "__getitems__"):
            return list(self._source.__getitems__(rows))
        return [self._source[row] for row in rows]


def _digest(*settings: object) -> str:
    """First 16 hex digits of the SHA-256 of what decides the batches."""
    with np.printoptions(threshold=sys.maxsize):
        return hashlib.sha256(repr(settings).encode()).hexdigest()[:16]
