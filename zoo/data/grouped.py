"""Batches of documents in groups, each document with one of its queries, for objectives that
compare documents of one group.
"""

from __future__ import annotations

import functools

import numpy as np

from zoo.data import batches
from zoo.records import DataError


class Grouped:
    """An endless iterator of dicts of arrays [batch_size, ...], the same for the same seed.

    An epoch has every document once. Groups come in a fresh order and stand together, so that a
    group is in as few batches as its size allows, and small ones share a batch: who is whose
    sibling is for the objective to tell, by the codes. The last batch of an epoch is filled with
    rows that are not real. Batch number i is a function of i and the seed.
    """

    def __init__(
        self,
        documents: np.ndarray,
        queries: np.ndarray,
        owner: np.ndarray,
        chance: np.ndarray,
        codes: np.ndarray,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        """
        documents: i32[N, S], 0 = pad; codes: i32[N, T], documents of equal ones are a group.
        queries: i32[Q, S'] of documents `owner` i[Q], each of which has one; chance: f[Q] above 0,
          of those of a document, relative.
        """
        missing = np.setdiff1d(np.arange(len(documents)), owner)
        if len(missing):
            raise ValueError(f"grouped: document {missing[0]} has no query; make one of its text")
        order = np.argsort(owner, kind="stable")
        self._documents, self._queries, self._codes = documents, queries[order], codes
        self._bounds = np.searchsorted(owner[order], np.arange(len(documents) + 1))
        self._below = np.concatenate([[0.0], np.cumsum(chance[order], dtype=np.float64)])
        self._group = (
            np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1)
            if codes.shape[1]
            else np.zeros(len(documents), int)
        )
        self._batch_size, self._seed = batch_size, seed
        arrays = {
            "documents": documents,
            "queries": self._queries,
            "codes": codes,
            "below": self._below,
            "bounds": self._bounds,
        }
        self._identity = batches.digest(arrays, batch_size, seed)
        self._epoch = functools.lru_cache(maxsize=2)(self._drawn)
        self._iterator = batches.numbered(self.batch)

    def __iter__(self) -> Grouped:
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        return next(self._iterator)

    def position(self) -> dict:
        """Where the iterator stands and over what, as JSON-able values."""
        return {"place": self._iterator.get_state(), "batches": self._identity}

    def seek(self, position: dict) -> None:
        """Goes to where an iterator over the same documents, codes and queries stood.

        DataError if the position is of others.
        """
        if position["batches"] != self._identity:
            raise DataError(
                "grouped: the documents, codes or queries are not those of the run to go on from; "
                "start again in another folder"
            )
        self._iterator.set_state(position["place"])

    def batch(self, number: int) -> dict[str, np.ndarray]:
        """The batch of that number: "source" and "document" i32[B, S], "codes" i32[B, T], "real"
        bool[B]; rows that are not real repeat.
        """
        epoch, place = divmod(number, -(-len(self._documents) // self._batch_size))
        order, query = self._epoch(epoch)
        rows = order[place * self._batch_size : (place + 1) * self._batch_size]
        real = np.arange(self._batch_size) < len(rows)
        rows = np.resize(rows, self._batch_size)
        return {
            "source": self._queries[query[rows]],
            "document": self._documents[rows],
            "codes": self._codes[rows],
            "real": real,
        }

    def _drawn(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """i64[N] documents in the order of an epoch, and i64[N] the query that each of them comes
        with.
        """
        random = np.random.default_rng([self._seed, epoch])
        rank = random.permutation(self._group.max() + 1)
        order = np.lexsort([random.random(len(self._group)), rank[self._group]])
        first, last = self._bounds[:-1], self._bounds[1:]
        drawn = self._below[first] + random.random(len(first)) * (
            self._below[last] - self._below[first]
        )
        return order, np.clip(
            np.searchsorted(self._below, drawn, side="right") - 1, first, last - 1
        )
