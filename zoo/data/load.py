"""Collections by registered name, folder, file or name in ir_datasets.

toy, scifact, ml-1m, ...      `zoo.data.catalog`
ir:beir/scifact/test          a dataset of the package ir_datasets (`zoo.data.irds`)
FOLDER                        BEIR's layout (`zoo.data.files`), a log of events with or without
                              items (`zoo.data.histories`), or a TFDS dataset of either
FILE                          a log of events
ratings.csv?user=uid&item=sku&time=when    the same, with the columns named
"""

from __future__ import annotations

import difflib
import os
import pathlib
import sys
import urllib.parse
from collections.abc import Mapping

from zoo import records
from zoo.data import catalog, columns, events, files, histories, irds, tabular


def load(name_or_path: str | os.PathLike) -> records.Collection | records.Interactions:
    """The collection of a name or a path; `./toy` is the folder, `toy` the registered name.

    Prints to stderr, a line each, the licence of data that others made, before it is downloaded,
    and the notes of the collection: columns that were guessed, judgements of missing documents.

    Raises DataError listing the names if there is no such data, and for anything that the loader
    finds wrong.
    """
    name = os.fspath(name_or_path)
    found = _load(name)
    for note in found.notes:
        print(f"{name}: {note}", file=sys.stderr)
    return found


def locate(name_or_path: str | os.PathLike) -> str:
    """The name by which `load` finds the same data from any working directory."""
    name = os.fspath(name_or_path)
    if name in catalog.CATALOG or name.startswith(irds.PREFIX):
        return name
    path, named = _split(name)
    return _join(str(path.resolve()), named)


def exists(name_or_path: str | os.PathLike) -> bool:
    """Whether there is something that `load` would read."""
    name = os.fspath(name_or_path)
    return name in catalog.CATALOG or name.startswith(irds.PREFIX) or _split(name)[0].exists()


def with_columns(name_or_path: str | os.PathLike, text: str | None) -> str:
    """The name of a log whose columns are named by `--columns user=...,item=...,time=...`.

    >>> with_columns("ratings.csv", "user=uid,item=sku")
    'ratings.csv?user=uid&item=sku'
    """
    name = os.fspath(name_or_path)
    return name if text is None else _join(name, columns.parse(text))


def holds_dataset(folder: pathlib.Path) -> bool:
    """Whether a folder is what TFDS keeps of a dataset: table/version/dataset_info.json."""
    return any(folder.glob("*/*/dataset_info.json"))


def _load(name: str) -> records.Collection | records.Interactions:
    if name in catalog.CATALOG:
        entry = catalog.CATALOG[name]
        if entry.address:
            print(f"{name}: licence {entry.licence}; from {entry.address}", file=sys.stderr)
        return entry.load()
    if name.startswith(irds.PREFIX):
        return irds.load(name)
    path, named = _split(name)
    if path.is_dir():
        return _load_folder(path, named)
    if path.exists():
        return _load_file(path, named)
    close = difflib.get_close_matches(name, catalog.CATALOG, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise records.DataError(
        f"no file, no folder and no collection {name!r}; {hint}names: "
        f"{', '.join(catalog.CATALOG)}; a folder needs corpus.jsonl, or interactions.csv"
    )


def _load_folder(
    folder: pathlib.Path, named: Mapping[str, str]
) -> records.Collection | records.Interactions:
    if histories.holds_interactions(folder) or named:
        return histories.read(folder, named)
    if files.holds_corpus(folder):
        return files.read_beir(folder)
    if holds_dataset(folder):
        from zoo.data import tfds_read  # needs TFDS

        return tfds_read.read(folder)
    if events.find(folder) is not None:
        return histories.read(folder)
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:3]) or "nothing"
    raise records.DataError(
        f"{folder}: expected a folder with corpus.jsonl (BEIR's layout), or a log of events such "
        f"as interactions.csv with a user and an item column, found {found}; documents of other "
        f"kinds are made readable by: zoo data import {folder} --out NEW"
    )


def _load_file(path: pathlib.Path, named: Mapping[str, str]) -> records.Interactions:
    if tabular.ending(path) in tabular.ENDINGS or events.is_sequences(path) or named:
        if named or events.is_log(path):
            return histories.read(path, named)
    raise records.DataError(
        f"{path}: expected a folder, or a log with a user and an item column, got another file; "
        f"name the columns (--columns user=NAME,item=NAME) if it is a log, or make a collection of "
        f"its documents: zoo data import {path} --out NEW"
    )


def _split(name: str) -> tuple[pathlib.Path, dict[str, str]]:
    """(path, role -> column) of `path?role=column&...`; a path may hold question marks."""
    path, mark, query = name.rpartition("?")
    if not mark or pathlib.Path(name).exists():
        return pathlib.Path(name), {}
    try:
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        return pathlib.Path(name), {}
    if not all(role in (columns.USER, columns.ITEM, columns.TIME) for role, _ in pairs):
        return pathlib.Path(name), {}
    return pathlib.Path(path), dict(pairs)


def _join(path: str, named: Mapping[str, str]) -> str:
    query = urllib.parse.urlencode(named, quote_via=urllib.parse.quote)
    return f"{path}?{query}" if named else path
