"""Makes a folder that every command reads out of documents or a log as people have them."""

from __future__ import annotations

import os
import pathlib

from zoo import records
from zoo.data import atomic, columns, documents, events, files, histories, tabular

_DOCUMENT_ROLES = ("id", "title", "text")


def convert(
    path: str | os.PathLike,
    out: str | os.PathLike,
    *,
    named: str | None = None,
    encoding: str | None = None,
) -> list[str]:
    """Writes a new folder from `path`, and returns what was taken for what, a line each.

    A log of events (a table with a user and an item column, or a folder that holds one) becomes
    items.jsonl and sequences.jsonl; documents (`zoo.data.documents`) become BEIR's corpus.jsonl.

    named: as --columns has it, `user=...,item=...,time=...` or `id=...,title=...,text=...`.
    encoding: of text files that are neither UTF-8 nor say what they are.
    Raises DataError if `out` is not empty or anything cannot be read; `out` is then as it was.
    """
    path = pathlib.Path(path)
    atomic.refuse_occupied(out)
    if not path.exists():
        raise records.DataError(f"{path}: expected a folder or a file, found nothing")
    if path.is_dir() and files.holds_corpus(path):
        raise records.DataError(
            f"{path}: is in BEIR's layout already; name it with --data, without importing it"
        )
    as_log, roles = _kind(path, named)
    if as_log:
        found = histories.read(path, roles)
        histories.write(found, out)
        return [
            f"a log: {len(found.histories)} users, {len(found.corpus)} items, "
            f"{len(found.histories.items)} events; {found.left_out} users with fewer than "
            f"{histories.FEWEST} events are left out",
            *found.notes,
        ]
    corpus, notes = documents.read(path, roles, encoding=encoding)
    collection = records.Collection(path.resolve().name, corpus, records.Queries((), ()), {})
    files.write_beir(collection, out)
    return list(notes)


def _kind(path: pathlib.Path, named: str | None) -> tuple[bool, dict[str, str]]:
    """Whether the data are a log of events, and the columns that the user names."""
    if named is not None:
        role = named.partition("=")[0].strip()
        if role in _DOCUMENT_ROLES:
            return False, columns.parse(named, _DOCUMENT_ROLES)
        return True, columns.parse(named)
    if path.is_dir():
        return bool(events.named_files(path)) or events.find(path) is not None, {}
    return tabular.ending(path) in tabular.ENDINGS and events.is_log(path), {}
