"""Reads and writes collections in the BEIR layout, and query files.

The BEIR layout is a folder with

    corpus.jsonl            one JSON object a line: "_id", "text" and, if there is one, "title"
    queries.jsonl           one JSON object a line: "_id", "text"
    qrels/SPLIT.tsv         query id, document id, integer grade, tab-separated (`zoo.data.qrels`)

each of which may end in `.gz`. Ids are unique strings without white space at the ends, tabs and
line breaks. Text is UTF-8; a byte order mark is accepted, blank lines are skipped, further JSON
keys are ignored. `queries.jsonl` and `qrels/` may be missing together: such a folder can be indexed
and searched, but not trained on queries or evaluated.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Literal

from zoo import records
from zoo.data import atomic, jsonl, qrels as judgements

# of the judgements of a split, how many may name documents that are not there: BEIR's own archives
# have a few, while a folder whose judgements are those of another corpus has many
MISSING = 0.01


def read_beir(
    folder: str | os.PathLike,
    *,
    empty: Literal["refuse", "drop"] = "refuse",
    may_miss: float = MISSING,
) -> records.Collection:
    """The collection in a folder, named after it, with documents and queries in file order.

    empty: what to do with a document whose title and text are both blank: refuse the collection, or
      drop the document with its judgements (a query left without any loses its place in the split).
    may_miss: share of the judgements of a split that may name documents that are not there; they
      are kept, count as not found, and are reported in the notes.
    Raises DataError on the first thing that is wrong, naming file and line.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        found = "got a file" if folder.exists() else "found nothing"
        raise records.DataError(f"{folder}: expected a folder with corpus.jsonl, {found}")
    corpus, dropped = _read_corpus(present(folder / "corpus.jsonl"), empty)
    queries_path, qrels_folder = plain_or_zipped(folder / "queries.jsonl"), folder / "qrels"
    splits = judgements.files_of(qrels_folder) if qrels_folder.is_dir() else {}
    if queries_path is None and not splits:
        return records.Collection(folder.resolve().name, corpus, records.Queries((), ()), {})
    if queries_path is None:
        raise records.DataError(
            f"{folder}: has qrels/ but no queries.jsonl; add it, or remove qrels/ to use the "
            "documents alone"
        )
    if not splits:
        raise records.DataError(
            f"{folder}: has queries.jsonl but no qrels/SPLIT.tsv; add qrels/test.tsv, or pass the "
            "queries by themselves"
        )
    queries = read_queries(queries_path)
    known, documents = set(queries.ids), set(corpus.ids)
    qrels = {
        split: judgements.read(path, known, documents, dropped, may_miss=may_miss)
        for split, path in splits.items()
    }
    notes = [judgements.note_missing(split, found, documents) for split, found in qrels.items()]
    if dropped:
        notes.append(f"{len(dropped)} documents without title and text are left out")
    return records.Collection(
        folder.resolve().name, corpus, queries, qrels, tuple(filter(None, notes))
    )


def holds_corpus(folder: pathlib.Path) -> bool:
    """Whether a folder has a file of documents in the BEIR layout."""
    return plain_or_zipped(folder / "corpus.jsonl") is not None


def read_queries(path: str | os.PathLike) -> records.Queries:
    """The queries of a JSON-lines file of objects with "_id" and "text".

    Raises DataError naming file and line.
    """
    path = pathlib.Path(path)
    ids: dict[str, int] = {}
    texts = []
    for line, where, record in jsonl.objects_of(path):
        _take_id(ids, record, line, where)
        texts.append(jsonl.string_of(record, "text", where))
        if not texts[-1].strip():
            raise records.DataError(
                f'{where}: expected a query in "text", got blanks; write the query or '
                "remove the line"
            )
    if not ids:
        raise records.DataError(f"{path}: expected at least one query, got an empty file")
    return records.Queries(tuple(ids), tuple(texts))


def write_beir(collection: records.Collection, folder: str | os.PathLike) -> None:
    """Writes a collection so that `read_beir` returns it; the folder appears whole or not at all.

    Raises DataError if the folder exists and is not empty, an id cannot stand in a line of
    tab-separated values, or there are queries without judgements.
    """
    if len(collection.queries) and not collection.qrels:
        raise records.DataError(
            f"{folder}: cannot write queries without judgements; add a split to qrels or drop "
            "the queries"
        )
    for name in (*collection.corpus.ids, *collection.queries.ids):
        if jsonl.is_bad_id(name):
            raise records.DataError(
                f"{folder}: cannot write the id {name!r}; ids need no white space at the ends, no "
                "tabs, no line breaks"
            )
    with atomic.folder(folder) as part, _unpaired_surrogates_named(folder):
        corpus = collection.corpus
        with open(part / "corpus.jsonl", "w", encoding="utf-8", newline="\n") as out:
            for name, title, text in zip(corpus.ids, corpus.titles, corpus.texts):
                out.write(
                    json.dumps({"_id": name, "title": title, "text": text}, ensure_ascii=False)
                    + "\n"
                )
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
                    out.writelines(
                        f"{query}\t{document}\t{grade}\n" for document, grade in judged.items()
                    )


def _read_corpus(path: pathlib.Path, empty: str) -> tuple[records.Corpus, set[str]]:
    ids: dict[str, int] = {}
    titles, texts, dropped = [], [], set()
    for line, where, record in jsonl.objects_of(path):
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


def document_of(record: dict, where: str) -> tuple[str, str, str]:
    """Id, title and text of a document of corpus.jsonl; both of the last are blank in some."""
    title = "" if record.get("title") is None else jsonl.string_of(record, "title", where)
    return jsonl.id_of(record, where), title, jsonl.string_of(record, "text", where)


def refuse_empty(name: str, title: str, text: str, where: str) -> None:
    """Raises DataError if a document says nothing."""
    if not (title.strip() or text.strip()):
        raise records.DataError(
            f'{where}: expected "title" or "text" with content, got document {name!r} with '
            "neither; add its text, or remove this line and the qrels lines that name it"
        )


def _take_id(ids: dict[str, int], record: dict, line: int, where: str) -> str:
    name = jsonl.id_of(record, where)
    if name in ids:
        raise records.DataError(
            f'{where}: "_id" {name!r} stands already on line {ids[name]}; ids must be '
            "unique, rename or remove one"
        )
    ids[name] = line
    return name


@contextlib.contextmanager
def _unpaired_surrogates_named(folder: str | os.PathLike) -> Iterator[None]:
    try:
        yield
    except UnicodeEncodeError as error:
        text = jsonl.short(error.object)
        raise records.DataError(
            f"{folder}: cannot write {text} as UTF-8: it holds half a character (an "
            "unpaired surrogate)"
        ) from None


def corpus_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files of a corpus: corpus.jsonl, or all of the folder corpus/ for a very large one."""
    parts = [
        path
        for path in sorted((folder / "corpus").glob("*"))
        if path.name.removesuffix(".gz").endswith(".jsonl")
    ]
    return parts or [present(folder / "corpus.jsonl")]


def present(path: pathlib.Path) -> pathlib.Path:
    """The file, plain or zipped; raises DataError if there is neither."""
    found = plain_or_zipped(path)
    if found is None:
        raise records.DataError(
            f"{path}: expected a file of this name or with .gz, found neither; see the BEIR "
            "layout: corpus.jsonl is required"
        )
    return found


def plain_or_zipped(path: pathlib.Path) -> pathlib.Path | None:
    zipped = path.with_name(path.name + ".gz")
    if path.exists() and zipped.exists():
        raise records.DataError(
            f"{path.parent}: has both {path.name} and {zipped.name}; remove one"
        )
    return next((candidate for candidate in (path, zipped) if candidate.exists()), None)
