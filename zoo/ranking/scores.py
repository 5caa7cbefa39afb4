"""Rankings and places from the scores of all items, a block of users at a time."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from zoo import records
from zoo.metrics import recommend

_BLOCK = 4_000_000  # scores held at a time


@dataclasses.dataclass(frozen=True, eq=False)
class Scored:
    """An opened system that scores every item: (histories, k) -> Ranking; ties by row."""

    score: Callable[[records.Histories], np.ndarray]  # -> float[B, N], -inf = never recommend
    ids_json: str  # N ids of items

    @functools.cached_property
    def corpus_ids(self) -> tuple[str, ...]:
        return tuple(json.loads(self.ids_json))

    def __call__(self, histories: records.Histories, k: int) -> records.Ranking:
        found = [top(self.score(block), k) for block in self._blocks(histories)]
        return self._ranking(histories, found)

    def places(
        self, histories: records.Histories, targets: np.ndarray, k: int
    ) -> tuple[records.Ranking, recommend.Places]:
        """The ranking, and the places of targets i32[B] among all items, in one pass."""
        found, places, done = [], [], 0
        for block in self._blocks(histories):
            scores = self.score(block)
            places.append(recommend.places(scores, targets[done : done + len(block)]))
            found.append(top(scores, k))
            done += len(block)
        return self._ranking(histories, found), recommend.joined(places)

    def _blocks(self, histories: records.Histories) -> Iterator[records.Histories]:
        size = max(1, _BLOCK // max(1, len(self.corpus_ids)))
        for start in range(0, len(histories), size):
            yield histories.take(range(start, min(start + size, len(histories))))

    def _ranking(self, histories: records.Histories, found: list) -> records.Ranking:
        documents, scores = (np.concatenate(part) for part in zip(*found))
        return records.Ranking(histories.ids, self.corpus_ids, documents, scores)


def top(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows i32[B, k] and values f32[B, k] of the k highest of float[B, N]; ties by row."""
    num_users, num_items = scores.shape
    few = min(k, num_items)
    # the lowest that still belongs
    cut = np.partition(scores, num_items - few, axis=1)[:, num_items - few, None]
    kept, tied = scores > cut, scores == cut
    kept |= tied & (
        np.cumsum(tied, axis=1, dtype=np.int32) <= few - kept.sum(axis=1, keepdims=True)
    )
    rows = np.nonzero(kept)[1].reshape(num_users, few)
    values = np.take_along_axis(scores, rows, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    rows, values = (
        np.take_along_axis(rows, order, axis=1),
        np.take_along_axis(values, order, axis=1).astype(np.float32),
    )
    documents = np.full((num_users, k), -1, np.int32)
    best = np.full((num_users, k), -np.inf, np.float32)
    documents[:, :few], best[:, :few] = np.where(np.isneginf(values), -1, rows), values
    return documents, best


def ranking(
    queries: records.Queries,
    corpus_ids: tuple[str, ...],
    k: int,
    search: Callable[[records.Queries], tuple[np.ndarray, np.ndarray]],
    *,
    block: int = 64,
) -> records.Ranking:
    """The ranking of a search of blocks of queries: block -> rows i32[B, k], scores f32[B, k]."""
    found = [
        search(queries.take(range(first, min(first + block, len(queries)))))
        for first in range(0, len(queries), block)
    ]
    rows, values = (np.concatenate(part) for part in zip(*found))
    return records.Ranking(queries.ids, corpus_ids, rows, values)


def recommendable(
    scores: np.ndarray, histories: records.Histories, state: Mapping[str, Any], *, filter: bool
) -> np.ndarray:
    """The scores, changed in place: -inf for removed items and, if `filter`, the history."""
    if "removed" in state:
        scores[:, np.asarray(state["removed"])] = -np.inf
    if filter:
        scores[histories.users, histories.items] = -np.inf
    return scores
