"""Trees, relevance and corpora keep what they promise."""

import jax
import numpy as np
import pytest

from theory import tails, worlds
from zoo.docids import table

KEY = jax.random.key(0)


def drawn(corpora, num_leaves, num_corpora=2000):
    return np.asarray(
        jax.vmap(lambda key: corpora.draw(key, num_leaves))(jax.random.split(KEY, num_corpora)),
        float,
    )


@pytest.mark.parametrize(
    "relevance",
    (
        worlds.uniform(3, 4),
        worlds.zipf(3, 4, exponent=0.7),
        worlds.zipf(3, 4, placement="random", seed=3),
        worlds.dirichlet(3, 4, concentration=0.01),
        worlds.spike(3, 4, mass=0.9, leaf=80),
        worlds.lognormal_branches(3, 4, sigma=2.0),
    ),
)
def test_relevance_sums_to_one_and_is_positive_everywhere(relevance):
    assert relevance.shape == (81,) and abs(relevance.sum() - 1) < 1e-12 and (relevance > 0).all()


def test_relevance_has_the_law_in_its_name():
    np.testing.assert_allclose(
        worlds.zipf(2, 2, exponent=2), np.array([1, 1 / 4, 1 / 9, 1 / 16]) / (205 / 144), rtol=1e-12
    )
    shuffled = worlds.zipf(3, 4, placement="random", seed=1)
    np.testing.assert_allclose(np.sort(shuffled)[::-1], worlds.zipf(3, 4), rtol=1e-12)
    assert (shuffled != worlds.zipf(3, 4)).any() and (
        shuffled != worlds.zipf(3, 4, placement="random", seed=2)
    ).any()
    assert worlds.spike(2, 2, mass=0.7, leaf=2).tolist() == pytest.approx([0.1, 0.1, 0.7, 0.1])
    np.testing.assert_allclose(worlds.lognormal_branches(2, 3, sigma=0.0), 1 / 8)
    logs = np.log(worlds.lognormal_branches(50, 2, sigma=1.0)).reshape(50, 50)
    between, within = logs.mean(axis=1).var(), logs.var(axis=1).mean()
    assert 0.5 < between / within < 2  # one normal a branch, one a leaf
    few, many = (
        worlds.dirichlet(10, 3, concentration=0.1),
        worlds.dirichlet(10, 3, concentration=10.0),
    )
    # E sum of squares = (a + 1) / (a N + 1), .0109 and .0011
    assert 0.006 < (few**2).sum() < 0.02 and 0.0010 < (many**2).sum() < 0.0012


def test_a_table_of_unequal_lengths_becomes_a_tree_with_chains():
    tokens = np.array([[2, 1, 2], [1, 0, 0], [2, 2, 0], [3, 1, 0], [2, 1, 1]])
    tree = worlds.from_docids(table.build(tokens), [3.0, 1, 4, 1, 5])
    assert [parent.tolist() for parent in tree.parents] == [
        [0, 0, 0],
        [0, 1, 1, 2],
        [0, 1, 1, 2, 3],
    ]
    np.testing.assert_allclose(tree.relevance * 14, [1, 5, 3, 4, 1])
    np.testing.assert_allclose(tree.masses[1] * 14, [1, 12, 1])
    assert tree.counts[1].tolist() == [1, 3, 1] and tree.depth == 3
    even = worlds.from_docids(table.build(tokens))
    np.testing.assert_allclose(even.relevance, 1 / 5)


def test_a_full_table_becomes_the_full_tree():
    tokens = 1 + np.stack(np.unravel_index(np.arange(27), (3, 3, 3)), axis=1)
    mixed = np.random.default_rng(0).permutation(27)
    found = worlds.from_docids(table.build(tokens[mixed]), worlds.zipf(3, 3)[mixed])
    expected = worlds.full(3, 3, worlds.zipf(3, 3))
    for left, right in zip(found.parents, expected.parents, strict=True):
        np.testing.assert_array_equal(left, right)
    np.testing.assert_allclose(found.relevance, expected.relevance, rtol=1e-12)


@pytest.mark.parametrize("scale", (1e-300, 1.0, 4e307))
def test_relevance_of_any_scale_is_normalised(scale):
    np.testing.assert_allclose(
        worlds.full(2, 2, np.array([1, 2, 3, 4]) * scale).relevance,
        [0.1, 0.2, 0.3, 0.4],
        rtol=1e-12,
    )


def test_kept_leaves_are_independent_with_their_probability():
    draws = drawn(worlds.Kept(0.3), 20)
    # 80,000 coins: 4 standard errors of the mean; sizes have the binomial variance 4.2 within 4 of
    # its own
    assert abs(draws.mean() - 0.3) < 4 * np.sqrt(0.21 / draws.size)
    assert abs(draws.sum(axis=1).var() / 4.2 - 1) < 4 * np.sqrt(2 / 2000)
    assert abs(draws.mean() - 0.31) > 4 * np.sqrt(0.21 / draws.size)  # negative control


def test_a_fixed_size_is_fixed_and_every_leaf_equally_likely():
    draws = drawn(worlds.FixedSize(7), 20)
    assert (draws.sum(axis=1) == 7).all()
    assert np.abs(draws.mean(axis=0) - 0.35).max() < 5 * np.sqrt(0.35 * 0.65 / 2000)
    pair = np.cov(draws[:, 0], draws[:, 13])[0, 1]
    assert abs(pair + 0.35 * 0.65 / 19) < 4 * 0.35 * 0.65 / np.sqrt(2000)


@pytest.mark.parametrize("rho", (0.0, 0.05, 0.4))
def test_branches_correlate_as_told(rho):
    draws = drawn(worlds.BranchCorrelated(0.3, rho, 4), 40).reshape(-1, 4, 10)
    assert abs(draws.mean() - 0.3) < 4 * np.sqrt(0.21 * (1 + 9 * rho) / draws.size)
    # Var of a branch's size = n p (1-p) (1 + (n-1) rho)
    spread = draws.sum(axis=2).var() / (10 * 0.21)
    assert abs(spread / (1 + 9 * rho) - 1) < 0.12
    across = np.corrcoef(draws.sum(axis=2).T)[~np.eye(4, dtype=bool)]
    assert np.abs(across).max() < 5 / np.sqrt(2000)
    if rho:
        assert abs(spread - 1) > 0.3  # negative control: independent leaves


def test_heterogeneous_leaves_keep_their_own_probability():
    keep = np.linspace(0, 1, 11)
    draws = drawn(worlds.Heterogeneous(keep), 11)
    assert (np.abs(draws.mean(axis=0) - keep) <= 4 * np.sqrt(keep * (1 - keep) / 2000)).all()
    # negative control
    assert (np.abs(draws.mean(axis=0) - keep[::-1]) > 4 * np.sqrt(0.25 / 2000)).sum() == 10


@pytest.mark.parametrize(
    "corpora", (worlds.Kept(0.3), worlds.FixedSize(5), worlds.BranchCorrelated(0.3, 0.1, 4))
)
def test_a_corpus_is_drawn_by_its_key_and_compiles_once(corpora):
    traces = []

    @jax.jit
    def draw(key):
        traces.append(1)
        return corpora.draw(key, 40)

    first, again, other = draw(KEY), draw(KEY), draw(jax.random.key(1))
    assert first.dtype == bool and len(traces) == 1 and hash(corpora) == hash(corpora)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_sparse_thick_worlds_have_their_marginals():
    world = worlds.SparseThick(
        branching=10, relevant=4, leaves=50, score=9.0, tail=tails.gamma(2.0, 2.0)
    )
    assert world.kappa == 0.4 and world.snr == pytest.approx(7 / (2 * 50**0.5))
    marginal, holds = (np.asarray(array) for array in world.draw(KEY, 5000))
    assert (holds.sum(axis=1) == 4).all() and np.abs(holds.mean(axis=0) - 0.4).max() < 4 * np.sqrt(
        0.24 / 5000
    )
    with_one, without = marginal[holds], marginal[~holds]
    assert abs(with_one.mean() - world.snr) < 4 / np.sqrt(20_000) and abs(
        without.mean()
    ) < 4 / np.sqrt(30_000)
    assert abs(with_one.mean()) > 4 / np.sqrt(20_000)  # negative control
    # the relevant leaf takes the place of a tail leaf: 49 of 50 parts of the variance
    # 4 standard errors
    assert abs(with_one.var() / 0.98 - 1) < 0.045 and abs(without.var() - 1) < 0.035
    two = worlds.SparseThick(10, 4, 2, 9.0, tails.gamma(2.0, 2.0)).draw(KEY, 5000)
    # one exponential leaf is left beside the relevant one
    beside = np.asarray(two[0])[np.asarray(two[1])]
    assert (
        abs(beside.var() / 0.5 - 1) < 0.1
        and abs(((beside - beside.mean()) ** 3).mean() / beside.std() ** 3 - 2) < 0.4
    )
    one = worlds.SparseThick(4, 2, 1, 3.0, tails.gaussian(0.0, 1.0)).draw(KEY, 8)
    assert (np.asarray(one[0])[np.asarray(one[1])] == 3).all()


@pytest.mark.parametrize(
    ("call", "says"),
    (
        (lambda: worlds.uniform(0, 3), "branching >= 1"),
        (lambda: worlds.uniform(2, 0), "depth >= 1"),
        (lambda: worlds.uniform(2.5, 2), "whole"),
        (lambda: worlds.zipf(2, 2, placement="sideways"), "sideways"),
        (lambda: worlds.dirichlet(2, 2, concentration=0.0), "concentration > 0"),
        (lambda: worlds.spike(2, 2, mass=1.0), "mass in"),
        (lambda: worlds.spike(2, 2, mass=0.5, leaf=4), "leaf in 0 .. 3"),
        (lambda: worlds.lognormal_branches(2, 2, sigma=-1), "sigma"),
        (lambda: worlds.full(2, 2, [1, 2, 3]), r"shape \[4\]"),
        (lambda: worlds.full(2, 2, [0, 0, 0, 0]), "all 4 zero"),
        (lambda: worlds.Kept(0.0), r"\(0, 1\], got 0.0"),
        (lambda: worlds.Kept(1.1), r"\(0, 1\], got 1.1"),
        (lambda: worlds.FixedSize(0), "size > 0"),
        (lambda: worlds.FixedSize(9).draw(KEY, 8), "at most 8 leaves, got size 9"),
        (lambda: worlds.BranchCorrelated(0.5, 1.0, 2), "correlation"),
        (lambda: worlds.BranchCorrelated(0.5, 0.1, 3).draw(KEY, 8), "multiple of 3"),
        (lambda: worlds.Heterogeneous(np.array([0.5, 2])), "in \\[0, 1\\]"),
        (lambda: worlds.Heterogeneous(np.array([0.5])).draw(KEY, 2), "expected 1 leaves"),
        (lambda: worlds.SparseThick(4, 5, 1, 1.0, tails.gaussian(0, 1)), "5 relevant, 4 branches"),
        (lambda: worlds.from_docids(table.build([[1], [2]]), [1.0]), r"shape \[2\]"),
        (
            lambda: worlds.from_docids(table.Docids(np.array([[1], [2], [1]]), 3)),
            "two with the same; append a tie-break",
        ),
    ),
)
def test_parameters_out_of_range_are_refused_in_one_line(call, says):
    with pytest.raises(ValueError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)
