"""Logs of events: who did something to what, and when, from a table or a file of sequences.

    interactions.csv, .tsv, .jsonl, .parquet   a column for the user, the item and, if there is one,
                                               the time (`zoo.data.columns`); others are ignored
    NAME.inter                                 the same as RecBole's atomic file
    sequences.txt                              `user item item ...` a line, oldest first
    sequences.jsonl                            {"user": ..., "items": [...]} a line, oldest first,
                                               and what `zoo.data.histories.write` adds

Text may be gzipped (.gz). Without a file of one of these names, `ratings`, `events`, `reviews`,
... and then any single table with a user and an item column is the log.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo import records
from zoo.data import columns, jsonl, tabular, times

_STEMS = ("ratings", "rating", "events", "reviews", "clicks", "transactions", "orders", "plays")
_ASCII_BLANKS = re.compile(r"[ \t\r\n\f\v]+")


class Ids:
    """Names numbered in the order of their first appearance."""

    def __init__(self) -> None:
        self.where: dict[str, Any] = {}  # name -> line of its first appearance
        self._number: dict[str, int] = {}
        self._numbers: list[int] = []

    def add(self, name: str, line: Any) -> None:
        """Appends an event of that name."""
        number = self._number.get(name)
        if number is None:
            number = self._number[name] = len(self.where)
            self.where[name] = line
        self._numbers.append(number)

    @property
    def numbers(self) -> np.ndarray:
        """Number of the name of each event, i64[E]."""
        return np.array(self._numbers, np.int64)


class Events(NamedTuple):
    """Events in the order of the file."""

    users: Ids
    items: Ids
    times: np.ndarray | None  # i64[E]
    notes: tuple[str, ...] = ()
    held: Mapping[str, np.ndarray] | None = None  # split -> i64[users], where the file says


def is_sequences(path: pathlib.Path) -> bool:
    """Whether a file is a line per user."""
    return _plain(path) in ("sequences.txt", "sequences.jsonl")


def is_log(path: pathlib.Path) -> bool:
    """Whether a file is a log by its header or its first line; False if it cannot be read."""
    if is_sequences(path):
        return True
    try:
        table = tabular.read(path)
    except records.DataError:
        return False
    return not table.headed or columns.is_log(table.header)


def named_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files of a folder whose names say that they are logs."""
    return [path for path in _tables(folder) if is_sequences(path) or _is_named(path)]


def find(folder: pathlib.Path) -> pathlib.Path | None:
    """The log of a folder, by its name or else by its header; None if there is none.

    Raises DataError if several files may be the log.
    """
    named = named_files(folder)
    by_stem = [path for path in _tables(folder) if _stem(path) in _STEMS and is_log(path)]
    for found in (named, by_stem, [path for path in _tables(folder) if is_log(path)]):
        if len(found) > 1:
            raise records.DataError(
                f"{folder}: expected one log of events, found "
                f"{', '.join(path.name for path in found)}; name one of the files instead of the "
                "folder, or remove the others"
            )
        if found:
            return found[0]
    return None


def read(path: pathlib.Path, named: Mapping[str, str] | None = None) -> Events:
    """The events of a file. named: role -> column, where the user says (`columns.parse`).

    Raises DataError naming file and line.
    """
    if _plain(path) == "sequences.txt":
        return _read_sequences(path)
    if _plain(path) == "sequences.jsonl":
        return _read_histories(path)
    return _read_table(path, named or {})


def _read_table(path: pathlib.Path, named: Mapping[str, str]) -> Events:
    numbered = bool(named) and all(name.isdecimal() or not name for name in named.values())
    table = tabular.read(path, headed=False if numbered and not _is_headed(path, named) else None)
    if table.headed or numbered:
        choice = columns.choose_events(table.header, named, f"{path}:1")
    else:
        choice = columns.Choice(
            dict(zip((columns.USER, columns.ITEM, columns.TIME), ("1", "2", "4"))),
            (f"{path.name} has no header: read as user, item, rating, time",),
        )
    place = {role: table.header.index(column) for role, column in choice.of.items()}
    user_at, item_at, time_at = place[columns.USER], place[columns.ITEM], place.get(columns.TIME)
    cells_of = (
        (where, cells[user_at], cells[item_at], None if time_at is None else cells[time_at])
        for where, cells in table.rows
    )
    found = _collect(cells_of, choice, path)
    separator = table.separator
    notes = choice.notes
    if separator and separator != ("\t" if tabular.ending(path) in (".inter", ".tsv") else ","):
        notes = (f"cells of {path.name} are separated by {separator!r}", *notes)
    return found._replace(notes=notes)


def of_rows(header: Sequence[str], rows: Sequence[Mapping[str, Any]], where: str) -> Events:
    """The events of rows in memory, by the usual columns. Raises DataError naming the row."""
    choice = columns.choose_events(header, {}, where)
    user, item, time = choice.of[columns.USER], choice.of[columns.ITEM], choice.of.get(columns.TIME)
    cells_of = (
        (f"{where}: row {number}", row.get(user), row.get(item), row.get(time) if time else None)
        for number, row in enumerate(rows)
    )
    return _collect(cells_of, choice, where)


def _collect(
    cells_of: Iterable[tuple[str, Any, Any, Any]], choice: columns.Choice, path: Any
) -> Events:
    """Events of (where, user, item, time)."""
    users, items, moments = Ids(), Ids(), times.Times()
    name_of = jsonl.name_of
    timed = columns.TIME in choice.of
    for where, user, item, time in cells_of:
        if _is_blank(user) or _is_blank(item):
            raise records.DataError(
                f"{where}: expected a user and an item, got {jsonl.short(str(user))} and "
                f"{jsonl.short(str(item))}; fill both in"
            )
        users.add(name_of(_strip(user), choice.of["user"], where), where)
        items.add(name_of(_strip(item), choice.of["item"], where), where)
        if timed:
            moments.add(time, where)
    return Events(users, items, moments.array(path) if timed else None, choice.notes)


def _is_headed(path: pathlib.Path, named: Mapping[str, str]) -> bool:
    """Whether all columns that the user names by numbers are names in the header."""
    header = tabular.read(path, headed=True).header
    return all(name in header for name in named.values() if name)


def _is_blank(name: Any) -> bool:
    return name is None or (isinstance(name, str) and not name.strip())


def _strip(name: Any) -> Any:
    return name.strip(" ") if isinstance(name, str) else name


def _read_sequences(path: pathlib.Path) -> Events:
    users, items = Ids(), Ids()
    for line, text in jsonl.lines_of(path):
        user, *rest = _ASCII_BLANKS.split(text.strip(" \t\r\n\f\v"))
        _refuse_second(path, line, user, users)
        if not rest:
            raise records.DataError(
                f"{path}:{line}: expected `user item item ...`, got {jsonl.short(text)}; add items "
                "or remove the line"
            )
        for item in rest:
            users.add(user, line)
            items.add(item, f"{path}:{line}")
    return Events(users, items, None)


def _read_histories(path: pathlib.Path) -> Events:
    users, items, moments, timed, held = Ids(), Ids(), times.Times(), None, []
    for line, where, record in jsonl.objects_of(path):
        user = jsonl.name_of(record.get("user"), "user", where)
        _refuse_second(path, line, user, users)
        taken = record.get("items")
        if not isinstance(taken, list) or not taken:
            raise records.DataError(
                f'{where}: expected a list of items, oldest first, in "items", got '
                f"{jsonl.short(repr(taken))}"
            )
        for item in taken:
            users.add(user, line)
            items.add(jsonl.name_of(item, "items", where), where)
        own = record.get("times")
        timed = own is not None if timed is None else timed
        if (own is not None) != timed or (timed and not _is_list_of(own, len(taken))):
            raise records.DataError(
                f'{where}: expected "times" on every line or on none, a number for each item'
            )
        for time in own or ():
            moments.add(time, where)
        held.append(_held_of(record.get("held"), len(taken), where))
    return Events(users, items, moments.array(path) if timed else None, (), _held(path, held))


def _is_list_of(value: Any, length: int) -> bool:
    return isinstance(value, list) and len(value) == length


def _held_of(held: Any, length: int, where: str) -> dict | None:
    good = held is None or (
        isinstance(held, dict)
        and all(type(place) is int and 0 <= place <= length for place in held.values())
    )
    if not good:
        raise records.DataError(
            f'{where}: expected in "held" for each split the number of events after its cut, 0 to '
            f"{length}, got {jsonl.short(repr(held))}"
        )
    return held


def _held(path: pathlib.Path, held: list[dict | None]) -> dict[str, np.ndarray] | None:
    """Split -> places, i64[users]; None where no line says."""
    said = [one for one in held if one is not None]
    if not said:
        return None
    if len(said) < len(held) or any(list(one) != list(said[0]) for one in said):
        raise records.DataError(
            f'{path}: expected "held" with the same splits on every line or on none'
        )
    return {split: np.array([one[split] for one in said], np.int64) for split in said[0]}


def _refuse_second(path: pathlib.Path, line: int, user: str, users: Ids) -> None:
    if user in users.where:
        raise records.DataError(
            f"{path}:{line}: user {user!r} stands already on line {users.where[user]}; put all "
            "items on one line"
        )


def _tables(folder: pathlib.Path) -> list[pathlib.Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".")
        and (tabular.ending(path) in tabular.ENDINGS or is_sequences(path))
        and path.is_file()
    ]


def _is_named(path: pathlib.Path) -> bool:
    return _stem(path) == "interactions" or tabular.ending(path) == ".inter"


def _stem(path: pathlib.Path) -> str:
    return _plain(path).rpartition(".")[0].lower()


def _plain(path: pathlib.Path) -> str:
    return path.name.removesuffix(".gz")
