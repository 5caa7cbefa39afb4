"""Collections from Python objects: texts, dicts and data frames."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from zoo import records
from zoo.data import columns, documents, events, histories

NAME = "memory"  # of a collection that no file holds
ACCEPTED = (
    "a name of `zoo data list`, a path, a zoo.Collection, zoo.Interactions or zoo.Corpus, a list "
    'of texts, a dict of texts by id, or a list of dicts or a data frame with a column "text" '
    '(and "_id" and "title"), or with columns "user" and "item" (and "timestamp")'
)


def collect(data: Any) -> records.Collection | records.Interactions:
    """The collection of documents, or of events if rows have a user and an item.

    Documents without an id are called by their position, from "0". Documents without text are left
    out and noted.
    Raises TypeError saying what is accepted; DataError for what cannot be read.
    """
    if isinstance(data, records.Corpus):
        return _collection(data, ())
    rows = _rows(data)
    if not rows:
        raise records.DataError("data: expected at least one document or event, got none")
    header = list(dict.fromkeys(column for row in rows for column in row))
    if columns.is_log(header):
        found = events.of_rows(header, rows, "data")
        return histories.build(NAME, None, found, "data")
    read = documents.of_rows(header, rows, "data")
    return _collection(read.corpus, read.notes)


def _collection(corpus: records.Corpus, notes: tuple[str, ...]) -> records.Collection:
    return records.Collection(NAME, corpus, records.Queries((), ()), {}, notes)


def _rows(data: Any) -> list[dict[str, Any]]:
    """A dict per document or event, from column to value."""
    if isinstance(data, Mapping):
        data = [{"_id": name, "text": text} for name, text in data.items()]
    elif hasattr(data, "to_dict") and hasattr(data, "columns"):  # pandas
        data = data.to_dict("records")
    elif hasattr(data, "to_dicts"):  # polars
        data = data.to_dicts()
    elif hasattr(data, "to_pylist"):  # pyarrow
        data = data.to_pylist()
    if isinstance(data, (str, bytes)) or not isinstance(data, Iterable):
        raise TypeError(f"data: expected {ACCEPTED}; got {type(data).__name__}")
    rows = []
    for number, row in enumerate(data):
        if not isinstance(row, (str, Mapping)):
            raise TypeError(f"data: expected {ACCEPTED}; got {type(row).__name__} at {number}")
        cells = {"text": row} if isinstance(row, str) else row
        rows.append({str(column): _plain(value) for column, value in cells.items()})
    return rows


def _plain(value: Any) -> Any:
    """A value as JSON has it: None for a missing one, ISO dates, Python's own numbers."""
    if hasattr(value, "tolist"):  # NumPy
        value = value.tolist()
    if type(value).__name__ in ("NAType", "NaTType"):  # pandas
        return None
    if isinstance(value, float):
        return None if math.isnan(value) else value
    return value.isoformat() if hasattr(value, "isoformat") else value
