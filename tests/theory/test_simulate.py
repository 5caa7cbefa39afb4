"""Monte Carlo within four standard errors of exact values, and not of wrong ones."""

import math
import os
import pathlib
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest

import theory
from theory import leafwise, recall as exact_recall, simulate, tails, worlds

ERRORS = 4.0  # standard errors that a true value may be off: one in 16,000 by chance


def key(seed=0):
    return jax.random.key(seed)


def distance(estimate, value):
    """Largest distance in standard errors over the entries that vary; the others must be equal."""
    mean, stderr, value = (
        np.atleast_1d(estimate.mean),
        np.atleast_1d(estimate.stderr),
        np.atleast_1d(value),
    )
    fixed = stderr < 1e-12
    np.testing.assert_allclose(mean[fixed], value[fixed], atol=1e-6)
    return float(np.max(np.abs(mean - value)[~fixed] / stderr[~fixed], initial=0.0))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("decoder", simulate.DECODERS)
def test_kl_of_every_decoder_equals_enumeration(decoder, reverse):
    relevance = worlds.zipf(2, 3)
    found = simulate.kl(
        relevance,
        2,
        3,
        worlds.Kept(0.3),
        key(1),
        num_corpora=100_000,
        decoder=decoder,
        reverse=reverse,
    )
    wanted = theory.enumerate_kl(relevance, 2, 3, keep=0.3, decoder=decoder, reverse=reverse)
    assert distance(found, wanted) < ERRORS
    # control: a value that is 5 % off, and the other direction, are told apart
    if decoder != "exact":
        assert distance(found, 1.05 * wanted) > ERRORS
    assert found.n == pytest.approx((1 - 0.7**8) * 100_000, rel=0.1)  # empty corpora do not count


def test_relevance_of_many_magnitudes_is_finite_and_right():
    relevance = worlds.dirichlet(4, 2, concentration=0.1)
    assert relevance.min() < 1e-12
    found = simulate.kl(relevance, 4, 2, worlds.Kept(0.5), key(16), num_corpora=100_000)
    assert distance(found, theory.expected_kl(relevance, 4, 2, 0.5)) < ERRORS


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_kl_on_large_trees_equals_quadrature(keep):
    """Above BLOCK_LEAVES / 2 leaves a block, so leaves are drawn by bytes."""
    relevance = worlds.lognormal_branches(16, 4, sigma=1.0)
    found = simulate.kl(relevance, 16, 4, worlds.Kept(keep), key(2), num_corpora=320)
    wanted = theory.expected_kl(relevance, 16, 4, keep)
    assert distance(found, wanted) < ERRORS
    assert distance(found, wanted * np.array([1, 1.1, 1, 1])) > ERRORS


def test_kl_of_corpora_of_fixed_size_equals_enumeration():
    relevance = worlds.zipf(4, 2)
    found = simulate.kl(relevance, 4, 2, worlds.FixedSize(5), key(3), num_corpora=100_000)
    assert distance(found, theory.enumerate_kl(relevance, 4, 2, size=5)) < ERRORS
    assert distance(found, theory.enumerate_kl(relevance, 4, 2, size=6)) > ERRORS  # control


def test_correlated_corpora_cost_more_and_unequal_shares_equal_their_exact_value():
    relevance = worlds.uniform(8, 3)
    shares = np.linspace(0.2, 0.8, 512)
    found = simulate.kl(relevance, 8, 3, worlds.Heterogeneous(shares), key(4), num_corpora=8000)
    assert distance(found, theory.expected_kl(relevance, 8, 3, shares)) < ERRORS
    plain = simulate.kl(relevance, 8, 3, worlds.Kept(0.5), key(5), num_corpora=8000)
    assert distance(plain, theory.expected_kl(relevance, 8, 3, 0.5)) < ERRORS
    assert distance(plain, found.mean) > ERRORS  # control
    together = simulate.kl(
        relevance, 8, 3, worlds.BranchCorrelated(0.5, 0.05, 8), key(6), num_corpora=8000
    )
    assert together.mean[0] > plain.mean[0] + ERRORS * (together.stderr[0] + plain.stderr[0])


def test_an_alive_branch_whose_relevance_may_be_gone_costs_infinity():
    found = simulate.kl([0.0, 1, 1, 1], 2, 2, worlds.Kept(0.5), key(7), num_corpora=1000)
    assert found.mean[0] == math.inf
    dead = simulate.kl([0.0, 0, 1, 1], 2, 2, worlds.Kept(0.5), key(7), num_corpora=1000)
    assert np.isfinite(dead.mean).all()  # a branch without any relevance is given none


@pytest.mark.parametrize("keep", [1 / 32, 0.1, 0.5, 0.997, 1.0])
def test_a_byte_a_leaf_keeps_the_share_that_is_asked_for(keep):
    size, draws = 2**18, 16
    total = sum(
        int(simulate._kept_bytes(k, keep, size).sum()) for k in jax.random.split(key(8), draws)
    )
    deviation = math.sqrt(size * draws * keep * (1 - keep))
    assert abs(total - size * draws * keep) <= ERRORS * deviation
    rounded = math.floor(256 * keep) / 256
    if rounded < keep - 1e-4 and keep < 1:  # control: a byte alone would be off
        assert abs(total - size * draws * rounded) > ERRORS * deviation


def test_the_bytes_of_a_block_are_independent():
    rows = np.stack(
        [np.asarray(simulate._kept_bytes(k, 0.1, 2**16)) for k in jax.random.split(key(9), 400)]
    ).astype(np.float64)
    for lag in (1, 2, 4, 1024):
        product = (rows[:, lag:] * rows[:, :-lag]).mean()
        assert abs(product - 0.01) < ERRORS * math.sqrt(0.01 / rows[:, lag:].size) * 1.5
    spread = rows.mean(1).std(ddof=1)
    assert spread == pytest.approx(math.sqrt(0.09 / 2**16), rel=0.15)


@pytest.mark.parametrize("leaves", [100, 10**6, 10**12])
def test_recall_through_the_beam_equals_the_exact_value(leaves):
    tail = tails.gaussian(1.0, 0.5)
    # snr .9 whatever the size
    world = worlds.SparseThick(20, 8, leaves, 1.0 + 0.5 * 0.9 * math.sqrt(leaves), tail)
    found = simulate.recall(world, key(10), width=8, num_queries=20_000)
    assert distance(found, exact_recall.recall_exact(20, 8, 8, 0.9)) < ERRORS
    assert distance(found, exact_recall.recall_exact(20, 8, 8, 1.0)) > ERRORS  # control


def test_recall_at_a_hundred_million_leaves_a_branch_is_the_reference_value():
    tail = tails.gaussian(1.0, 1.0)
    score = 1.0 + 1e4 * 2 * math.sqrt(2 * math.pi) * 0.00078  # Phi(snr / 2) = .50078
    world = worlds.SparseThick(60, 30, 10**8, score, tail)
    found = simulate.recall(world, key(11), width=30, num_queries=30_000)
    assert distance(found, 0.50078) < ERRORS
    # sd of a query
    assert float(found.stderr) == pytest.approx(
        1 / (2 * math.sqrt(2 * 30)) / math.sqrt(found.n), rel=0.05
    )
    assert distance(found, 0.5033) > ERRORS  # control


def test_a_relevant_branch_survives_while_recall_is_halved():
    world = worlds.SparseThick(10, 5, 10**4, 3.0, tails.gamma(1.0, 1.0))
    found = simulate.any_relevant(world, key(12), width=5, num_queries=6000)
    bound = exact_recall.precision_bound(10, 5, 5)
    assert bound <= found.mean + ERRORS * found.stderr
    assert simulate.recall(world, key(12), width=5, num_queries=6000).mean < 0.52


def test_the_whole_search_by_sums_loses_what_the_first_step_does_and_by_maxima_nothing():
    # 40 is above any of the scores drawn
    world = worlds.SparseThick(16, 8, 16, 40.0, tails.gamma(1.0, 1.0))
    by_max = leafwise.search(world, 2, key(13), width=8, num_queries=500, marginal="max")
    assert by_max.recall.mean == by_max.precision.mean == 1
    weak = worlds.SparseThick(16, 8, 16, 12.0, tails.gamma(4.0, 3.0))
    by_sum = leafwise.search(weak, 2, key(14), width=8, num_queries=1000)
    bound = exact_recall.recall_bound(16, 8, 8, leaves=16, score=12.0, tail=weak.tail)
    first = simulate.recall(weak, key(15), width=8, num_queries=4000)
    assert by_sum.recall.mean <= min(
        bound, first.mean + ERRORS * (first.stderr + by_sum.recall.stderr)
    )
    assert by_sum.recall.mean < 0.95


def test_the_same_key_gives_the_same_numbers():
    def one(seed):
        return simulate.kl(worlds.zipf(2, 4), 2, 4, worlds.Kept(0.4), key(seed), num_corpora=500)

    np.testing.assert_array_equal(one(1).mean, one(1).mean)
    assert (one(1).mean != one(2).mean).any()


def test_two_devices_agree_with_the_exact_value():
    """In a process of its own, which has two CPU devices and no more."""
    script = """
        import jax, theory
        from theory import simulate, tails, worlds
        assert jax.device_count() == 2
        relevance = worlds.zipf(4, 3)
        kept, key = worlds.Kept(0.4), jax.random.key(0)
        found = simulate.kl(relevance, 4, 3, kept, key, num_corpora=20_000)
        wanted = theory.expected_kl(relevance, 4, 3, 0.4)
        assert (abs(found.mean - wanted) <= 4 * found.stderr + 1e-7).all(), (found, wanted)
        world = worlds.SparseThick(10, 5, 10**6, 501.0, tails.gaussian(1.0, 1.0))
        found = simulate.recall(world, jax.random.key(1), width=5, num_queries=10_000)
        assert abs(found.mean - theory.recall_exact(10, 5, 5, world.snr)) <= 4 * found.stderr
    """
    environment = os.environ | {
        "XLA_FLAGS": os.environ["XLA_FLAGS"].replace("count=8", "count=2"),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: simulate.kl([1, 2, 3], 2, 2, worlds.Kept(0.5), key(), num_corpora=10), "shape"),
        (lambda: simulate.kl([1, 2], 2, 1, worlds.Kept(0.5), key(), num_corpora=1), "at least 2"),
        (
            lambda: simulate.kl(
                [1, 2], 2, 1, worlds.Kept(0.5), key(), num_corpora=9, decoder="best"
            ),
            "masked, counted, exact",
        ),
        (
            lambda: simulate.recall(
                worlds.SparseThick(4, 2, 9, 1.0, tails.gaussian(0, 1)),
                key(),
                width=2,
                num_queries=1,
            ),
            "at least 2",
        ),
        (
            lambda: leafwise.search(
                worlds.SparseThick(4, 2, 9, 1.0, tails.gaussian(0, 1)),
                2,
                key(),
                width=2,
                num_queries=4,
            ),
            "expected 4",
        ),
        (
            lambda: leafwise.search(
                worlds.SparseThick(4, 2, 4, 1.0, tails.gaussian(0, 1)),
                2,
                key(),
                width=2,
                num_queries=4,
            ),
            "above 0",
        ),
    ],
)
def test_bad_parameters_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
