"""Documents as people have them: a folder of text files, one table, or a mailbox.

    FOLDER of .txt, .md, .rst, .html, .eml    one document a file, called by its path in the folder
    FILE.mbox, or a Maildir                   one document a message, called by its Message-ID
    FILE.csv, .tsv, .jsonl, .json, .parquet   one document a row; columns by their usual names
                                              (`zoo.data.columns`), or as the user names them

Everything is reported: what was taken for what, and what was left out.
"""

from __future__ import annotations

import codecs
import collections
import json
import mailbox
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from zoo import records
from zoo.data import columns, items, jsonl, markup, tabular

KINDS: Mapping[str, Callable[[str], tuple[str, str]]] = {
    ".txt": markup.plain,
    ".text": markup.plain,
    ".md": markup.markdown,
    ".markdown": markup.markdown,
    ".rst": markup.restructured,
    ".html": markup.html_page,
    ".htm": markup.html_page,
    ".xhtml": markup.html_page,
}
MAIL = ".eml"
TABLES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".dat")


class Documents(NamedTuple):
    """Documents, and what a user should know about how they were read."""

    corpus: records.Corpus
    notes: tuple[str, ...]


def read(
    path: str | os.PathLike, named: Mapping[str, str] | None = None, *, encoding: str | None = None
) -> Documents:
    """The documents of a folder or a file, in the order of their paths or of the file.

    named: role (id, title, text) -> column of a table; several columns of text joined by `+`.
    encoding: of text files that are neither UTF-8 nor declare one; None: Windows-1252 for HTML.
    Raises DataError, naming the file, for what cannot be read and if there is no document with
    text.
    """
    path = pathlib.Path(path)
    try:
        codecs.lookup(encoding or "utf-8")
    except LookupError:
        raise records.DataError(
            f"no encoding {encoding!r}; expected a name that Python knows, such as latin-1"
        ) from None
    if path.is_dir() and all((path / name).is_dir() for name in ("cur", "new", "tmp")):
        found, notes = list(_messages(path, mailbox.Maildir(path, create=False))), []
    elif path.is_dir():
        found, notes = _read_folder(path, encoding)
    elif not path.exists():
        raise records.DataError(f"{path}: expected a folder or a file of documents, found nothing")
    elif path.suffix.lower() == ".mbox":
        found, notes = list(_messages(path, mailbox.mbox(path, create=False))), []
    elif tabular.ending(path) in TABLES:
        found, notes = _read_table(path, named or {})
    elif path.suffix.lower() in (*KINDS, MAIL):
        found, notes = [_read_file(path, path.name, encoding)], []
    else:
        raise records.DataError(
            f"{path}: expected a folder of {', '.join((*KINDS, MAIL))}, or a file of "
            f"{', '.join((*TABLES, '.mbox'))}; got {path.suffix or 'no ending'}"
        )
    return _collect(path, found, notes)


def _collect(path: Any, found: Sequence[tuple[str, str, str]], notes: list[str]):
    """Documents with unique ids and text; the others are named or counted."""
    blank = [name for name, title, text in found if not (title.strip() or text.strip())]
    kept = [one for one in found if one[1].strip() or one[2].strip()]
    if not kept:
        what = f"found {len(blank)} without text" if blank else "found none"
        raise records.DataError(f"{path}: expected at least one document with text, {what}")
    if blank:
        notes.append(f"{len(blank)} documents without text are left out, such as {blank[0]}")
    counts = collections.Counter(name for name, _, _ in kept)
    (name, count), *_ = counts.most_common(1)
    if count > 1:
        raise records.DataError(
            f"{path}: {count} documents have the id {name!r}; ids must be unique: name another "
            "column (--columns id=NAME), or --columns id= to number them"
        )
    ids, titles, texts = zip(*kept)
    titled = sum(bool(title) for title in titles)
    notes.insert(0, f"{len(ids)} documents, {titled} with a title")
    return Documents(records.Corpus(ids, titles, texts), tuple(notes))


def _read_folder(folder: pathlib.Path, encoding: str | None):
    found, others, kinds = [], collections.Counter(), collections.Counter()
    for path in _files(folder):
        kind = path.suffix.lower()
        if kind not in KINDS and kind != MAIL:
            others[kind or "no ending"] += 1
            continue
        kinds[kind] += 1
        found.append(_read_file(path, path.relative_to(folder).as_posix(), encoding))
    if not found:
        raise records.DataError(
            f"{folder}: expected files of {', '.join((*KINDS, MAIL))}, found "
            f"{_counted(others) or 'no files'}; of tables and mailboxes name the file itself"
        )
    notes = [f"read {_counted(kinds)}, called by their paths"]
    if others:
        notes.append(f"left out {_counted(others)}")
    return found, notes


def _files(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Regular files by path; without hidden ones, and without following links to folders."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = pathlib.Path(place, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _read_file(path: pathlib.Path, name: str, encoding: str | None) -> tuple[str, str, str]:
    """(id, title, text) of a file."""
    try:
        jsonl.refuse_surrogates(name, "name", str(path.parent))
        content = path.read_bytes().removeprefix(jsonl.BYTE_ORDER_MARK)
    except OSError as error:
        raise records.DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    if jsonl.is_bad_id(name):
        raise records.DataError(
            f"{path}: its name cannot be an id: white space at an end, a tab or a line break; "
            "rename the file"
        )
    kind = path.suffix.lower()
    if kind == MAIL:
        return name, *_safely(path, markup.mail, content)
    is_page = KINDS[kind] is markup.html_page
    text = _decode(path, content, is_page, encoding)
    if "\x00" in text:
        raise records.DataError(f"{path}: expected text, found a zero byte; remove the file")
    title, body = _safely(path, KINDS[kind], text)
    return name, title or path.stem.replace("_", " ").replace("-", " "), body


def _decode(path: pathlib.Path, content: bytes, is_page: bool, encoding: str | None) -> str:
    """Text by a mark of UTF-16, the charset that a page declares, UTF-8, or the named encoding.

    A page that declares nothing is windows-1252, as browsers take it.
    """
    declared = markup.charset_of(content) if is_page else None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        declared = "utf-16"
    tried = [declared] if declared else ["utf-8", encoding or ("cp1252" if is_page else "utf-8")]
    for name in tried:
        try:
            return content.decode(name)
        except (UnicodeDecodeError, LookupError) as error:
            failed = error
    raise records.DataError(
        f"{path}: expected text in {tried[-1]}: {failed}; name its encoding with --encoding"
    ) from None


def _safely(path: Any, parse: Callable, content: Any) -> tuple[str, str]:
    """Title and text; DataError where a parser of the standard library gives up."""
    try:
        title, text = parse(content)
    except Exception as error:  # of many types: ValueError, AssertionError, LookupError
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise records.DataError(f"{path}: cannot be read ({reason}); remove it") from None
    return tuple(part.encode("utf-8", "replace").decode() for part in (title, text))


def _messages(path: pathlib.Path, box: mailbox.Mailbox) -> Iterator[tuple[str, str, str]]:
    """(id, subject, text) of each message; those without a usable Message-ID are numbered."""
    seen = set()
    try:
        for number, key in enumerate(sorted(box.iterkeys()), start=1):
            where = f"{path}: message {number}"
            content = box.get_bytes(key)
            title, text = _safely(where, markup.mail, content)
            name, _ = _safely(where, _message_id, content)
            name = name if name and not jsonl.is_bad_id(name) and name not in seen else str(number)
            seen.add(name)
            yield name, title, text
    finally:
        box.close()


def _message_id(content: bytes) -> tuple[str, str]:
    import email

    found = email.message_from_bytes(content)
    return "".join(str(found.get("message-id") or "").split()).strip("<>"), ""


def of_rows(header: Sequence[str], rows: Sequence[Mapping[str, Any]], where: str) -> Documents:
    """The documents of rows in memory, by their usual columns; numbered from 0 without an id."""
    placed = ((f"{where}: row {number}", row) for number, row in enumerate(rows))
    return _collect(where, *_of_table(header, placed, {}, where, first=0))


def _read_table(path: pathlib.Path, named: Mapping[str, str]):
    header, rows, later = _rows(path, named)
    found, notes = _of_table(header, rows, named, f"{path}:1", first=1)
    return found, [*notes, *later()]


def _of_table(
    header: Sequence[str],
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    named: Mapping[str, str],
    where: str,
    *,
    first: int,
):
    choice = columns.choose_documents(header, named, where)
    numbered, of = "id" not in choice.of, choice.of
    notes = [f"{role}s are column {column!r}" for role, column in of.items()]
    if numbered:
        notes.append(f"no column is an id: documents are numbered from {first}")
    others = [column for column in header if column not in of.values()]
    if "text" not in of and "title" not in of:
        notes.append(f"no column is a text: texts are made of {', '.join(map(repr, others[:5]))}")
    found = []
    for number, (where, row) in enumerate(rows, start=first):
        for column, value in row.items():
            if isinstance(value, str):
                jsonl.refuse_surrogates(value, column, where)
        name = str(number) if numbered else jsonl.name_of(row.get(of["id"]), of["id"], where)
        title = items.flat(row.get(of["title"])) if "title" in of else ""
        if "text" in of:
            text = "\n".join(filter(None, (items.flat(row.get(c)) for c in of["text"].split("+"))))
        else:
            text = items.describe(row, [c for c in others if items.holds_words(row.get(c))])
        found.append((name, title.strip(), text.strip()))
    return found, notes


def _rows(
    path: pathlib.Path, named: Mapping[str, str]
) -> tuple[tuple[str, ...], Iterator[tuple[str, Mapping[str, Any]]], Callable[[], list[str]]]:
    """Columns, rows, and what is to be said of the rows when all have been read."""
    if tabular.ending(path) == ".json":
        values = _array(path)
        header = tuple(dict.fromkeys(key for value in values for key in value))
        return header, ((f"{path}: object {n}", v) for n, v in enumerate(values, start=1)), list
    if tabular.ending(path) == ".jsonl":
        values = [(where, value) for _, where, value in jsonl.objects_of(path)]
        return tuple(dict.fromkeys(key for _, value in values for key in value)), iter(values), list
    short: list[str] = []
    table = tabular.read(path, headed=True, short=short)
    if _is_data(table.header, named):
        table = tabular.read(path, headed=False, short=short)
    rows = ((where, dict(zip(table.header, cells))) for where, cells in table.rows)

    def notes() -> list[str]:
        found = [] if table.headed else ["no header: columns are called 1, 2, ..."]
        if short:
            found.append(
                f"{len(short)} rows have fewer cells than the first line, such as {short[0]}; "
                "those that are missing are taken as empty"
            )
        return found

    return table.header, rows, notes


def _is_data(header: Sequence[str], named: Mapping[str, str]) -> bool:
    """Whether the first line is a row: it names nothing, and holds a number or an address.

    Or the user names columns by number.
    """
    asked = [part for column in named.values() for part in column.split("+") if part]
    if asked:
        return all(part.isdecimal() and part not in header for part in asked)
    if columns.choose_documents(header, {}, "").of:
        return False
    return any(cell.replace(".", "", 1).isdecimal() or "://" in cell for cell in header)


def _array(path: pathlib.Path) -> list[dict]:
    """The objects of a JSON file that is one array."""
    text = "".join(line for _, line in jsonl.raw_lines(path))
    value = jsonl.value_of(text, str(path))
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise records.DataError(
            f"{path}: expected an array of JSON objects, got {jsonl.short(json.dumps(value))}; "
            "write one object a line and call the file .jsonl if they stand alone"
        )
    return value


def _counted(kinds: Mapping[str, int]) -> str:
    most = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    more = f" and {len(most) - 8} other kinds" if len(most) > 8 else ""
    return ", ".join(f"{count} {kind}" for kind, count in most[:8]) + more
