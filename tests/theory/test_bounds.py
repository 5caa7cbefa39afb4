"""Closed forms against exact values: the sharp law, the bounds and where they hold, averages."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import theory
from theory import bounds, checks, enumeration, exact, worlds

QUICK = settings(max_examples=60)
SHAPES = st.sampled_from(((2, 2), (2, 3), (2, 4), (3, 2), (4, 2), (3, 3), (8, 3)))
SHARES = st.floats(1e-4, 1.0)


def skewed(shape, seed, spread):
    """Log-normal relevance of any skewness."""
    num_leaves = shape[0] ** shape[1]
    return np.exp(spread * np.random.default_rng(seed).standard_normal(num_leaves))


@pytest.mark.parametrize(
    ("branching", "depth", "relevance", "keep", "bound"),
    (
        (2, 3, np.ones(8), 0.5, 0.0159211),
        (2, 3, 1 / np.arange(1, 9), 0.1, 0.00147935),
        (4, 2, 1 / np.arange(1, 17), 0.5, 0.0224313),
    ),
)
def test_lower_bounds_known_to_six_digits_come_out(branching, depth, relevance, keep, bound):
    np.testing.assert_allclose(
        theory.kl_lower_bound(relevance, branching, depth, keep), bound, rtol=4e-6
    )


@QUICK
@given(SHAPES, st.integers(0, 2**32), st.floats(0, 4), SHARES)
def test_the_bound_is_never_above_the_exact_first_step(shape, seed, spread, keep):
    relevance = skewed(shape, seed, spread)
    num_leaves = len(relevance)
    first = theory.expected_kl(relevance, *shape, keep)[0] * -np.expm1(
        num_leaves * np.log1p(-keep) if keep < 1 else -np.inf
    )
    # 1e-9: relative error of the quadrature; 1e-13: rounding of the bound
    assert theory.kl_lower_bound(relevance, *shape, keep) <= first * (1 + 1e-9) + 1e-13


@QUICK
@given(st.integers(0, 2**32), st.floats(0, 3), SHARES)
def test_the_bound_takes_branches_of_any_size(seed, spread, keep):
    rng = np.random.default_rng(seed)
    parent = np.sort(rng.integers(0, 3, 9))
    parent = np.unique(parent, return_inverse=True)[1]
    tree = worlds.Tree(
        (np.zeros(parent.max() + 1, int), parent),
        checks.normalised("test", np.exp(spread * rng.standard_normal(9)), 9),
    )
    first = enumeration.enumerate_kl_of(tree, keep=keep)[0] * (1 - (1 - keep) ** 9)
    assert bounds.kl_lower_bound_of(tree, keep) <= first * (1 + 1e-9) + 1e-13


def test_the_bound_is_within_a_factor_of_two_where_branches_are_many_and_full():
    relevance = worlds.dirichlet(16, 3, concentration=5.0)
    ratio = (
        theory.kl_lower_bound(relevance, 16, 3, 0.5) / theory.expected_kl(relevance, 16, 3, 0.5)[0]
    )
    assert 0.45 < ratio < 0.55  # the pairwise Jensen step loses one half


@QUICK
@given(
    st.sampled_from(((8, 3), (16, 2), (5, 3))),
    st.integers(0, 2**32),
    st.floats(0, 3),
    st.floats(0.05, 0.5),
)
def test_the_readable_bound_is_below_the_full_one(shape, seed, spread, keep):
    relevance = skewed(shape, seed, spread)
    if keep * shape[0] ** (shape[1] - 1) < 6:
        with pytest.raises(ValueError, match="keep \\* .* >= 6"):
            bounds.readable_bound(relevance, *shape, keep)
    else:
        assert (
            0
            < bounds.readable_bound(relevance, *shape, keep)
            <= theory.kl_lower_bound(relevance, *shape, keep)
        )


@QUICK
@given(
    st.sampled_from(((8, 3), (16, 3), (5, 4))),
    st.integers(0, 2**32),
    st.floats(0, 1.5),
    st.floats(0.05, 0.5),
)
def test_the_published_constant_holds_under_its_conditions(shape, seed, spread, keep):
    relevance = skewed(shape, seed, spread)
    published = bounds.published_bound(relevance, *shape, keep)
    if bounds.sufficient(relevance, *shape, keep):
        linear = bounds.sufficient_bound(relevance, *shape, keep)
        assert published <= linear <= theory.expected_kl(relevance, *shape, keep)[0]
        index = bounds.simpson(relevance, *shape)[1]
        np.testing.assert_allclose(
            [linear, published], [0.05 * index / keep, 0.05 * index**2 / keep], rtol=1e-12
        )
    else:
        with pytest.raises(ValueError, match="sufficient_bound: expected"):
            bounds.sufficient_bound(relevance, *shape, keep)


def test_the_conditions_are_met_somewhere_and_each_can_fail():
    relevance = worlds.dirichlet(8, 3, concentration=5.0)
    assert bounds.sufficient(relevance, 8, 3, 0.3)
    heavy = relevance * np.where(np.arange(512) < 64, 6, 1)
    spiked = relevance + np.where(np.arange(512) == 9, 0.05, 0)
    for wrong, keep, says in (
        (relevance, 0.6, "1/2"),
        (relevance, 0.05, "6"),
        (heavy, 0.3, "1/4"),
        (spiked, 0.3, "0.4"),
    ):
        assert not bounds.sufficient(wrong, 8, 3, keep)
        with pytest.raises(ValueError, match=says):
            bounds.sufficient_bound(wrong, 8, 3, keep)


def test_the_published_form_fails_where_it_is_known_to():
    relevance = 1 / np.arange(1, 9)
    exact_value, published = (
        theory.expected_kl(relevance, 2, 3, 0.1)[0],
        bounds.published_bound(relevance, 2, 3, 0.1),
    )
    np.testing.assert_allclose([exact_value, published], [0.008588, 0.0486], rtol=2e-3)
    assert not bounds.sufficient(relevance, 2, 3, 0.1)


@QUICK
@given(SHAPES, st.integers(0, 2**32), st.floats(0, 4))
def test_simpson_averages_never_fall_and_end_at_one(shape, seed, spread):
    relevance = skewed(shape, seed, spread)
    levels = theory.simpson(relevance, *shape)
    assert levels.shape == (shape[1] + 1,) and (np.diff(levels) >= -1e-12).all()
    np.testing.assert_allclose(
        levels[[0, -1]], [np.sum((relevance / relevance.sum()) ** 2), 1], rtol=1e-12
    )


def test_simpson_of_uniform_relevance_counts_leaves():
    np.testing.assert_allclose(
        theory.simpson(np.ones(81), 3, 4), [1 / 81, 1 / 27, 1 / 9, 1 / 3, 1], rtol=1e-12
    )


def test_exact_over_sharp_law_tends_to_one_from_above_as_branches_grow():
    # uniform, p = .5: the next order is positive and of order 1/(p n)
    ratios = []
    for depth in (3, 5, 7):
        relevance = worlds.uniform(4, depth)
        ratios.append(
            theory.expected_kl(relevance, 4, depth, 0.5)[0]
            / theory.second_order_kl(relevance, 4, depth, 0.5)[0]
        )
    excess = np.array(ratios) - 1
    assert (excess > 0).all() and (excess[1:] < excess[:-1] / 10).all() and excess[-1] < 1e-3


def test_the_sharp_law_sums_over_pairs_and_telescopes():
    relevance = worlds.dirichlet(3, 4, concentration=0.7)
    found, levels = theory.second_order_kl(relevance, 3, 4, 0.2), theory.simpson(relevance, 3, 4)
    # (1-p)/(2p) = 2
    np.testing.assert_allclose(found, [*(2 * np.diff(levels)[:-1]), 0], rtol=1e-12)
    fixed = theory.second_order_kl(relevance, 3, 4, size=27)
    np.testing.assert_allclose(fixed, np.array([*(np.diff(levels)[:-1]), 0]) * 81 / 80, rtol=1e-12)


def half_variance(relevance, corpora, weight, keep, *, counted):
    """E of 1/2 Var_w(S) / p^2 over the two root branches of 8 leaves.

    S is the share that survives, or what counts leave of it.
    """
    relevance = (relevance / relevance.sum()).reshape(2, 4)
    mass = relevance.sum(axis=1)
    share = (corpora.reshape(-1, 2, 4) * relevance).sum(axis=2) / mass
    if counted:
        share = share - corpora.reshape(-1, 2, 4).mean(axis=2)
    variance = share**2 @ mass - (share @ mass) ** 2
    return weight @ variance / (2 * keep**2)


@pytest.mark.parametrize("decoder", ("masked", "counted"))
def test_the_sharp_law_is_half_the_variance_of_surviving_shares(decoder):
    # to second order KL is half the variance over p^2; the law is its exact mean, over corpora of
    # any size and of one size
    relevance, keep = skewed((2, 3), 5, 1.0), 0.3
    corpora = (np.arange(256)[:, None] >> np.arange(8)) % 2
    size = corpora.sum(axis=1)
    expected = half_variance(
        relevance,
        corpora,
        keep**size * (1 - keep) ** (8 - size),
        keep,
        counted=decoder == "counted",
    )
    np.testing.assert_allclose(
        theory.second_order_kl(relevance, 2, 3, keep, decoder=decoder)[0], expected, rtol=1e-12
    )
    chosen = corpora[size == 3]
    expected = half_variance(
        relevance, chosen, np.full(56, 1 / 56), 3 / 8, counted=decoder == "counted"
    )
    np.testing.assert_allclose(
        theory.second_order_kl(relevance, 2, 3, size=3, decoder=decoder)[0], expected, rtol=1e-12
    )
    assert not theory.second_order_kl(relevance, 2, 3, keep, decoder="exact").any()


@pytest.mark.parametrize("decoder", ("masked", "counted"))
def test_the_sharp_law_is_sharp_near_a_full_corpus_of_large_branches(decoder):
    # p -> 1: one leaf of 600 is missing, and every one in turn; next order 1/n, n = 200
    relevance = 1 + np.random.default_rng(0).random(600)
    tree = worlds.Tree(
        (np.zeros(3, int), np.repeat(np.arange(3), 200)), checks.normalised("test", relevance, 600)
    )
    found = enumeration.kl_of_corpora(tree, ~np.eye(600, dtype=bool), decoder=decoder)[:, 0].sum()
    sharp = {
        d: bounds.second_order_kl_of(tree, 1 - 1e-9, decoder=d)[0] / 1e-9
        for d in ("masked", "counted")
    }
    np.testing.assert_allclose(found, sharp[decoder], rtol=0.03)
    assert sharp["masked"] > 5 * sharp["counted"]  # the two laws are far apart


def test_dirichlet_averages_are_their_expectation():
    expected = bounds.dirichlet_simpson(4, 3, 0.5)
    draws = np.array(
        [
            theory.simpson(worlds.dirichlet(4, 3, concentration=0.5, seed=seed), 4, 3)
            for seed in range(400)
        ]
    )
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - expected)[:-1] < 4 * error[:-1]).all()
    wrong = bounds.dirichlet_simpson(4, 3, 0.6)  # negative control
    assert (np.abs(draws.mean(axis=0) - wrong)[:-1] > 4 * error[:-1]).any()
    assert expected[-1] == 1


def test_correlated_inclusion_has_a_floor_that_size_does_not_remove():
    relevance = worlds.dirichlet(8, 3, concentration=1.0)
    share, index, _ = bounds._branches(worlds.full(8, 3, relevance), 0)
    concentration, mixing = (share * (1 - share)) @ index, (share * (1 - share)).sum()
    for rho in (0.0, 0.01, 0.05, 0.2):
        found = bounds.correlated_kl(relevance, 8, 3, 0.5, rho)
        np.testing.assert_allclose(
            found, 0.5 * ((1 - rho) * concentration + rho * mixing), rtol=1e-12
        )
        assert found >= 0.5 * rho * mixing
    np.testing.assert_allclose(
        bounds.correlated_kl(relevance, 8, 3, 0.5, 0),
        theory.second_order_kl(relevance, 8, 3, 0.5)[0],
        rtol=1e-12,
    )


def test_unequal_shares_shift_the_branches_and_the_formula_follows():
    rng = np.random.default_rng(0)
    relevance = worlds.dirichlet(8, 3, concentration=20.0)
    keep = np.repeat(0.5 + 0.1 * rng.uniform(-1, 1, 8), 64) + 0.05 * rng.uniform(-1, 1, 512)
    found, formula = (
        theory.expected_kl(relevance, 8, 3, keep)[0],
        bounds.heterogeneous_kl(relevance, 8, 3, keep),
    )
    assert abs(formula / found - 1) < 0.1
    # negative control: one share for all
    assert abs(theory.second_order_kl(relevance, 8, 3, keep.mean())[0] / found - 1) > 0.3
    even = bounds.heterogeneous_kl(relevance, 8, 3, np.full(512, 0.5))
    np.testing.assert_allclose(even, theory.second_order_kl(relevance, 8, 3, 0.5)[0], rtol=1e-9)


@QUICK
@given(st.integers(0, 2**32), SHARES)
def test_branches_without_relevance_change_no_bound(seed, keep):
    relevance = skewed((2, 3), seed, 1.0)
    padded = np.concatenate([relevance, np.zeros(8)])
    tree = worlds.Tree(
        (np.repeat([0], 4), np.repeat(range(4), 4)), checks.normalised("test", padded, 16)
    )
    flat = worlds.Tree(
        (np.repeat([0], 2), np.repeat(range(2), 4)), checks.normalised("test", relevance, 8)
    )
    assert bounds.kl_lower_bound_of(tree, keep) == pytest.approx(
        bounds.kl_lower_bound_of(flat, keep), rel=1e-12
    )
    assert bounds.second_order_kl_of(tree, keep) == pytest.approx(
        bounds.second_order_kl_of(flat, keep), rel=1e-12
    )
    assert exact.expected_kl_of(flat, keep)[0] >= 0


@pytest.mark.parametrize(
    ("call", "says"),
    (
        (lambda: theory.second_order_kl(np.ones(8), 2, 3), "keep or size"),
        (lambda: theory.second_order_kl(np.ones(8), 2, 3, 1.5), r"\(0, 1\], got 1.5"),
        (lambda: theory.second_order_kl(np.ones(8), 2, 3, size=9), "size in 1 .. 8"),
        (lambda: theory.second_order_kl(np.ones(8), 2, 3, 0.5, decoder="magic"), "'magic'"),
        (lambda: theory.kl_lower_bound(np.ones(9), 2, 3, 0.5), r"shape \[8\]"),
        (lambda: theory.simpson(np.zeros(8), 2, 3), "zero"),
        (lambda: bounds.correlated_kl(np.ones(8), 2, 3, 0.5, 1.0), "correlation"),
        (lambda: bounds.heterogeneous_kl(np.ones(8), 2, 3, np.zeros(8)), "keep"),
        (lambda: bounds.dirichlet_simpson(2, 3, 0), "concentration > 0"),
        (lambda: bounds.readable_bound(np.ones(64), 4, 3, 0.7), "1/2"),
    ),
)
def test_parameters_out_of_range_are_refused_in_one_line(call, says):
    with pytest.raises(ValueError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)
