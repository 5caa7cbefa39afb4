"""The levels of a docid tree laid out for sums of products over siblings: the arithmetic under `theory.exact`."""

from __future__ import annotations

import dataclasses

import numpy as np

from theory import worlds

LEAF_BLOCK = 2**15  # numbers of a leaf array at a time, 256 KiB: stays in the cache


@dataclasses.dataclass(frozen=True, eq=False)
class Round:
    """Joins items in pairs: after `order`, item i of the first `pairs` with item i of the second; the rest stay single."""

    order: np.ndarray | None  # i64[items], None where they stand so already
    pairs: int

    def split(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self.order is not None:
            array = array[..., self.order]
        return (
            array[..., : self.pairs],
            array[..., self.pairs : 2 * self.pairs],
            array[..., 2 * self.pairs :],
        )

    def join(self, left: np.ndarray, right: np.ndarray, single: np.ndarray) -> np.ndarray:
        """Inverse of `split`."""
        joined = np.concatenate([left, right, single], axis=-1)
        if self.order is None:
            return joined
        array = np.empty_like(joined)
        array[..., self.order] = joined
        return array


@dataclasses.dataclass(frozen=True, eq=False)
class Level:
    """The n nodes of one depth, in an order of the layout's own, and how they join into their parents."""

    parent: np.ndarray  # i64[n], index into the level above
    mass: np.ndarray  # f64[n] r(T_v)
    stay: np.ndarray  # f64[n] P(alive); 0 for a node without mass, which the decoder never enters
    gone: np.ndarray  # f64[n] P(not alive); 1 for a node without mass
    # f64[n] P(no leaf with relevance alive); unlike `gone` where a leaf without relevance may live
    # on
    bare: np.ndarray
    rounds: tuple[Round, ...]
    last: np.ndarray | None  # order of the joined items that is the level above's
    alone: np.ndarray  # f64[n] P(no sibling alive)

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Totals over siblings: [n] -> [nodes above]."""
        for step in self.rounds:
            left, right, single = step.split(array)
            array = np.concatenate([left + right, single], axis=-1)
        return array if self.last is None else array[..., self.last]

    def reduce(
        self, gone: np.ndarray, alive: np.ndarray, *, others: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Products over siblings of (gone + alive), apart by how many factors are `alive`.

        gone: f64[n]. alive: f64[J, n], such as E[e^(-s X_c); c alive]. All terms are positive: nothing cancels.

        Returns:
          exactly one alive f64[J, nodes above]; two or more f64[J, nodes above]; with `others`, for each child the
          product over its siblings less that of all being gone, f64[J, n], else None.
        """
        one, more, history = alive, None, []
        for step in self.rounds:
            g_left, g_right, g_single = step.split(gone)
            a_left, a_right, a_single = step.split(one if more is None else one + more)
            o_left, o_right, o_single = step.split(one)
            both = a_left * a_right
            if more is not None:
                m_left, m_right, m_single = step.split(more)
                both = both + m_left * g_right + g_left * m_right
            more = np.concatenate(
                [both, np.zeros_like(o_single) if more is None else m_single], axis=-1
            )
            one = np.concatenate([o_left * g_right + g_left * o_right, o_single], axis=-1)
            gone = np.concatenate([g_left * g_right, g_single])
            if others:
                history.append((step, g_left, g_right, a_left, a_right))
        if more is None:
            more = np.zeros_like(one)
        rest = self._others(history, gone, one) if others else None
        if self.last is not None:
            one, more = one[:, self.last], more[:, self.last]
        return one, more, rest

    def product_of_others(self, array: np.ndarray) -> np.ndarray:
        """For each node the product of `array` over its siblings, itself left out: [n] -> [n]."""
        history = []
        for step in self.rounds:
            left, right, single = step.split(array)
            history.append((step, left, right))
            array = np.concatenate([left * right, single])
        out = np.ones_like(array)
        for step, left, right in reversed(history):
            out = step.join(out[: step.pairs] * right, out[: step.pairs] * left, out[step.pairs :])
        return out

    def _others(self, history: list, gone: np.ndarray, like: np.ndarray) -> np.ndarray:
        out_gone, out = np.ones_like(gone), np.zeros_like(like)  # of all that is not below the item
        for step, g_left, g_right, a_left, a_right in reversed(history):
            count = step.pairs
            og, o, og_single, o_single = (
                out_gone[:count],
                out[:, :count],
                out_gone[count:],
                out[:, count:],
            )
            left = o * (g_right + a_right) + og * a_right
            right = o * (g_left + a_left) + og * a_left
            out = step.join(left, right, o_single)
            out_gone = step.join(og * g_right, og * g_left, og_single)
        return out


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """A tree of depth m with the probability of each leaf to stay, f64[N]. Make one with `layout`."""

    levels: tuple[Level, ...]  # depth 1 .. m; levels[-1] holds the leaves
    alive: float  # P(corpus not empty)
    lightest: float  # smallest positive relevance
    # children of every node of depth m-1 in a full tree, whose leaves then lie slot by slot
    slots: int | None

    @property
    def widest(self) -> int:
        """Numbers of the largest array a point s needs: all nodes, and the leaves but for a full tree."""
        return max(len(level.mass) for level in self.levels[: -1 if self.slots else None])

    def leaves(self, s: np.ndarray) -> np.ndarray:
        """E[e^(-s X_v); v alive] for the nodes v of depth m-1, f64[J, nodes], at s f64[J]."""
        level, s = self.levels[-1], s[:, None]
        if self.slots is None:
            one, more, _ = level.reduce(level.gone, level.stay * np.exp(-s * level.mass))
            return one + more
        mass, stay, gone = (
            array.reshape(self.slots, -1) for array in (level.mass, level.stay, level.gone)
        )
        result = np.empty((len(s), mass.shape[1]))
        size = max(1, LEAF_BLOCK // len(s))
        for lo in range(0, mass.shape[1], size):
            part = slice(lo, lo + size)
            alive, none = result[:, part], np.ones(1)
            alive[:] = 0
            term, scratch = np.empty((2, *alive.shape))
            for j in range(self.slots):  # alive <- alive (gone_j + term) + none term
                np.exp(np.multiply(-s, mass[j, part], out=term), out=term)
                term *= stay[j, part]
                alive *= np.add(term, gone[j, part], out=scratch)
                alive += np.multiply(term, none, out=scratch)
                none = none * gone[j, part]
        return result


def layout(tree: worlds.Tree, keep: np.ndarray) -> Layout:
    """Layout of a tree with keep f64[N] in (0, 1]."""
    fans = [np.bincount(parent) for parent in tree.parents]
    is_full = all((fan == fan[0]).all() for fan in fans)
    with np.errstate(divide="ignore"):  # keep = 1
        log_gone = tree.sums(np.log1p(-keep))
        log_bare = tree.sums(np.where(tree.relevance > 0, np.log1p(-keep), 0.0))
    order, built = np.zeros(1, np.int64), []
    for t, parent in enumerate(tree.parents):
        if is_full:
            fan, above = fans[t][0], len(order)
            order = (order * fan + np.arange(fan)[:, None]).ravel()
            parent, rounds, last = np.tile(np.arange(above), fan), _halves(fan, above), None
        else:
            order = np.arange(len(parent))
            rounds, last = _pairs(parent)
        mass = tree.masses[t + 1][order]
        stay = np.where(mass > 0, -np.expm1(log_gone[t + 1][order]), 0.0)
        gone = np.where(mass > 0, np.exp(log_gone[t + 1][order]), 1.0)
        level = Level(
            parent, mass, stay, gone, np.exp(log_bare[t + 1][order]), rounds, last, np.ones(1)
        )
        built.append(dataclasses.replace(level, alone=level.product_of_others(gone)))
    lightest = tree.relevance[tree.relevance > 0].min()
    return Layout(
        tuple(built),
        float(-np.expm1(log_gone[0][0])),
        float(lightest),
        int(fans[-1][0]) if is_full else None,
    )


def _halves(fan: int, above: int) -> tuple[Round, ...]:
    """Rounds for `fan` children a node that lie slot by slot: the first half of the slots with the second."""
    rounds = []
    while fan > 1:
        rounds.append(Round(None, fan // 2 * above))
        fan = fan // 2 + fan % 2
    return tuple(rounds)


def _pairs(parent: np.ndarray) -> tuple[tuple[Round, ...], np.ndarray]:
    """Rounds for children of any numbers: neighbours under one parent, until one item a parent is left."""
    rounds = []
    while True:
        order = np.argsort(parent, kind="stable")
        parent = parent[order]
        first = np.flatnonzero(np.diff(parent, prepend=-1))
        place = np.arange(len(parent)) - np.repeat(first, np.diff(first, append=len(parent)))
        paired = np.append((place[:-1] % 2 == 0) & (parent[1:] == parent[:-1]), False)
        left = np.flatnonzero(paired)
        if not len(left):
            return tuple(rounds), order
        single = np.flatnonzero(~paired & (place % 2 == 0))
        taken = np.concatenate([left, left + 1, single])
        rounds.append(Round(order[taken], len(left)))
        parent = parent[np.concatenate([left, single])]
