"""Reads and writes collections in the BEIR layout, query files and TREC runs; refuses broken input in one line.

The BEIR layout is a folder with

    corpus.jsonl            one JSON object a line: "_id", "text" and, if there is one, "title"
    queries.jsonl           one JSON object a line: "_id", "text"
    qrels/SPLIT.tsv         query id, document id, integer grade, separated by tabs; a header line may stand first

each of which may end in `.gz`. Ids are strings, unique, without white space at the ends and without tabs or line breaks.
Text is UTF-8; a byte order mark is accepted, blank lines are skipped, further JSON keys are ignored. `queries.jsonl` and
`qrels/` may be missing together: such a folder can be indexed and searched, not trained on queries or evaluated.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pathlib
import re
import zlib
from collections.abc import Container, Iterator
from typing import Literal

import numpy as np

from zoo import records
from zoo.data import atomic

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_GRADE = re.compile(r"-?[0-9]{1,9}")


def read_beir(folder: str | os.PathLike, *, empty: Literal["refuse", "drop"] = "refuse") -> records.Collection:
    """The collection in a folder, named after it, with documents and queries in file order.

    empty: what to do with a document whose title and text are both blank: refuse the collection, or drop the document
      with its judgements (and a query left without any judgement loses its place in the split).
    Raises DataError on the first thing that is wrong, naming file and line.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise records.DataError(
            f"{folder}: expected a folder with corpus.jsonl, {'got a file' if folder.exists() else 'found nothing'}"
        )
    corpus, dropped = _read_corpus(present(folder / "corpus.jsonl"), empty)
    queries_path, qrels_folder = plain_or_zipped(folder / "queries.jsonl"), folder / "qrels"
    splits = qrels_files(qrels_folder) if qrels_folder.is_dir() else {}
    if queries_path is None and not splits:
        return records.Collection(folder.resolve().name, corpus, records.Queries((), ()), {})
    if queries_path is None:
        raise records.DataError(f"{folder}: has qrels/ but no queries.jsonl; add it, or remove qrels/ to use the documents alone")
    if not splits:
        raise records.DataError(
            f"{folder}: has queries.jsonl but no qrels/SPLIT.tsv; add qrels/test.tsv, or pass the queries by themselves"
        )
    queries = read_queries(queries_path)
    known_queries, known_documents = set(queries.ids), set(corpus.ids)
    qrels = {split: read_qrels(path, known_queries, known_documents, dropped) for split, path in splits.items()}
    return records.Collection(folder.resolve().name, corpus, queries, qrels)


def read_queries(path: str | os.PathLike) -> records.Queries:
    """The queries of a JSON-lines file of objects with "_id" and "text".

    Raises DataError naming file and line.
    """
    path = pathlib.Path(path)
    ids: dict[str, int] = {}
    texts = []
    for line, where, record in objects_of(path):
        _take_id(ids, record, line, where)
        texts.append(_string(record, "text", where))
        if not texts[-1].strip():
            raise records.DataError(f'{where}: expected a query in "text", got blanks; write the query or remove the line')
    if not ids:
        raise records.DataError(f"{path}: expected at least one query, got an empty file")
    return records.Queries(tuple(ids), tuple(texts))


def write_beir(collection: records.Collection, folder: str | os.PathLike) -> None:
    """Writes a collection so that `read_beir` gives it back; the folder appears whole or not at all.

    Raises DataError if the folder exists and is not empty, an id cannot stand in a line of tab-separated values, or there
    are queries that nothing judges.
    """
    if len(collection.queries) and not collection.qrels:
        raise records.DataError(f"{folder}: cannot write queries without judgements; add a split to qrels or drop the queries")
    for name in (*collection.corpus.ids, *collection.queries.ids):
        if is_bad_id(name):
            raise records.DataError(
                f"{folder}: cannot write the id {name!r}; ids need no white space at the ends, no tabs, no line breaks"
            )
    with atomic.folder(folder) as part, _unpaired_surrogates_named(folder):
        corpus = collection.corpus
        with open(part / "corpus.jsonl", "w", encoding="utf-8", newline="\n") as out:
            for name, title, text in zip(corpus.ids, corpus.titles, corpus.texts):
                out.write(json.dumps({"_id": name, "title": title, "text": text}, ensure_ascii=False) + "\n")
        if not collection.qrels:
            return
        with open(part / "queries.jsonl", "w", encoding="utf-8", newline="\n") as out:
            for name, text in zip(collection.queries.ids, collection.queries.texts):
                out.write(json.dumps({"_id": name, "text": text}, ensure_ascii=False) + "\n")
        (part / "qrels").mkdir()
        for split, qrels in collection.qrels.items():
            with open(part / "qrels" / f"{split}.tsv", "w", encoding="utf-8", newline="\n") as out:
                out.write("query-id\tcorpus-id\tscore\n")
                for query, judged in qrels.grades.items():
                    out.writelines(f"{query}\t{document}\t{grade}\n" for document, grade in judged.items())


def write_trec(ranking: records.Ranking, path: str | os.PathLike, tag: str) -> None:
    """Writes a run for other tools: `query Q0 document rank score tag`, rank from 1.

    TREC tools order a run by score alone and break ties by document id. Where a score is not below the one before it, the
    next smaller 32-bit float is written instead, so that they see the order of the ranking.
    Raises DataError if an id or the tag holds white space, or a score is not finite.
    """
    for name in (tag, *ranking.query_ids, *ranking.corpus_ids):
        if not name or name.split() != [name]:
            raise records.DataError(
                f"{path}: a TREC run cannot hold {name!r}; ids and tag need at least one character and no white space"
            )
    with atomic.file(path) as out:
        for row, query in enumerate(ranking.query_ids):
            before = np.float32(np.inf)
            for rank, (document, score) in enumerate(ranking.answers(row), start=1):
                if not np.isfinite(score):
                    raise records.DataError(f"{path}: query {query}, document {document}: expected a finite score, got {score}")
                before = min(np.float32(score), np.nextafter(before, np.float32(-np.inf)))
                out.write(f"{query} Q0 {document} {rank} {before:.9g} {tag}\n")


def read_trec(path: str | os.PathLike, corpus_ids: tuple[str, ...]) -> records.Ranking:
    """The ranking in a TREC run, by descending score (equal scores: by the written rank), queries in file order.

    Raises DataError naming file and line for a malformed line, an unknown document or one that is ranked twice.
    """
    rows = {name: row for row, name in enumerate(corpus_ids)}
    answers: dict[str, list[tuple[float, int, int]]] = {}
    seen = set()
    for line, text in lines_of(pathlib.Path(path)):
        cells, where = text.split(), f"{path}:{line}"
        try:
            query, _, document, rank, score, _ = cells
            entry = (-float(score), int(rank))
        except ValueError:
            raise records.DataError(f"{where}: expected `query Q0 document rank score tag`, got {short(text)}") from None
        if document not in rows:
            raise records.DataError(
                f"{where}: document {document!r} is not in the corpus; use the corpus that the run was made on"
            )
        if (query, document) in seen:
            raise records.DataError(f"{where}: document {document!r} is ranked twice for query {query!r}; remove one line")
        if not np.isfinite(entry[0]):
            raise records.DataError(f"{where}: expected a finite score, got {score}")
        seen.add((query, document))
        answers.setdefault(query, []).append((*entry, rows[document]))
    if not answers:
        raise records.DataError(f"{path}: expected at least one line, got an empty file")
    documents = np.full((len(answers), max(map(len, answers.values()))), -1, np.int32)
    scores = np.full(documents.shape, -np.inf, np.float32)
    for row, ranked in enumerate(answers.values()):
        for column, (negative_score, _, document) in enumerate(sorted(ranked)):
            documents[row, column], scores[row, column] = document, -negative_score
    return records.Ranking(tuple(answers), tuple(corpus_ids), documents, scores)


def _read_corpus(path: pathlib.Path, empty: str) -> tuple[records.Corpus, set[str]]:
    ids: dict[str, int] = {}
    titles, texts, dropped = [], [], set()
    for line, where, record in objects_of(path):
        name = _take_id(ids, record, line, where)
        _, title, text = document_of(record, where)
        if empty == "drop" and not (title.strip() or text.strip()):
            dropped.add(name)
            continue
        refuse_empty(name, title, text, where)
        titles.append(title)
        texts.append(text)
    kept = tuple(name for name in ids if name not in dropped)
    if not kept:
        raise records.DataError(f"{path}: expected at least one document, got an empty file")
    return records.Corpus(kept, tuple(titles), tuple(texts)), dropped


def qrels_files(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Split -> file, sorted by split."""
    splits = {}
    for path in sorted(folder.iterdir()):
        name = path.name.removesuffix(".gz")
        if name.endswith(".tsv") and not name.startswith("."):
            if name.removesuffix(".tsv") in splits:
                raise records.DataError(f"{folder}: has both {name} and {name}.gz; remove one")
            splits[name.removesuffix(".tsv")] = path
    return splits


def read_qrels(path: pathlib.Path, queries: Container[str], documents: Container[str] | None, dropped: Container[str] = ()) -> records.Qrels:
    """The judgements of a file of tab-separated lines.

    documents: those there are; None: any. dropped: those whose judgements are left out.
    Raises DataError naming file and line.
    """
    grades: dict[str, dict[str, int]] = {}
    first = True
    for line, text in lines_of(path):
        cells, where, is_first, first = text.split("\t"), f"{path}:{line}", first, False
        if len(cells) != 3:
            raise records.DataError(
                f"{where}: expected 3 columns separated by tabs (query-id, corpus-id, score), got {len(cells)} in {short(text)}"
            )
        query, document, grade = (cell.strip() for cell in cells)
        if is_first and not _is_number(grade):
            continue  # a header
        if not _GRADE.fullmatch(grade):
            raise records.DataError(
                f"{where}: expected an integer grade, got {short(grade)}; round it, or map it to 0, 1, 2, ..."
            )
        value = int(grade)
        if query not in queries:
            raise records.DataError(f"{where}: query {query!r} is not in queries.jsonl; add it there or remove this line")
        if document in dropped:
            continue
        if documents is not None and document not in documents:
            raise records.DataError(f"{where}: document {document!r} is not in corpus.jsonl; add it there or remove this line")
        if grades.setdefault(query, {}).setdefault(document, value) != value:
            known = grades[query][document]
            raise records.DataError(
                f"{where}: query {query!r} and document {document!r} have grade {known} above and {value} here; keep one"
            )
    if not any(grade > 0 for judged in grades.values() for grade in judged.values()):
        raise records.DataError(
            f"{path}: expected at least one query with a grade above 0, got none; add judgements or remove the file"
        )
    return records.Qrels(grades)


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
        raise records.DataError(f"{where}: expected a JSON object, got bad JSON at column {error.colno}: {error.msg}") from None
    except (RecursionError, ValueError) as error:  # nested too deep, or a number with thousands of digits
        raise records.DataError(f"{where}: expected a JSON object, got one that cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise records.DataError(f"{where}: expected a JSON object {{...}}, got {short(text)}")
    return value


def lines_of(path: pathlib.Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text without its line end) of each line of a UTF-8 file, plain or gzipped, that is not blank."""
    if path.is_dir() or not path.exists():
        raise records.DataError(f"{path}: expected a file, {'got a folder' if path.is_dir() else 'found nothing'}")
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                text = text_of(line.removeprefix(BYTE_ORDER_MARK if number == 1 else b""), f"{path}:{number}")
                if text.strip():
                    yield number, text
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise records.DataError(f"{path}: expected a whole gzip file, got one that breaks after line {number}: {error}") from None
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


def document_of(record: dict, where: str) -> tuple[str, str, str]:
    """Id, title and text of a document of corpus.jsonl; both of the last are blank in some."""
    title = "" if record.get("title") is None else _string(record, "title", where)
    return _id(record, where), title, _string(record, "text", where)


def refuse_empty(name: str, title: str, text: str, where: str) -> None:
    """Raises DataError if a document says nothing."""
    if not (title.strip() or text.strip()):
        raise records.DataError(
            f'{where}: expected "title" or "text" with content, got document {name!r} with neither; '
            "add its text, or remove this line and the qrels lines that name it"
        )


def _take_id(ids: dict[str, int], record: dict, line: int, where: str) -> str:
    name = _id(record, where)
    if name in ids:
        raise records.DataError(
            f'{where}: "_id" {name!r} stands already on line {ids[name]}; ids must be unique, rename or remove one'
        )
    ids[name] = line
    return name


def _id(record: dict, where: str) -> str:
    if "_id" not in record:
        raise records.DataError(f'{where}: expected the key "_id", found {short(", ".join(record)) if record else "no key"}')
    name = record["_id"]
    if not isinstance(name, str):
        raise records.DataError(f'{where}: expected a string in "_id", got {short(json.dumps(name))}; write it in quotes')
    if is_bad_id(name):
        raise records.DataError(
            f'{where}: "_id" {name!r} is empty or has white space at an end, a tab or a line break; rename it'
        )
    _refuse_surrogates(name, "_id", where)
    return name


def _string(record: dict, key: str, where: str) -> str:
    if key not in record:
        raise records.DataError(f'{where}: expected the key "{key}", found {short(", ".join(record))}')
    value = record[key]
    if not isinstance(value, str):
        raise records.DataError(f'{where}: expected a string in "{key}", got {short(json.dumps(value))}')
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


@contextlib.contextmanager
def _unpaired_surrogates_named(folder: str | os.PathLike) -> Iterator[None]:
    try:
        yield
    except UnicodeEncodeError as error:
        text = short(error.object)
        raise records.DataError(
            f"{folder}: cannot write {text} as UTF-8: it holds half a character (an unpaired surrogate)"
        ) from None


def corpus_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files of a corpus: corpus.jsonl, or all of the folder corpus, where one too large for one file is kept."""
    parts = [path for path in sorted((folder / "corpus").glob("*")) if path.name.removesuffix(".gz").endswith(".jsonl")]
    return parts or [present(folder / "corpus.jsonl")]


def present(path: pathlib.Path) -> pathlib.Path:
    """The file, plain or zipped; raises DataError if there is neither."""
    found = plain_or_zipped(path)
    if found is None:
        raise records.DataError(
            f"{path}: expected a file of this name or with .gz, found neither; see the BEIR layout: corpus.jsonl is required"
        )
    return found


def plain_or_zipped(path: pathlib.Path) -> pathlib.Path | None:
    zipped = path.with_name(path.name + ".gz")
    if path.exists() and zipped.exists():
        raise records.DataError(f"{path.parent}: has both {path.name} and {zipped.name}; remove one")
    return next((candidate for candidate in (path, zipped) if candidate.exists()), None)


def is_bad_id(name: str) -> bool:
    return not name or name != name.strip() or any(mark in name for mark in "\t\n\r")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def short(text: str, limit: int = 60) -> str:
    return repr(text if len(text) <= limit else text[:limit] + "...")
