"""Files of lines read in pieces of bytes, so that many workers share one.

What the Beam builder of `zoo.data.tfds` reads by.

A line is of the piece in which it begins. A gzipped file is one piece, as nobody can begin in its
middle: for many workers leave it plain, or cut it into several files. The number of a line is told
once the lines of the pieces before it were counted.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, NamedTuple

from etils import epath

from zoo import records
from zoo.data import files, jsonl, tables

PIECE = 64 << 20  # bytes


class Piece(NamedTuple):
    """Part of a file."""

    number: int  # in the order of the files and of the parts of each
    path: str
    first: int  # byte
    last: int  # byte after it, -1 = the end of the file


class Count(NamedTuple):
    """What a piece holds."""

    piece: Piece
    lines: int
    filled: int  # lines that are not blank


def pieces(paths: Iterable[str | os.PathLike], size: int = PIECE) -> list[Piece]:
    """The pieces of files, each of at most `size` bytes and a line."""
    ends = []
    for path in [os.fspath(path) for path in paths]:
        length = -1 if path.endswith(".gz") else epath.Path(path).stat().length
        firsts = [0] if length < 0 else range(0, max(length, 1), size)
        ends += [(path, first, -1 if length < 0 else min(first + size, length)) for first in firsts]
    return [Piece(number, *end) for number, end in enumerate(ends)]


def count(piece: Piece) -> Count:
    """Lines of a piece."""
    lines = filled = 0
    for line in _lines(piece):
        lines += 1
        filled += not _is_blank(line)
    return Count(piece, lines, filled)


def places(counts: Iterable[Count]) -> dict[int, tuple[int, int]]:
    """Number of a piece -> (lines of its file before it, filled lines of all files before it)."""
    found, before, filled, path = {}, 0, 0, None
    for one in sorted(counts, key=lambda one: one.piece.number):
        before = before if one.piece.path == path else 0
        path = one.piece.path
        found[one.piece.number] = before, filled
        before, filled = before + one.lines, filled + one.filled
    return found


def documents(
    piece: Piece, place: Mapping[int, tuple[int, int]]
) -> Iterator[tuple[int, str, tables.Example]]:
    """(row, "file:line", example of the table corpus) of each filled line of a piece.

    Raises DataError as `zoo.data.files` does.
    """
    number, row = place[piece.number]
    for line in _lines(piece):
        number += 1
        if not _is_blank(line):
            where = f"{piece.path}:{number}"
            name, title, text = files.document_of(
                jsonl.object_of(jsonl.text_of(line, where), where), where
            )
            files.refuse_empty(name, title, text, where)
            yield row, where, {"id": name, "title": title, "text": text}
            row += 1


def _is_blank(line: bytes) -> bool:
    return not line.decode("utf-8", "replace").strip()


def _lines(piece: Piece) -> Iterator[bytes]:
    """Lines that begin in a piece."""
    try:
        with epath.Path(piece.path).open("rb") as file:
            if piece.last < 0:
                yield from _unmarked(gzip.open(file))
                return
            place = piece.first
            if place:  # the line that holds the byte before is of the piece before, or ends there
                file.seek(place - 1)
                place += len(file.readline()) - 1
            yield from (
                _unmarked(_until(file, place, piece.last))
                if piece.first == 0
                else _until(file, place, piece.last)
            )
    except (gzip.BadGzipFile, EOFError, zlib.error, OSError) as error:
        raise records.DataError(f"{piece.path}: cannot be read: {error}") from None


def _until(file: IO[bytes], place: int, last: int) -> Iterator[bytes]:
    """Lines of a file that stands at `place`, as far as they begin before `last`."""
    while place < last and (line := file.readline()):
        place += len(line)
        yield line


def _unmarked(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines of a file from its beginning, without a byte order mark."""
    for number, line in enumerate(lines):
        yield line.removeprefix(jsonl.BYTE_ORDER_MARK) if number == 0 else line
