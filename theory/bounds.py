"""The expected KL per step in closed form: second order, lower bounds, averages; in nats.

Simpson index of a branch: A = sum of squared shares of its leaves' relevance, in [1/n, 1]. T4, T5,
T5' and T5'' are derived here; `published_bound` is the form on the slides of arXiv 2504.09935, read
as >=, which is not a bound for every parameter. Functions of (relevance, branching, depth) have a
twin `..._of(tree)` for trees of any shape where a claim needs one.
"""

from __future__ import annotations

import numpy as np

from theory import checks, worlds

PAIRS_BLOCK = 2**22  # pairs of branches or leaves at a time


def simpson(relevance: np.ndarray, branching: int, depth: int) -> np.ndarray:
    """f64[m+1] level averages Ebar_t = sum over nodes v at depth t of r(T_v) A_v.

    Non-decreasing in t; the last is 1.
    """
    return simpson_of(worlds.full(branching, depth, relevance))


def simpson_of(tree: worlds.Tree) -> np.ndarray:
    """`simpson` of a tree of any shape, f64[depth + 1]."""
    squares = tree.sums(tree.relevance**2)
    return np.array([_shares(square, mass).sum() for square, mass in zip(squares, tree.masses)])


def second_order_kl(
    relevance: np.ndarray,
    branching: int,
    depth: int,
    keep: float | None = None,
    *,
    size: int | None = None,
    decoder: str = "masked",
) -> np.ndarray:
    """f64[m] second order of E[KL of step t] (T4).

    (1-p)/(2p) sum over v of r_v sum over c of w_c (1 - w_c) A_c, which for the masked decoder is
    (1-p)/(2p) (Ebar_t - Ebar_{t-1}), Ebar of `simpson`. "counted" replaces A_c by A_c - 1/n_c (the
    part that counts of survivors do not explain), "exact" gives 0. The last step is 0. Relative
    error of order 1/(p n); needs p n >> 1 for the branches of a step and no leaf with a share near
    p.

    keep: p in (0, 1]. size: M of N leaves instead: p = M/N, times N/(N-1).
    """
    return second_order_kl_of(
        worlds.full(branching, depth, relevance), keep, size=size, decoder=decoder
    )


def second_order_kl_of(
    tree: worlds.Tree,
    keep: float | None = None,
    *,
    size: int | None = None,
    decoder: str = "masked",
) -> np.ndarray:
    """`second_order_kl` of a tree of any shape, f64[depth]."""
    if (keep is None) == (size is None):
        raise ValueError(
            f"second_order_kl: expected keep or size, one of them, got {keep} and {size}"
        )
    if decoder not in ("masked", "counted", "exact"):
        raise ValueError(
            f'second_order_kl: expected decoder "masked", "counted" or "exact", got {decoder!r}'
        )
    num_leaves = len(tree.relevance)
    factor = 1.0
    if size is not None:
        if size != int(size) or not 1 <= size <= num_leaves:
            raise ValueError(f"second_order_kl: expected size in 1 .. {num_leaves}, got {size}")
        keep, factor = size / num_leaves, num_leaves / max(num_leaves - 1, 1)
    assert keep is not None
    keep = checks.share("second_order_kl", keep)
    steps = np.zeros(tree.depth)
    if decoder == "exact":
        return steps
    for t in range(tree.depth - 1):
        share, index, above = _branches(tree, t)
        if decoder == "counted":
            index = index - 1 / tree.counts[t + 1]
        steps[t] = factor * (1 - keep) / (2 * keep) * (above * share * (1 - share)) @ index
    return steps


def kl_lower_bound(relevance: np.ndarray, branching: int, depth: int, keep: float) -> float:
    """Lower bound on E[KL of step 1; corpus not empty], for every p and relevance (T5).

    Hence a lower bound on `expected_kl(...)[0]`. 1/2 sum over i != l of
    w_i w_l (E[X^2; both])^2 / E[X^2 Y^2; both], X and Y the difference and sum of the surviving
    shares of the root branches i and l, "both" = both alive; from power sums up to the fourth.
    Cost O(N + b^2).
    """
    return kl_lower_bound_of(worlds.full(branching, depth, relevance), keep)


def kl_lower_bound_of(tree: worlds.Tree, keep: float) -> float:
    """`kl_lower_bound` of a tree of any shape."""
    p = checks.share("kl_lower_bound", keep)
    if tree.depth == 1 or p == 1:
        return 0.0
    entered = tree.masses[1] > 0
    mass = tree.masses[1][entered]
    share = tree.relevance / np.repeat(np.where(entered, tree.masses[1], 1), tree.counts[1])
    cubes, fourths = (tree.sums(share**j)[1][entered] for j in (3, 4))
    index = tree.sums(share**2)[1][entered]
    dead = (1 - p) ** tree.counts[1][entered]
    spread = p * (1 - p) * index
    second = p**2 + spread
    mu3 = p * (1 - p) * (1 - 2 * p) * cubes
    mu4 = 3 * spread**2 + p * (1 - p) * (1 - 6 * p * (1 - p)) * fourths
    fourth = mu4 + 4 * p * mu3 + 6 * p**2 * spread + p**4
    total, rows = 0.0, max(1, PAIRS_BLOCK // len(mass))
    for lo in range(0, len(mass), rows):
        i = slice(lo, lo + rows)
        q, m2, m4 = dead[i, None], second[i, None], fourth[i, None]
        square = np.maximum(spread[i, None] + spread - q * second - dead * m2, 0)
        product = m4 + fourth - 2 * m2 * second - q * fourth - dead * m4
        ratio = np.divide(
            square**2, product, out=np.zeros_like(square), where=(square > 0) & (product > 0)
        )
        ratio[np.arange(len(ratio)), np.arange(lo, lo + len(ratio))] = 0
        total += mass[i] @ ratio @ mass
    return 0.5 * float(total)


def readable_bound(relevance: np.ndarray, branching: int, depth: int, keep: float) -> float:
    """T5': 0.93 (1-p)/p sum of w (1-w) A / (4 + 7 a + a^2).

    a = largest share of a leaf in its root branch, divided by p.
    Below E[KL of step 1] for p <= 1/2 and p n >= 6 with n = leaves of a root branch.

    Raises:
      ValueError: where these conditions fail.
    """
    tree, p = worlds.full(branching, depth, relevance), checks.share("readable_bound", keep)
    leaves = branching ** (depth - 1)
    if p > 0.5 or p * leaves < 6:
        raise ValueError(
            f"readable_bound: expected keep <= 1/2 and keep * {leaves} leaves per branch >= 6, "
            f"got {p}; use kl_lower_bound"
        )
    share, index, _ = _branches(tree, 0)
    a = _largest_share(tree) / p
    return float(0.93 * (1 - p) / p * (share * (1 - share)) @ index / (4 + 7 * a + a**2))


def sufficient_bound(relevance: np.ndarray, branching: int, depth: int, keep: float) -> float:
    """T5'': 0.05 E[A]/p, the linear form, which is at least the published 0.05 E^2[A]/p.

    Raises:
      ValueError: where `sufficient` does not hold, naming the condition that fails.
    """
    failed = _failing(relevance, branching, depth, keep)
    if failed:
        raise ValueError(
            f"sufficient_bound: expected {failed[0]}; use kl_lower_bound, which needs nothing"
        )
    return 0.05 * float(simpson(relevance, branching, depth)[1]) / keep


def sufficient(relevance: np.ndarray, branching: int, depth: int, keep: float) -> bool:
    """Whether the conditions of T5'' hold.

    p <= 1/2, p n >= 6, no root branch over 1/4, no leaf over 0.4 p of its branch.
    """
    return not _failing(relevance, branching, depth, keep)


def published_bound(relevance: np.ndarray, branching: int, depth: int, keep: float) -> float:
    """0.05 E^2[A]/p for step 1, E[A] = sum of w A over the root branches.

    The slides of arXiv 2504.09935 write >~ for it. Read as >=, it is not a lower bound for every
    parameter: it lacks a factor that vanishes with 1 - p, and grows as p -> 0 where the KL
    vanishes. `sufficient` says where it is one.
    """
    p = checks.share("published_bound", keep)
    return 0.05 * float(simpson(relevance, branching, depth)[1]) ** 2 / p


def correlated_kl(
    relevance: np.ndarray, branching: int, depth: int, keep: float, correlation: float
) -> float:
    """Second order of E[KL of step 1] when inclusion correlates by rho within root branches.

    A becomes (1-rho) A + rho, so topical corpora have a floor of order rho (1-p)/(2p) for any tree
    size. See `worlds.BranchCorrelated`.
    """
    tree, p = worlds.full(branching, depth, relevance), checks.share("correlated_kl", keep)
    if not 0 <= correlation < 1:
        raise ValueError(f"correlated_kl: expected correlation in [0, 1), got {correlation}")
    if depth == 1:
        return 0.0
    share, index, _ = _branches(tree, 0)
    return float(
        (1 - p) / (2 * p) * (share * (1 - share)) @ ((1 - correlation) * index + correlation)
    )


def heterogeneous_kl(relevance: np.ndarray, branching: int, depth: int, keep: np.ndarray) -> float:
    """Second order of E[KL of step 1] when leaf d stays with probability keep[d], f[N].

    Shift between branches plus noise: with pbar_i = E S_i and pbar its mean under w,
    1/2 Var_w(pbar_i)/pbar^2 + sum of w (1-w) Var(S_i) / (2 pbar^2). The shift is large when the
    probabilities differ much between branches; `expected_kl` takes the same keep and is exact.
    """
    tree = worlds.full(branching, depth, relevance)
    keep = checks.shares("heterogeneous_kl", keep, len(tree.relevance))
    if depth == 1:
        return 0.0
    share = tree.masses[1]
    mean = _shares(tree.sums(tree.relevance * keep)[1], share)
    noise = _shares(tree.sums(tree.relevance**2 * keep * (1 - keep))[1], share**2)
    centre = share @ mean
    return float((share @ (mean - centre) ** 2 + (share * (1 - share)) @ noise) / (2 * centre**2))


def dirichlet_simpson(branching: int, depth: int, concentration: float) -> np.ndarray:
    """f64[m+1] expectation of `simpson` for symmetric Dirichlet relevance.

    Exactly (a + 1) / (a n_t + 1), n_t = b^(m-t).
    """
    worlds.uniform(branching, 1)  # checks
    if depth < 1 or not concentration > 0:
        raise ValueError(
            "dirichlet_simpson: expected depth >= 1 and concentration > 0, "
            f"got {depth} and {concentration}"
        )
    leaves = float(branching) ** np.arange(depth, -1, -1)
    return (concentration + 1) / (concentration * leaves + 1)


def _shares(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _branches(tree: worlds.Tree, t: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the nodes c at depth t+1: share w_c of the parent, Simpson index A_c, parent's mass."""
    mass = tree.masses[t + 1]
    above = tree.masses[t][tree.parents[t]]
    share = _shares(mass, above)
    relative = tree.relevance / np.repeat(np.where(mass > 0, mass, 1), tree.counts[t + 1])
    return share, tree.sums(relative**2)[t + 1], above


def _largest_share(tree: worlds.Tree) -> float:
    mass = tree.masses[1]
    return float((tree.relevance / np.repeat(np.where(mass > 0, mass, 1), tree.counts[1])).max())


def _failing(relevance: np.ndarray, branching: int, depth: int, keep: float) -> list[str]:
    tree, p = worlds.full(branching, depth, relevance), checks.share("sufficient", keep)
    leaves, heaviest, largest = branching ** (depth - 1), tree.masses[1].max(), _largest_share(tree)
    conditions = {
        f"keep <= 1/2, got {p}": p <= 0.5,
        f"keep * leaves per branch >= 6, got {p * leaves:.3g}": p * leaves >= 6,
        f"root branches of at most 1/4, got {heaviest:.3g}": heaviest <= 0.25,
        f"leaves of at most 0.4 keep in their branch, got {largest:.3g}": largest <= 0.4 * p,
    }
    return [text for text, holds in conditions.items() if not holds]
