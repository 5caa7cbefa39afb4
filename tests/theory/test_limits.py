"""The ends: the Poisson curve, slopes at p = 0 and p = 1, thick tails."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import theory
import theory.exact
from theory import checks, limits, worlds

QUICK = settings(max_examples=30)
RELEVANCE = st.lists(st.floats(-3, 3), min_size=8, max_size=8).map(np.exp)


def test_the_poisson_curve_has_its_known_peak_and_ends():
    x, value = limits.POISSON_PEAK
    assert abs(x - 2.469) < 1e-3 and abs(value - 0.14829) < 1e-5
    grid = x + np.array([-1, -0.1, -0.01, 0, 0.01, 0.1, 1])
    curve = limits.poisson_kl(grid)
    assert np.argmax(curve) == 3 and abs(curve[3] - value) < 1e-6
    np.testing.assert_allclose(limits.poisson_kl(1e-6) / 1e-6, (1 - np.log(2)) / 2, rtol=1e-6)
    np.testing.assert_allclose(limits.poisson_kl(1e5) * 2e5, 1, rtol=1e-4)
    assert limits.poisson_kl(0.0) == 0


def test_the_poisson_curve_is_smooth_where_it_changes_its_form():
    for seam, step in ((1.0, 1e-5), (2000.0, 1e-2)):
        left, middle, right = limits.poisson_kl(seam + step * np.array([-1, 0.001, 1]))
        # a second difference; a jump would show whole
        np.testing.assert_allclose((left + right) / 2, middle, rtol=2e-8)


def test_many_uniform_branches_follow_the_poisson_curve():
    # branches of n = 1000 leaves, p = x/n; 200 of them: off by a share of order 1/branches + 1/n
    for x in (0.5, 2.469, 8.0):
        parent = np.repeat(np.arange(200), 1000)
        tree = worlds.Tree((np.zeros(200, int), parent), np.full(200_000, 5e-6))
        found = theory.exact.expected_kl_of(tree, x / 1000)[0]
        assert abs(found / limits.poisson_kl(x) - 1) < 0.02
        assert abs(found / limits.poisson_kl(1.2 * x) - 1) > 0.001  # negative control


@QUICK
@given(RELEVANCE)
def test_small_shares_follow_the_slope_at_zero(relevance):
    slope = limits.kl_slope_at_zero(relevance, 2, 3)
    np.testing.assert_allclose(
        theory.expected_kl(relevance, 2, 3, 1e-8) / 1e-8, slope, rtol=1e-6, atol=1e-8
    )


@QUICK
@given(RELEVANCE)
def test_shares_near_one_follow_the_slope_at_one(relevance):
    slope = limits.kl_slope_at_one(relevance, 2, 3)
    # the next order is of size 1e-5
    np.testing.assert_allclose(
        theory.expected_kl(relevance, 2, 3, 1 - 1e-5) / 1e-5, slope, rtol=1e-3, atol=1e-6
    )


def test_slopes_of_two_branches_of_two_equal_leaves_by_hand():
    # pairs of leaves: P = Q = 1/2. One leaf missing: P = (1/2, 1/2), Q = (2/3, 1/3), four ways
    assert limits.kl_slope_at_zero(np.ones(4), 2, 2).tolist() == [0, 0]
    np.testing.assert_allclose(
        limits.kl_slope_at_one(np.ones(4), 2, 2), [4 * 0.5 * np.log(9 / 8), 0], rtol=1e-12
    )
    # leaves 1, 3 | 2, 2: the pairs (1, 2) twice and (3, 2) twice, against P = (1/2, 1/2)
    pair = [0.5 * np.log(0.25 / (a / (a + 2) * 2 / (a + 2))) for a in (1, 3)]
    np.testing.assert_allclose(
        limits.kl_slope_at_zero([1, 3, 2, 2], 2, 2), [2 * sum(pair) / 4, 0], rtol=1e-12
    )


def test_slopes_are_infinite_where_a_leaf_has_no_relevance():
    for slope in (limits.kl_slope_at_zero, limits.kl_slope_at_one):
        assert slope([1, 0, 1, 1], 2, 2)[0] == np.inf


def test_concentration_costs_divergence_as_the_formula_says():
    # ST relevance, b = 64, k = 32, n = 1000, p = .5, exponential tails (CV = 1), score c = mu +
    # lambda sd sqrt n
    rng = np.random.default_rng(0)
    scores, keep = rng.standard_exponential((64, 1000)), 0.5
    parent = np.repeat(np.arange(64), 1000)
    for c, spec in ((1, 0.98e-3), (20, 1.06e-3), (50, 1.51e-3)):
        scores[:32, 0] = c
        tree = worlds.Tree(
            (np.zeros(64, int), parent), checks.normalised("test", scores.reshape(-1), 64_000)
        )
        found = theory.exact.expected_kl_of(tree, keep)[0]
        formula = limits.sparse_thick_kl(keep, 1000, 1.0, (c - 1) / np.sqrt(1000))
        np.testing.assert_allclose(found, spec, rtol=0.03)  # of one draw of the tail
        np.testing.assert_allclose(found, formula, rtol=0.1)
    assert limits.sparse_thick_kl(0.5, 1000, 0.5, 2.0) == pytest.approx(0.0005 * (1 + 0.25 * 3))
    # negative control: no spread
    assert abs(limits.sparse_thick_kl(keep, 1000, 0.0, 49 / np.sqrt(1000)) / found - 1) > 0.3


@pytest.mark.parametrize(
    ("call", "says"),
    (
        (lambda: limits.poisson_kl(-1), "x >= 0"),
        (lambda: limits.poisson_kl(np.inf), "finite"),
        (lambda: limits.sparse_thick_kl(0.5, 0, 1, 1), "leaves > 0"),
        (lambda: limits.kl_slope_at_zero(np.ones(3), 2, 2), r"\[4\]"),
        (lambda: limits.kl_slope_at_one(np.zeros(4), 2, 2), "zero"),
    ),
)
def test_parameters_out_of_range_are_refused_in_one_line(call, says):
    with pytest.raises(ValueError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)
