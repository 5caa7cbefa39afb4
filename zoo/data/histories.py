"""Reads and writes interactions: a log of events and, if items have names, a file of items.

`zoo.data.events` says which files are logs, `zoo.data.items` which are items. Without a file of
items, the items are those of the events, without names.

Rules: events are sorted by time within each user; those of equal time keep the order of the file
(`zoo.data.splits` shuffles them), and so do all without a time column. A repeated event stays.
Both are counted. Users with fewer than 3 events are counted and kept apart (`Interactions.short`),
as leave-one-out needs one event to test, one to tune and one to start from. Items without any event
stay in the corpus and compete. Ratings are not read: every event counts. Users come in the order in
which the file first names them.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from zoo import records
from zoo.data import atomic, events, items, jsonl

FEWEST = 3  # events of a user


def holds_interactions(folder: pathlib.Path) -> bool:
    """Whether a folder has a file with the name of a log."""
    return bool(events.named_files(folder))


def read(path: str | os.PathLike, named: Mapping[str, str] | None = None) -> records.Interactions:
    """The interactions of a folder, or of one log, named after it.

    named: role -> column of the log, where its names are not the usual ones.
    Raises DataError on the first thing that is wrong, naming file and line.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise records.DataError(f"{path}: expected a folder with interactions.csv, found nothing")
    log = events.find(path) if path.is_dir() else path
    if log is None:
        raise records.DataError(
            f"{path}: expected one of interactions.csv, NAME.inter and sequences.txt (or with "
            ".gz), or a table with a user and an item column, found none"
        )
    if log.name.endswith(".parquet.gz"):
        raise records.DataError(f"{log}: Parquet is compressed by itself; unpack the file")
    described = items.find(path) if path.is_dir() else None
    corpus = None if described is None else items.read(described)
    found = events.read(log, named)
    if not found.users.where:
        raise records.DataError(f"{log}: expected at least one event, got an empty file")
    notes = found.notes
    if (
        described is not None
        and not described.name.startswith("items")
        and described.suffix != ".item"
    ):
        notes += (f"items are those of {described.name}",)
    name = path.resolve().name if path.is_dir() else log.name.partition(".")[0]
    return build(name, corpus, found._replace(notes=notes), log)


def build(
    name: str, corpus: records.Corpus | None, found: events.Events, path: Any
) -> records.Interactions:
    """Interactions from events in file order, by the rules of this module.

    corpus: the items; None: those of the events, without names. path: named in errors.
    Raises DataError naming the line of an item that is not in the corpus.
    """
    if corpus is None:
        ids = tuple(found.items.where)
        corpus = records.Corpus(ids, ("",) * len(ids), ("",) * len(ids))
    rows = corpus.rows()
    for item, where in found.items.where.items():
        if item not in rows:
            where = f"{path}:{where}" if isinstance(where, int) else where
            raise records.DataError(
                f"{where}: item {item!r} is not among the items; add it there or remove this line"
            )
    item_rows = np.array([rows[item] for item in found.items.where], np.int32)[found.items.numbers]
    users, times = found.users.numbers, found.times
    # stable: ties keep the order of the file
    order = np.lexsort((users,) if times is None else (times, users))
    lengths = np.bincount(users, minlength=len(found.users.where))
    kept = lengths >= FEWEST
    if not kept.any():
        raise records.DataError(
            f"{path}: expected a user with at least {FEWEST} events, found none among "
            f"{len(lengths)} users"
        )
    short = None if kept.all() else records.Short(*_of_users(found, item_rows, order, ~kept))
    order = order[kept[users[order]]]
    histories, own_times = _of_users(found, item_rows, order, kept)
    held = {} if found.held is None else {"held": {s: p[kept] for s, p in found.held.items()}}
    return records.Interactions(
        name,
        corpus,
        histories,
        left_out=int((~kept).sum()),
        tied=0 if times is None else count_ties(users[order], times[order]),
        times=own_times,
        notes=found.notes,
        short=short,
        **held,
    )


def _of_users(
    found: events.Events, item_rows: np.ndarray, order: np.ndarray, kept: np.ndarray
) -> tuple[records.Histories, np.ndarray | None]:
    """Histories of some users, bool[users], and the times of their events, in this order."""
    users = found.users.numbers
    order = order[kept[users[order]]]
    ids = tuple(user for user, keep in zip(found.users.where, kept) if keep)
    lengths = np.bincount(users, minlength=len(kept))[kept]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    times = None if found.times is None else found.times[order]
    return records.Histories(ids, item_rows[order], starts), times


def count_ties(users: np.ndarray, times: np.ndarray) -> int:
    """Number of events with the user and time of the one before or after; sorted by both."""
    same = (users[1:] == users[:-1]) & (times[1:] == times[:-1])
    same = np.concatenate([[False], same, [False]])
    return int((same[1:] | same[:-1]).sum())


def write(interactions: records.Interactions, folder: str | os.PathLike) -> None:
    """Writes items.jsonl and sequences.jsonl, so that `read` returns the same interactions.

    The folder appears whole or not at all. Raises DataError if it exists and is not empty, or an id
    has white space at its ends, a tab or a line break.
    """
    corpus, short = interactions.corpus, interactions.short
    for name in (*corpus.ids, *interactions.everything().histories.ids):
        if jsonl.is_bad_id(name):
            raise records.DataError(
                f"{folder}: cannot write the id {name!r}; ids need no white space at the ends, no "
                "tabs, no line breaks"
            )
    with atomic.folder(folder) as part:
        with open(part / "items.jsonl", "w", encoding="utf-8", newline="\n") as out:
            for name, title, text in zip(corpus.ids, corpus.titles, corpus.texts):
                _write_line(out, {"_id": name, "title": title, "text": text})
        with open(part / "sequences.jsonl", "w", encoding="utf-8", newline="\n") as out:
            for line in _sequences(interactions, interactions.histories, interactions.times):
                _write_line(out, line)
            for line in _sequences(interactions, *short) if short is not None else ():
                _write_line(out, line)


def _sequences(
    interactions: records.Interactions, histories: records.Histories, times: np.ndarray | None
) -> Iterator[dict]:
    """Lines of sequences.jsonl; places of splits only where they are not leave-one-out's.

    No split asks a short user.
    """
    held = interactions.held
    usual = list(held) == ["dev", "test"] and all(isinstance(p, int) for p in held.values())
    asked = histories is interactions.histories
    for row, user in enumerate(histories.ids):
        taken = histories.history(row)
        line: dict[str, Any] = {"user": user, "items": [interactions.corpus.ids[i] for i in taken]}
        if times is not None:
            start, end = histories.starts[row : row + 2]
            line["times"] = times[start:end].tolist()
        if not usual:
            line["held"] = {
                split: 0 if not asked else place if isinstance(place, int) else int(place[row])
                for split, place in held.items()
            }
        yield line


def _write_line(out, value: dict) -> None:
    out.write(json.dumps(value, ensure_ascii=False) + "\n")


def parse_ids(text: str) -> list[str]:
    """The ids of `a,b,c`; one that holds a comma is quoted as in CSV: `"a,1",b`.

    Raises DataError for quotes that do not close and for ids that are empty.
    """
    try:
        rows = list(csv.reader([text], strict=True, skipinitialspace=True))
    except csv.Error as error:
        raise records.DataError(
            f"expected item ids separated by commas, those with commas in quotes, got "
            f"{jsonl.short(text)}: {error}"
        ) from None
    ids = [cell.strip(" ") for cell in rows[0]] if rows else []
    if len(rows) != 1 or not ids or not all(ids):
        raise records.DataError(
            f"expected item ids separated by commas, got {jsonl.short(text)}; name each one"
        )
    return ids


def read_asked(
    path: str | os.PathLike, corpus: records.Corpus
) -> tuple[records.Histories, list[str]]:
    """The histories of a JSON-lines file, for a recommender to continue, and the named users.

    A line is a list of item ids, oldest first, or {"user": ..., "items": [...]}; users without a
    name are numbered from 0. Raises DataError naming the line of an unknown item.
    """
    path = pathlib.Path(path)
    rows, users, taken, with_name = corpus.rows(), {}, [], []
    for line, text in jsonl.lines_of(path):
        where = f"{path}:{line}"
        value = jsonl.value_of(text, where)
        named = isinstance(value, dict)
        ids = value.get("items") if named else value
        user = jsonl.name_of(value.get("user"), "user", where) if named else str(len(users))
        if not isinstance(ids, list) or not ids:
            raise records.DataError(
                f'{where}: expected a list of item ids, or {{"user": ..., "items": [...]}}, got '
                f"{jsonl.short(text)}"
            )
        if user in users:
            raise records.DataError(
                f"{where}: user {user!r} stands already on line {users[user]}; give each one line"
            )
        users[user] = line
        with_name += [user] if named else []
        names = [jsonl.name_of(item, "items", where) for item in ids]
        unknown = next((name for name in names if name not in rows), None)
        if unknown is not None:
            raise records.DataError(
                f"{where}: item {unknown!r} is not in the corpus; expected ids like "
                f"{', '.join(corpus.ids[:3])}"
            )
        taken.append([rows[name] for name in names])
    if not users:
        raise records.DataError(f"{path}: expected at least one history, got an empty file")
    starts = np.cumsum([0, *map(len, taken)], dtype=np.int64)
    items = np.array([*itertools.chain.from_iterable(taken)], np.int32)
    return records.Histories(tuple(users), items, starts), with_name
