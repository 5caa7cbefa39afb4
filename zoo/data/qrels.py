"""Judgements of the BEIR layout: qrels/SPLIT.tsv with query id, document id and integer grade."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Container

from zoo import records
from zoo.data import jsonl

_GRADE = re.compile(r"-?[0-9]{1,9}")
_HEADERS = (  # names of the three columns, without case and punctuation
    {"queryid", "qid", "query", "topicid", "topic", "q"},
    {"corpusid", "docid", "did", "pid", "documentid", "passageid", "document", "doc", "cid"},
    {"score", "relevance", "rel", "grade", "label", "judgement", "judgment", "relevancy", "qrel"},
)


def files_of(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Split -> file, sorted by split."""
    splits = {}
    for path in sorted(folder.iterdir()):
        name = path.name.removesuffix(".gz")
        if name.endswith(".tsv") and not name.startswith("."):
            if name.removesuffix(".tsv") in splits:
                raise records.DataError(f"{folder}: has both {name} and {name}.gz; remove one")
            splits[name.removesuffix(".tsv")] = path
    return splits


def read(
    path: pathlib.Path,
    queries: Container[str],
    documents: Container[str] | None,
    dropped: Container[str] = (),
    *,
    may_miss: float = 0.0,
) -> records.Qrels:
    """The judgements of a file of tab-separated lines, the first of which may name the columns.

    Args:
      queries: ids that there are.
      documents: ids that there are; None: any.
      dropped: documents whose judgements are left out.
      may_miss: largest share of judgements of documents that are not there; they are kept, and
        count as not found.

    Raises DataError naming file and line.
    """
    grades: dict[str, dict[str, int]] = {}
    missing: list[tuple[str, str]] = []  # (place, document)
    lines = 0
    for line, text in jsonl.lines_of(path):
        cells, where = [cell.strip() for cell in text.split("\t")], f"{path}:{line}"
        if len(cells) != 3:
            raise records.DataError(
                f"{where}: expected 3 columns separated by tabs (query-id, corpus-id, score), got "
                f"{len(cells)} in {jsonl.short(text)}"
            )
        query, document, grade = cells
        lines += 1
        if lines == 1 and not _GRADE.fullmatch(grade) and _is_header(cells):
            continue
        value = _grade(grade, where)
        if query not in queries:
            raise records.DataError(
                f"{where}: query {query!r} is not in queries.jsonl; add it there or remove "
                "this line"
            )
        if document in dropped:
            continue
        if documents is not None and document not in documents:
            missing.append((where, document))
        if grades.setdefault(query, {}).setdefault(document, value) != value:
            raise records.DataError(
                f"{where}: query {query!r} and document {document!r} have grade "
                f"{grades[query][document]} above and {value} here; keep one"
            )
    if len(missing) > may_miss * lines:
        where, document = missing[0]
        raise records.DataError(
            f"{where}: document {document!r} is not in corpus.jsonl; add it there or remove this "
            f"line ({len(missing)} of {lines} lines are so)"
        )
    if not any(grade > 0 for judged in grades.values() for grade in judged.values()):
        raise records.DataError(
            f"{path}: expected at least one query with a grade above 0, got none; add judgements "
            "or remove the file"
        )
    return records.Qrels(grades)


def note_missing(split: str, qrels: records.Qrels, documents: Container[str]) -> str | None:
    """A line on the judgements of documents that are not there; None if there are none."""
    missing = [d for judged in qrels.grades.values() for d in judged if d not in documents]
    if not missing:
        return None
    named = ", ".join(dict.fromkeys(missing[:3])) + (", ..." if len(missing) > 3 else "")
    return (
        f"qrels/{split}.tsv: {len(missing)} judgements name documents that are not in corpus.jsonl "
        f"({named}); they count as not found"
    )


def _is_header(cells: list[str]) -> bool:
    """Whether a line names at least two of its columns."""
    names = [re.sub(r"[\W_]+", "", cell).lower() for cell in cells]
    return sum(name in known for name, known in zip(names, _HEADERS)) >= 2


def _grade(text: str, where: str) -> int:
    if not _GRADE.fullmatch(text):
        raise records.DataError(
            f"{where}: expected an integer grade, got {jsonl.short(text)}; round it, or map it to "
            "0, 1, 2, ...; a header is query-id, corpus-id, score"
        )
    return int(text)
