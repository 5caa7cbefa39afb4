"""Documents added to a fitted system."""

from __future__ import annotations

import dataclasses
import os

from zoo import recipes, records
from zoo.api import fitted as stored, inputs
from zoo.api.fitted import Fitted
from zoo.records import DataError


def add(fitted: Fitted, documents: records.Corpus | str | os.PathLike) -> Fitted:
    """The system with more documents, which it was not trained on and names or encodes as it has learned to; nothing else changes.

    documents: a corpus, or a folder that holds one. Raises DataError if one is there already or the system cannot take in any.
    """
    recipe = recipes.get(fitted.recipe)
    if recipe.extend is None:
        able = ", ".join(name for name in recipes.names() if recipes.get(name).extend)
        raise DataError(
            f"{fitted.recipe}: takes in no documents after it is fitted; fit it anew to all of them, or use one of: {able}"
        )
    if not isinstance(documents, records.Corpus):
        collection = inputs.load_data(documents)
        inputs.refuse_other_kind(recipe, collection)
        documents = collection.corpus
    corpus = documents
    state = recipe.extend(fitted.config, fitted.state, corpus)
    old, new = fitted.documents, stored.for_display(corpus)
    about = dict(fitted.about) | {
        "added": [
            *fitted.about.get("added", []),
            {"corpus": corpus.fingerprint(), "num_documents": len(corpus)},
        ],
        "num_documents": len(old) + len(corpus),
    }
    shown = records.Corpus(old.ids + new.ids, old.titles + new.titles, old.texts + new.texts)
    return dataclasses.replace(fitted, state=state, documents=shown, about=about)
