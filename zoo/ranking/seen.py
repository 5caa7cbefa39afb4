"""Rankings without the items of each user's history."""

from __future__ import annotations

import dataclasses

import numpy as np

from zoo import records

LEAST, FACTOR = 16, 4  # E is one of 16, 64, 256, ..: few sizes, so few programs


def width_class(width: int) -> int:
    """The size E that `width` items are padded to."""
    size = LEAST
    while size < width:
        size *= FACTOR
    return size


def pad_histories(histories: records.Histories) -> np.ndarray:
    """i32[B, E] items of each history, padded with -1; E is rounded up to reuse programs."""
    size = width_class(int(histories.lengths.max(initial=0)))
    rows = np.full((len(histories), size), -1, np.int32)
    rows[histories.users, np.arange(len(histories.items)) - histories.starts[histories.users]] = (
        histories.items
    )
    return rows


def join(rows: np.ndarray, more: np.ndarray | None) -> np.ndarray:
    """i32[B, E] of rows i32[B, E1] and i32[B, E2], -1 = none, with as few columns as hold them."""
    if more is None:
        return rows
    both = np.concatenate([rows, more], axis=1)
    both = np.take_along_axis(both, np.argsort(both < 0, axis=1, kind="stable"), axis=1)
    size = width_class(int((both >= 0).sum(axis=1).max(initial=0)))
    missing = [(0, 0), (0, max(size - both.shape[1], 0))]
    return np.pad(both, missing, constant_values=-1)[:, :size]


def remove(ranking: records.Ranking, histories: records.Histories, k: int) -> records.Ranking:
    """The k best answers of each user that are not in the history."""
    taken = np.zeros((len(histories), len(ranking.corpus_ids) + 1), bool)  # last: no item, row -1
    taken[histories.users, histories.items] = True
    again = np.take_along_axis(taken, ranking.documents, axis=1)
    documents = np.where(again, -1, ranking.documents)
    order = np.argsort(documents < 0, axis=1, kind="stable")[:, :k]
    documents = np.take_along_axis(documents, order, axis=1)
    scores = np.where(documents < 0, -np.inf, np.take_along_axis(ranking.scores, order, axis=1))
    return widen(
        dataclasses.replace(ranking, documents=documents, scores=scores.astype(np.float32)), k
    )


def widen(ranking: records.Ranking, k: int) -> records.Ranking:
    """The ranking with k columns, the new ones without answers."""
    if ranking.documents.shape[1] == k:
        return ranking
    missing = [(0, 0), (0, k - ranking.documents.shape[1])]
    return dataclasses.replace(
        ranking,
        documents=np.pad(ranking.documents, missing, constant_values=-1),
        scores=np.pad(ranking.scores, missing, constant_values=-np.inf),
    )
