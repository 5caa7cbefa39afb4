"""Queries that are documents, and queries that only share ids with documents."""

import numpy as np

from zoo import records
from zoo.data import self_queries, toy

CORPUS = records.Corpus(
    ("a1", "a2", "c"),
    ("Uniforms", "", ""),
    ("cost families money and help nobody", "uniforms save families money", "ideas"),
)


def queries(*pairs):
    return records.Queries(*map(tuple, zip(*pairs)))


def test_queries_with_the_id_and_text_of_a_document_are_documents():
    same = queries(("a1", "uniforms  cost families money and help nobody"), ("x", "ideas"))
    assert self_queries.are_documents(same, CORPUS)


def test_equal_ids_alone_do_not_make_a_query_a_document():
    numbered = queries(("a1", "what is an idea"), ("a2", "who pays"), ("x", "ideas"))
    assert not self_queries.are_documents(numbered, CORPUS)
    assert not self_queries.are_documents(queries(("x", "ideas")), CORPUS)
    collection = toy.build(5)
    assert not self_queries.are_documents(collection.queries, collection.corpus)


def test_the_query_itself_is_removed_and_the_rest_moves_up():
    ranking = records.Ranking(
        ("a1", "c", "x"),
        CORPUS.ids,
        np.array([[0, 1, 2], [1, 2, -1], [2, 1, 0]], np.int32),
        np.array([[3, 2, 1], [5, 4, -np.inf], [3, 2, 1]], np.float32),
    )
    left = self_queries.leave_out(ranking, 2)
    np.testing.assert_array_equal(left.documents, [[1, 2], [1, -1], [2, 1]])
    np.testing.assert_array_equal(left.scores, [[2, 1], [5, -np.inf], [3, 2]])
    assert left.documents.dtype == np.int32 and left.scores.dtype == np.float32
