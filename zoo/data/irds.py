"""Search collections of the package ir_datasets (MacAvaney et al. 2021, arXiv:2103.02280), by name.

`ir:beir/scifact/test` is one split; `ir:beir/scifact` has every split among train, dev and test
that the package knows below that name. The package downloads, checks and caches the files, and
says under which terms they come.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zoo import records

PREFIX = "ir:"
_SPLITS = {"train": "train", "dev": "dev", "validation": "dev", "valid": "dev", "test": "test"}
_TITLES = ("title", "headline", "subject")


def load(name: str) -> records.Collection:
    """The collection of a name that begins with `ir:`.

    Documents without text and queries without judgements are left out, and counted in the notes.
    Raises DataError if the package is not installed or knows no such dataset, or if the dataset has
    no documents.
    """
    try:
        import ir_datasets  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise records.DataError(
            f"{name}: needs the package ir_datasets; pip install 'generative-retrieval-zoo[ir]'"
        ) from None
    wanted = name.removeprefix(PREFIX)
    dataset = _open(ir_datasets, wanted)
    if not dataset.has_docs():
        raise records.DataError(f"{name}: has no documents; name a dataset that has")
    try:
        return _read(ir_datasets, wanted, dataset)
    except records.DataError:
        raise
    except Exception as error:  # of many types: network, archives, files to be placed by hand
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise records.DataError(f"{name}: ir_datasets cannot read it ({reason})") from error


def _read(package: Any, wanted: str, dataset: Any) -> records.Collection:
    parts = _parts(package, wanted, dataset)
    corpus, blank = _corpus(dataset.docs_iter(), wanted)
    queries: dict[str, str] = {}
    qrels = {}
    for split, part in parts.items():
        grades: dict[str, dict[str, int]] = {}
        for judged in part.qrels_iter():
            if judged.doc_id not in blank:
                grades.setdefault(judged.query_id, {})[judged.doc_id] = int(judged.relevance)
        texts = {query.query_id: _query_text(query) for query in part.queries_iter()}
        asked = {query: some for query, some in grades.items() if texts.get(query, "").strip()}
        if asked:
            queries |= {query: texts[query] for query in asked}
            qrels[split] = records.Qrels(asked)
    notes = [f"{len(blank)} documents without text are left out"] if blank else []
    judged = {d for q in qrels.values() for some in q.grades.values() for d in some}
    if missing := judged - set(corpus.ids):
        notes.append(f"{len(missing)} judged documents are not there; they count as not found")
    return records.Collection(
        wanted.replace("/", "-"),
        corpus,
        records.Queries(tuple(queries), tuple(queries.values())),
        qrels,
        tuple(notes),
    )


def _open(package: Any, name: str) -> Any:
    try:
        return package.load(name)
    except (KeyError, ValueError) as error:
        raise records.DataError(
            f"{PREFIX}{name}: ir_datasets knows no such dataset ({error}); its names are at "
            "ir-datasets.com"
        ) from None


def _parts(package: Any, name: str, dataset: Any) -> dict[str, Any]:
    """Split -> dataset with its queries and judgements."""
    if dataset.has_queries() and dataset.has_qrels():
        return {_SPLITS.get(name.rpartition("/")[2], "test"): dataset}
    found = {}
    for below, split in _SPLITS.items():
        try:
            part = package.load(f"{name}/{below}")
        except (KeyError, ValueError):
            continue
        if split not in found and part.has_queries() and part.has_qrels():
            found[split] = part
    return found


def _corpus(documents: Iterable, name: str) -> tuple[records.Corpus, set[str]]:
    """The documents with text, and the ids of the others."""
    ids, titles, texts, blank = [], [], [], set()
    for document in documents:
        title = next((getattr(document, key) for key in _TITLES if getattr(document, key, "")), "")
        text = getattr(document, "text", None)
        if text is None:
            text, title = document.default_text(), ""
        if not (text.strip() or title.strip()):
            blank.add(document.doc_id)
            continue
        ids.append(document.doc_id)
        titles.append(title)
        texts.append(text)
    if not ids:
        raise records.DataError(f"{PREFIX}{name}: expected documents with text, found none")
    return records.Corpus(tuple(ids), tuple(titles), tuple(texts)), blank


def _query_text(query: Any) -> str:
    text = getattr(query, "text", None)
    return query.default_text() if text is None else text
