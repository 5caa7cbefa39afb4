"""Measures of a ranking, computed by ir-measures and called by its names.

    Success@k  1 if a relevant document is among the first k (shown as Hit@k)
    RR@k       1 / rank of the first relevant document, 0 if it is not among the first k
               (its mean is shown as MRR@k)
    nDCG@k     as trec_eval: gain = grade, discount log2(rank + 1); with grades 0 and 1 equal to the
               variant with gain 2^grade - 1
    R@k        fraction of the relevant documents among the first k (shown as Recall@k)

A document is relevant if its grade is above 0. Means are over the queries of the judgements; a
query that the ranking does not answer counts 0. TREC tools sort by score and break ties by id;
here the order of the ranking counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from zoo import records

DEFAULT = ("Success@1", "Success@10", "RR@10", "nDCG@10", "R@100")
INVALID_SHARE = "invalid_share"
_SHOWN = {"Success": "Hit", "RR": "MRR", "R": "Recall"}


def evaluate(
    ranking: records.Ranking, qrels: records.Qrels, measures: Sequence[str] = DEFAULT
) -> dict[str, float]:
    """Mean of each measure over the judged queries, and the ranking's `invalid_share`.

    Raises as `per_query`.
    """
    means = {
        name: float(values.mean()) for name, values in per_query(ranking, qrels, measures).items()
    }
    return means | {INVALID_SHARE: float(ranking.invalid_share)}


def per_query(
    ranking: records.Ranking, qrels: records.Qrels, measures: Sequence[str] = DEFAULT
) -> dict[str, np.ndarray]:
    """Each measure as f64[B] over the B judged queries, in the order of the judgements.

    Raises DataError if a measure is unknown, its cut-off exceeds the ranking's depth, or no judged
    query was answered; ValueError if the ranking has a document twice for a query.
    """
    import ir_measures

    parsed = {name: _parsed(name) for name in measures}
    for name, measure in parsed.items():
        _refuse_shallow(name, measure, ranking)
    rows = {query: row for row, query in enumerate(ranking.query_ids)}
    asked = [query for query in qrels.grades if query in rows]
    if not asked:
        raise records.DataError(
            "evaluation: the ranking answers none of the judged queries; retrieve the queries of "
            "this split"
        )
    # by number: some backends write text files, where no id may be a word or hold a blank
    order = {query: row for row, query in enumerate(qrels.grades)}
    names: dict[str, str] = {}
    number = lambda found: {names.setdefault(d, str(len(names))): v for d, v in found.items()}
    run = {str(order[q]): number(_falling_scores(ranking, rows[q])) for q in asked}
    judged = {str(order[q]): number(grades) for q, grades in qrels.grades.items()}
    values = {measure: np.zeros(len(order)) for measure in parsed.values()}
    for metric in ir_measures.iter_calc(list(values), judged, run):
        values[metric.measure][int(metric.query_id)] = metric.value
    return {name: values[measure] for name, measure in parsed.items()}


def hit_curve(ranking: records.Ranking, qrels: records.Qrels, max_k: int = 100) -> np.ndarray:
    """Success@k for k = 1 .. max_k as f64[max_k]."""
    rows = {query: row for row, query in enumerate(ranking.query_ids)}
    firsts = np.zeros(max_k)
    for query, grades in qrels.grades.items():
        for rank, (document, _) in enumerate(
            ranking.answers(rows[query])[:max_k] if query in rows else ()
        ):
            if grades.get(document, 0) > 0:
                firsts[rank] += 1
                break
    return firsts.cumsum() / len(qrels)


def label(measure: str) -> str:
    """A measure's name in tables: Hit@1 for Success@1, MRR@10 for RR@10, Recall@10 for R@10."""
    kind, at, depth = measure.partition("@")
    return _SHOWN.get(kind, kind) + at + depth


def _parsed(name: str):
    import ir_measures

    try:
        measure = ir_measures.parse_measure(name)
    except (NameError, ValueError, KeyError, TypeError, SyntaxError):
        hint = {shown: kind for kind, shown in _SHOWN.items()}.get(re.split(r"[@(]", name)[0])
        remedy = f"write {hint}@k" if hint else f"for example {', '.join(DEFAULT)}"
        raise records.DataError(
            f"measure {name!r}: ir-measures has no such name; {remedy}"
        ) from None
    if not ir_measures.DefaultPipeline.supports(measure):
        raise records.DataError(
            f"measure {name!r}: no installed backend of ir-measures computes it; "
            f"for example {', '.join(DEFAULT)}"
        )
    return measure


def _refuse_shallow(name: str, measure, ranking: records.Ranking) -> None:
    """Raises DataError if the ranking ends before the cut-off, and would score too low."""
    depth, width = measure.params.get("cutoff"), ranking.documents.shape[1]
    if depth is not None and width < min(depth, len(ranking.corpus_ids)):
        raise records.DataError(
            f"measure {name!r}: needs the first {depth} answers, the ranking holds {width}; "
            f"retrieve with k={depth}"
        )


def _falling_scores(ranking: records.Ranking, row: int) -> dict[str, float]:
    """Document -> a score that falls with the rank, so that sorting by score keeps the order."""
    answers = [document for document, _ in ranking.answers(row)]
    if len(set(answers)) != len(answers):
        twice = next(document for document in answers if answers.count(document) > 1)
        raise ValueError(
            f"query {ranking.query_ids[row]!r}: document {twice!r} is ranked twice; "
            "a ranking must hold a document once"
        )
    return {document: float(len(answers) - rank) for rank, document in enumerate(answers)}
