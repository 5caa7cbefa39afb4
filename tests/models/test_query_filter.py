"""Generated queries: junk, repetitions, and the round trip through BM25."""

import numpy as np
import pytest

from zoo import records
from zoo.models import query_filter, query_generator
from zoo.train import log as logs

TEXTS = (
    "Bread is made of flour, water and salt.",
    "Green tea is made of leaves that are steamed.",
    "A violin has four strings and a bow.",
    "The moon pulls the water of the sea.",
)
CORPUS = records.Corpus(tuple("abcd"), ("",) * 4, TEXTS)


@pytest.mark.parametrize("junk", ["-", ")", "", "( ) .", "the the the", "tea tea tea of"])
def test_junk_is_recognised(junk):
    assert query_filter.is_junk(junk)


@pytest.mark.parametrize(
    "query", ["tea", "c++", "42", "to be or not to be", "東京の天気", "how to"]
)
def test_queries_are_no_junk(query):
    assert not query_filter.is_junk(query)


def test_kept_are_the_queries_that_lead_back_to_their_document():
    made = [
        ("flour and salt", 0, query_filter.KEPT),
        ("-", 0, query_filter.JUNK),
        ("Flour and salt!", 0, query_filter.REPEATED),
        ("violin strings", 1, query_filter.LOST),  # of another document
        ("steamed leaves", 1, query_filter.KEPT),
        ("violin bow", 2, query_filter.KEPT),
        ("qwertz", 3, query_filter.LOST),  # no document has the word
    ]
    queries, rows, fates = zip(*made)
    found = query_filter.keep(CORPUS, queries, rows, first=1)
    assert found.queries == ["flour and salt", "steamed leaves", "violin bow"]
    assert found.rows == [0, 1, 2]
    assert found.report["made"] == 7 and found.report["kept_share"] == round(3 / 7, 4)
    for fate in set(fates):
        assert found.report[fate]["number"] == fates.count(fate)
        assert found.report[fate]["examples"] == [q for q, _, own in made if own == fate]
    assert query_filter.describe(found.report) == (
        "kept 43% of 7 generated queries; dropped: 1 junk, as '-'; 1 repeated, as 'Flour and "
        "salt!'; 2 not found by BM25, as 'violin strings'"
    )
    # without the round trip only the form counts; a query of four documents tells none apart
    assert len(query_filter.keep(CORPUS, queries, rows, first=0).queries) == 5
    assert not query_filter.keep(CORPUS, ["made of"] * 4, range(4), first=0).queries


def test_documents_without_train_queries_get_the_most():
    queries = records.Queries(("q0", "q1", "q2"), ("salt", "flour", "strings"))
    qrels = records.Qrels({"q0": {"a": 1}, "q1": {"a": 1}, "q2": {"c": 1}})
    collection = records.Collection("four", CORPUS, queries, {"train": qrels})
    log = logs.Log(quiet=True)
    counted = {}
    for count_train in (False, True):
        _, rows = query_generator.make_queries(
            "rules", collection, per_document=4, seed=0, log=log, count_train=count_train
        )
        counted[count_train] = np.bincount(rows, minlength=4)
        assert rows == sorted(rows)
    whole = counted[False]
    assert (whole <= 4).all() and (whole >= 1).all()
    np.testing.assert_array_equal(counted[True], np.minimum(whole, [2, 4, 3, 4]))
    assert log.facts["queries"]["made"] == 16
