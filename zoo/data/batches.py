"""Batches of token rows over grain: shuffled, mixed by weight, grouped by length, and resumable at any batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

SMALLEST_LENGTH = 8  # of the length classes 8, 16, 32, ...
RAREST_CLASS = 0.05  # a length class with a smaller share of the batches joins the next longer one


class Source(NamedTuple):
    """Examples of one kind."""

    rows: Mapping[str, np.ndarray]  # arrays [n, ...] of one n; "source" i32[n, S], 0 = pad, is grouped by length
    weight: float  # share of the examples that are of this kind, relative to the other sources


class Batches:
    """An endless iterator of dicts of arrays [batch_size, ...], the same for the same seed.

    Every epoch of a source is a fresh permutation of it. `position()` and `seek()` save and restore the place, so that a
    run that was interrupted sees the batches it would have seen.
    """

    def __init__(self, sources: Sequence[Source], *, batch_size: int, seed: int) -> None:
        sources = [source for source in sources if source.weight > 0 and len(source.rows["source"])]
        if not sources:
            raise ValueError("batches: expected at least one source with examples and weight above 0; got none")
        self.rows = {name: np.concatenate([source.rows[name] for source in sources]) for name in sources[0].rows}
        sizes = [len(source.rows["source"]) for source in sources]
        owner = np.repeat(np.arange(len(sources)), sizes)
        total = sum(source.weight for source in sources)
        self._share = np.array([s.weight / total / n for s, n in zip(sources, sizes)])[owner]  # of each row
        self._owner = owner
        self.lengths = length_classes((self.rows["source"] != 0).sum(axis=1), self._share)
        self._iterator = iter(self._dataset(batch_size, seed))

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        picked = next(self._iterator)
        batch = {name: values[picked] for name, values in self.rows.items()}
        longest = (batch["source"] != 0).sum(axis=1).max()
        batch["source"] = batch["source"][:, : next(size for size in self.lengths if size >= longest)]
        return batch

    def position(self) -> dict:
        """Where the iterator stands, as JSON-able values."""
        return self._iterator.get_state()

    def seek(self, position: dict) -> None:
        """Goes to where an iterator over the same sources stood."""
        self._iterator.set_state(position)

    def _dataset(self, batch_size: int, seed: int):
        """Rows i64[batch_size] of each batch: classes of length mixed by share, in each the sources by share."""
        import grain

        longest = (self.rows["source"] != 0).sum(axis=1)
        kind = np.searchsorted(self.lengths, longest)
        classes, shares = [], []
        for length in range(len(self.lengths)):
            parts = [np.flatnonzero((kind == length) & (self._owner == owner)) for owner in range(self._owner.max() + 1)]
            parts = [part for part in parts if len(part)]
            weights = [float(self._share[part].sum()) for part in parts]
            streams = [
                grain.MapDataset.source(part).seed(seed + 1000 * length + number).shuffle().repeat()
                for number, part in enumerate(parts)
            ]
            mixed = grain.MapDataset.mix(streams, [weight / sum(weights) for weight in weights])
            classes.append(mixed.batch(batch_size))
            shares.append(sum(weights))
        mixed = grain.MapDataset.mix(classes, [share / sum(shares) for share in shares])
        return mixed.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=8))


def length_classes(lengths: np.ndarray, share: np.ndarray | None = None) -> tuple[int, ...]:
    """Sizes that sources are padded to: powers of two from 8 on, the last cut to the longest; rare ones join the next.

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


def pad_to_class(rows: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Token rows i32[B, S] cut to the smallest of the sizes that holds them all."""
    longest = int((rows != 0).sum(axis=1).max())
    return rows[:, : next((size for size in sizes if size >= longest), rows.shape[1])]
