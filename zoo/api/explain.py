"""Why a system that scores documents by n-grams answers what it answers."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, cast

from zoo import records
from zoo.api import answer, inputs
from zoo.api.fitted import Fitted
from zoo.records import DataError

if TYPE_CHECKING:
    from zoo.models import key_search


@dataclasses.dataclass(frozen=True)
class Explained:
    """A document that was found, and what each n-gram in it adds to its score."""

    document: str  # id
    title: str
    score: float  # the sum of the evidence
    evidence: tuple[key_search.Evidence, ...]  # the largest first


def explain(fitted: Fitted | str | os.PathLike, query: str, k: int = 3) -> list[Explained]:
    """The k best documents for a query with the n-grams that found them.

    Raises DataError if the system does not score documents by n-grams.
    """
    from zoo.models import key_search

    opened = answer.open(fitted)
    if not isinstance(opened.ask, key_search.Opened):
        raise DataError(
            f"explain: {opened.fitted.recipe} does not score documents by n-grams; expected a "
            "system such as seal"
        )
    if k < 1:
        raise DataError(f"explain: expected k of at least 1, got {k}")
    documents = opened.fitted.documents
    rows = documents.rows()
    asked = cast(records.Queries, inputs.as_queries(opened.fitted, [query]))
    (found,) = opened.ask.explain(asked, k)
    return [
        Explained(name, documents.titles[rows[name]], sum(e.value for e in why), tuple(why))
        for name, why in found
    ]
