"""Lines and JSON objects of UTF-8 files, plain or gzipped; what is wrong with one is said with its file and line."""

from __future__ import annotations

import gzip
import json
import pathlib
import zlib
from collections.abc import Iterator

from zoo import records

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def objects_of(path: pathlib.Path) -> Iterator[tuple[int, str, dict]]:
    """(line number, "file:line", object) of each line of a JSON-lines file that is not blank."""
    for line, text in lines_of(path):
        where = f"{path}:{line}"
        yield line, where, object_of(text, where)


def object_of(text: str, where: str) -> dict:
    """The JSON object of a line."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise records.DataError(
            f"{where}: expected a JSON object, got bad JSON at column {error.colno}: {error.msg}"
        ) from None
    # nested too deep, or a number with thousands of digits
    except (RecursionError, ValueError) as error:
        raise records.DataError(
            f"{where}: expected a JSON object, got one that cannot be read: {error}"
        ) from None
    if not isinstance(value, dict):
        raise records.DataError(f"{where}: expected a JSON object {{...}}, got {short(text)}")
    return value


def lines_of(path: pathlib.Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text without its line end) of each line of a UTF-8 file, plain or gzipped, that is not blank."""
    if path.is_dir() or not path.exists():
        raise records.DataError(
            f"{path}: expected a file, {'got a folder' if path.is_dir() else 'found nothing'}"
        )
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                text = text_of(
                    line.removeprefix(BYTE_ORDER_MARK if number == 1 else b""), f"{path}:{number}"
                )
                if text.strip():
                    yield number, text
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise records.DataError(
            f"{path}: expected a whole gzip file, got one that breaks after line {number}: {error}"
        ) from None
    except OSError as error:
        raise records.DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def text_of(line: bytes, where: str) -> str:
    """The text of a line without its end."""
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise records.DataError(
            f"{where}: expected UTF-8, got byte 0x{byte:02x} at byte {error.start + 1} of the line; convert the file to UTF-8"
        ) from None


def id_of(record: dict, where: str) -> str:
    """The "_id" of an object."""
    if "_id" not in record:
        raise records.DataError(
            f'{where}: expected the key "_id", found {short(", ".join(record)) if record else "no key"}'
        )
    name = record["_id"]
    if not isinstance(name, str):
        raise records.DataError(
            f'{where}: expected a string in "_id", got {short(json.dumps(name))}; write it in quotes'
        )
    if is_bad_id(name):
        raise records.DataError(
            f'{where}: "_id" {name!r} is empty or has white space at an end, a tab or a line break; rename it'
        )
    _refuse_surrogates(name, "_id", where)
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
    _refuse_surrogates(value, key, where)
    return value


def _refuse_surrogates(value: str, key: str, where: str) -> None:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        bad = f"\\u{ord(value[error.start]):04x}"
        raise records.DataError(
            f'{where}: "{key}" holds half a character, {bad}; expected whole ones, write the surrogate pair'
        ) from None


def is_bad_id(name: str) -> bool:
    return not name or name != name.strip() or any(mark in name for mark in "\t\n\r")


def short(text: str, limit: int = 60) -> str:
    return repr(text if len(text) <= limit else text[:limit] + "...")
