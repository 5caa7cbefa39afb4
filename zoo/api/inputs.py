"""Converts user data and queries to records; raises DataError if they do not match the system."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import numpy as np

from zoo import recipes, records
from zoo.api.fitted import Fitted, digests_of
from zoo.data import load, memory
from zoo.records import DataError


def load_data(
    data: records.Collection | records.Interactions | str | os.PathLike,
) -> records.Collection | records.Interactions:
    """The collection of a registered name, a path or Python objects (`zoo.data.memory`).

    Raises TypeError saying what is accepted; DataError if the data cannot be read.
    """
    if isinstance(data, (records.Collection, records.Interactions)):
        return data
    return load.load(data) if isinstance(data, (str, os.PathLike)) else memory.collect(data)


def source_of(data: records.Collection | records.Interactions | str | os.PathLike) -> str:
    """The name or absolute path of the data; "" for data in memory."""
    return load.locate(data) if isinstance(data, (str, os.PathLike)) else ""


def fingerprint(collection: records.Collection | records.Interactions) -> str:
    """First 16 hex digits of the SHA-256 of the data without the test split."""
    seen = collection.without("test")
    digest = hashlib.sha256(seen.corpus.fingerprint().encode())
    if isinstance(seen, records.Interactions):
        held = json.dumps(
            [seen.histories.fingerprint(), dict(seen.held)], default=lambda places: places.tolist()
        )
        digest.update(held.encode())
        return digest.hexdigest()[:16]
    digest.update(json.dumps([seen.queries.ids, seen.queries.texts]).encode())
    digest.update(
        json.dumps({split: dict(qrels.grades) for split, qrels in seen.qrels.items()}).encode()
    )
    return digest.hexdigest()[:16]


def digest_of(path: pathlib.Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder; "" if there is neither."""
    sha = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            sha.update(f"{file.relative_to(path)}\0".encode())
            with open(file, "rb") as handle:
                sha.update(hashlib.file_digest(handle, "sha256").digest())
    return sha.hexdigest() if path.exists() else ""


def counts(collection: records.Collection | records.Interactions) -> dict[str, int]:
    """Numbers of users and events of interactions, and of tied and repeated events."""
    if isinstance(collection, records.Collection):
        return {}
    users = {"num_users": len(collection.histories), "users_left_out": collection.left_out}
    return users | {
        "num_events": len(collection.histories.items),
        "tied_events": collection.tied,
        "repeated_events": collection.repeated,
    }


def data_of(
    fitted: Fitted,
    folder: str | os.PathLike,
    data: records.Collection | records.Interactions | str | os.PathLike | None,
) -> records.Collection | records.Interactions:
    """The collection that a folder's system was fitted to, by default where it was then.

    Raises DataError if it is gone or has changed.
    """
    if data is None:
        source: str = fitted.about.get("source") or fitted.about["collection"]
        if not load.exists(source):
            raise DataError(
                f"{folder}: its data {source} is not there any more; "
                "say where it is now with --data"
            )
        data = source
    collection = load_data(data)
    refuse_other_kind(recipes.get(fitted.recipe), collection)
    return in_fitted_order(fitted, collection)


def history_of(
    fitted: Fitted, folder: str | os.PathLike, data: str | None, user: str
) -> records.Histories:
    """All events of one user of the data that a folder's system was fitted to, or of `data`.

    Raises DataError if the system takes no histories, or the data has no such user.
    """
    if recipes.get(fitted.recipe).asks != "history":
        raise DataError(f"retrieve: {fitted.recipe} searches and knows no users; pass a query")
    collection = data_of(fitted, folder, data)
    assert isinstance(collection, records.Interactions)  # `data_of` refuses others
    found = collection.everything().histories
    if user not in found.ids:
        raise DataError(
            f"retrieve: user {user!r} is not among the {len(found):,} users of {collection.name}, "
            f"such as {', '.join(found.ids[:3])}; "
            "pass the history itself"
        )
    return found.take([found.ids.index(user)])


def refuse_other_kind(
    recipe: recipes.Recipe, collection: records.Collection | records.Interactions
) -> None:
    """Raises DataError for a recommender with queries, or a search system with histories."""
    if recipe.asks == "history" and not isinstance(collection, records.Interactions):
        raise DataError(
            f"{recipe.name} learns from histories, {collection.name} has queries; "
            "name data with interactions.csv"
        )
    if recipe.asks == "text" and isinstance(collection, records.Interactions):
        remedy = "name data with corpus.jsonl, or a system that recommends"
        raise DataError(
            f"{recipe.name} learns from queries, {collection.name} has histories; {remedy}"
        )


def refuse_other_corpus(
    fitted: Fitted, collection: records.Collection | records.Interactions
) -> None:
    """Raises DataError if the collection's documents, in any order, are not those of the system.

    Items that were removed from a recommender are still among them, as histories may name them.
    """
    corpus = collection.corpus
    if fitted.digests:
        same = dict(zip(corpus.ids, digests_of(corpus))) == dict(
            zip(fitted.documents.ids, fitted.digests)
        )
    else:  # fitted by a version that kept one fingerprint of all
        same = not fitted.about.get("changes") and corpus.fingerprint() == fitted.about["corpus"]
    if not same:
        changed = " with what was added and removed" if fitted.about.get("changes") else ""
        raise DataError(
            f"{collection.name}: its {len(corpus)} documents are not the {len(fitted.documents)} "
            "of "
            f"this system, those of {fitted.about['collection']}{changed}; name that collection or "
            "fit to this one"
        )


def in_fitted_order(
    fitted: Fitted, collection: records.Collection | records.Interactions
) -> records.Collection | records.Interactions:
    """The collection with its documents in the order of the system's rows.

    Raises DataError as `refuse_other_corpus`.
    """
    refuse_other_corpus(fitted, collection)
    corpus = collection.corpus
    if corpus.ids == fitted.documents.ids:
        return collection
    rows = corpus.rows()
    order = [rows[name] for name in fitted.documents.ids]
    columns = (corpus.ids, corpus.titles, corpus.texts)
    corpus = records.Corpus(*(tuple(column[row] for row in order) for column in columns))
    if isinstance(collection, records.Collection):
        return dataclasses.replace(collection, corpus=corpus)
    places = np.argsort(order).astype(np.int32)

    def moved(histories: records.Histories) -> records.Histories:
        return dataclasses.replace(histories, items=places[histories.items])

    short = collection.short
    return dataclasses.replace(
        collection,
        corpus=corpus,
        histories=moved(collection.histories),
        short=short and short._replace(histories=moved(short.histories)),
    )


def as_queries(fitted: Fitted, queries: Any) -> records.Queries | records.Histories:
    """Queries in any form that `retrieve` takes, as the recipe reads them.

    Raises TypeError saying what is accepted; DataError if they are empty or of the other kind.
    """
    if recipes.get(fitted.recipe).asks == "history":
        return _histories(fitted, queries)
    return _texts(fitted, queries)


def _texts(fitted: Fitted, queries: Any) -> records.Queries:
    """Queries of a text, an iterable of texts or a dict of texts by id."""
    if isinstance(queries, records.Histories):
        raise DataError(
            f"retrieve: {fitted.recipe} asks for a text, got histories; pass a query, or use a "
            "system that recommends"
        )
    if not isinstance(queries, records.Queries):
        given = [queries] if isinstance(queries, str) else _listed(queries, "a text")
        for number, text in enumerate(given):
            if not isinstance(text, str):
                _refuse_type("a text", text, number)
        ids = queries if isinstance(queries, Mapping) else range(len(given))
        queries = records.Queries(tuple(map(str, ids)), tuple(given))
    if not len(queries):
        raise DataError("retrieve: expected at least one query, got none")
    for name, text in zip(queries.ids, queries.texts):
        which = f"query {name!r}" if len(queries) > 1 else "the query"
        if not text.strip():
            raise DataError(f"retrieve: {which} is empty; expected some words")
        if not text.isascii() and text != text.encode("utf-8", "ignore").decode("utf-8"):
            raise DataError(
                f"retrieve: {which} holds half a character (an unpaired surrogate); expected UTF-8"
            )
    return queries


def _histories(fitted: Fitted, queries: Any) -> records.Histories:
    """Histories of a list of item ids, an iterable of such lists or a dict of them by user."""
    if isinstance(queries, (records.Queries, str)):
        raise DataError(
            f"retrieve: {fitted.recipe} asks for a history, got a text; pass a list of item ids "
            "(--history a,b,c)"
        )
    if not isinstance(queries, records.Histories):
        given = _listed(queries, "a list of item ids")
        for number, one in enumerate(given):
            for item in [one] if isinstance(one, str) else _listed(one, "a list of item ids"):
                if not isinstance(item, str):
                    _refuse_type("a list of item ids", item, number)
        users = tuple(map(str, queries)) if isinstance(queries, Mapping) else ()
        queries = records.Histories.of(fitted.documents, given)
        queries = dataclasses.replace(queries, ids=users or queries.ids)
    if not len(queries) or not queries.lengths.all():
        raise DataError("retrieve: expected a history of at least one item, got an empty one")
    return queries


def _listed(queries: Any, what: str) -> list[Any]:
    """The values of a dict, or the members of another iterable. Raises TypeError for neither."""
    if isinstance(queries, Mapping):
        return list(queries.values())
    if isinstance(queries, bytes) or not isinstance(queries, Iterable):
        _refuse_type(what, queries)
    return list(queries)


def _refuse_type(what: str, got: Any, number: int | None = None) -> NoReturn:
    where = "" if number is None else f" at {number}"
    raise TypeError(
        f"retrieve: expected {what}, a list of them or a dict of them by id, got "
        f"{type(got).__name__}{where}: {got!r:.40}"
    )
