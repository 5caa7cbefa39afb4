"""Recall of a beam that ranks branches by their mass: exact values, limits and bounds.

Model `worlds.SparseThick`: b root branches, k of them with one relevant leaf each, every other leaf
with a tail score. A beam keeps the K branches of largest total. lambda (snr) is the lead of a
relevant branch in standard deviations of a branch's total, kappa = k / b, beta = K / b. All of it
is about the *first step*: later steps only lose relevant leaves, see `theory.product` for the whole
search. Statements: arXiv 2504.09935 ("recall is at most 0.5 + o(1)"); the model and the formulas T6
to T9 are derived for this project. Totals are Gaussian, except in `recall_bound`.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy import optimize, special

from theory import tails

BERRY_ESSEEN = 0.4748  # Shevtsova (2011), for sums of independent identically distributed terms
NODES = 256  # of the quadrature
NEGLIGIBLE = 1e-17
ROWS = 2**16  # numbers at a time


def recall_exact(b: int, k: int, width: int, snr: float) -> float:
    """Mean share of the k relevant branches that survive the first step, finite b (T8).

    int phi(x) P[Bin(k-1, Phi(-x)) + Bin(b-k, Phi(-x-snr)) <= K-1] dx: a relevant branch with noise
    x survives if fewer than K of the other branches have a larger total. K / b at snr = 0. The
    recall of the whole search is `theory.leaf_recall`.

    Args:
      b: branches.
      k: branches that hold a relevant leaf; 1 <= k <= b.
      width: K, branches kept; all survive if width >= b.
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
    points, weights = _legendre()
    x = (low + high) / 2 + (high - low) / 2 * points
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    inside = (high - low) / 2 * float(np.sum(weights * density * survives(x)))
    return min(inside + float(special.ndtr(-high)), 1.0)


def recall_limit(kappa: float, snr: float, beta: float) -> float:
    """First-step recall as b goes to infinity (T8).

    Phi(snr - t), where kappa Phi(snr - t) + (1 - kappa) Phi(-t) = beta; Phi(snr / 2) for
    kappa = beta = 1/2.

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
    low, high = min(z, z + snr) - 1e-9, max(z, z + snr) + 1e-9
    t = optimize.root_scalar(excess, bracket=(low, high), xtol=1e-14, rtol=1e-14).root
    return float(special.ndtr(snr - t))


def width_for_recall(kappa: float, snr: float, recall: float) -> float:
    """K / b that reaches a limiting first-step recall rho; inverse of `recall_limit`.

    kappa rho + (1 - kappa) Phi(z_rho - snr).

    Args:
      kappa: k / b in (0, 1].
      snr: lambda, finite.
      recall: rho in (0, 1]; 1 needs all branches.
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
    """lambda*: with K = k the limiting first-step recall is at most 1/2 iff snr <= lambda* (T9).

    Phi^-1(1 - kappa / (2 (1 - kappa))): 0 at kappa = 1/2, about sqrt(2 log(2 / kappa)) for small
    kappa, negative above 1/2, and -inf from 2/3 on, where any ranking keeps more than half.
    """
    kappa = _share("half_threshold", "kappa", kappa)
    if kappa >= 2 / 3:
        return -math.inf
    return float(-special.ndtri(kappa / (2 * (1 - kappa)))) + 0.0


def recall_bound(
    b: int, k: int, width: int, *, leaves: float, score: float, tail: tails.Tail
) -> float:
    """Upper bound on mean recall, at any depth, for scores bounded below (T6); at most 1.

    K/b + (c - low) / (tau sqrt(2 pi (n-1))) + 0.95 rho3 / (tau^3 sqrt(n-1)). Proof: let Z_j be the
    sum of n - 1 tail scores of branch j. A relevant branch scores Z_i + c, every other branch at
    least Z_j + low. So i survives only if Z_i + (c - low) reaches the K-th largest Z of the others:
    without the lead, i is in the top K of b exchangeable branches with probability K/b, and
    Berry-Esseen bounds what a lead of c - low adds. b = 2k and K = k give 1/2 + O(n^-1/2).

    Args:
      b: branches.
      k: branches that hold a relevant leaf.
      width: K, branches kept.
      leaves: n >= 2, below each branch.
      score: c >= tail.low, of a relevant leaf.
      tail: law of the other scores; its lower end `low` is finite.

    Raises:
      ValueError: for a tail without a lower end, or a score below it: the proof needs both.
    """
    b, _, width = _counts("recall_bound", b, k, width)
    if not leaves >= 2 or not math.isfinite(score):
        raise ValueError(
            f"recall_bound: expected leaves >= 2 and a finite score, got {leaves} and {score}"
        )
    if not (math.isfinite(tail.low) and score >= tail.low):
        raise ValueError(
            f"recall_bound: expected a tail bounded below and score >= its lower end, got a "
            f"{tail.name} tail from {tail.low} and score {score}; use gamma, uniform or bounded"
        )
    root = math.sqrt(leaves - 1)
    lead = (score - tail.low) / (tail.sd * math.sqrt(2 * math.pi) * root)
    distance = 2 * BERRY_ESSEEN * tail.third / (tail.sd**3 * root)
    return min(width / b + lead + distance, 1.0)


def precision_bound(b: int, k: int, width: int) -> float:
    """Lower bound on P(a relevant branch survives step 1): 1 - C(b-k, K) / C(b, K) (T7).

    A relevant leaf that scores above the tail only helps its branch, so chance is the worst case.
    Precision@1 of the whole search only if no later step loses the survivor: at depth 2 with
    c above every tail score it is ranked first; deeper trees need sqrt(4 log(K b / eps)) <=
    lambda_t at each later level t. b = 2k and K = k give 1 - 1 / C(2k, k).
    """
    b, k, width = _counts("precision_bound", b, k, width)
    if width > b - k:
        return 1.0

    def log_choose(n: int, m: int) -> float:
        return special.gammaln(n + 1) - special.gammaln(m + 1) - special.gammaln(n - m + 1)

    return float(-np.expm1(log_choose(b - k, width) - log_choose(b, width)))


@functools.cache
def _legendre() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(NODES)


def _at_most(most: int, n: int, p: np.ndarray, m: int, q: np.ndarray) -> np.ndarray:
    """P[Bin(n, p) + Bin(m, q) <= most], elementwise, up to 1e-20."""
    spread = 10 * math.sqrt(n / 4) + 50
    total = np.zeros(len(p))
    size = max(1, ROWS // (min(n, most, 2 * int(spread)) + 1))  # rows at a time
    for lo in range(0, len(p), size):
        one, other = p[lo : lo + size, None], q[lo : lo + size, None]
        first = max(0, math.floor(n * one.min() - spread))
        last = min(n, most, math.ceil(n * one.max() + spread))
        if first > last:
            continue
        count = np.arange(first, last + 1)
        log = special.gammaln(n + 1) - special.gammaln(count + 1) - special.gammaln(n - count + 1)
        chance = np.exp(log + special.xlogy(count, one) + special.xlog1py(n - count, -one))
        rest = np.minimum(most - count, m)
        total[lo : lo + size] = (chance * special.bdtr(rest, m, other)).sum(axis=1)
    return total


def _first(holds) -> float:
    """Start of a monotone condition in [-12, 12]; an end of the interval if it is constant."""
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
            f"{where}: expected integers 1 <= k <= b and width >= 1, got b={b}, k={k}, "
            f"width={width}"
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
