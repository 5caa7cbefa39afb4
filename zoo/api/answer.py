"""Answers of a fitted system."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from zoo import recipes, records
from zoo.api import allocator, fitted as stored, inputs, restrict
from zoo.api.fitted import Fitted
from zoo.records import DataError

if TYPE_CHECKING:
    from zoo.models import beam_path

Asked = records.Queries | records.Histories | Sequence[str] | Sequence[Sequence[str]] | str


def with_options(fitted: Fitted, options: Mapping[str, Any]) -> Fitted:
    """The system with other options of answering, such as the beam width; no training changes.

    Raises DataError for an option that does not exist, is not read when answering, or has a value
    of the wrong kind.
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
                f"{fitted.recipe}: option {key} was settled when the system was fitted, "
                f"and may not change now; {allowed}"
            )
    return dataclasses.replace(fitted, config=config)


@dataclasses.dataclass(frozen=True, eq=False)
class Opened:
    """A fitted system that is ready to answer: (queries, k) -> Ranking."""

    fitted: Fitted
    ask: recipes.Ask

    def __call__(
        self,
        queries: Asked,
        k: int = 10,
        *,
        allowed: restrict.Ids | None = None,
        excluded: restrict.Ids | None = None,
    ) -> records.Ranking:
        """The k best documents per query, see `retrieve`, among those that may answer it.

        allowed: ids of the documents that may be answered, such as what is in stock; excluded: ids
        that may not, such as what a user has seen. Either one list for all queries, or a list per
        query. Systems that generate identifiers restrict their trie; systems that score every
        document restrict their scores; others rank every document first.
        """
        if k < 1:
            raise DataError(f"retrieve: expected k of at least 1, got {k}")
        k = min(k, len(self.fitted.documents))
        asked = inputs.as_queries(self.fitted, queries)
        rows = self.fitted.documents.rows()
        ranking = restrict.ask(
            self.ask,
            asked,
            k,
            allowed=restrict.mask_of(allowed, rows, len(asked)),
            excluded=restrict.rows_of(excluded, rows, len(asked)),
        )
        return dataclasses.replace(ranking, titles=self.fitted.documents.titles)


def open(fitted: Fitted | str | os.PathLike) -> Opened:
    """The system with its tokenizer, index and parameters ready; a folder is loaded.

    A system is opened once: opening it again costs nothing. With other options (`with_options`) it
      is another one.

    >>> ask = zoo.open("runs/dsi")  # doctest: +SKIP
    >>> ask("a lock for threads", k=3)  # doctest: +SKIP
    """
    allocator.keep_freed_memory()
    if not isinstance(fitted, Fitted):
        fitted = stored.load(fitted)
    return Opened(fitted, fitted.opened)


def retrieve(fitted: Fitted | str | os.PathLike, queries: Asked, k: int = 10) -> records.Ranking:
    """The k best documents per query with titles, best first; fewer if the system finds fewer.

    fitted: a system or its folder; of a folder that is asked again and again, keep what `open`
    returns. queries: texts, or one; of a recommender, histories: lists of item ids, oldest first,
    or one list. Raises DataError if k is below 1, a query is empty, or the system takes the other
    kind.
    """
    return open(fitted)(queries, k)


def path(
    fitted: Fitted | str | os.PathLike, query: str | Sequence[str], *, width: int = 8
) -> beam_path.Path:
    """What a trie-constrained beam keeps at each depth on its way to the answers of one query.

    query: a text, or a history of item ids. Raises DataError if the system generates no
      identifiers.
    """
    from zoo.models import beam_path, generate

    opened = open(fitted)
    if not isinstance(opened.ask, generate.Opened):
        raise DataError(
            f"path: {opened.fitted.recipe} generates no identifiers; "
            "expected a system with an encoder-decoder, such as dsi"
        )
    asked = cast(records.Queries, inputs.as_queries(opened.fitted, [query]))
    return beam_path.trace(opened.ask, asked, width=width)
