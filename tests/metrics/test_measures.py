"""Measures equal values worked by hand and their definitions."""

import math
import shutil

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from zoo import records
from zoo.metrics import measures


def ranking(documents, scores=None, *, num_documents=None, query_ids=None, invalid_share=0.0):
    """A ranking of corpus rows; the documents are named d0, d1, ..."""
    documents = np.array(documents, np.int32)
    if scores is None:
        scores = np.where(documents >= 0, -np.arange(documents.shape[1], dtype=np.float32), -np.inf)
    corpus_ids = tuple(f"d{row}" for row in range(num_documents or documents.max() + 1))
    query_ids = query_ids or tuple(f"q{row}" for row in range(len(documents)))
    return records.Ranking(
        query_ids, corpus_ids, documents, np.array(scores, np.float32), invalid_share
    )


def test_values_worked_by_hand():
    # q0: its one relevant document is at rank 2. q1: grades 2 and 1 at ranks 3 and 1. q2: not
    # found. q3: not answered.
    found = ranking([[5, 0, 1], [2, 9, 3], [4, 5, -1]], num_documents=10)
    qrels = records.Qrels(
        {"q0": {"d0": 1, "d5": 0}, "q1": {"d3": 2, "d2": 1}, "q2": {"d7": 1}, "q3": {"d1": 1}}
    )
    values = measures.per_query(found, qrels, ("Success@1", "Success@3", "RR@3", "nDCG@3", "R@3"))
    log2 = math.log2
    dcg, ideal = 1 / log2(2) + 2 / log2(4), 2 / log2(2) + 1 / log2(3)
    expected = {
        "Success@1": [0, 1, 0, 0],
        "Success@3": [1, 1, 0, 0],
        "RR@3": [1 / 2, 1, 0, 0],
        "nDCG@3": [1 / log2(3), dcg / ideal, 0, 0],
        "R@3": [1, 1, 0, 0],
    }
    for name, numbers in expected.items():
        np.testing.assert_allclose(values[name], numbers, atol=1e-9, err_msg=name)
    means = measures.evaluate(found, qrels, ("Success@3", "RR@3"))
    assert means == pytest.approx({"Success@3": 1 / 2, "RR@3": 3 / 8, "invalid_share": 0.0})


def brute(name, answers, grades):
    """One measure of one query by its definition; answers are document ids, best first."""
    kind, depth = name.split("@")
    top = [grades.get(document, 0) for document in answers[: int(depth)]]
    relevant = sum(grade > 0 for grade in grades.values())
    hits = [rank for rank, grade in enumerate(top, start=1) if grade > 0]
    if kind == "Success":
        return float(bool(hits))
    if kind == "RR":
        return 1 / hits[0] if hits else 0.0
    if kind == "R":
        return len(hits) / relevant if relevant else 0.0
    ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)[: int(depth)]
    gains = [
        sum(max(grade, 0) / math.log2(rank + 1) for rank, grade in enumerate(list_, start=1))
        for list_ in (top, ideal)
    ]
    return gains[0] / gains[1] if gains[1] else 0.0


@st.composite
def judged_rankings(draw):
    num_documents, width = 8, 5
    num_queries = draw(st.integers(1, 4))
    rows = []
    for _ in range(num_queries):
        answers = draw(st.permutations(range(num_documents)))[: draw(st.integers(0, width))]
        rows.append([*answers, *[-1] * (width - len(answers))])
    # many ties
    scores = [sorted((draw(st.integers(0, 2)) for _ in range(width)), reverse=True) for _ in rows]
    judged = st.dictionaries(
        st.sampled_from([f"d{row}" for row in range(num_documents)]), st.integers(0, 3), min_size=1
    )
    grades = {f"q{row}": draw(judged) for row in range(draw(st.integers(1, 5)))}
    return ranking(rows, scores, num_documents=num_documents), records.Qrels(grades)


NAMES = ("Success@1", "Success@5", "RR@3", "RR@5", "nDCG@5", "R@2", "R@5")


@hypothesis.given(judged_rankings())
def test_measures_equal_their_definitions_for_any_ties(case):
    found, qrels = case
    values = measures.per_query(found, qrels, NAMES)
    for name in NAMES:
        expected = []
        for query, grades in qrels.grades.items():
            row = int(query[1:])
            answers = [document for document, _ in found.answers(row)] if row < len(found) else []
            expected.append(brute(name, answers, grades))
        np.testing.assert_allclose(values[name], expected, atol=1e-9, err_msg=name)


@hypothesis.given(judged_rankings())
def test_the_hit_curve_is_success_at_every_k(case):
    found, qrels = case
    means = measures.evaluate(found, qrels, tuple(f"Success@{k}" for k in range(1, 6)))
    np.testing.assert_allclose(
        measures.hit_curve(found, qrels, 5),
        [means[f"Success@{k}"] for k in range(1, 6)],
        atol=1e-12,
    )


def test_equal_scores_keep_the_order_of_the_ranking():
    # trec_eval alone would sort d9 before d1 and call this a miss at rank 1.
    tied = ranking([[1, 9]], [[0.5, 0.5]], num_documents=10)
    assert (
        measures.evaluate(tied, records.Qrels({"q0": {"d1": 1}}), ("Success@1",))["Success@1"]
        == 1.0
    )
    assert (
        measures.evaluate(tied, records.Qrels({"q0": {"d9": 1}}), ("Success@1",))["Success@1"]
        == 0.0
    )


def test_the_fraction_of_invalid_answers_is_kept():
    assert (
        measures.evaluate(
            ranking([[0]], invalid_share=0.25), records.Qrels({"q0": {"d0": 1}}), ("R@1",)
        )["invalid_share"]
        == 0.25
    )


def test_a_ranking_cut_too_short_is_refused_unless_the_corpus_is_small():
    qrels = records.Qrels({"q0": {"d0": 1}})
    with pytest.raises(
        records.DataError,
        match="needs the first 100 answers, the ranking holds 2; retrieve with k=100",
    ):
        measures.evaluate(ranking([[0, 1]], num_documents=50), qrels, ("R@100",))
    assert measures.evaluate(ranking([[0, 1]]), qrels, ("R@100",))["R@100"] == 1.0


def test_queries_of_another_split_are_refused():
    with pytest.raises(records.DataError, match="answers none of the judged queries"):
        measures.evaluate(ranking([[0]]), records.Qrels({"other": {"d0": 1}}), ("R@1",))


@pytest.mark.parametrize(
    ("name", "message"),
    [("Hit@10", "write Success@k"), ("nonsense", "for example Success@1"), ("", "no such name")],
)
def test_unknown_measures_are_named_with_a_remedy(name, message):
    with pytest.raises(records.DataError, match=message):
        measures.evaluate(ranking([[0]]), records.Qrels({"q0": {"d0": 1}}), (name,))


def test_a_document_ranked_twice_is_refused():
    with pytest.raises(ValueError, match="'d1' is ranked twice"):
        measures.evaluate(ranking([[1, 1]]), records.Qrels({"q0": {"d0": 1}}), ("R@1",))


def test_two_names_of_one_measure_have_the_same_value():
    values = measures.evaluate(
        ranking([[0]]), records.Qrels({"q0": {"d0": 1}}), ("R@1", "Recall@1")
    )
    assert values["R@1"] == values["Recall@1"] == 1.0


def test_tables_show_the_usual_names():
    assert [measures.label(name) for name in measures.DEFAULT] == [
        "Hit@1",
        "Hit@10",
        "MRR@10",
        "nDCG@10",
        "Recall@100",
    ]


@pytest.mark.skipif(shutil.which("perl") is None, reason="the backend is a Perl script")
def test_exponential_gains_of_queries_and_documents_with_any_ids():
    """Grades 1, 3 at ranks 1, 2: (1 + 7 / log2 3) / (7 + 1 / log2 3); the script rounds to 5e-6."""
    documents, scores = np.array([[0, 1]], np.int32), np.array([[2.0, 1.0]], np.float32)
    ranking = records.Ranking(("a query",), ("a b", "c"), documents, scores)
    qrels = records.Qrels({"a query": {"a b": 1, "c": 3}})
    name = "nDCG(dcg='exp-log2')@2"
    expected = (1 + 7 / np.log2(3)) / (7 + 1 / np.log2(3))
    found = measures.evaluate(ranking, qrels, [name])[name]
    np.testing.assert_allclose(found, expected, atol=5e-6)
