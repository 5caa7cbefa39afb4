"""What items are called and described by, from a table or JSON lines beside a log of events.

    items.jsonl      one JSON object a line: "_id" (or "id", "item", "item_id"), and descriptions
    items.csv, .tsv, .parquet    the same as a table
    NAME.item        RecBole's: the column item_id:token, and descriptions

Without a file of one of these names, `movies`, `products`, `books`, ... with a column for the item
will do. The title of an item is its "title" or "name"; its text is its "text", else brand,
categories, genres, year and description as far as it has them, then every other column that is
text: no number, no address, nothing nested.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from zoo import records
from zoo.data import columns, jsonl, tabular

DESCRIBED_BY = ("brand", "categories", "class", "genres", "year", "release_year", "description")
_TITLES = ("title", "movie_title", "name")
_IDS = ("_id", "id", "item", "item_id")
_STEMS = (
    *("movies", "films", "products", "books", "games", "articles", "news", "tracks", "songs"),
    *("artists", "videos", "recipes", "venues", "businesses", "courses", "meta", "metadata"),
)
_NO_WORDS = re.compile(
    r"[\W\d_]*([eE][+-]?\d+)?|nan|inf|(https?|ftp)://\S*|www\.\S*", re.IGNORECASE
)


def find(folder: pathlib.Path) -> pathlib.Path | None:
    """The file of items in a folder; None if there is none.

    Raises DataError if there are several.
    """
    tables = [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and tabular.ending(path) in tabular.ENDINGS
    ]
    named = [path for path in tables if _stem(path) == "items" or tabular.ending(path) == ".item"]
    usual = [path for path in tables if _stem(path) in _STEMS and _has_items(path)]
    for found in (named, usual):
        if len(found) > 1:
            raise records.DataError(
                f"{folder}: has {' and '.join(path.name for path in found)}; remove all but one"
            )
        if found:
            return found[0]
    return None


def read(path: pathlib.Path) -> records.Corpus:
    """The items of a file in its order; DataError naming file and line."""
    lines: dict[str, str] = {}
    titles, texts = [], []
    for where, row in _rows(path):
        name = _item_id(row, where)
        if name in lines:
            raise records.DataError(
                f"{where}: item {name!r} stands already on line {lines[name].rpartition(':')[2]}; "
                "ids must be unique, remove one"
            )
        lines[name] = where
        titles.append(next((flat(row[key]) for key in _TITLES if row.get(key)), ""))
        texts.append(flat(row["text"]) if "text" in row else describe(row, _text_keys(row)))
    if not lines:
        raise records.DataError(f"{path}: expected at least one item, got an empty file")
    return records.Corpus(tuple(lines), tuple(titles), tuple(texts))


def describe(row: Mapping, keys: Iterable[str] = DESCRIBED_BY) -> str:
    """The text of an item, made from the values of these keys that it has.

    >>> describe({"year": 1994, "brand": "Acme"})
    'brand: Acme; year: 1994'
    """
    return "; ".join(f"{key}: {flat(row[key])}" for key in keys if row.get(key))


def _rows(path: pathlib.Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if tabular.ending(path) == ".jsonl":
        yield from ((where, row) for _, where, row in jsonl.objects_of(path))
        return
    table = tabular.read(path, headed=True)
    if table.header and columns.item_of(table.header) is None:
        raise records.DataError(
            f"{path}:1: expected a header with the column {' or '.join(_IDS)}, got "
            f"{jsonl.short(', '.join(table.header))}"
        )
    for where, cells in table.rows:
        yield where, dict(zip(table.header, cells))


def _has_items(path: pathlib.Path) -> bool:
    """Whether the header of a table names items, and no users; False for what cannot be read."""
    try:
        header = tabular.read(path).header
    except records.DataError:
        return False
    return columns.item_of(header) is not None and not columns.is_log(header)


def _item_id(row: Mapping, where: str) -> str:
    key = columns.item_of(list(row))
    if key is None:
        raise records.DataError(
            f'{where}: expected the key "_id", found '
            f"{jsonl.short(', '.join(row)) if row else 'no key'}"
        )
    value = row[key]
    return jsonl.name_of(value.strip(" ") if isinstance(value, str) else value, key, where)


def _text_keys(row: Mapping) -> list[str]:
    """DESCRIBED_BY, and then all keys whose values hold words, in the order of the file."""
    named = (*_IDS, *_TITLES, *DESCRIBED_BY, columns.item_of(list(row)))
    return [*DESCRIBED_BY, *(key for key in row if key not in named and holds_words(row[key]))]


def holds_words(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(map(holds_words, value))
    return isinstance(value, str) and bool(value.strip()) and not _NO_WORDS.fullmatch(value.strip())


def flat(value: Any) -> str:
    """Text of a value of JSON; the parts of nested lists are separated by commas."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(flat, value)))
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return "" if value is None else str(value)


def _stem(path: pathlib.Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[0].lower()
