"""The law of the mass that survives below a node, in forms that keep their relative precision.

X_c = r(T_c and C) is a sum over leaves of r_d times an independent Bernoulli(p_d) variable. What
the KL needs of it is how far its Laplace transform lies above the tangent of e^(-s x) at a point:

    rest_c(s) = E[e^(-s X_c) - e^(-s x) (1 - s (X_c - x)); X_c > 0] >= 0,

which is of second order in the spread of X_c. The difference of the two transforms would lose all
digits for many leaves, for p near 1 and, where two leaves weigh the same, for p near 0. Two forms
lose none. *Dense* (one or more expected survivors): H_c = log E[e^(-s X_c)] + s E[X_c] is a sum
over leaves of h_d = log(q e^(s p r) + p e^(-s q r)) = log1p(q B(s p r) + p B(-s q r)), where
B(y) = e^y - 1 - y: every term is positive. *Few* (fewer than one): exactly one survivor, whose law
is a mixture that keeps its distance from the tangent, and two or more, where nothing cancels.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from theory import levels, worlds

FAR = 100.0  # s E[X] from which log E[e^(-s X)] is stored, no longer H: e^-100 = 4e-44
SMALL = 0.1  # s times the heaviest leaf below which H is a power series in s
ORDER = 10  # of that series; the next term is below 1e-13 of the first at SMALL
CLOSE = 0.02  # distance of two exponents below which e^y - 1 - y is a power series of six terms
LEAF_BLOCK = 2**15  # numbers of a leaf array at a time, 256 KiB: stays in the cache


@dataclasses.dataclass(frozen=True, eq=False)
class Nodes:
    """The n nodes of one depth: how they combine, and the moments of the mass below each.

    A node without mass is never entered by the decoder: it counts as gone, with X = 0.
    """

    siblings: levels.Siblings
    mass: np.ndarray  # f64[n] r(T_c)
    stay: np.ndarray  # f64[n] P(alive): a document below c is in the corpus
    gone: np.ndarray  # f64[n] 1 - stay
    alone: np.ndarray  # f64[n] P(no sibling alive)
    # f64[n] P(X_c = 0); differs from `gone` where a leaf without relevance may stay
    bare: np.ndarray
    mean: np.ndarray  # f64[n] E[X_c]
    given: np.ndarray  # f64[n] E[X_c | X_c > 0]
    # f64[n] point of the tangent: mass times the mean share E[X_c | X_c > 0] / r_c of the siblings
    centre: np.ndarray
    few: np.ndarray  # bool[n] fewer than one expected survivor; the rest is used for those only
    lonely: np.ndarray  # f64[n] P(X = 0 for all siblings)
    one: np.ndarray  # f64[n] P(exactly one leaf with relevance survives)
    one_mean: np.ndarray  # f64[n] E[X_c | exactly one]
    two: np.ndarray  # f64[n] P(two or more)
    two_mean: np.ndarray  # f64[n] E[X_c; two or more]


class Law(NamedTuple):
    """Transforms of X_c at s f64[J], for the nodes of a depth."""

    dense: np.ndarray | None  # f64[J, n] H where s E[X] <= FAR, log E[e^(-s X)] beyond
    # f64[J, n] E[e^(-s X); one] - P(one) e^(-s E[X | one])
    one: np.ndarray | None
    two: np.ndarray | None  # f64[J, n] E[e^(-s X); two or more]


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """A tree of depth m with the probability of each leaf to stay."""

    nodes: tuple[Nodes, ...]  # depth 1 .. m; nodes[-1] are the leaves
    keep: np.ndarray  # f64[N] p of the leaves with relevance, 0 for the others
    alive: float  # P(corpus not empty)
    slots: int | None  # children of every node of depth m-1 in a full tree
    lightest: float  # smallest point of a tangent or mass of a leaf
    series: np.ndarray  # f64[ORDER - 1, nodes at depth m-1] coefficients of H in s^2, s^3, ...
    heaviest: np.ndarray  # f64[nodes at depth m-1] largest leaf

    @property
    def widest(self) -> int:
        """Numbers in the largest array that a point s needs."""
        return max(len(level.mass) for level in self.nodes[: -1 if self.slots else None])


def layout(tree: worlds.Tree, keep: np.ndarray) -> Layout:
    """Layout of a tree of depth 2 or more with keep f64[N] in (0, 1]."""
    siblings, orders, slots = levels.siblings(tree)
    real = tree.relevance > 0
    with np.errstate(divide="ignore"):  # keep = 1
        log_gone = tree.sums(np.log1p(-keep))
        log_bare = tree.sums(np.where(real, np.log1p(-keep), 0.0))
    means, expected = tree.sums(keep * tree.relevance), tree.sums(np.where(real, keep, 0.0))
    keep = np.where(real, keep, 0.0)[orders[-1]]
    mass = tree.relevance[orders[-1]]
    below = dict(one=keep, one_mean=mass, two=np.zeros_like(mass), two_mean=np.zeros_like(mass))
    built = []
    for t in range(tree.depth - 1, -1, -1):
        order, joins = orders[t], siblings[t]
        above = orders[t - 1] if t else np.zeros(1, np.int64)
        here = _moments(
            joins,
            tree.masses[t + 1][order],
            log_gone[t + 1][order],
            log_bare[t + 1][order],
            means[t + 1][order],
            log_bare[t][above],
            expected[t + 1][order] < 1,
            below,
        )
        built.append(here)
        below = _joined(here, expected[t][above] < 1)
    nodes = tuple(built[::-1])
    leaves = nodes[-1]
    points = np.concatenate([level.centre for level in nodes[:-1]])
    heaviest = np.zeros(len(orders[-2]))
    np.maximum.at(heaviest, leaves.siblings.parent, mass)
    return Layout(
        nodes,
        keep,
        float(-np.expm1(log_gone[0][0])),
        slots,
        float(min(points[points > 0].min(), mass[mass > 0].min())),
        _series(leaves, keep),
        heaviest,
    )


def rest(nodes: Nodes, law: Law, s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """E[e^(-s X_c); alive] of each node about the tangent at its centre x, in three parts.

    Returns f64[J, n] each: stay e^(-s x); -s e^(-s x) E[X_c - x; alive]; and `rest_c` >= 0.
    """
    s = s[:, None]
    base = nodes.stay * np.exp(-s * nodes.centre)
    linear = base * (-s * (nodes.given - nodes.centre))
    shift = 0.0
    if (nodes.given != nodes.centre).any():
        shift = (1 - nodes.bare) * _above_tangent(s * nodes.given, s * nodes.centre)
    if law.dense is None:
        gap = _of_few(nodes, law, s)
    elif law.two is None:
        gap = _of_many(nodes, law.dense, s)
    else:
        gap = np.where(nodes.few, _of_few(nodes, law, s), _of_many(nodes, law.dense, s))
    return base, linear, shift + gap


def of_leaf_parents(layout: Layout, s: np.ndarray) -> Law:
    """The law of the nodes of depth m-1."""
    leaves, here = layout.nodes[-1], layout.nodes[-2]
    one = two = dense = None
    if here.few.any():
        one, two = _few_of_leaves(leaves, here, layout.keep, s)
    if not layout.nodes[0].few.all():
        dense = _dense_of_leaves(layout, s)
    return Law(dense, one, two)


def of_parents(nodes: Nodes, law: Law, above: Nodes, s: np.ndarray) -> Law:
    """The law of the nodes one level up."""
    s = s[:, None]
    one = two = dense = None
    joins = nodes.siblings
    if law.two is not None and above.few.any():
        each = law.one + nodes.one * np.exp(-s * nodes.one_mean) + law.two
        two = joins.two_alive(nodes.bare, each) + joins.sum(nodes.lonely * law.two)
        gap = _above_tangent(s * nodes.one_mean, s * above.one_mean[joins.parent])
        one = joins.sum(nodes.lonely * (law.one + nodes.one * gap))
    if law.dense is not None:
        changes = (s * above.mean > FAR)[:, joins.parent] & (s * nodes.mean <= FAR)
        dense = joins.sum(law.dense - np.where(changes, s * nodes.mean, 0.0))
    return Law(dense, one, two)


def _moments(joins, mass, log_gone, log_bare, mean, log_bare_above, few, below) -> Nodes:
    entered = mass > 0
    stay = np.where(entered, -np.expm1(log_gone), 0.0)
    gone = np.where(entered, np.exp(log_gone), 1.0)
    bare = np.exp(log_bare)
    given = np.divide(mean, -np.expm1(log_bare), out=np.zeros_like(mean), where=entered)
    ratio = joins.sum(given) / np.maximum(joins.sum(mass), np.finfo(np.float64).tiny)
    centre = ratio[joins.parent] * mass
    centre = np.where(np.abs(centre - given) <= 1e-15 * given, given, centre)  # rounding
    with np.errstate(invalid="ignore"):  # -inf less -inf, where a leaf surely stays: not few
        lonely = np.exp(log_bare_above[joins.parent] - log_bare)
    lonely = np.where(np.isfinite(lonely), lonely, 0.0)
    return Nodes(
        joins,
        mass,
        stay,
        gone,
        joins.product_of_others(gone),
        bare,
        mean,
        given,
        centre,
        few,
        lonely,
        **below,
    )


def _joined(nodes: Nodes, few: np.ndarray) -> dict[str, np.ndarray]:
    """Moments by the number of survivors, of the nodes one level up."""
    joins = nodes.siblings
    if not few.any():
        return dict.fromkeys(("one", "one_mean", "two", "two_mean"), np.zeros(len(few)))
    one = joins.sum(nodes.lonely * nodes.one)
    one_mean = joins.sum(nodes.lonely * nodes.one * nodes.one_mean)
    two = joins.two_alive(nodes.bare, (nodes.one + nodes.two)[None])[0]
    with np.errstate(divide="ignore"):
        crowded = np.where(nodes.lonely > 0, -np.expm1(np.log(nodes.lonely)), 1.0)
    return dict(
        one=one,
        one_mean=np.divide(one_mean, one, out=np.zeros_like(one), where=one > 0),
        two=two + joins.sum(nodes.lonely * nodes.two),
        two_mean=joins.sum(nodes.mean * crowded + nodes.two_mean * nodes.lonely),
    )


def _of_many(nodes: Nodes, dense: np.ndarray, s: np.ndarray) -> np.ndarray:
    """E[e^(-s X); X > 0] above the tangent at E[X | X > 0], from the dense form."""
    x, bare = s * nodes.mean, nodes.bare
    odds = np.divide(bare, 1 - bare, out=np.zeros_like(bare), where=bare < 1)
    near = np.exp(-np.minimum(x, FAR))
    with np.errstate(over="ignore"):
        spread = near * np.expm1(np.where(x <= FAR, dense, 0.0))
    # e^-x - bare - (1 - bare) e^(-x / (1 - bare)), of order bare
    emptied = bare * np.expm1(-x) - (1 - bare) * np.exp(-x) * np.expm1(-x * odds)
    return np.where(x <= FAR, spread + emptied, np.exp(np.minimum(dense, 0.0)) - bare)


def _of_few(nodes: Nodes, law: Law, s: np.ndarray) -> np.ndarray:
    """The same by the number of survivors."""
    x = s * nodes.given
    single = law.one + nodes.one * _above_tangent(s * nodes.one_mean, x)
    lead = s * (nodes.two_mean - nodes.given * nodes.two)
    return single + law.two - np.exp(-x) * (nodes.two - lead)


def _few_of_leaves(leaves: Nodes, here: Nodes, keep: np.ndarray, s: np.ndarray):
    s, joins = s[:, None], leaves.siblings
    two = joins.two_alive(leaves.bare, keep * np.exp(-s * leaves.mass))
    gap = _above_tangent(s * leaves.mass, s * here.one_mean[joins.parent])
    return joins.sum(leaves.lonely * keep * gap), two


def _dense_of_leaves(layout: Layout, s: np.ndarray) -> np.ndarray:
    """`Law.dense` of the nodes of depth m-1."""
    leaves, here = layout.nodes[-1], layout.nodes[-2]
    if layout.slots is None:
        far = (s[:, None] * here.mean > FAR)[:, leaves.siblings.parent]
        found = leaves.siblings.sum(_log_transform(s[:, None] * leaves.mass, layout.keep, far))
    else:
        found = np.zeros((len(s), len(here.mass)))
        mass, keep = (a.reshape(layout.slots, -1) for a in (leaves.mass, layout.keep))
        size = max(1, LEAF_BLOCK // len(s))
        for lo in range(0, found.shape[1], size):
            part = slice(lo, lo + size)
            first = np.searchsorted(s * layout.heaviest[part].max(), SMALL)
            points = s[first:, None]
            if not len(points):
                continue
            far = points * here.mean[part] > FAR
            group = max(1, LEAF_BLOCK // far.size)  # slots at a time
            for j in range(0, layout.slots, group):
                x = points[..., None] * mass[j : j + group, part]
                found[first:, part] += _log_transform(
                    x, keep[j : j + group, part], far[:, None]
                ).sum(axis=1)
    near = s[:, None] * layout.heaviest < SMALL
    if near.any():
        series = np.zeros_like(found)
        for coefficient in layout.series[::-1]:
            series = series * s[:, None] + coefficient
        series *= s[:, None] ** 2
        series -= np.where(s[:, None] * here.mean > FAR, s[:, None] * here.mean, 0.0)
        found = np.where(near, series, found)
    return found


def _log_transform(x: np.ndarray, keep: np.ndarray, far: np.ndarray) -> np.ndarray:
    """log(q + p e^-x) where `far`, the same plus p x elsewhere."""
    some = far.any()
    if not (some and far.all()):
        at = np.where(far, 0.0, x) if some else x
        found = np.expm1(keep * at)  # q B(p x) + p B(-q x): the linear terms of B cancel
        found *= 1 - keep
        found += keep * np.expm1((keep - 1) * at)
        np.log1p(found, out=found)
        if not some:
            return found
    with np.errstate(divide="ignore"):
        direct = np.where(
            keep < 0.5, np.log1p(keep * np.expm1(-x)), np.log((1 - keep) + keep * np.exp(-x))
        )
    return direct if far.all() else np.where(far, direct, found)


def _above_tangent(x: np.ndarray, at: np.ndarray) -> np.ndarray:
    """e^-x - e^-at (1 - (x - at)) >= 0, to full relative precision."""
    gap = at - x
    close = np.abs(gap) < CLOSE
    near = np.exp(-at)
    if close.all():
        return near * _bend(gap)
    found = np.exp(-x) - near * (1 + gap)
    return np.where(close, near * _bend(np.where(close, gap, 0.0)), found) if close.any() else found


def _bend(y: np.ndarray) -> np.ndarray:
    """B(y) = e^y - 1 - y for |y| < CLOSE."""
    total = np.full_like(y, 1 / 8)
    for j in range(7, 2, -1):  # 1 + y/3 (1 + y/4 (1 + ...))
        total *= y
        total += 1
        total /= j
    total *= y
    total += 1
    total *= y
    total *= y
    total /= 2
    return total


def _series(leaves: Nodes, keep: np.ndarray) -> np.ndarray:
    """f64[ORDER - 1, nodes at depth m-1] sums over leaves of k_j (-r)^j / j!, j = 2, 3, ..."""
    real = leaves.mass > 0
    alike = (keep[real] == keep[real][0]).all()  # then one number serves; r^j is 0 for the others
    power, coefficients = -leaves.mass, []
    for j in range(2, ORDER + 1):
        power = power * -leaves.mass
        cumulant = _cumulant(j, keep[real][:1] if alike else keep)
        coefficients.append(leaves.siblings.sum(power * (cumulant / math.factorial(j))))
    return np.stack(coefficients)


def _cumulant(order: int, keep: np.ndarray) -> np.ndarray:
    """Cumulant of a Bernoulli(p) variable, order 2 and above: k_{j+1} = p (1-p) dk_j / dp."""
    polynomial = np.polynomial.Polynomial([0.0, 1.0])
    factor = np.polynomial.Polynomial([0.0, 1.0, -1.0])
    for _ in range(order - 1):
        polynomial = factor * polynomial.deriv()
    quotient = polynomial // factor  # p (1-p) is taken out: exact near p = 1
    return keep * (1 - keep) * quotient(keep)
