"""Collections as tables of plain examples and back: what a TFDS dataset of one holds, and what a
pipeline reads.

Interactions are two tables,

    items       split train                 id, title, text
    sequences   splits train, dev, test     user; history: i32 rows, oldest first; target: next row

where each user is one example of each split: the target of `test` is the last event, of `dev` the
last but one, of `train` the one before that. Search collections are up to three,

    corpus      split train                 id, title, text
    queries     split train                 id, text; the queries of all splits
    qrels       a split each of its own     query, text (of the query), document, grade

Examples come in the order of the collection, so that `collection` gives back what `of` was given,
bit for bit.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from zoo import records

INTERACTIONS, SEARCH = ("items", "sequences"), ("corpus", "queries", "qrels")
ABOUT = {
    "items": "items, in the order in which sequences number them",
    "sequences": "what each user did before an event of each split, and that event",
    "corpus": "documents",
    "queries": "queries of all splits",
    "qrels": "judgements with the text of their query, a split each",
}
Example = Mapping[str, Any]


Splits = Mapping[str, Callable[[], Iterator[Example]]]  # each call starts anew


def of(collection: records.Collection | records.Interactions) -> dict[str, Splits]:
    """The tables of a collection, by name; no table and no split is empty.

    Raises DataError if two splits have one name in TFDS, which takes letters, digits and
    underlines.
    """
    if isinstance(collection, records.Interactions):
        held = {name: at for name, at in collection.held.items() if isinstance(at, int)}
        if len(held) < len(collection.held):
            raise records.DataError(
                f"{collection.name}: is split by time or ratio, and tables hold leave-one-out "
                "splits; use the folder itself, or split it by leave-one-out"
            )
        if 1 not in held.values():
            raise records.DataError(
                f"{collection.name}: expected a split that asks for the last event, as test does; "
                f"got {dict(collection.held)}"
            )
        places = {"train": max(held.values()) + 1, **held}
        sequences = {
            split: functools.partial(_sequences, collection.histories, place)
            for split, place in places.items()
        }
        return {
            "items": {"train": functools.partial(_documents, collection.corpus)},
            "sequences": sequences,
        }
    tables: dict[str, Splits] = {
        "corpus": {"train": functools.partial(_documents, collection.corpus)}
    }
    if len(collection.queries):
        tables["queries"] = {"train": functools.partial(query_rows, collection.queries)}
    if collection.qrels:
        texts = dict(zip(collection.queries.ids, collection.queries.texts))
        named = split_names(collection.qrels)
        tables["qrels"] = {
            name: functools.partial(judgement_rows, collection.qrels[split], texts)
            for name, split in named.items()
        }
    return tables


def about(collection: records.Collection | records.Interactions) -> dict:
    """What `collection` needs beside the examples, and checks them by; JSON-able."""
    known = {"name": collection.name, "corpus": collection.corpus.fingerprint()}
    if isinstance(collection, records.Interactions):
        counted = {"left_out": collection.left_out, "tied": collection.tied}
        return {
            **known,
            "held": dict(collection.held),
            "histories": collection.histories.fingerprint(),
            **counted,
        }
    return {**known, "splits": split_names(collection.qrels)}


def collection(
    read: Callable[[str, str], Iterable[Example]], known: Mapping, where: str, tables: Iterable[str]
) -> records.Collection | records.Interactions:
    """The collection whose tables `read(table, split)` gives, and of which `about` said what is
    known.

    tables: those there are. where: named in messages.
    Raises DataError if a table is missing, or the examples are not those that were written.
    """
    _refuse_malformed(known, where)
    needed = INTERACTIONS if "held" in known else SEARCH[:1]
    missing = [table for table in needed if table not in tables]
    if missing:
        raise records.DataError(
            f"{where}: expected the tables {', '.join(needed)}, found no {missing[0]}; prepare it "
            "again in a new folder"
        )
    corpus = _corpus(read(needed[0], "train"))
    if known["corpus"] is not None:
        _refuse_changed(where, needed[0], known["corpus"], corpus.fingerprint())
    if "held" in known:
        last = next(split for split, place in known["held"].items() if place == 1)
        histories = _histories(read("sequences", last))
        _refuse_changed(where, "sequences", known["histories"], histories.fingerprint())
        return records.Interactions(
            known["name"], corpus, histories, dict(known["held"]), known["left_out"], known["tied"]
        )
    rows = list(read("queries", "train")) if "queries" in tables else []
    queries = records.Queries(tuple(row["id"] for row in rows), tuple(row["text"] for row in rows))
    named = known["splits"].items() if "qrels" in tables else ()
    return records.Collection(
        known["name"],
        corpus,
        queries,
        {split: _qrels(read("qrels", name)) for name, split in named},
    )


def query_rows(queries: records.Queries) -> Iterator[Example]:
    """Examples of the table queries."""
    for name, text in zip(queries.ids, queries.texts):
        yield {"id": name, "text": text}


def judgement_rows(qrels: records.Qrels, texts: Mapping[str, str]) -> Iterator[Example]:
    """Examples of a split of the table qrels; texts: of each query."""
    for query, judged in qrels.grades.items():
        for document, grade in judged.items():
            yield {"query": query, "text": texts[query], "document": document, "grade": grade}


def split_names(splits: Iterable[str]) -> dict[str, str]:
    """Name in TFDS -> split. `all` is TFDS's own word and gets an underline."""
    named: dict[str, str] = {}
    for split in splits:
        name = re.sub(r"\W", "_", split, flags=re.ASCII)
        name = name + "_" if name == "all" else name
        if name in named:
            raise records.DataError(
                f"splits {named[name]!r} and {split!r} are both {name!r} in TFDS; rename one of "
                "qrels/"
            )
        named[name] = split
    return named


def _documents(corpus: records.Corpus) -> Iterator[Example]:
    for name, title, text in zip(corpus.ids, corpus.titles, corpus.texts):
        yield {"id": name, "title": title, "text": text}


def _sequences(histories: records.Histories, place: int) -> Iterator[Example]:
    for row, user in enumerate(histories.ids):
        events = histories.history(row)
        yield {
            "user": user,
            "history": events[: len(events) - place],
            "target": events[len(events) - place],
        }


def _corpus(rows: Iterable[Example]) -> records.Corpus:
    columns = list(zip(*((row["id"], row["title"], row["text"]) for row in rows)))
    return records.Corpus(*columns)


def _histories(rows: Iterable[Example]) -> records.Histories:
    users, parts = [], []
    for row in rows:
        users.append(row["user"])
        parts.append(np.append(row["history"], row["target"]))
    starts = np.array([0, *itertools.accumulate(map(len, parts))], np.int64)
    return records.Histories(tuple(users), np.concatenate(parts).astype(np.int32), starts)


def _qrels(rows: Iterable[Example]) -> records.Qrels:
    grades: dict[str, dict[str, int]] = {}
    for row in rows:
        grades.setdefault(row["query"], {})[row["document"]] = int(row["grade"])
    return records.Qrels(grades)


def _refuse_malformed(known: Mapping, where: str) -> None:
    """Raises DataError unless `about` might have said this."""
    kinds: dict[str, type | tuple[type, ...]] = {"name": str, "corpus": (str, type(None))}
    if isinstance(known, Mapping) and "held" in known:
        kinds |= {"held": Mapping, "histories": str, "left_out": int, "tied": int}
    else:
        kinds |= {"splits": Mapping}
    good = isinstance(known, Mapping) and all(
        isinstance(known.get(key), kind) for key, kind in kinds.items()
    )
    if good and "held" in known:
        places = list(known["held"].values())
        good = 1 in places and all(type(place) is int and place > 0 for place in places)
    if good and "splits" in known:
        good = all(isinstance(split, str) for split in known["splits"].values())
    if not good:
        raise records.DataError(
            f"{where}: its metadata are not what `zoo data prepare` writes; prepare it again in a "
            "new "
            "folder"
        )


def _refuse_changed(where: str, table: str, expected: str, found: str) -> None:
    if found != expected:
        raise records.DataError(
            f"{where}: expected {table} of fingerprint {expected}, got {found}; the files have "
            "changed, prepare it again"
        )
