"""Lines and JSON objects of UTF-8 files, plain or gzipped; errors name the file and the line."""

from __future__ import annotations

import gzip
import json
import pathlib
import re
import zlib
from collections.abc import Iterator
from typing import Any

from zoo import records

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
DEEPEST = 50  # brackets inside brackets
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def objects_of(path: pathlib.Path) -> Iterator[tuple[int, str, dict]]:
    """(line number, "file:line", object) of each non-blank line of a JSON-lines file."""
    for line, text in lines_of(path):
        where = f"{path}:{line}"
        yield line, where, object_of(text, where)


def object_of(text: str, where: str) -> dict:
    """The JSON object of a line; DataError for anything else."""
    value = value_of(text, where)
    if not isinstance(value, dict):
        raise records.DataError(f"{where}: expected a JSON object {{...}}, got {short(text)}")
    return value


def value_of(text: str, where: str) -> Any:
    """The JSON value of a line, nested at most DEEPEST deep."""
    if text.count("[") + text.count("{") > DEEPEST and _depth(text) > DEEPEST:
        raise records.DataError(
            f"{where}: expected a JSON object, got one that cannot be read: its lists are nested "
            f"more than {DEEPEST} deep; flatten them"
        )
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise records.DataError(
            f"{where}: expected a JSON object, got bad JSON at column {error.colno}: {error.msg}"
        ) from None
    except (RecursionError, ValueError) as error:  # e.g. a number with thousands of digits
        raise records.DataError(
            f"{where}: expected a JSON object, got one that cannot be read: {error}"
        ) from None


def lines_of(path: pathlib.Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text without its line end) of each non-blank line of a UTF-8 file."""
    for number, line in raw_lines(path):
        text = line.rstrip("\r\n")
        if text.strip():
            yield number, text


def raw_lines(path: pathlib.Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text with its line end) of each line of a UTF-8 file, plain or gzipped."""
    if path.is_dir() or not path.exists():
        raise records.DataError(
            f"{path}: expected a file, {'got a folder' if path.is_dir() else 'found nothing'}"
        )
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                line = line.removeprefix(BYTE_ORDER_MARK if number == 1 else b"")
                yield number, _decode(line, f"{path}:{number}")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise records.DataError(
            f"{path}: expected a whole gzip file, got one that breaks after line {number}: {error}"
        ) from None
    except OSError as error:
        raise records.DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def text_of(line: bytes, where: str) -> str:
    """The text of a line without its line end."""
    return _decode(line, where).rstrip("\r\n")


def id_of(record: dict, where: str) -> str:
    """The "_id" of an object."""
    if "_id" not in record:
        raise records.DataError(
            f'{where}: expected the key "_id", found '
            f"{short(', '.join(record)) if record else 'no key'}"
        )
    name = record["_id"]
    if not isinstance(name, str):
        raise records.DataError(
            f'{where}: expected a string in "_id", got {short(json.dumps(name))}; '
            "write it in quotes"
        )
    if is_bad_id(name):
        raise records.DataError(
            f'{where}: "_id" {name!r} is empty or has white space at an end, a tab or a line '
            "break; rename it"
        )
    refuse_surrogates(name, "_id", where)
    return name


def string_of(record: dict, key: str, where: str) -> str:
    """The text at a key of an object."""
    if key not in record:
        raise records.DataError(
            f'{where}: expected the key "{key}", found {short(", ".join(record))}'
        )
    value = record[key]
    if not isinstance(value, str):
        raise records.DataError(
            f'{where}: expected a string in "{key}", got {short(json.dumps(value))}'
        )
    refuse_surrogates(value, key, where)
    return value


def name_of(value: Any, key: str, where: str) -> str:
    """An id of a table or a log: a string, or a whole number as its digits.

    Raises DataError for other kinds of values, blank ids and half characters.
    """
    name = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(name, str) or is_bad_id(name):
        raise records.DataError(
            f'{where}: expected a word or a whole number in "{key}", got '
            f"{short(value if isinstance(value, str) else json.dumps(value, default=str))}"
        )
    refuse_surrogates(name, key, where)
    return name


def refuse_surrogates(value: str, key: str, where: str) -> None:
    """Raises DataError for text that UTF-8 cannot hold."""
    if value.isascii():
        return
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        bad = f"\\u{ord(value[error.start]):04x}"
        raise records.DataError(
            f'{where}: "{key}" holds half a character, {bad}; expected whole ones, write the '
            "surrogate pair"
        ) from None


def is_bad_id(name: str) -> bool:
    """Whether an id is empty, or cannot stand in a line of tab-separated values."""
    return not name or name != name.strip() or any(mark in name for mark in "\t\n\r")


def short(text: str, limit: int = 60) -> str:
    """Text as an error message quotes it."""
    return repr(text if len(text) <= limit else text[:limit] + "...")


def _decode(line: bytes, where: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise records.DataError(
            f"{where}: expected UTF-8, got byte 0x{byte:02x} at byte {error.start + 1} of the "
            "line; convert the file to UTF-8"
        ) from None


def _depth(text: str) -> int:
    """How deep brackets are nested outside strings."""
    deepest = depth = 0
    for match in _BRACKETS.finditer(text):
        mark = match[0]
        depth += (mark in "[{") - (mark in "]}") if len(mark) == 1 else 0
        deepest = max(deepest, depth)
    return deepest
