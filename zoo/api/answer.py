"""Answers of a fitted system."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from zoo import recipes, records
from zoo.api import inputs
from zoo.api.fitted import Fitted
from zoo.records import DataError


def with_options(fitted: Fitted, options: Mapping[str, Any]) -> Fitted:
    """The system with other options of answering, such as the width of the beam; those that it was fitted with stay.

    Raises DataError for an option that does not exist, is not read when answering, or has a value of the wrong kind.
    """
    recipe = recipes.get(fitted.recipe)
    config = recipes.configure(
        recipe._replace(presets={fitted.size: fitted.config}), fitted.size, options
    )
    for key in options:
        if key not in recipe.answering:
            allowed = (
                f"expected one of: {', '.join(recipe.answering)}"
                if recipe.answering
                else "none of this system's may"
            )
            raise DataError(
                f"{fitted.recipe}: option {key} was settled when the system was fitted, and may not change now; {allowed}"
            )
    return dataclasses.replace(fitted, config=config)


def retrieve(
    fitted: Fitted,
    queries: records.Queries | records.Histories | Sequence[str] | Sequence[Sequence[str]] | str,
    k: int = 10,
) -> records.Ranking:
    """The k best documents for each query with their titles, best first; fewer where the
    system finds fewer.

    queries: texts, or one; of a system that recommends, histories: lists of item ids, oldest first, or one list.
    Raises DataError if k is below 1, a query is empty, or the system asks for the other kind.
    """
    recipe = recipes.get(fitted.recipe)
    if k < 1:
        raise DataError(f"retrieve: expected k of at least 1, got {k}")
    k = min(k, len(fitted.documents))
    ranking = recipe.retrieve(fitted.config, fitted.state, inputs.as_queries(fitted, queries), k)
    return dataclasses.replace(ranking, titles=fitted.documents.titles)


def path(fitted: Fitted, query: str | Sequence[str], *, width: int = 8) -> Any:
    """What a beam of `width` keeps at each depth on its way to the answers of one query, a `recipes.paths.Path`; the trie constrains it.

    query: a text, or a history of item ids. Raises DataError if the system generates no identifiers.
    """
    from zoo.models import beam_path

    recipe = recipes.get(fitted.recipe)
    if recipe.reads is None:
        raise DataError(
            f"path: {recipe.name} generates no identifiers; "
            "expected a system with an encoder-decoder, such as dsi"
        )
    queries = inputs.as_queries(fitted, [query])
    sources, shape = recipe.reads(fitted.config, fitted.state, queries)
    return beam_path.of(fitted.state, sources[0], shape, width=width)
