"""Evaluation of a fitted system on a split."""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from collections.abc import Mapping, Sequence

import numpy as np

from zoo import recipes, records
from zoo.api import answer, inputs
from zoo.api.fitted import Fitted
from zoo.data import self_queries
from zoo.records import DataError

DEPTH = 100  # answers that are evaluated


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Answers to a split, and how good they are."""

    split: str
    ranking: records.Ranking  # DEPTH deep
    measures: Mapping[str, float]  # ir-measures' name -> mean
    per_query: Mapping[str, np.ndarray]  # ir-measures' name -> f64[B]
    hit_curve: np.ndarray  # f64[DEPTH] Hit@1, Hit@2, ...
    queries_per_second: float  # after compilation
    # as per_query, of identifiers; empty if it has none
    by_identifier: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    # whether answers with the id of their query were left out
    self_left_out: bool = False


def evaluate(
    fitted: Fitted,
    data: records.Collection | records.Interactions | str | os.PathLike,
    *,
    split: str = "test",
    categories: Sequence[str] | None = None,
    leave_out_self: bool | None = None,
) -> Evaluation:
    """Answers the queries of a split and measures the answers.

    A short first call keeps compilation out of the rate.

    Args:
      fitted: the system.
      data: the collection that it was fitted to.
      split: of the collection.
      categories: of each item, for the entropy of recommended items; by default read from the texts
        of the items, if they name some.
      leave_out_self: whether the document that has the id of a query is left out of its answers, as
        in BEIR's evaluation; by default where the queries are documents (`zoo.data.self_queries`).

    Raises:
      DataError: the collection has no such split, or its corpus is not the one that the system has
        learned.
    """
    collection = inputs.load_data(data)
    recipe = recipes.get(fitted.recipe)
    inputs.refuse_other_kind(recipe, collection)
    queries, qrels = collection.split(split)
    inputs.refuse_other_corpus(fitted, collection)
    answer.retrieve(fitted, queries.take([0]), DEPTH)
    if recipe.asks == "history":
        return _recommended(
            fitted, collection, queries, qrels, split, _categories(collection.corpus, categories)
        )
    if leave_out_self is None:
        leave_out_self = self_queries.are_documents(queries, collection.corpus)
    return _answered(fitted, queries, qrels, split, leave_out_self)


def _categories(corpus: records.Corpus, named: Sequence[str] | None) -> list[str] | None:
    from zoo.data import categories

    if named is None:
        found, where = categories.of(corpus)
        return found if where.startswith(categories.FIELDS) else None
    if len(named) != len(corpus):
        raise DataError(
            f"categories: expected one for each of {len(corpus)} items, got {len(named)}"
        )
    return list(named)


def _answered(
    fitted: Fitted, queries: records.Queries, qrels: records.Qrels, split: str, leave_out_self: bool
) -> Evaluation:
    """Measures of the documents that texts are answered with."""
    from zoo.metrics import measures

    started = time.monotonic()
    ranking = answer.retrieve(fitted, queries, DEPTH + leave_out_self)
    rate = len(queries) / max(time.monotonic() - started, 1e-9)
    if leave_out_self:
        ranking = self_queries.leave_out(ranking, DEPTH)
    return Evaluation(
        split,
        ranking,
        measures.evaluate(ranking, qrels),
        measures.per_query(ranking, qrels),
        measures.hit_curve(ranking, qrels, DEPTH),
        rate,
        self_left_out=leave_out_self,
    )


def _recommended(
    fitted,
    collection,
    histories: records.Histories,
    qrels: records.Qrels,
    split: str,
    categories: list[str] | None,
) -> Evaluation:
    """How good the items are that histories are answered with; exact among all items if the system scores them all."""
    from zoo.metrics import exposure, measures, recommend
    from zoo.ranking import scores
    from zoo.schemes import codes as identifiers

    score = recipes.get(fitted.recipe).score
    targets = recommend.targets(qrels, histories.ids, collection.corpus)
    started = time.monotonic()
    if score is None:
        ranking = answer.retrieve(fitted, histories, DEPTH)
        places = recommend.places_in(ranking, targets)
    else:
        scores_of = functools.partial(score, fitted.config, fitted.state)
        ranking, places = scores.placed(scores_of, collection.corpus.ids, histories, targets, DEPTH)
    rate = len(histories) / max(time.monotonic() - started, 1e-9)
    per_query, codes = (
        recommend.per_query(places),
        identifiers.codes_of(fitted.config, fitted.state),
    )
    by_identifier = (
        {}
        if codes is None
        else recommend.per_query(recommend.identifier_places(ranking, codes, targets))
    )
    means = {name: float(values.mean()) for name, values in per_query.items()} | {
        measures.INVALID_SHARE: float(ranking.invalid_share)
    }
    means |= {
        name + recommend.BY_IDENTIFIER: float(values.mean())
        for name, values in by_identifier.items()
    }
    learned = collection.without(*collection.held).histories.items
    means |= exposure.summary(
        ranking, places, targets, np.bincount(learned, minlength=len(collection.corpus)), categories
    )
    return Evaluation(
        split, ranking, means, per_query, recommend.hit_curve(places, DEPTH), rate, by_identifier
    )
