"""Answers among some documents of a query, for systems of every kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo import recipes, records
from zoo.models import generate
from zoo.ranking import scores, seen
from zoo.records import DataError

Ids = Sequence[str] | Sequence[Sequence[str]]


def ask(
    opened: recipes.Ask,
    queries: records.Queries | records.Histories,
    k: int,
    *,
    allowed: np.ndarray | None = None,
    excluded: np.ndarray | None = None,
) -> records.Ranking:
    """The k best documents of each query among those that may answer it.

    allowed: bool[B, N]; excluded: i32[B, E] rows, -1 = none. Exact for every kind of system, except
    for the decoders of `generate.Opened` that are approximate without a restriction too.
    """
    if allowed is None and excluded is None:
        return opened(queries, k)
    if isinstance(opened, generate.Opened):
        return opened(queries, k, allowed=allowed, excluded=excluded)
    if isinstance(opened, scores.Scored):
        return _scored(opened, queries, k, allowed, excluded)
    return _afterwards(opened, queries, k, allowed, excluded)


def rows_of(ids: Ids | None, rows: Mapping[str, int], count: int) -> np.ndarray | None:
    """i32[B, E] rows of documents, -1 = none, of ids for all queries or per query.

    Raises DataError for an id that the system does not have, or lists of another number of queries.
    """
    if ids is None:
        return None
    found = [sorted({_row(rows, name) for name in each}) for each in _per_query(ids, count)]
    size = seen.width_class(max(map(len, found), default=0))
    padded = np.full((count, size), -1, np.int32)
    for place, each in enumerate(found):
        padded[place, : len(each)] = each
    return padded


def mask_of(ids: Ids | None, rows: Mapping[str, int], count: int) -> np.ndarray | None:
    """bool[B, N] of ids for all queries or per query. Raises DataError as `rows_of`."""
    if ids is None:
        return None
    mask = np.zeros((count, len(rows)), bool)
    for place, each in enumerate(_per_query(ids, count)):
        mask[place, [_row(rows, name) for name in each]] = True
    return mask


def _per_query(ids: Ids, count: int) -> Sequence[Sequence[str]]:
    if isinstance(ids, str):
        raise DataError("retrieve: expected a list of document ids, got a text; put it in a list")
    if all(isinstance(each, str) for each in ids):
        return [ids] * count  # pyright: ignore[reportReturnType]
    if any(isinstance(each, str) for each in ids) or len(ids) != count:
        raise DataError(
            f"retrieve: expected a list of document ids, or one for each of {count} queries, got "
            f"{len(ids)} entries"
        )
    return ids  # pyright: ignore[reportReturnType]


def _row(rows: Mapping[str, int], name: Any) -> int:
    if name not in rows:
        raise DataError(f"retrieve: no document {name!r} in this system; leave it out")
    return rows[name]


def _scored(
    opened: scores.Scored,
    histories: Any,
    k: int,
    allowed: np.ndarray | None,
    excluded: np.ndarray | None,
) -> records.Ranking:
    """The k best by scores that are -inf where a document may not answer."""
    place = {name: row for row, name in enumerate(histories.ids)}

    def score(block: records.Histories) -> np.ndarray:
        found = np.array(opened.score(block))
        which = [place[name] for name in block.ids]
        _forbid(found, allowed, excluded, which)
        return found

    return dataclasses.replace(opened, score=score)(histories, k)


def _forbid(
    values: np.ndarray,
    allowed: np.ndarray | None,
    excluded: np.ndarray | None,
    which: Sequence[int],
) -> None:
    """Sets f32[B', N] to -inf where the queries `which` may not be answered."""
    if allowed is not None:
        values[~allowed[which]] = -np.inf
    if excluded is not None:
        for row, rows in enumerate(excluded[which]):
            values[row, rows[rows >= 0]] = -np.inf


def _afterwards(
    opened: recipes.Ask,
    queries: Any,
    k: int,
    allowed: np.ndarray | None,
    excluded: np.ndarray | None,
) -> records.Ranking:
    """The k best of a ranking of all documents, or of k + E of them if E are excluded."""
    depth = k + (0 if excluded is None else excluded.shape[1])
    if allowed is not None:
        depth = max(allowed.shape[1], 1)
    ranking = opened(queries, depth)
    known = ranking.documents
    good = known >= 0
    if allowed is not None:
        good &= np.take_along_axis(allowed, np.maximum(known, 0), axis=1)
    if excluded is not None:
        good &= ~(known[:, :, None] == excluded[:, None]).any(axis=2)
    order = np.argsort(~good, axis=1, kind="stable")[:, :k]
    good = np.take_along_axis(good, order, axis=1)
    documents = np.where(good, np.take_along_axis(known, order, axis=1), -1)
    best = np.where(good, np.take_along_axis(ranking.scores, order, axis=1), -np.inf)
    return seen.widen(
        dataclasses.replace(ranking, documents=documents, scores=best.astype(np.float32)), k
    )
