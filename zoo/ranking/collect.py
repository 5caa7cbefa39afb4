"""From beams to rankings of documents."""

from __future__ import annotations

import dataclasses

import numpy as np

from zoo import records
from zoo.index import level


def pad_histories(histories: records.Histories) -> np.ndarray:
    """i32[B, E] items of each history, -1 behind; E is the longest, rounded up so that few programs serve all."""
    size = level.width_class(max(int(histories.lengths.max(initial=1)), 1))
    rows = np.full((len(histories), size), -1, np.int32)
    rows[histories.users, np.arange(len(histories.items)) - histories.starts[histories.users]] = (
        histories.items
    )
    return rows


def widen(ranking: records.Ranking, k: int) -> records.Ranking:
    """The ranking with k columns, the new ones without answers."""
    missing = [(0, 0), (0, k - ranking.documents.shape[1])]
    documents = np.pad(ranking.documents, missing, constant_values=-1)
    return dataclasses.replace(
        ranking,
        documents=documents,
        scores=np.pad(ranking.scores, missing, constant_values=-np.inf),
    )
