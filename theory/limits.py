"""Limits of the expected KL: few leaves per branch (Poisson), p -> 0, p -> 1, thick tails.

Derived here.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from theory import checks, worlds

POISSON_PEAK = (2.46949, 0.148294)  # x where `poisson_kl` is largest, and its value in nats
PAIRS_BLOCK = 2**20


def poisson_kl(x: np.ndarray) -> np.ndarray:
    """f(x) = log(x / (1 - e^-x)) - E[log K | K >= 1], K ~ Poisson(x), in nats; shape of x >= 0.

    The expected KL of a step over many branches with uniform relevance in each, x = p n expected
    survivors per branch. About 0.1534 x near 0 ((1 - log 2)/2), 1/(2x) at infinity, at most
    `POISSON_PEAK`. Absolute error 1e-14.
    """
    x = np.asarray(x, np.float64)
    if not ((x >= 0) & np.isfinite(x)).all():
        raise ValueError("poisson_kl: expected finite x >= 0, the expected survivors per branch")
    return np.vectorize(_poisson_kl, otypes=[np.float64])(x)


def kl_slope_at_zero(relevance: np.ndarray, branching: int, depth: int) -> np.ndarray:
    """f64[m] limit of E[KL of step t] / p as p -> 0: 1/N times the KL of all pairs of leaves.

    Two leaves separate at one step, with P = (r_c, r_c') and Q = (r_d, r_d') normalised. Inf where
    a leaf has no relevance. Cost O(N^2).
    """
    tree = worlds.full(branching, depth, relevance)
    steps, num_leaves = np.zeros(depth), len(tree.relevance)
    for t in range(depth - 1):
        node = np.arange(num_leaves) // branching ** (depth - t)
        child = np.arange(num_leaves) // branching ** (depth - t - 1)
        rows = max(1, PAIRS_BLOCK // num_leaves)
        for lo in range(0, num_leaves, rows):
            i = slice(lo, lo + rows)
            first, second = np.nonzero((node[i, None] == node) & (child[i, None] < child))
            steps[t] += _two(tree.masses[t + 1][child], tree.relevance, first + lo, second)
    return steps / num_leaves


def kl_slope_at_one(relevance: np.ndarray, branching: int, depth: int) -> np.ndarray:
    """f64[m] limit of E[KL of step t] / (1 - p) as p -> 1.

    The sum over d of the KL of the corpus without leaf d. At the ancestor v of d, with child c:
    r_v (log(1 - w_c a) - w_c log(1 - a)), a = r_d / r_c. Cost O(N m).
    """
    tree = worlds.full(branching, depth, relevance)
    steps = np.zeros(depth)
    for t in range(depth - 1):
        above, mass = (np.repeat(tree.masses[u], tree.counts[u]) for u in (t, t + 1))
        reached = mass > 0
        share, part = mass[reached] / above[reached], tree.relevance[reached] / mass[reached]
        with np.errstate(divide="ignore", invalid="ignore"):
            gap = np.log1p(-share * part) - share * np.log1p(-part)
        steps[t] = above[reached] @ np.where(share < 1, gap, 0)
    return steps


def sparse_thick_kl(keep: float, leaves: float, spread: float, snr: float) -> float:
    """Second order of E[KL of step 1] in the model ST with b = 2k and many branches.

    (1-p)/(2 p n) (1 + CV^2 (1 + lambda^2 / 2)); first-step recall is Phi(lambda/2). Too high once
    the score is no longer small compared with n mu.

    keep: p. leaves: n per branch. spread: CV = tau/mu of a tail score. snr: lambda.
    """
    p = checks.share("sparse_thick_kl", keep)
    if not (leaves > 0 and spread >= 0 and snr >= 0):
        raise ValueError(
            "sparse_thick_kl: expected leaves > 0, spread >= 0, snr >= 0, "
            f"got {leaves}, {spread}, {snr}"
        )
    return (1 - p) / (2 * p * leaves) * (1 + spread**2 * (1 + snr**2 / 2))


def _poisson_kl(x: float) -> float:
    # E log K by the moments of K/x - 1; the next term is 0.1 / x^5 and more of the kind
    if x > 2000:
        return 1 / (2 * x) + 5 / (12 * x**2) + 3 / (4 * x**3) + 251 / (120 * x**4)
    if x == 0:
        return 0.0
    count = np.arange(1, int(x + 12 * np.sqrt(x) + 40))
    weight = np.exp(count * np.log(x) - x - special.gammaln(count + 1.0))
    weight /= weight.sum()  # K given K >= 1
    alive = -np.expm1(-x)
    if x < 1:
        return float(np.log(x / alive) - weight @ np.log(count))  # two terms of order x
    return float(-np.log(alive) - weight @ np.log(count / x))  # two of order 1/x


def _two(mass: np.ndarray, relevance: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """Sum over pairs of leaves of the KL where they separate; mass f64[N] of children."""
    entered = (mass[first] > 0) & (mass[second] > 0) & (relevance[first] + relevance[second] > 0)
    first, second = first[entered], second[entered]
    p = mass[first] / (mass[first] + mass[second])
    q = relevance[first] / (relevance[first] + relevance[second])
    return float((special.rel_entr(p, q) + special.rel_entr(1 - p, 1 - q)).sum())
