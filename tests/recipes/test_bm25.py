"""The BM25 recipe: the ranking of its index, train queries, new documents, other languages."""

import dataclasses
import json

import numpy as np
import pytest

import zoo
from zoo import records
from zoo.data import toy
from zoo.index import lexical
from zoo.metrics import measures
from zoo.recipes import bm25


class Silent:
    """A log that discards everything."""

    def phase(self, name):
        pass


def hit_at_1(config, collection):
    queries, qrels = collection.split("test")
    state = bm25.fit(collection.without("test"), config, None, log=Silent())
    return measures.evaluate(bm25.open(config, state)(queries, 10), qrels, ("Success@1",))[
        "Success@1"
    ]


def test_unique_words_rank_their_document_first():
    assert hit_at_1(bm25.Config(), toy.build(100)) == 1.0


def test_the_ranking_equals_that_of_the_index():
    collection = toy.build(30)
    queries, _ = collection.split("test")
    config = bm25.Config(k1=1.2, b=0.75)
    found = bm25.open(config, bm25.fit(collection, config, None, log=Silent()))(queries, 5)
    documents, scores = lexical.search(
        lexical.build(collection.corpus.contents(), k1=1.2, b=0.75), queries.texts, 5
    )
    np.testing.assert_array_equal(found.documents, documents)
    np.testing.assert_array_equal(found.scores, scores)
    assert found.corpus_ids == collection.corpus.ids and found.query_ids == queries.ids


def test_expansion_matches_words_of_train_queries():
    corpus = records.Corpus(("d0", "d1"), ("", ""), ("apple", "banana"))
    queries = records.Queries(("q0", "q1"), ("round fruit", "long fruit"))
    splits = {"train": records.Qrels({"q0": {"d0": 1}, "q1": {"d1": 2, "d0": 0}})}
    collection = records.Collection("fruit", corpus, queries, splits)
    for expand, expected in ((False, [-1, -1]), (True, [1, -1])):
        config = bm25.Config(expand_with_queries=expand)
        state = bm25.fit(collection, config, None, log=Silent())
        found = bm25.open(config, state)(records.Queries.of("long"), 2)
        np.testing.assert_array_equal(found.documents, [expected])


def test_expansion_without_train_queries_is_refused():
    corpus = records.Corpus(("d0",), ("",), ("apple",))
    alone = records.Collection("alone", corpus, records.Queries((), ()), {})
    with pytest.raises(records.DataError, match="no split 'train'"):
        bm25.fit(alone, bm25.Config(expand_with_queries=True), None, log=Silent())


def test_the_state_is_arrays_and_text():
    state = bm25.fit(toy.build(5), bm25.Config(), None, log=Silent())
    leaves = [state["corpus_ids"], *state["index"].values()]
    assert {type(leaf) for leaf in leaves} == {str, np.ndarray}
    assert json.loads(state["corpus_ids"]) == list(toy.build(5).corpus.ids)


def rows_of(corpus, rows):
    columns = (getattr(corpus, name)[rows] for name in ("ids", "titles", "texts"))
    return records.Corpus(*columns)


def test_added_documents_rank_as_if_fitted_with_the_others():
    whole = toy.build(30)
    queries, _ = whole.split("test")
    first = dataclasses.replace(whole, corpus=rows_of(whole.corpus, slice(20)), qrels={})
    config = bm25.Config(k1=1.2)
    state = bm25.fit(first, config, None, log=Silent())
    for rows in (slice(20, 24), slice(24, 30)):
        state = bm25.add(config, state, rows_of(whole.corpus, rows))
    expected = bm25.fit(whole, config, None, log=Silent())
    assert state["corpus_ids"] == expected["corpus_ids"]
    mine, other = (bm25.open(config, one)(queries, 9) for one in (state, expected))
    np.testing.assert_array_equal(mine.documents, other.documents)
    np.testing.assert_array_equal(mine.scores, other.scores)


def test_removing_documents_ranks_as_if_they_had_never_existed():
    whole = toy.build(30)
    queries, _ = whole.split("test")
    left = np.setdiff1d(np.arange(30), [0, 7, 29])
    columns = (getattr(whole.corpus, name) for name in ("ids", "titles", "texts"))
    corpus = records.Corpus(*(tuple(column[row] for row in left) for column in columns))
    config = bm25.Config()
    state = bm25.fit(whole, config, None, log=Silent())
    less = bm25.remove(config, state, np.array([0, 7, 29]))
    expected = bm25.fit(
        dataclasses.replace(whole, corpus=corpus, qrels={}), config, None, log=Silent()
    )
    assert less["corpus_ids"] == expected["corpus_ids"]
    mine, other = (bm25.open(config, one)(queries, 9) for one in (less, expected))
    np.testing.assert_array_equal(mine.documents, other.documents)
    np.testing.assert_array_equal(mine.scores, other.scores)


def test_documents_are_added_to_a_folder_and_found_again(tmp_path):
    grown = zoo.add(zoo.fit("bm25", "toy", quiet=True), records.Corpus(("n",), ("",), ("東京都",)))
    zoo.save(grown, tmp_path / "grown")
    again = zoo.load(tmp_path / "grown")
    assert zoo.retrieve(again, "東京", 3).answers(0)[0][0] == "n"
    assert again.about["num_documents"] == len(again.documents)


def test_the_language_is_detected_or_named_and_stored():
    corpus = records.Corpus(("d0", "d1"), ("", ""), ("die Häuser", "die Blumen"))
    collection = records.Collection("words", corpus, records.Queries((), ()), {})
    for language, expected in (("auto", -1), ("german", 0)):
        config = bm25.Config(language=language)
        state = bm25.fit(collection, config, None, log=Silent())
        assert json.loads(state["index"]["settings"])["analysis"]["language"] == language
        found = bm25.open(config, state)(records.Queries.of("Haus"), 1)
        np.testing.assert_array_equal(found.documents, [[expected]])


def test_meaningless_options_are_refused():
    for options, message in (
        ({"language": "latin"}, "bm25: option language expects one of auto, none, english"),
        ({"k1": float("inf")}, "bm25: option k1 expects"),
        ({"b": -0.1}, "bm25: option b expects"),
    ):
        with pytest.raises(records.DataError, match=message):
            bm25.Config(**options)
