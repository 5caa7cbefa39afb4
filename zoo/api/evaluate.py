"""Evaluation of a fitted system on a split."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping, Sequence

import numpy as np

from zoo import recipes, records
from zoo.api import answer, inputs
from zoo.api.fitted import Fitted
from zoo.data import categories as item_categories, learning, self_queries, trec
from zoo.metrics import exposure, measures, recommend, transitions
from zoo.ranking import scores
from zoo.records import DataError
from zoo.schemes import codes as identifiers

DEPTH = 100  # answers that are evaluated


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Answers to a split, and how good they are."""

    split: str
    ranking: records.Ranking  # DEPTH deep
    measures: Mapping[str, float]  # ir-measures' name -> mean
    per_query: Mapping[str, np.ndarray]  # ir-measures' name -> f64[B]
    hit_curve: np.ndarray  # f64[DEPTH] Hit@1, Hit@2, ...
    queries_per_second: float | None  # after compilation; None = not measured
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
    inputs.refuse_other_kind(recipes.get(fitted.recipe), collection)
    collection = inputs.in_fitted_order(fitted, collection)
    if isinstance(collection, records.Interactions):
        return _recommended(
            answer.open(fitted), collection, split, _categories(collection.corpus, categories)
        )
    queries, qrels = collection.split(split)
    if leave_out_self is None:
        leave_out_self = self_queries.are_documents(queries, collection.corpus)
    return _answered(answer.open(fitted), queries, qrels, split, leave_out_self)


def sentence_if_learned(fitted: Fitted, split: str) -> str:
    """Says that the system has learned from the split, so that measures mean little; or ""."""
    learn = fitted.about.get("learn", "train")
    if not learning.includes(learn, split):
        return ""
    return f"{fitted.name} was fitted with learn={learn}: it has learned the answers of {split}"


def evaluate_run(
    run: records.Ranking | str | os.PathLike,
    data: records.Collection | records.Interactions | str | os.PathLike,
    *,
    split: str = "test",
    categories: Sequence[str] | None = None,
    leave_out_self: bool | None = None,
) -> Evaluation:
    """Measures the answers of any system, such as a TREC run of another tool.

    Queries of the split that the run does not answer count 0; other queries are ignored.

    Args:
      run: a ranking, or the path of a TREC run.
      data: as for `evaluate`, and so the other options.

    Raises:
      DataError: an unreadable run, a document that the collection does not have, or a run that
        answers no query of the split.
    """
    collection = inputs.load_data(data)
    if not isinstance(run, records.Ranking):
        run = trec.read(run, collection.corpus.ids)
    if isinstance(collection, records.Interactions):
        histories, qrels = collection.split(split)
        ranking = _aligned(run, histories.ids, split)
        targets = recommend.targets(qrels, histories.ids, collection.corpus)
        places = recommend.places_in(ranking, targets)
        found = _categories(collection.corpus, categories)
        return _recommendations(collection, split, ranking, places, targets, None, found)
    queries, qrels = collection.split(split)
    ranking = _aligned(run, queries.ids, split)
    if leave_out_self is None:
        leave_out_self = self_queries.are_documents(queries, collection.corpus)
    return _answers(split, ranking, qrels, None, leave_out_self)


def _aligned(run: records.Ranking, query_ids: Sequence[str], split: str) -> records.Ranking:
    """The answers to these queries, DEPTH or more columns wide; none where the run has none."""
    rows = {query: row for row, query in enumerate(run.query_ids)}
    if not any(query in rows for query in query_ids):
        raise DataError(
            f"evaluate: the run answers no query of the split {split!r}; "
            f"its first query is {run.query_ids[0]!r}, that of the split {query_ids[0]!r}"
        )
    width = max(DEPTH, run.documents.shape[1])
    documents = np.full((len(query_ids), width), -1, np.int32)
    scores = np.full(documents.shape, -np.inf, np.float32)
    for row, query in enumerate(query_ids):
        if query in rows:
            answered = run.documents.shape[1]
            documents[row, :answered] = run.documents[rows[query]]
            scores[row, :answered] = run.scores[rows[query]]
    return dataclasses.replace(run, query_ids=tuple(query_ids), documents=documents, scores=scores)


def _categories(corpus: records.Corpus, named: Sequence[str] | None) -> list[str] | None:
    if named is None:
        found, where = item_categories.of(corpus)
        return found if where.startswith(item_categories.FIELDS) else None
    if len(named) != len(corpus):
        raise DataError(
            f"categories: expected one for each of {len(corpus)} items, got {len(named)}"
        )
    return list(named)


def _answered(
    opened: answer.Opened,
    queries: records.Queries,
    qrels: records.Qrels,
    split: str,
    leave_out_self: bool,
) -> Evaluation:
    """Evaluation of a system that answers texts with documents."""
    opened(queries.take([0]), DEPTH)  # compiles
    started = time.monotonic()
    ranking = opened(queries, DEPTH + leave_out_self)
    rate = len(queries) / max(time.monotonic() - started, 1e-9)
    return _answers(split, ranking, qrels, rate, leave_out_self)


def _answers(
    split: str,
    ranking: records.Ranking,
    qrels: records.Qrels,
    rate: float | None,
    leave_out_self: bool,
) -> Evaluation:
    """Measures of a ranking of documents."""
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
    opened: answer.Opened,
    collection: records.Interactions,
    split: str,
    categories: list[str] | None,
) -> Evaluation:
    """Evaluation of a recommender; exact over all items if the system scores them all."""
    histories, qrels = collection.split(split)
    opened(histories.take([0]), DEPTH)  # compiles
    targets = recommend.targets(qrels, histories.ids, collection.corpus)
    started = time.monotonic()
    if isinstance(opened.ask, scores.Scored):
        ranking, places = opened.ask.places(histories, targets, min(DEPTH, len(collection.corpus)))
    else:
        ranking = opened(histories, DEPTH)
        places = recommend.places_in(ranking, targets)
    rate = len(histories) / max(time.monotonic() - started, 1e-9)
    result = _recommendations(collection, split, ranking, places, targets, rate, categories)
    codes = identifiers.codes_of(opened.fitted.config, opened.fitted.state)
    if codes is None:
        return result
    by_identifier = recommend.per_query(recommend.identifier_places(ranking, codes, targets))
    means = {
        name + recommend.BY_IDENTIFIER: float(values.mean())
        for name, values in by_identifier.items()
    }
    return dataclasses.replace(
        result, measures={**result.measures, **means}, by_identifier=by_identifier
    )


def _recommendations(
    collection: records.Interactions,
    split: str,
    ranking: records.Ranking,
    places: recommend.Places,
    targets: np.ndarray,
    rate: float | None,
    categories: list[str] | None,
) -> Evaluation:
    """Measures of a ranking of items."""
    per_query = recommend.per_query(places)
    means = {name: float(values.mean()) for name, values in per_query.items()}
    means[measures.INVALID_SHARE] = float(ranking.invalid_share)
    learned = collection.without(*collection.held).histories
    popularity = np.bincount(learned.items, minlength=len(collection.corpus))
    means |= exposure.summary(ranking, places, targets, popularity, categories)
    last = collection.split(split)[0].latest(1)[:, 0]
    means |= transitions.summary(learned, last, targets, places)
    curve = recommend.hit_curve(places, DEPTH)
    return Evaluation(split, ranking, means, per_query, curve, rate)
