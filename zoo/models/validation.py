"""Checkpoint selection of recommenders: Recall@10 on a sample of dev users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from zoo import records
from zoo.train import best


def by_dev(
    collection: records.Interactions,
    answer: Callable[[Any, records.Histories], records.Ranking],
    *,
    users: int,
    every: int,
    patience: int,
) -> best.Validation | None:
    """Recall@10 of the next item for `users` evenly spaced dev users; None without users or dev.

    answer: (params, histories) -> Ranking of at least 10 items.
    """
    if not users or "dev" not in collection.qrels:
        return None
    asked, wanted = collection.split("dev")
    asked = asked.take(np.unique(np.linspace(0, len(asked) - 1, users).astype(int)))
    rows = collection.corpus.rows()
    right = np.array([[rows[item] for item in wanted.grades[user]][0] for user in asked.ids])

    def recall(params: Any) -> float:
        return float((answer(params, asked).documents[:, :10] == right[:, None]).any(axis=1).mean())

    return best.Validation(recall, every=every, patience=patience)
