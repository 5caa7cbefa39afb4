"""Scores of keys and documents against the worked examples of the definition and Python loops."""

import time

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from zoo.index import ngrams as texts
from zoo.ranking import keys


def test_the_key_score_has_the_values_of_the_definition():
    log_prob, count, size = [-1, -0.5, -5, -2], [10, 1, 10, 100], [1000, 1000, 1000, 10**6]
    found = [float(keys.key_score(*row)) for row in zip(log_prob, count, size)]
    assert found == pytest.approx([13.310311, 30.777502, 0, 53.390257], abs=1e-6)
    assert keys.key_score(-1.0, 0, 1000) == 0
    np.testing.assert_allclose(keys.log_odds(-1.0, 10, 1000) ** 2, found[0], rtol=1e-12)
    assert np.isfinite(keys.key_score(0.0, 1, 1000)) and keys.key_score(-1.0, 1000, 1000) == 0


def test_the_repetition_weight_has_the_values_of_the_definition():
    assert keys.repetition_weight([1, 2], [2, 3]) == pytest.approx(0.6)
    assert keys.repetition_weight([1, 2, 1], [1, 2]) == pytest.approx(0.2)
    assert keys.repetition_weight([1, 2], []) == 1


def padded(rows):
    length = max(map(len, rows))
    return np.array([[*row, *[0] * (length - len(row))] for row in rows], np.int32)


def scored(documents, ngrams, scores):
    text, starts = texts.join(documents)
    key, place = texts.match(text, padded(ngrams), starts)
    document = np.searchsorted(starts, place, side="right") - 1
    found = keys.Matches(key, document, place)
    return keys.document_scores(found, padded(ngrams), scores, num_documents=len(documents))


def test_documents_score_as_in_the_worked_example():
    """Keys ab = 9 and bc = 4; unigrams c = 2 and d = 1, visited after them."""
    a, b, c, d = 1, 2, 3, 4
    ngrams, scores = [(a, b), (b, c), (c,), (d,)], [9.0, 4.0, 2.0, 1.0]
    total, why = scored([[a, b, c, d], [b, c, a, b], [a, b, a, b], [a]], ngrams, scores)
    np.testing.assert_allclose(total, [12.0, 11.4, 9.0, 0.0])
    np.testing.assert_allclose(np.bincount(why.document, why.value, 4), total)
    assert [tuple(map(int, row)) for row in zip(why.document, why.key, why.place)] == [
        (0, 0, 0),
        (1, 0, 6),
        (2, 0, 8),
        (1, 1, 4),
        (0, 2, 2),
        (0, 3, 3),
    ]


def naive(document, ngrams, scores):
    total, taken, covered = 0.0, set(), set()
    for ngram, score in zip(ngrams, scores):
        n, contributed = len(ngram), False
        for place in range(len(document) - n + 1):
            span = set(range(place, place + n))
            if list(document[place : place + n]) != list(ngram) or span & taken:
                continue
            taken |= span
            if not contributed:
                total += score * keys.repetition_weight(ngram, covered)
                covered |= set(ngram)
                contributed = True
    return total


few = st.integers(1, 3)  # tokens, so that keys overlap and repeat


@settings(max_examples=200)
@given(
    documents=st.lists(st.lists(few, max_size=12), min_size=1, max_size=5),
    ngrams=st.lists(st.lists(few, min_size=1, max_size=4), min_size=1, max_size=8, unique_by=tuple),
)
def test_documents_score_as_by_loops(documents, ngrams):
    scores = np.random.default_rng(len(ngrams)).random(len(ngrams)) * 10
    total, _ = scored(documents, ngrams, scores)
    np.testing.assert_allclose(total, [naive(one, ngrams, scores) for one in documents])


@settings(max_examples=200)
@given(
    documents=st.lists(st.lists(few, max_size=12), min_size=1, max_size=5),
    ngrams=st.lists(st.lists(few, min_size=1, max_size=4), min_size=1, max_size=8, unique_by=tuple),
)
def test_matches_are_all_occurrences(documents, ngrams):
    text, starts = texts.join(documents)
    key, place = texts.match(text, padded(ngrams), starts)
    assert sorted(zip(key.tolist(), place.tolist())) == sorted(
        (number, int(first) + i)
        for number, ngram in enumerate(ngrams)
        for row, first in zip(documents, starts)
        for i in range(len(row) - len(ngram) + 1)
        if list(row[i : i + len(ngram)]) == list(ngram)
    )


def test_a_thousand_keys_of_a_hundred_thousand_documents_take_milliseconds():
    """100 occurrences a key; .03 to .1 s here, a loop over occurrences takes seconds."""
    draw = np.random.default_rng(0)
    ngrams = draw.integers(1, 8000, (1000, 4)).astype(np.int32)
    key = np.repeat(np.arange(1000), 100)
    document = draw.integers(0, 100_000, len(key))
    place = document * 50 + draw.integers(0, 46, len(key))
    found, scores = keys.Matches(key, document, place), np.sort(draw.random(1000))[::-1]
    began = time.perf_counter()
    keys.document_scores(found, ngrams, scores, num_documents=100_000)
    assert time.perf_counter() - began < 1
