"""Tables of any kind as rows of cells: separated text (RFC 4180), JSON lines, Parquet.

Separators are found in the first line: a comma, a tab, a semicolon, `::` or a bar; a .tsv has tabs
if any stand there. Lines before it that begin with # and have one cell are comments. Quoted cells
may hold separators and line breaks. RecBole's files (.inter, .item) have tabs, typed names and no
quotes. Every error names the line, or the row, that is wrong.
"""

from __future__ import annotations

import csv
import itertools
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from zoo import records
from zoo.data import columns, jsonl

SEPARATORS = (",", "\t", ";", "::", "|")
SEPARATED = (".csv", ".tsv", ".dat", ".data", ".inter", ".item")
ENDINGS = (*SEPARATED, ".jsonl", ".parquet")
_TYPED = (".inter", ".item")
_WORDS = {",": "commas", "\t": "tabs", ";": "semicolons", "::": "'::'", "|": "bars"}

csv.field_size_limit(1 << 27)  # a text may be longer than the default of 131,072


class Table(NamedTuple):
    """Rows in the order of the file."""

    path: pathlib.Path
    header: tuple[str, ...]  # "1", "2", ... if the file has none
    rows: Iterator[tuple[str, Sequence[Any]]]  # (place as errors name it, cells as in the header)
    headed: bool = True
    separator: str = ""  # "" for JSON lines and Parquet


def ending(path: pathlib.Path) -> str:
    """What the name of a table ends with, without .gz."""
    return pathlib.PurePath(path.name.removesuffix(".gz")).suffix.lower()


def read(
    path: pathlib.Path, *, headed: bool | None = None, short: list[str] | None = None
) -> Table:
    """The table in a file, by the ending of its name.

    headed: whether the first line names columns; None: it does, unless it looks like a rating
      (user, item, stars, seconds since 1970), as in MovieLens.
    short: if a list, rows with fewer cells than the header are filled up with empty ones, and their
      places are added to it; None: such rows are errors.
    Raises DataError, also while rows are read, naming file and line.
    """
    kind = ending(path)
    if kind == ".jsonl":
        return _read_objects(path)
    if kind == ".parquet":
        return _read_parquet(path)
    rows = split_lines(path)
    first = next(rows, None)
    if first is None:
        return Table(path, (), iter(()))
    where, cells, separator = first
    typed = kind in _TYPED
    if headed is False or (headed is None and not typed and _is_rating(cells)):
        header = tuple(str(place) for place in range(1, len(cells) + 1))
        every = _same_length(_with_first((where, cells), rows), header, "the first line", short)
        return Table(path, header, every, headed=False, separator=separator)
    header = tuple(cell.strip().partition(":")[0] if typed else cell.strip() for cell in cells)
    if len(set(header)) != len(header):
        text = jsonl.short(separator.join(cells))
        raise records.DataError(f"{where}: the header names a column twice: {text}; rename one")
    every = _same_length(_pairs(rows), header, "the header", short)
    return Table(path, header, every, True, separator)


def split_lines(path: pathlib.Path) -> Iterator[tuple[str, list[str], str]]:
    """("file:line", cells, separator) of each record of separated text that is not blank."""
    lines = _Lines(path)
    head = lines.peek()
    if head is None:
        return
    if ending(path) in _TYPED:
        for number, text in lines:
            if text.strip():
                yield f"{path}:{number}", text.rstrip("\r\n").split("\t"), "\t"
        return
    separator = "\t" if ending(path) == ".tsv" and "\t" in head else _separator(head)
    if len(separator) > 1:
        for number, text in lines:
            if text.strip():
                yield f"{path}:{number}", text.rstrip("\r\n").split(separator), separator
        return
    reader = csv.reader((text for _, text in lines), delimiter=separator, strict=True)
    while True:
        where = f"{path}:{lines.number + 1}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise records.DataError(
                f"{where}: expected cells separated by {_WORDS[separator]}, quoted as RFC 4180 "
                f"says: {error}"
            ) from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells) or len(cells) > 1:
            yield where, cells, separator


class _Lines:
    """The lines of a file with the number of the last one that was taken."""

    def __init__(self, path: pathlib.Path) -> None:
        self.number = 0
        self._lines = jsonl.raw_lines(path)
        self._next: tuple[int, str] | None = None

    def peek(self) -> str | None:
        """The first line that is not blank, nor a comment; None if there is none."""
        lines = (line for line in self._lines if line[1].strip())
        self._next = next(lines, None)
        while self._next is not None and _is_comment(self._next[1]):
            self._next = next(lines, None)
        if self._next is not None:
            self.number = self._next[0] - 1
        return None if self._next is None else self._next[1]

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> tuple[int, str]:
        line, self._next = self._next or next(self._lines), None
        self.number = line[0]
        return line


def _is_comment(line: str) -> bool:
    """Whether a first line is a remark, and not a header whose first name begins with #."""
    return line.startswith("#") and " " in line and not any(mark in line for mark in ",\t;|")


def _separator(line: str) -> str:
    """The separator under which a first line has a known header, else the most cells."""

    def worth(separator: str) -> tuple[bool, int]:
        cells = _cells(line, separator)
        return columns.is_log(cells), len(cells)

    return max(SEPARATORS, key=worth)  # the first of equals


def _cells(line: str, separator: str) -> list[str]:
    line = line.rstrip("\r\n")
    if len(separator) > 1:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return [line]


def _is_rating(cells: Sequence[str]) -> bool:
    """Whether a line is user, item, stars, and seconds since 1973 or later."""
    if len(cells) != 4 or columns.is_log(cells):
        return False
    stars, seconds = cells[2].strip(), cells[3].strip()
    digits = seconds.isascii() and seconds.isdecimal() and 9 <= len(seconds) <= 13
    return digits and stars.replace(".", "", 1).isdecimal()


def _with_first(first, rows):
    yield first
    yield from _pairs(rows)


def _pairs(rows):
    return ((where, cells) for where, cells, _ in rows)


def _same_length(rows, header: Sequence[str], like: str, short: list[str] | None):
    for where, cells in rows:
        if short is not None and len(cells) < len(header):
            short.append(where)
            cells = [*cells, *[""] * (len(header) - len(cells))]
        if len(cells) != len(header):
            many = f"{len(header)} cell{'s' if len(header) > 1 else ''}"
            raise records.DataError(
                f"{where}: expected {many} as in {like}, got {len(cells)} in "
                f"{jsonl.short(','.join(cells))}"
            )
        if cells[0] == header[0] and tuple(cells) == tuple(header):
            raise records.DataError(
                f"{where}: the header stands here again, as in files that were joined; remove "
                "the line"
            )
        yield where, cells


def _read_objects(path: pathlib.Path) -> Table:
    """The columns are the keys of the first object; others may have more, and lack some."""
    objects = jsonl.objects_of(path)
    first = next(objects, None)
    if first is None:
        return Table(path, (), iter(()))
    header = tuple(first[2])

    every = itertools.chain([first], objects)
    rows = ((where, [value.get(key) for key in header]) for _, where, value in every)
    return Table(path, header, rows)


def _read_parquet(path: pathlib.Path) -> Table:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise records.DataError(
            f"{path}: reading Parquet needs the package pyarrow; "
            "pip install 'generative-retrieval-zoo[parquet]'"
        ) from None
    try:
        file = pyarrow.parquet.ParquetFile(path)
        header = tuple(file.schema_arrow.names)
    except (pyarrow.ArrowException, OSError) as error:
        raise _broken(path, error) from None
    if len(set(header)) != len(header):
        raise records.DataError(f"{path}: names a column twice: {', '.join(header)}; rename one")

    def rows():
        number = 0
        try:
            for batch in file.iter_batches(batch_size=65_536):
                for cells in zip(*(_values(column) for column in batch.columns)):
                    number += 1
                    yield f"{path}: row {number}", cells
        except (pyarrow.ArrowException, OSError) as error:
            raise _broken(path, error) from None

    return Table(path, header, rows())


def _values(column) -> list:
    """Python values of a column; dates and times as whole numbers of their unit."""
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pyarrow.types.is_timestamp(column.type):
        column = column.cast(pyarrow.int64())
    elif pyarrow.types.is_date(column.type):
        wide = pyarrow.int32() if pyarrow.types.is_date32(column.type) else pyarrow.int64()
        column = column.cast(wide)
    return column.to_pylist()


def _broken(path: pathlib.Path, error: Exception) -> records.DataError:
    reason = " ".join(str(error).split())
    return records.DataError(f"{path}: expected a Parquet file, got one that breaks: {reason}")
