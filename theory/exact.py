"""Expected KL per decoding step by quadrature: exact for any relevance and tree, no corpus drawn.

Theorem T3 (derived here; the quantity is that of arXiv 2504.09935). X_c is the mass below child c
that survives, S_c = X_c / r_c; the decoder P(c|v) = r_c / W_v chooses among the children that are
alive, W_v = sum of their r_c; the desired law is Q(c|v) = X_c / X_v. For any constant u, with
g(y) = y - log(1 + y) >= 0 and Y_c = S_c / u - 1,

    KL[P||Q] at v = E_P[g(Y)] - g(E_P[Y]).

g(y) = int_0^inf (e^(-s(1+y)) - e^-s (1 - s y)) ds/s is an integral of distances between e^-x and
its tangent, and so are both terms after taking expectations: first over S_c, which is independent
of P, then over all children of v. The integrands are products over leaves and never negative. On a
grid of s common to all nodes the transform of a parent is the product of those of its children, so
one pass from the leaves up serves all nodes. `theory.survivors` evaluates the distances without
cancellation; u is the mean of S given survival.
"""

from __future__ import annotations

import concurrent.futures
import os

import numpy as np

from theory import checks, survivors, worlds

# of log s; the integrands are analytic for |Im log s| < pi/2: error about exp(-pi^2 / STEP) = 7e-18
STEP = 0.25
SMALLEST = 1e-4  # s where the grid begins, for a total mass of 1; below it, see `_grid`
LARGEST = 40.0  # s times the lightest leaf where the grid ends; e^-40 = 4e-18 is left out
BLOCK = 2**18  # numbers in the largest array of a worker


def expected_kl(
    relevance: np.ndarray, branching: int, depth: int, keep: float | np.ndarray
) -> np.ndarray:
    """E[KL[P||Q] of step t | corpus not empty] for t = 1 .. m, in nats; T3, derived here.

    Step t sums P(v) KL_v over the nodes v at depth t-1 (chain rule), so the total is the KL of
    sequences. The last step is 0.

    Args:
      relevance: f[N], N = branching**depth, >= 0, any scale, leaves in lexicographic docid order.
      keep: p in (0, 1], or one probability per leaf, f[N] in (0, 1].

    Returns:
      f64[m]. Relative error below 1e-8 for every p in (0, 1] and N up to 2^20, usually about
      1e-12; the subtraction of g(E_P[Y]) costs a factor 1 / (1 - largest share of a branch). Inf
      where an alive child may hold no relevance while the decoder gives it some and another child
      holds some. Corpora without any relevance count as 0, since neither law exists there.

    Raises:
      ValueError: for relevance or keep outside these ranges.

    Cost: O(J N) time on all cores and O(N) memory, J = 100 points and more with the log of the
    range of r; N = 2^20: a few seconds.
    """
    return expected_kl_of(worlds.full(branching, depth, relevance), keep)


def expected_kl_of(tree: worlds.Tree, keep: float | np.ndarray) -> np.ndarray:
    """`expected_kl` for a tree of any shape, f64[depth]; short identifiers add steps of 0."""
    keep = checks.shares("expected_kl", keep, len(tree.relevance))
    steps = np.zeros(tree.depth)
    if tree.depth == 1 or (keep == 1).all():
        return steps
    layout = survivors.layout(tree, keep)
    integrals = _integrals(layout)

    # E of the product of P(u | parent of u) on the way to each node, on u being alive
    path = np.ones(1)
    for t in range(tree.depth - 1):
        child = layout.nodes[t]
        of_mean, of_each, with_others = integrals[t]
        node_kl = np.maximum(child.siblings.sum(with_others * of_each) - of_mean, 0)
        steps[t] = path @ node_kl
        path = path[child.siblings.parent] * (with_others + child.alone)
    steps /= layout.alive
    steps[_unsupported(tree, keep)] = np.inf
    return steps


def _integrals(layout: survivors.Layout) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The integrals of each step t < m, for the nodes v at its depth and their children c.

    E[g(E_P[Y]); two or more children alive] f64[nodes]; E[g(Y_c) | c alive] P(c alive)
    f64[children]; E[P(c|v); a sibling alive | c alive] f64[children].
    """
    heaviest = [1.0] + [float(nodes.mass.max()) for nodes in layout.nodes[:-2]]
    points, weights = _grid(layout.lightest, heaviest)
    width = max(1, BLOCK // layout.widest)
    workers = os.cpu_count() or 1
    width = min(width, -(-len(points) // workers))
    chunks = [slice(lo, lo + width) for lo in range(0, len(points), width)]
    total: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for part in pool.map(
            lambda chunk: _columns(layout, points[chunk], weights[:, chunk]), chunks
        ):
            total = (
                [(a + x, b + y, c + z) for (a, b, c), (x, y, z) in zip(total, part, strict=True)]
                if total
                else part
            )
    return total


def _grid(lightest: float, heaviest: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Points s f64[J] and weights f64[m-1, J] of int f(s) ds/s for each step.

    f is analytic with f(0) = 0 and ends with e^(-s lightest); `heaviest` is the largest mass of a
    node of each step. The trapezoid rule in log s. Below s0 = SMALLEST / heaviest f is a power
    series; its sum over the points s0 e^-jh, j = 1, 2, ... is written in the values at s0, s0 e, ..
    s0 e^5 so that s, .. s^6 are integrated exactly.
    """
    count = int(np.ceil(np.log(LARGEST / lightest / SMALLEST) / STEP)) + 1
    points = SMALLEST * np.exp(STEP * np.arange(count))
    stride, power = round(1 / STEP), np.arange(1, 7)
    missing = 1 / np.expm1(power * STEP)  # sum over j >= 1 of e^(-j h power)
    below = np.linalg.solve(np.exp(np.arange(6.0))[None, :] ** power[:, None], missing)
    weights = np.zeros((len(heaviest), count))
    for row, mass in zip(weights, heaviest):
        first = max(0, int(-np.log(mass) / STEP))
        row[first:] = STEP
        row[first : first + 6 * stride : stride] += STEP * below
    return points, weights


def _columns(
    layout: survivors.Layout, s: np.ndarray, weights: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The part of `_integrals` that the points s [J] contribute."""
    parts = []
    law = survivors.of_leaf_parents(layout, s)
    for t in range(len(layout.nodes) - 2, -1, -1):  # children at depth m-1 .. 1
        level, weight = layout.nodes[t], weights[t]
        if weight.any():
            base, linear, rest = survivors.rest(level, law, s)
            of_mean, others = level.siblings.excess(level.gone, base, linear, rest)
            decay = np.exp(-s[:, None] * level.centre)
            with_others = level.centre * ((weight * s) @ (decay * others))
            parts.append((weight @ of_mean, weight @ rest, with_others))
        else:
            above = layout.nodes[t - 1].mass
            parts.append((np.zeros(len(above)), *np.zeros((2, len(level.mass)))))
        if t:
            law = survivors.of_parents(level, law, layout.nodes[t - 1], s)
    return parts[::-1]


def _unsupported(tree: worlds.Tree, keep: np.ndarray) -> np.ndarray:
    """bool[m] steps where P may reach a child without relevance in the corpus while Q exists."""
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
