"""Reads and writes folders of interactions: who did something to what, and when. Refuses broken input in one line.

A folder holds one of

    interactions.csv        a header with the columns user (or user_id), item (or item_id) and, if there is one, time (or timestamp);
                            other columns are ignored
    NAME.inter              the same as RecBole's atomic file: columns user_id:token, item_id:token, timestamp:float, by tabs
    sequences.txt           a line a user, `user item item ...`, oldest first

and, if items have names, one of

    items.jsonl             one JSON object a line: "_id" (or "id", "item", "item_id"), and what describes the item
    items.csv               a header with the column _id (or id, item, item_id), and what describes the item
    NAME.item               RecBole's: the column item_id:token, and what describes the item

each of which may end in `.gz`. The title of an item is its "title"; its text is its "text", else brand, categories, genres,
year and description as far as it has them, then every other column that is text: no number, no address, nothing nested. Without a
file of items, the items are those of the events, nameless.

Rules: events are sorted by time within each user; those of equal time keep the order of the file, and so do all without a
time column. A repeated event stays. Both are counted. Users with fewer than 3 events are left out and counted, as leave-one-out
needs one event to test, one to tune and one to start from. Items without any event stay in the corpus and compete. Ratings are not read: every
event counts. Users come in the order in which the file first names them.
"""

from __future__ import annotations

import csv
import json
import math
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from zoo import records
from zoo.data import atomic, jsonl

FEWEST = 3  # events of a user
DESCRIBED_BY = ("brand", "categories", "class", "genres", "year", "release_year", "description")
_IDS = ("_id", "id", "item", "item_id")
_TITLES = ("title", "movie_title", "name")
_NO_WORDS = re.compile(
    r"[\W\d_]*([eE][+-]?\d+)?|nan|inf|(https?|ftp)://\S*|www\.\S*", re.IGNORECASE
)


def holds_interactions(folder: pathlib.Path) -> bool:
    """Whether a folder has a file of events."""
    return bool(_event_files(folder))


def read(folder: str | os.PathLike) -> records.Interactions:
    """The interactions in a folder, named after it. Raises DataError on the first thing that is wrong, naming file and line."""
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise records.DataError(
            f"{folder}: expected a folder with interactions.csv, {'got a file' if folder.exists() else 'found nothing'}"
        )
    events = _event_files(folder)
    if len(events) != 1:
        what = ", ".join(path.name for path in events) or "none"
        raise records.DataError(
            f"{folder}: expected one of interactions.csv, NAME.inter and sequences.txt (or with .gz), found {what}"
        )
    corpus = _read_items(folder)
    users, items, times = (
        _read_sequences(events[0])
        if _plain(events[0]) == "sequences.txt"
        else _read_table(events[0])
    )
    if not users.where:
        raise records.DataError(f"{events[0]}: expected at least one event, got an empty file")
    if corpus is None:
        names = tuple(items.where)
        corpus = records.Corpus(names, ("",) * len(names), ("",) * len(names))
    return gathered(folder.resolve().name, corpus, users, items, times, events[0])


def gathered(
    name: str, corpus: records.Corpus, users: Column, items: Column, times: np.ndarray | None, path
) -> records.Interactions:
    """Interactions from events in file order; the rules are those of this module.

    Raises DataError naming the line of an item that is not in the corpus.
    """
    rows = corpus.rows()
    for item, line in items.where.items():
        if item not in rows:
            raise records.DataError(
                f"{path}:{line}: item {item!r} is not among the items; add it there or remove this line"
            )
    item_rows = np.array([rows[item] for item in items.where], np.int32)[items.numbers]
    # stable: ties keep the order of the file
    order = np.lexsort((users.numbers,) if times is None else (times, users.numbers))
    lengths = np.bincount(users.numbers, minlength=len(users.where))
    kept = lengths >= FEWEST
    if not kept.any():
        raise records.DataError(
            f"{path}: expected a user with at least {FEWEST} events, found none among {len(lengths)} users"
        )
    order = order[kept[users.numbers[order]]]
    ids = tuple(user for user, keep in zip(users.where, kept) if keep)
    histories = records.Histories(
        ids, item_rows[order], np.concatenate([[0], np.cumsum(lengths[kept])]).astype(np.int64)
    )
    return records.Interactions(
        name,
        corpus,
        histories,
        left_out=int((~kept).sum()),
        tied=0 if times is None else _tied(users.numbers[order], times[order]),
    )


def _tied(user: np.ndarray, time: np.ndarray) -> int:
    """Events of the same user and time as the one before or after, sorted by both."""
    same = np.concatenate([[False], (user[1:] == user[:-1]) & (time[1:] == time[:-1]), [False]])
    return int((same[1:] | same[:-1]).sum())


class Column:
    """Names numbered in the order of their first appearance."""

    def __init__(self) -> None:
        self.where: dict[str, int] = {}  # name -> line of its first appearance
        self._number: dict[str, int] = {}
        self._numbers: list[int] = []

    def add(self, name: str, line: int) -> None:
        number = self._number.get(name)
        if number is None:
            number = self._number[name] = len(self.where)
            self.where[name] = line
        self._numbers.append(number)

    @property
    def numbers(self) -> np.ndarray:
        """Number of the name of each event, i64[E]."""
        return np.array(self._numbers, np.int64)


def write(interactions: records.Interactions, folder: str | os.PathLike) -> None:
    """Writes items.jsonl and sequences.txt, so that `read` gives them back; the folder appears whole or not at all.

    Raises DataError if the folder exists and is not empty, or an id holds white space.
    """
    corpus, histories = interactions.corpus, interactions.histories
    for name in (*corpus.ids, *histories.ids):
        if name.split() != [name]:
            raise records.DataError(
                f"{folder}: cannot write the id {name!r}; ids need at least one character and no white space"
            )
    with atomic.folder(folder) as part:
        with open(part / "items.jsonl", "w", encoding="utf-8", newline="\n") as out:
            for name, title, text in zip(corpus.ids, corpus.titles, corpus.texts):
                out.write(
                    json.dumps({"_id": name, "title": title, "text": text}, ensure_ascii=False)
                    + "\n"
                )
        with open(part / "sequences.txt", "w", encoding="utf-8", newline="\n") as out:
            for row, user in enumerate(histories.ids):
                out.write(
                    " ".join([user, *(corpus.ids[item] for item in histories.history(row))]) + "\n"
                )


def described(row: Mapping, keys: Iterable[str] = DESCRIBED_BY) -> str:
    """Text of an item from those of the keys that it has."""
    return "; ".join(f"{key}: {_flat(row[key])}" for key in keys if row.get(key))


def _all_text(row: Mapping) -> list[str]:
    """Keys of what describes an item: DESCRIBED_BY, and then all that hold words, in the order of the file."""
    others = [
        key for key in row if key not in (*_IDS, *_TITLES, *DESCRIBED_BY) and _holds_words(row[key])
    ]
    return [*DESCRIBED_BY, *others]


def _holds_words(value) -> bool:
    if isinstance(value, list):
        return bool(value) and all(map(_holds_words, value))
    return isinstance(value, str) and bool(value.strip()) and not _NO_WORDS.fullmatch(value.strip())


def _event_files(folder: pathlib.Path) -> list[pathlib.Path]:
    found = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    return [
        path
        for path in found
        if _plain(path) in ("interactions.csv", "sequences.txt") or _plain(path).endswith(".inter")
    ]


def _plain(path: pathlib.Path) -> str:
    return path.name.removesuffix(".gz")


def _read_sequences(path: pathlib.Path) -> tuple[Column, Column, None]:
    users, items = Column(), Column()
    for line, text in jsonl.lines_of(path):
        user, *rest = text.split()
        if user in users.where:
            raise records.DataError(
                f"{path}:{line}: user {user!r} stands already on line {users.where[user]}; put all items on one line"
            )
        if not rest:
            raise records.DataError(
                f"{path}:{line}: expected `user item item ...`, got {jsonl.short(text)}; add items or remove the line"
            )
        for item in rest:
            users.add(user, line)
            items.add(item, line)
    return users, items, None


def _read_table(path: pathlib.Path) -> tuple[Column, Column, np.ndarray | None]:
    users, items, times = Column(), Column(), []
    timed = None
    for line, row in rows_of(path, ("user", "user_id"), ("item", "item_id")):
        user, item = row.get("user", row.get("user_id")), row.get("item", row.get("item_id"))
        if jsonl.is_bad_id(user) or jsonl.is_bad_id(item):
            raise records.DataError(
                f"{path}:{line}: expected a user and an item, got {jsonl.short(user)} and {jsonl.short(item)}; fill both in"
            )
        users.add(user, line)
        items.add(item, line)
        timed = timed or next((key for key in ("time", "timestamp") if key in row), "")
        if timed:
            times.append(_number(row[timed], f"{path}:{line}"))
    return users, items, np.array(times, np.float64) if timed else None


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise records.DataError(
            f"{where}: expected a number as time, got {jsonl.short(text)}; write seconds, or drop the column for file order"
        )
    return value


def rows_of(path: pathlib.Path, *needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, column -> cell) of a table with a header: commas and quotes in .csv, tabs and typed names in RecBole's files."""
    header = None
    for line, text in jsonl.lines_of(path):
        where = f"{path}:{line}"
        if _plain(path).endswith(".csv"):
            try:
                (cells,) = csv.reader([text], strict=True)
            except csv.Error as error:
                raise records.DataError(
                    f"{where}: expected cells separated by commas, each on one line: {error}"
                ) from None
        else:
            cells = text.split("\t")
        if header is None:
            header = [cell.strip().partition(":")[0] for cell in cells]
            for names in needed:
                if not set(names) & set(header):
                    raise records.DataError(
                        f"{where}: expected a header with the column {' or '.join(names)}, got {jsonl.short(text)}"
                    )
            if len(set(header)) != len(header):
                raise records.DataError(
                    f"{where}: the header names a column twice: {jsonl.short(text)}; rename one"
                )
            continue
        if len(cells) != len(header):
            raise records.DataError(
                f"{where}: expected {len(header)} cells as in the header, got {len(cells)} in {jsonl.short(text)}"
            )
        yield line, dict(zip(header, cells))


def _read_items(folder: pathlib.Path) -> records.Corpus | None:
    """The items of the folder in file order; None if it has no file of them."""
    found = [
        path
        for path in sorted(folder.iterdir())
        if _plain(path) in ("items.jsonl", "items.csv") or _plain(path).endswith(".item")
    ]
    if not found:
        return None
    if len(found) > 1:
        raise records.DataError(
            f"{folder}: has {' and '.join(path.name for path in found)}; remove all but one"
        )
    (path,) = found
    table = _plain(path) != "items.jsonl"
    rows = (
        rows_of(path, _IDS)
        if table
        else ((line, value) for line, _, value in jsonl.objects_of(path))
    )
    lines: dict[str, int] = {}
    titles, texts = [], []
    for line, row in rows:
        name = _item_id(row, f"{path}:{line}")
        if name in lines:
            raise records.DataError(
                f"{path}:{line}: item {name!r} stands already on line {lines[name]}; ids must be unique, remove one"
            )
        lines[name] = line
        titles.append(next((_flat(row[key]) for key in _TITLES if row.get(key)), ""))
        texts.append(_flat(row["text"]) if "text" in row else described(row, _all_text(row)))
    if not lines:
        raise records.DataError(f"{path}: expected at least one item, got an empty file")
    return records.Corpus(tuple(lines), tuple(titles), tuple(texts))


def _item_id(row: Mapping, where: str) -> str:
    key = next((key for key in _IDS if key in row), None)
    if key is None:
        raise records.DataError(
            f'{where}: expected the key "_id", found {jsonl.short(", ".join(row)) if row else "no key"}'
        )
    name = (
        str(row[key]) if isinstance(row[key], int) and not isinstance(row[key], bool) else row[key]
    )
    if not isinstance(name, str) or jsonl.is_bad_id(name):
        raise records.DataError(
            f'{where}: expected a word or a whole number in "{key}", got {jsonl.short(json.dumps(row[key]))}'
        )
    return name


def _flat(value) -> str:
    """Text of a value of JSON; of nested lists the parts, separated by commas."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(_flat, value)))
    return (
        value.encode("utf-8", "replace").decode()
        if isinstance(value, str)
        else ""
        if value is None
        else str(value)
    )
