"""Recall and precision of beam search by marginals on sparse relevance under a thick tail: exact values, limits, bounds.

Model `worlds.SparseThick`: b root branches, k of them with one relevant leaf each, every other leaf a tail score. A beam keeps the
K branches of largest total. lambda (snr) is the lead of a relevant branch in standard deviations of a branch's total,
kappa = k / b, beta = K / b. Statements: arXiv 2504.09935 ("recall is at most 0.5 + o(1)"); its text on the data model was not at
hand, so the model and all formulas T6-T9 here are derived for this project. Gaussian totals; `recall_bound` holds for any tail.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, special, stats

from theory import tails

BERRY_ESSEEN = 0.4748  # Shevtsova (2011), for sums of independent identically distributed terms
NODES = 256  # of the quadrature
NEGLIGIBLE = 1e-17


def recall_exact(b: int, k: int, width: int, snr: float) -> float:
    """Mean recall of the k relevant leaves after the first step, Gaussian totals, finite b (T8).

    int phi(x) P[Bin(k-1, Phi(-x)) + Bin(b-k, Phi(-x-snr)) <= K-1] dx: a relevant branch of noise x survives if fewer than K of
    the other branches have a larger total. At snr = 0 it is K / b.

    Args:
      b: branches.
      k: branches that hold a relevant leaf; 1 <= k <= b.
      width: K, branches kept; from b on all survive.
      snr: lambda, finite.

    Relative error about 1e-12; b up to 1e5 in seconds.
    """
    b, k, width = _counts("recall_exact", b, k, width)
    snr = _finite("recall_exact", "snr", snr)
    if width >= b:
        return 1.0
    if k == b:
        return width / b

    def survives(x: np.ndarray) -> np.ndarray:
        return _at_most(width - 1, k - 1, special.ndtr(-x), b - k, special.ndtr(-x - snr))

    low = _first(lambda x: survives(np.array([x]))[0] > NEGLIGIBLE)
    high = _first(lambda x: survives(np.array([x]))[0] > 1 - 1e-15)
    points, weights = np.polynomial.legendre.leggauss(NODES)
    x = (low + high) / 2 + (high - low) / 2 * points
    inside = (high - low) / 2 * float(np.sum(weights * stats.norm.pdf(x) * survives(x)))
    return min(inside + float(special.ndtr(-high)), 1.0)


def recall_limit(kappa: float, snr: float, beta: float) -> float:
    """Recall as b goes to infinity: Phi(snr - t), where kappa Phi(snr - t) + (1 - kappa) Phi(-t) = beta (T8).

    For kappa = beta = 1/2 it is Phi(snr / 2).

    Args:
      kappa: k / b in (0, 1].
      snr: lambda, finite.
      beta: K / b in (0, 1].
    """
    kappa, beta = _share("recall_limit", "kappa", kappa), _share("recall_limit", "beta", beta)
    snr = _finite("recall_limit", "snr", snr)
    if beta == 1 or kappa == 1:
        return beta

    def excess(t: float) -> float:
        return kappa * special.ndtr(snr - t) + (1 - kappa) * special.ndtr(-t) - beta

    z = -special.ndtri(beta)
    t = optimize.brentq(
        excess, min(z, z + snr) - 1e-9, max(z, z + snr) + 1e-9, xtol=1e-14, rtol=1e-14
    )
    return float(special.ndtr(snr - t))


def width_for_recall(kappa: float, snr: float, recall: float) -> float:
    """K / b with which the limiting recall is `recall`: kappa rho + (1 - kappa) Phi(z_rho - snr); inverts `recall_limit`.

    Args:
      kappa: k / b in (0, 1].
      snr: lambda, finite.
      recall: rho in (0, 1]; 1 takes all branches.
    """
    kappa, recall = (
        _share("width_for_recall", "kappa", kappa),
        _share("width_for_recall", "recall", recall),
    )
    snr = _finite("width_for_recall", "snr", snr)
    if recall == 1:
        return 1.0
    return float(kappa * recall + (1 - kappa) * special.ndtr(special.ndtri(recall) - snr))


def half_threshold(kappa: float) -> float:
    """lambda* = Phi^-1(1 - kappa / (2 (1 - kappa))): with K = k the limiting recall is at most 1/2 iff snr <= lambda* (T9).

    0 at kappa = 1/2, about sqrt(2 log(2 / kappa)) for small kappa, below 0 above 1/2, and -inf from 2/3 on, where any ranking
    keeps more than half.
    """
    kappa = _share("half_threshold", "kappa", kappa)
    if kappa >= 2 / 3:
        return -math.inf
    return float(-special.ndtri(kappa / (2 * (1 - kappa)))) + 0.0


def recall_bound(
    b: int, k: int, width: int, *, leaves: float, score: float, tail: tails.Tail
) -> float:
    """What mean recall cannot exceed, at any depth: K/b + c / (tau sqrt(2 pi n)) + 0.95 rho3 / (tau^3 sqrt n), at most 1 (T6).

    A relevant branch must reach the K-th largest total of others that have no help from it: with its lead c removed it would be in
    the top K with probability K / b, and Berry-Esseen bounds what c adds. b = 2k and K = k give 1/2 + O(n^-1/2).

    Args:
      b: branches.
      k: branches that hold a relevant leaf.
      width: K, branches kept.
      leaves: n, below each branch.
      score: c >= 0, of a relevant leaf.
      tail: law of the others' scores.
    """
    b, _, width = _counts("recall_bound", b, k, width)
    if not leaves >= 1 or not (math.isfinite(score) and score >= 0):
        raise ValueError(
            f"recall_bound: expected leaves >= 1 and a finite score >= 0, got {leaves} and {score}"
        )
    lead = score / (tail.sd * math.sqrt(2 * math.pi * leaves))
    distance = 2 * BERRY_ESSEEN * tail.third / (tail.sd**3 * math.sqrt(leaves))
    return min(width / b + lead + distance, 1.0)


def precision_bound(b: int, k: int, width: int) -> float:
    """What the probability of a relevant branch in the beam cannot fall below: 1 - C(b-k, K) / C(b, K) (T7).

    Scores of relevant leaves above the tail only help their branches, so chance is the worst case. With two levels the survivor is
    then ranked first: it bounds precision@1. b = 2k and K = k give 1 - 1 / C(2k, k).
    """
    b, k, width = _counts("precision_bound", b, k, width)
    if width > b - k:
        return 1.0

    def log_choose(n: int, m: int) -> float:
        return special.gammaln(n + 1) - special.gammaln(m + 1) - special.gammaln(n - m + 1)

    return float(-np.expm1(log_choose(b - k, width) - log_choose(b, width)))


def _at_most(most: int, n: int, p: np.ndarray, m: int, q: np.ndarray) -> np.ndarray:
    """P[Bin(n, p) + Bin(m, q) <= most], elementwise; the law of the first is cut where less than 1e-20 of it is left."""
    spread = 10 * math.sqrt(n / 4) + 50
    total = np.zeros(len(p))
    for i, (one, other) in enumerate(zip(p, q)):
        first, last = (
            max(0, math.floor(n * one - spread)),
            min(n, most, math.ceil(n * one + spread)),
        )
        if first > most:
            continue
        count = np.arange(first, last + 1)
        total[i] = np.sum(stats.binom.pmf(count, n, one) * stats.binom.cdf(most - count, m, other))
    return total


def _first(holds) -> float:
    """Where in [-12, 12] a condition that stays true begins; an end of the interval if it never or always holds."""
    low, high = -12.0, 12.0
    if holds(low):
        return low
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _counts(where: str, b: int, k: int, width: int) -> tuple[int, int, int]:
    if any(value != int(value) for value in (b, k, width)) or not (1 <= k <= b and width >= 1):
        raise ValueError(
            f"{where}: expected whole 1 <= k <= b and width >= 1, got b={b}, k={k}, width={width}"
        )
    return int(b), int(k), int(width)


def _share(where: str, name: str, value: float) -> float:
    if not 0 < value <= 1:
        raise ValueError(f"{where}: expected {name} in (0, 1], got {value}")
    return float(value)


def _finite(where: str, name: str, value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{where}: expected a finite {name}, got {value}")
    return float(value)
