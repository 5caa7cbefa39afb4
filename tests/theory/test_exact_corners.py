"""Expected KL against mpmath where the steps are tiny: many leaves, p near 0, p near 1."""

import itertools

import mpmath
import numpy as np
import pytest

import theory
from theory import exact, worlds

NEEDED = 1e-8  # relative error that the docstring states


@pytest.fixture(autouse=True)
def digits():
    with mpmath.workdps(80):  # p = 1 - 1e-15 costs 60 of them
        yield


def log_of_binomial(n, p):
    """P(K >= 1) and E[log K; K >= 1] of K ~ Bin(n, p), over all K within 40 deviations."""
    if p == 1:
        return mpmath.mpf(1), mpmath.log(n)
    deviation = mpmath.sqrt(n * p * (1 - p))
    low = max(1, int(n * p - 40 * deviation) - 60)
    high = min(n, int(n * p + 40 * deviation) + 60)
    weight = mpmath.binomial(n, low) * p**low * (1 - p) ** (n - low)
    total = mpmath.mpf(0)
    for k in range(low, high + 1):
        total += weight * mpmath.log(k)
        weight = weight * (n - k) / (k + 1) * p / (1 - p)
    return 1 - (1 - p) ** n, total


def of_uniform(branching, depth, keep):
    """E[KL of step t | corpus not empty] of uniform relevance: logs of binomial variables alone.

    Given J children alive, P = 1/J each: E KL = E log(survivors) - E log J - E log K_c.
    """
    keep, steps = mpmath.mpf(keep), []
    for t in range(depth - 1):
        leaves = branching ** (depth - t - 1)
        alive, whole = log_of_binomial(leaves * branching, keep)
        stay, part = log_of_binomial(leaves, keep)
        steps.append((whole - log_of_binomial(branching, stay)[1] - alive * part / stay) / alive)
    return [*steps, mpmath.mpf(0)]


def of_first_step(relevance, branching, keep):
    """E[KL of step 1 | corpus not empty], from every corpus and the definitions of P and Q."""
    relevance = [mpmath.mpf(float(r)) for r in relevance]
    size, keep, total = len(relevance) // branching, mpmath.mpf(keep), mpmath.mpf(0)
    groups = [range(i * size, (i + 1) * size) for i in range(branching)]
    for kept in itertools.product((0, 1), repeat=len(relevance)):
        count = sum(kept)
        if not count:
            continue
        left = [sum(relevance[d] * kept[d] for d in group) for group in groups]
        mass = [sum(relevance[d] for d in group) for group in groups]
        seen, known = sum(m for m, x in zip(mass, left) if x), sum(left)
        kl = sum(m / seen * mpmath.log(m / seen * known / x) for m, x in zip(mass, left) if x)
        total += keep**count * (1 - keep) ** (len(kept) - count) * kl
    return total / (1 - (1 - keep) ** len(relevance))


def distance(found, wanted):
    return max(abs(float((mpmath.mpf(float(x)) - y) / y)) for x, y in zip(found, wanted) if y)


@pytest.mark.parametrize(
    ("branching", "depth", "keep"),
    [
        *((2, 12, p) for p in (1e-9, 0.999, 1 - 1e-9, 1 - 1e-15)),
        (2, 2, 1e-9),
        (2, 2, 1e-12),
        (2, 2, 1 - 1e-15),
        (32, 3, 1 - 1e-4),
        (2, 16, 0.99999),
        (2, 4, 0.124),  # both sides of one expected survivor a node
        (2, 4, 0.126),
    ],
)
def test_uniform_relevance_is_exact_at_the_corners(branching, depth, keep):
    found = theory.expected_kl(np.ones(branching**depth), branching, depth, keep)
    assert distance(found, of_uniform(branching, depth, keep)) < NEEDED
    # the controls are far: another p, and one leaf less in a thousand
    assert distance(found * (1 + 3 * NEEDED), of_uniform(branching, depth, keep)) > NEEDED


@pytest.mark.slow  # 2^20 leaves in two children a node: half a minute on a core
@pytest.mark.parametrize("keep", (1e-9, 0.999))
def test_a_million_leaves_of_two_children_are_exact(keep):
    found = theory.expected_kl(np.ones(2**20), 2, 20, keep)
    assert distance(found[:4], of_uniform(2, 20, keep)[:4]) < NEEDED


KINDS = {
    "zipf": 1 / np.arange(1, 9),
    "spike": np.r_[1 - 1e-6, np.full(7, 1e-6 / 7)],
    "nearly uniform": 1 + 1e-7 * np.random.default_rng(0).standard_normal(8),
    "one branch holds nearly all": np.r_[np.ones(4), np.full(4, 1e-5)],
    "twelve orders": np.logspace(-12, 0, 8),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_relevance_is_exact_at_the_corners(kind):
    for keep in (1e-12, 1e-5, 0.3, 0.999, 1 - 1e-12):
        found = theory.expected_kl(KINDS[kind], 2, 3, keep)
        assert distance(found[:1], [of_first_step(KINDS[kind], 2, keep)]) < NEEDED


def test_large_branches_are_exact_to_the_order_after_next():
    # uniform within 3 branches of n leaves of unequal mass, p = .999, n = 300,000: relative to the
    # second order the next two are of order 1/(p n) and 1/(p n)^2; here as mpmath gives them
    leaves, keep = 300_000, 0.999
    mass = np.array([0.5, 0.3, 0.2])
    tree = worlds.Tree(
        (np.zeros(3, int), np.repeat(np.arange(3), leaves)), np.repeat(mass / leaves, leaves)
    )
    # all branches live: KL = log sum w_i S_i - sum w_i log S_i, cumulants of K / (n p) to order 4
    q, n = mpmath.mpf(1) - mpmath.mpf(keep), mpmath.mpf(leaves) * mpmath.mpf(keep)
    p = mpmath.mpf(keep)
    weights = [mpmath.mpf(float(w)) for w in mass]

    def mean_log(second, third, fourth):  # E log(1 + Z), Z of mean 0, to order 1/n^2
        return -second / 2 + third / 3 - (fourth + 3 * second**2) / 4

    k2, k3, k4 = q / n, q * (1 - 2 * p) / n**2, q * (1 - 6 * p * q) / n**3
    whole = mean_log(*(k * sum(w**j for w in weights) for j, k in ((2, k2), (3, k3), (4, k4))))
    wanted = whole - mean_log(k2, k3, k4)
    # left out: k2 k3 and k2^3, of order (q / n)^2 / n beside q / n
    assert distance(exact.expected_kl_of(tree, keep)[:1], [wanted]) < 1e-9
