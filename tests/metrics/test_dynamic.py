"""Measures of a growing corpus against values worked by hand, and against variants that differ."""

import numpy as np
import pytest

from zoo.metrics import dynamic


def test_forgetting_is_the_mean_drop_from_d0():
    # drops .05, .10, .10, .15, .20: mean .12; neither the last drop nor a mean over six columns
    assert dynamic.forgetting([0.8, 0.75, 0.7, 0.7, 0.65, 0.6]) == pytest.approx(0.12, abs=1e-15)
    assert dynamic.backward_transfer([0.8, 0.75, 0.7, 0.7, 0.65, 0.6]) == pytest.approx(-0.12)


def test_forgetting_from_best_differs_only_where_hits_rise():
    falling, rising = [0.8, 0.7, 0.6], [0.6, 0.8, 0.7]
    assert dynamic.forgetting_from_best(falling) == dynamic.forgetting(falling)
    # best earlier minus current: -.2 and .1
    assert dynamic.forgetting_from_best(rising) == pytest.approx(-0.05, abs=1e-15)
    assert dynamic.forgetting(rising) == pytest.approx(-0.15, abs=1e-15)


def test_generalisation_is_the_mean_over_new_documents():
    hits = [0.5, 0.4, 0.3, 0.2, 0.6]
    assert dynamic.generalisation(hits) == dynamic.forward_transfer(hits) == pytest.approx(0.4)


def test_22_published_values_are_means_of_five_steps_in_thousandths():
    values = np.array([row[:2] for row in dynamic.PUBLISHED.values()]).ravel()
    assert len(values) == 22
    whole = lambda n: np.isclose(values * n * 1000, np.round(values * n * 1000), atol=1e-6)
    assert whole(5).all()
    assert not whole(6).all()  # with the column of D0 they are not


@pytest.mark.parametrize("hits", ([0.5], [0.5, 1.2], [[0.5, 0.4]], [0.5, float("nan")]))
def test_hits_that_are_no_curve_are_refused(hits):
    with pytest.raises(ValueError, match="expected f64"):
        dynamic.forgetting(hits)
