"""Cold items among generated ones: items that share all but the last code with a generated item.

Rajput et al. 2023 (arXiv 2305.05065), sec. 4.3: what is generated is an item that was seen; unseen
items of the same first codes are candidates too, and have at most a share epsilon of the answers.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from zoo import records

LEAST = 1e-9  # of a share times a count, that rounding must not take


def mixed(
    ranking: records.Ranking,
    tokens: np.ndarray,
    unseen: np.ndarray,
    share: float,
    k: int,
    *,
    excluded: np.ndarray | None = None,
) -> records.Ranking:
    """The ranking with unseen items mixed in: at most share * n of the first n answers, n = 1 .. k.

    An unseen item comes after the first item of its group, as soon as the share has room for it;
    those that wait come first come first served, of one group by row. Its score is the next below
    that of the answer before it.

    ranking: of items that were seen, at least k of them where there are so many; tokens: i32[N, L]
    identifiers; unseen: bool[N]; excluded: i32[B, E] rows that are no answers to each query, -1 =
    none.
    """
    group = np.unique(tokens[:, :-1], axis=0, return_inverse=True)[1].reshape(-1)
    of_group: dict[int, list[int]] = {}
    for row in np.flatnonzero(unseen):
        of_group.setdefault(int(group[row]), []).append(int(row))
    documents = np.full((len(ranking), k), -1, np.int32)
    scores = np.full((len(ranking), k), -np.inf, np.float32)
    for row, (items, values) in enumerate(zip(ranking.documents, ranking.scores)):
        refused = set() if excluded is None else set(excluded[row].tolist())
        found = _merged(items[items >= 0].tolist(), values, group, of_group, refused, share, k)
        documents[row, : len(found)] = [item for item, _ in found]
        scores[row, : len(found)] = [score for _, score in found]
    return dataclasses.replace(ranking, documents=documents, scores=scores)


def _merged(
    items: list[int],
    values: np.ndarray,
    group: np.ndarray,
    of_group: dict,
    refused: set,
    share: float,
    k: int,
) -> list[tuple]:
    found: list[tuple] = []
    waiting: list[int] = []
    taken, visited = 0, set()
    for item, value in zip(items, values):
        found.append((item, min(value, found[-1][1]) if found else value))
        if group[item] not in visited:
            visited.add(group[item])
            waiting += [
                other for other in of_group.get(int(group[item]), ()) if other not in refused
            ]
        while waiting and taken + 1 <= share * (len(found) + 1) + LEAST:
            found.append((waiting.pop(0), np.nextafter(found[-1][1], np.float32(-np.inf))))
            taken += 1
        if len(found) >= k:
            break
    return found[:k]
