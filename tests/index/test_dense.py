"""Exact inner-product search in blocks against NumPy over all documents at once."""

import numpy as np
import pytest

from zoo.index import dense

N, D, BLOCK = 37, 5, 16


@pytest.fixture(scope="module")
def case():
    """Vectors of small integers, for exact products and many ties."""
    random = np.random.default_rng(0)
    return random.integers(-2, 3, (N, D)).astype(np.float32), random.integers(-2, 3, (9, D)).astype(
        np.float32
    )


def expected(vectors, queries, k):
    products = queries @ vectors.T
    order = np.argsort(-products, axis=1, kind="stable")[:, :k]  # the lower row wins ties
    return order, np.take_along_axis(products, order, axis=1)


@pytest.mark.parametrize("k", (1, 7, N))
def test_search_in_blocks_equals_search_over_all_documents(case, k):
    vectors, queries = case
    documents, scores = dense.search(dense.build(vectors, block=BLOCK), queries, k)
    for got, wanted in zip((documents, scores), expected(vectors, queries, k)):
        np.testing.assert_array_equal(got, wanted)
    # control: answers come from several blocks
    assert len({row // BLOCK for row in documents[:, 0]}) > 1


def test_missing_answers_follow_the_last_document(case):
    documents, scores = dense.search(dense.build(case[0], block=BLOCK), case[1], N + 3)
    assert (documents[:, N:] == -1).all() and np.isneginf(scores[:, N:]).all()
    assert (np.sort(documents[:, :N]) == np.arange(N)).all() and np.isfinite(scores[:, :N]).all()


def test_padding_is_never_answered_even_if_all_products_are_negative():
    documents, scores = dense.search(dense.build(-np.ones((3, 2)), block=2), np.ones((1, 2)), 2)
    np.testing.assert_array_equal(documents, [[0, 1]])
    np.testing.assert_array_equal(scores, [[-2, -2]])


def test_other_corpora_and_queries_of_the_same_sizes_trace_nothing_new(case):
    vectors, queries = case
    dense.search(dense.build(vectors, block=BLOCK), queries, 7)
    before = dense._search._cache_size()
    dense.search(dense.build(vectors[:35] + 1, block=BLOCK), queries[:3].repeat(3, axis=0), 7)
    assert dense._search._cache_size() == before
    dense.search(dense.build(vectors[:30], block=BLOCK), queries, 7)  # control: one block fewer
    assert dense._search._cache_size() == before + 1


def test_invalid_vectors_are_refused():
    for vectors in (np.zeros((0, 3)), np.zeros(3), np.array([[1.0, np.nan]])):
        with pytest.raises(ValueError, match="expected finite vectors"):
            dense.build(vectors)
