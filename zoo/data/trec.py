"""Runs, for other tools and from them: TREC's `query Q0 document rank score tag`, or JSON lines.

A TREC run cannot hold ids with blanks. A file that ends in .jsonl can: each line is an object with
"query", "document", "rank", "score" and "tag".
"""

from __future__ import annotations

import json
import os
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from zoo import records
from zoo.data import atomic, jsonl

_BLANKS = re.compile(r"[ \t\n\r\f\v]+")  # TREC's tools know those of ASCII alone
_KEYS = ("query", "document", "rank", "score")


def refuse_ids(
    path: str | os.PathLike, tag: str, query_ids: Iterable[str], corpus_ids: Iterable[str]
) -> None:
    """Raises DataError if a run at `path` cannot hold the tag or an id; for a check before work."""
    for name in () if _is_json(path) else (tag, *query_ids, *corpus_ids):
        if not name or _BLANKS.search(name):
            raise records.DataError(
                f"{path}: a TREC run cannot hold {name!r}: ids and tag need at least one character "
                "and no blanks; name a file that ends in .jsonl"
            )


def write(ranking: records.Ranking, path: str | os.PathLike, tag: str) -> None:
    """Writes a run, rank from 1; as JSON lines if the name ends in .jsonl.

    TREC tools order a run by score alone and break ties by document id. Where a score is not below
    the one before it, the next smaller 32-bit float is written instead, so that they see the order
    of the ranking.
    Raises DataError if the run cannot hold an id or the tag, or a score is not finite.
    """
    refuse_ids(path, tag, ranking.query_ids, ranking.corpus_ids)
    as_json = _is_json(path)
    with atomic.file(path) as out:
        for query, rank, document, score in ranking.falling_scores():
            if as_json:
                line = dict(zip(_KEYS, (query, document, rank, float(score))))
                out.write(json.dumps(line | {"tag": tag}, ensure_ascii=False) + "\n")
            else:
                out.write(f"{query} Q0 {document} {rank} {score:.9g} {tag}\n")


def read(path: str | os.PathLike, corpus_ids: tuple[str, ...]) -> records.Ranking:
    """The ranking in a run, by descending score (equal scores: by rank), queries in file order.

    Raises DataError naming file and line for a malformed line, an unknown document or one that is
    ranked twice.
    """
    rows = {name: row for row, name in enumerate(corpus_ids)}
    answers: dict[str, list[tuple[float, int, int]]] = {}
    seen = set()
    for where, (query, document, rank, score) in _lines(pathlib.Path(path)):
        if document not in rows:
            raise records.DataError(
                f"{where}: document {document!r} is not in the corpus; use the corpus that the run "
                "was made on"
            )
        if (query, document) in seen:
            raise records.DataError(
                f"{where}: document {document!r} is ranked twice for query {query!r}; remove one "
                "line"
            )
        if not abs(score) <= np.finfo(np.float32).max:
            raise records.DataError(f"{where}: expected a finite score, got {score}")
        seen.add((query, document))
        answers.setdefault(query, []).append((-score, rank, rows[document]))
    if not answers:
        raise records.DataError(f"{path}: expected at least one line, got an empty file")
    documents = np.full((len(answers), max(map(len, answers.values()))), -1, np.int32)
    scores = np.full(documents.shape, -np.inf, np.float32)
    for row, ranked in enumerate(answers.values()):
        for column, (negative_score, _, document) in enumerate(sorted(ranked)):
            documents[row, column], scores[row, column] = document, -negative_score
    return records.Ranking(tuple(answers), tuple(corpus_ids), documents, scores)


def _is_json(path: str | os.PathLike) -> bool:
    return os.fspath(path).endswith(".jsonl")


def _lines(path: pathlib.Path) -> Iterator[tuple[str, tuple[str, str, int, float]]]:
    """("file:line", (query, document, rank, score)) of each line."""
    for number, text in jsonl.lines_of(path):
        where = f"{path}:{number}"
        if _is_json(path):
            yield where, _answer(jsonl.object_of(text, where), where)
            continue
        try:
            query, _, document, rank, score, _ = _BLANKS.split(text.strip(" \t\n\r\f\v"))
            yield where, (query, document, int(rank), float(score))
        except ValueError:
            raise records.DataError(
                f"{where}: expected `query Q0 document rank score tag`, got {jsonl.short(text)}"
            ) from None


def _answer(line: dict[str, Any], where: str) -> tuple[str, str, int, float]:
    query, document = (jsonl.name_of(line.get(key), key, where) for key in _KEYS[:2])
    rank, score = (line.get(key) for key in _KEYS[2:])
    if type(rank) is not int or not (type(score) is int or type(score) is float):
        raise records.DataError(
            f'{where}: expected a whole number in "rank" and a number in "score", got '
            f"{jsonl.short(repr((rank, score)))}"
        )
    return query, document, rank, float(score)
