"""Documents added to a fitted system and removed from it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from zoo import recipes, records
from zoo.api import fitted as stored, inputs
from zoo.api.fitted import Fitted
from zoo.records import DataError
from zoo.update import catalogue


def add(fitted: Fitted, documents: records.Corpus | str | os.PathLike) -> Fitted:
    """The system with more documents. Nothing is trained: they are named, encoded or counted by
    what was fitted.

    An item that was removed from a recommender is recommended again, under the identifier that it
    had.

    Args:
      documents: a corpus, a registered name, or a folder with a collection, whose documents are
        added.

    Raises DataError if a document is in the system already, or the system cannot take any.
    """
    recipe = _changeable(fitted)
    if not isinstance(documents, records.Corpus):
        collection = inputs.load_data(documents)
        inputs.refuse_other_kind(recipe, collection)
        documents = collection.corpus
    if not len(documents):
        raise DataError("add: expected at least one document, got none")
    known = fitted.documents.rows()
    hidden = catalogue.removed(fitted.state)
    back = [row for row, name in enumerate(documents.ids) if name in known]
    for row in back:
        if not hidden[known[documents.ids[row]]]:
            raise DataError(
                f"{fitted.recipe}: document {documents.ids[row]!r} is in the system already; "
                "remove it first, or leave it out"
            )
    _refuse_other_content(fitted, documents, back)
    state = dict(fitted.state)
    if back:
        state = catalogue.restore(state, np.array([known[documents.ids[row]] for row in back]))
    new = _take(
        documents, [row for row in range(len(documents)) if documents.ids[row] not in known]
    )
    if len(new):
        state = _updated(fitted, recipe.add, state, new)
    return _with_state(fitted, state, new, {"added": len(documents)})


def remove(fitted: Fitted, documents: Sequence[str] | str) -> Fitted:
    """The system without some documents, which it never answers again.

    The others keep their identifiers.

    A system for texts forgets them; a recommender goes on reading them in histories.

    Args:
      documents: ids, or one id.

    Raises DataError if a document is not in the system, or none would be left.
    """
    recipe = _changeable(fitted)
    ids = [documents] if isinstance(documents, str) else list(documents)
    if not ids:
        raise DataError("remove: expected at least one document id, got none")
    known, hidden = fitted.documents.rows(), catalogue.removed(fitted.state)
    for name in ids:
        if name not in known or hidden[known[name]]:
            shown = ", ".join(fitted.documents.ids[:3])
            raise DataError(
                f"{fitted.recipe}: document {name!r} is not in the system; expected ids like "
                f"{shown}"
            )
    rows = np.unique([known[name] for name in ids])
    if len(rows) == np.count_nonzero(~hidden):
        raise DataError(
            f"{fitted.recipe}: removing {len(rows)} documents would leave none; keep at least one"
        )
    state = _updated(fitted, recipe.remove, fitted.state, rows)
    return _with_state(fitted, state, _take(fitted.documents, []), {"removed": len(rows)})


def _changeable(fitted: Fitted) -> recipes.Recipe:
    recipe = recipes.get(fitted.recipe)
    if recipe.add is None or recipe.remove is None:
        able = ", ".join(name for name in recipes.names() if recipes.get(name).add)
        raise DataError(
            f"{fitted.recipe}: its documents cannot change after it is fitted; fit it again, or "
            "use "
            f"one of: {able}"
        )
    return recipe


def _updated(fitted: Fitted, change, state, documents) -> dict:
    """The state after `change`, errors naming the system."""
    try:
        return change(fitted.config, state, documents)
    except DataError as error:
        named = str(error).startswith(f"{fitted.recipe}:")
        raise DataError(str(error) if named else f"{fitted.recipe}: {error}") from None


def _with_state(fitted: Fitted, state: dict, new: records.Corpus, change: dict) -> Fitted:
    """The system with another state; its documents are those that the state has rows for."""
    both = stored.joined(fitted.documents, stored.for_display(new))
    rows, names = both.rows(), catalogue.ids(state)
    kept = [rows[name] for name in names]
    digests: tuple[str, ...] = ()
    if fitted.digests:
        found = (*fitted.digests, *stored.digests_of(new))
        digests = tuple(found[row] for row in kept)
    about = dict(fitted.about) | {
        "changes": [*fitted.about.get("changes", []), change],
        "num_documents": int(np.count_nonzero(~catalogue.removed(state))),
    }
    return dataclasses.replace(
        fitted, state=state, documents=_take(both, kept), digests=digests, about=about
    )


def _refuse_other_content(fitted: Fitted, documents: records.Corpus, rows: Sequence[int]) -> None:
    """Raises DataError if an item that comes back has another text than the one it is named by."""
    known, shown = fitted.documents.rows(), stored.for_display(documents)
    digests = stored.digests_of(documents)
    for row in rows:
        place = known[documents.ids[row]]
        same = (
            digests[row] == fitted.digests[place]
            if fitted.digests
            else shown.texts[row] == fitted.documents.texts[place]
        )
        if not same:
            raise DataError(
                f"{fitted.recipe}: item {documents.ids[row]!r} was removed and had another text, "
                "by "
                "which it is known; give it a new id"
            )


def _take(corpus: records.Corpus, rows: Sequence[int]) -> records.Corpus:
    return records.Corpus(
        *(
            tuple(column[row] for row in rows)
            for column in (corpus.ids, corpus.titles, corpus.texts)
        )
    )
