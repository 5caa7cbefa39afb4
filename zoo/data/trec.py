"""TREC runs: `query Q0 document rank score tag` a line, for other tools and from them."""

from __future__ import annotations

import os
import pathlib

import numpy as np

from zoo import records
from zoo.data import atomic, jsonl


def write(ranking: records.Ranking, path: str | os.PathLike, tag: str) -> None:
    """Writes a run for other tools: `query Q0 document rank score tag`, rank from 1.

    TREC tools order a run by score alone and break ties by document id. Where a score is not below the one before it, the
    next smaller 32-bit float is written instead, so that they see the order of the ranking.
    Raises DataError if an id or the tag holds white space, or a score is not finite.
    """
    for name in (tag, *ranking.query_ids, *ranking.corpus_ids):
        if not name or name.split() != [name]:
            raise records.DataError(
                f"{path}: a TREC run cannot hold {name!r}; ids and tag need at least one character and no white space"
            )
    with atomic.file(path) as out:
        for row, query in enumerate(ranking.query_ids):
            before = np.float32(np.inf)
            for rank, (document, score) in enumerate(ranking.answers(row), start=1):
                if not np.isfinite(score):
                    raise records.DataError(
                        f"{path}: query {query}, document {document}: expected a finite score, got {score}"
                    )
                before = min(np.float32(score), np.nextafter(before, np.float32(-np.inf)))
                out.write(f"{query} Q0 {document} {rank} {before:.9g} {tag}\n")


def read(path: str | os.PathLike, corpus_ids: tuple[str, ...]) -> records.Ranking:
    """The ranking in a TREC run, by descending score (equal scores: by the written rank), queries in file order.

    Raises DataError naming file and line for a malformed line, an unknown document or one that is ranked twice.
    """
    rows = {name: row for row, name in enumerate(corpus_ids)}
    answers: dict[str, list[tuple[float, int, int]]] = {}
    seen = set()
    for line, text in jsonl.lines_of(pathlib.Path(path)):
        cells, where = text.split(), f"{path}:{line}"
        try:
            query, _, document, rank, score, _ = cells
            entry = (-float(score), int(rank))
        except ValueError:
            raise records.DataError(
                f"{where}: expected `query Q0 document rank score tag`, got {jsonl.short(text)}"
            ) from None
        if document not in rows:
            raise records.DataError(
                f"{where}: document {document!r} is not in the corpus; use the corpus that the run was made on"
            )
        if (query, document) in seen:
            raise records.DataError(
                f"{where}: document {document!r} is ranked twice for query {query!r}; remove one line"
            )
        if not np.isfinite(entry[0]):
            raise records.DataError(f"{where}: expected a finite score, got {score}")
        seen.add((query, document))
        answers.setdefault(query, []).append((*entry, rows[document]))
    if not answers:
        raise records.DataError(f"{path}: expected at least one line, got an empty file")
    documents = np.full((len(answers), max(map(len, answers.values()))), -1, np.int32)
    scores = np.full(documents.shape, -np.inf, np.float32)
    for row, ranked in enumerate(answers.values()):
        for column, (negative_score, _, document) in enumerate(sorted(ranked)):
            documents[row, column], scores[row, column] = document, -negative_score
    return records.Ranking(tuple(answers), tuple(corpus_ids), documents, scores)
