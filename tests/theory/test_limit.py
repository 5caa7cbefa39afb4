"""LIMIT: the moment curve ranks every pair, and texts hold what they say."""

import jax
import numpy as np
import pytest

from theory import limit


@pytest.mark.parametrize("num", [5, 46])
def test_four_dimensions_rank_every_pair(num):
    queries, documents = limit.moment_curve(num)
    scores = queries @ documents.T
    a, b = (limit.pairs(num) + 1).T[..., None]
    t = np.arange(1, num + 1)
    # -(t - a)^2 (t - b)^2 and a constant per query
    np.testing.assert_array_equal(scores + (t - a) ** 2 * (t - b) ** 2, (a * b) ** 2 + 0 * t)
    assert limit.recall_at_2(scores) == 1 and limit.margin(scores) == 1
    three = scores + documents[:, 3]  # the quartic removed
    assert limit.recall_at_2(three) < 0.8


def test_the_centred_curve_has_the_stated_gap():
    queries, documents = limit.centred_curve(46)
    scores = queries @ documents.T
    assert limit.margin(scores) == pytest.approx((2 / 45) ** 4, rel=1e-6)
    assert limit.recall_at_2(scores) == 1


def test_recall_counts_ties_as_lost():
    assert limit.recall_at_2(np.zeros((3, 3))) == 0
    perfect = np.array([[2.0, 1, 0], [1, 0, 2], [0, 1, 1]])  # pairs 01, 02, 12
    assert limit.recall_at_2(perfect) == 1


def test_free_vectors_of_many_dimensions_hold_every_pair():
    fit = limit.free_vectors(12, 12, jax.random.key(0), steps=400)
    assert fit.recall == 1 and fit.margin > 0


def test_texts_say_who_likes_what():
    data = limit.collection(10, negatives=3, seed=1)
    texts = dict(zip(data.corpus.ids, data.corpus.texts))
    assert len(data.queries) == 45
    for split in ("train", "test"):
        queries, qrels = data.split(split)
        for query, text in zip(queries.ids, queries.texts):
            thing = text.split()[-1]
            says = lambda verb: {d for d in texts if f"{verb} {thing}" in texts[d].split(". ")}
            assert says("likes") == set(qrels.grades[query]) and len(says("dislikes")) == 3
