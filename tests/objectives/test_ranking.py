"""Objectives over scores against NumPy, in f64."""

import numpy as np
import pytest

from zoo.objectives import ranking

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(3, 5, 7)).astype(np.float32) * 3
RIGHT = RNG.integers(0, 7, (3, 5))
CLOSE = 1e-5  # f32 of a few sums of size 10


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def test_softmax_is_the_negative_log_probability_of_the_right_one():
    p = np.exp(SCORES.astype(np.float64))
    expected = -np.log(
        np.take_along_axis(p / p.sum(-1, keepdims=True), RIGHT[..., None], -1)[..., 0]
    )
    np.testing.assert_allclose(ranking.softmax(SCORES, RIGHT), expected, rtol=CLOSE)


def test_binary_is_two_logistic_losses():
    right, wrong = SCORES[..., 0], SCORES[..., 1:]
    expected = -np.log(sigmoid(right)) - np.log(1 - sigmoid(wrong)).mean(-1)
    np.testing.assert_allclose(ranking.binary(right, wrong), expected, rtol=CLOSE)


@pytest.mark.parametrize("regularisation", [0.0, 1.0])
def test_bpr_max_weighs_wrong_ones_by_their_softmax(regularisation):
    right, wrong = SCORES[..., 0], SCORES[..., 1:].astype(np.float64)
    weight = np.exp(wrong) / np.exp(wrong).sum(-1, keepdims=True)
    expected = -np.log((weight * sigmoid(right[..., None] - wrong)).sum(-1)) + regularisation * (
        weight * wrong**2
    ).sum(-1)
    np.testing.assert_allclose(
        ranking.bpr_max(right, SCORES[..., 1:], regularisation=regularisation), expected, rtol=CLOSE
    )


def test_no_score_is_too_large_for_them():
    huge = np.float32(1e4) * np.sign(SCORES)
    for value in (
        ranking.softmax(huge, RIGHT),
        ranking.binary(huge[..., 0], huge[..., 1:]),
        ranking.bpr_max(huge[..., 0], huge[..., 1:]),
    ):
        assert np.isfinite(value).all()
