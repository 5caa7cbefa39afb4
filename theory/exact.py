"""Expected KL per decoding step by quadrature: exact for any relevance and tree, no corpus drawn.

Theorem T3 (derived here; the quantity is that of arXiv 2504.09935). Notation: X_v = r(T_v and C), the mass below v that
stays; W_v = the mass r_c of the children of v that stay alive; decoder P(c|v) = r_c / W_v on alive children, desired
Q(c|v) = X_c / X_v. With all of it in absolute masses,

    KL[P||Q] at v = log X_v - log W_v - sum_c P(c|v) log(X_c / r_c),

which is 0 where one child alone is alive. Take expectations on "two or more alive", by log x = int (e^-s - e^-sx) ds/s and
1/x = int e^-sx ds: every term is then an integral over s of products over leaves. On a grid of s common to all nodes a parent's
transform is the product of its children's: one pass from the leaves up serves all nodes. Transforms are kept apart by how many
children live (none, one, more), so that nothing cancels for small p: the answer keeps its digits at p = 1e-9 as at 1/2.
"""

from __future__ import annotations

import concurrent.futures
import os

import numpy as np

from theory import levels, worlds

# of log s; the integrands are analytic for |Im log s| < pi/2: error exp(-pi^2 / STEP) = 7e-18
STEP = 0.25
SMALLEST = 1e-4  # s where the grid begins, for a total mass of 1; below it, see `_grid`
LARGEST = 40.0  # s times the lightest leaf where the grid ends; e^-40 = 4e-18 is left out
BLOCK = 2**19  # numbers in the largest array of a worker


def expected_kl(
    relevance: np.ndarray, branching: int, depth: int, keep: float | np.ndarray
) -> np.ndarray:
    """E[KL[P||Q] of step t | corpus not empty] for t = 1 .. m, in nats; T3, derived here.

    Step t sums P(v) KL_v over the nodes v at depth t-1 (chain rule), so the whole is the KL of sequences. The last step is 0.

    Args:
      relevance: f[N], N = branching**depth, >= 0, any scale, leaves in the lexicographic order of docids.
      keep: p in (0, 1]; or f[N] in (0, 1], one probability a leaf.

    Returns:
      f64[m]. Inf where an alive child may hold no relevance while the decoder gives it some and another holds some. Relative error about
      1e-14 / (Simpson index) for every p: the value is a difference of terms of order log p; results under 0 by rounding
      are 0. Corpora without any relevance count as 0, since neither law exists there.

    Raises:
      ValueError: for relevance or keep as above. Cost: O(T N) time on all cores and O(N) memory, T = 100 and more with
      the log of the range of r; N = 2^20: about a second.
    """
    return expected_kl_of(worlds.full(branching, depth, relevance), keep)


def expected_kl_of(tree: worlds.Tree, keep: float | np.ndarray) -> np.ndarray:
    """`expected_kl` for a tree of any shape, f64[depth]; identifiers of unequal length take steps of 0 once they have ended."""
    keep = worlds.checked_keeps("expected_kl", keep, len(tree.relevance))
    steps = np.zeros(tree.depth)
    if tree.depth == 1 or (keep == 1).all():
        return steps
    layout = levels.layout(tree, keep)
    nodes = _integrals(layout)

    # E of the product of P(u | parent of u) on the way to each node, on u being alive
    path = np.ones(1)
    for t in range(tree.depth - 1):
        child = layout.levels[t]
        two, log_share, with_others = nodes[t]
        node_kl = np.maximum(two - child.sum(with_others * log_share), 0)
        steps[t] = path @ node_kl
        path = path[child.parent] * (with_others + child.alone)
    steps /= layout.alive
    steps[_unsupported(tree, keep)] = np.inf
    return steps


def _integrals(layout: levels.Layout) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each depth t < m-1: E[log X_v - log W_v; two or more children alive] f64[nodes at t], and for the nodes at t+1
    E[log X_c / r_c; c alive] and E[P(c|v); c and another alive].
    """
    points, weights = _grid(layout.lightest)
    width = max(1, BLOCK // layout.widest)
    workers = os.cpu_count() or 1
    width = min(width, -(-len(points) // workers))
    chunks = [slice(lo, lo + width) for lo in range(0, len(points), width)]
    total = None
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for part in pool.map(lambda chunk: _columns(layout, points[chunk], weights[chunk]), chunks):
            total = (
                part
                if total is None
                else [tuple(a + b for a, b in zip(*pair)) for pair in zip(total, part)]
            )
    return total


def _grid(lightest: float) -> tuple[np.ndarray, np.ndarray]:
    """Points s and weights of int f(s) ds/s, for f analytic with f(0) = 0 that ends with the lightest leaf.

    The trapezoid rule in log s. Below the first point f is a power series; its sum over the points s0 e^-jh, j = 1, 2, ...
    is written in the values at s0, s0 e, .. s0 e^5 so that s, .. s^6 come out exactly.
    """
    count = int(np.ceil(np.log(LARGEST / lightest / SMALLEST) / STEP)) + 1
    points = SMALLEST * np.exp(STEP * np.arange(count))
    weights = np.full(count, STEP)
    stride, power = round(1 / STEP), np.arange(1, 7)
    nodes = np.exp(np.arange(6.0))
    missing = 1 / np.expm1(power * STEP)  # sum over j >= 1 of e^(-j h power)
    weights[: 6 * stride : stride] += STEP * np.linalg.solve(
        nodes[None, :] ** power[:, None], missing
    )
    return points, weights


def _columns(
    layout: levels.Layout, s: np.ndarray, weight: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The part of `_integrals` that the points s [J] contribute; `alive` is E[e^(-s X_v); v alive], f64[J, nodes]."""
    parts = []
    alive = layout.leaves(s)  # -> [J, nodes at depth m-1]
    for level in reversed(layout.levels[:-1]):  # children at depth m-1 .. 1
        decay = np.exp(-s[:, None] * level.mass)
        masked = level.stay * decay  # E[e^(-s r_c alive); alive]
        log_share = weight @ (masked - alive)
        one, more, _ = level.reduce(level.bare, alive)
        alive = one + more
        _, more_masked, others = level.reduce(level.gone, masked, others=True)
        two = weight @ (more_masked - more)
        with_others = level.mass * ((weight * s) @ (decay * others))
        parts.append((two, log_share, with_others))
    return parts[::-1]


def _unsupported(tree: worlds.Tree, keep: np.ndarray) -> np.ndarray:
    """bool[m] steps where P may put mass on a child without relevance in the corpus while Q exists."""
    bad = np.zeros(tree.depth, bool)
    barren = (tree.relevance == 0).astype(np.int64)
    # a leaf that never leaves keeps its branch relevant
    sure = ((tree.relevance > 0) & (keep == 1)).astype(np.int64)
    barren, sure = tree.sums(barren), tree.sums(sure)
    for t, parent in enumerate(tree.parents):
        entered = tree.masses[t + 1] > 0
        rivals = np.bincount(parent, entered)[parent] - entered
        bad[t] = (entered & (barren[t + 1] > 0) & (sure[t + 1] == 0) & (rivals > 0)).any()
    return bad
