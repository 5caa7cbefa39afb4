"""The levels of a docid tree, laid out for sums and products over siblings."""

from __future__ import annotations

import dataclasses

import numpy as np

from theory import worlds


@dataclasses.dataclass(frozen=True, eq=False)
class Round:
    """Pairs items: after `order`, item i of the first `pairs` with item i of the second `pairs`.

    The remaining items stay single.
    """

    order: np.ndarray | None  # i64[items]; None: already in order
    pairs: int

    def split(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self.order is not None:
            array = array[..., self.order]
        first, second = array[..., : self.pairs], array[..., self.pairs : 2 * self.pairs]
        return first, second, array[..., 2 * self.pairs :]

    def join(self, left: np.ndarray, right: np.ndarray, single: np.ndarray) -> np.ndarray:
        """Inverse of `split`."""
        joined = np.concatenate([left, right, single], axis=-1)
        if self.order is None:
            return joined
        array = np.empty_like(joined)
        array[..., self.order] = joined
        return array


@dataclasses.dataclass(frozen=True, eq=False)
class Siblings:
    """How the n nodes of one depth combine into their parents."""

    parent: np.ndarray  # i64[n], index into the level above
    rounds: tuple[Round, ...]
    last: np.ndarray | None  # order of the joined items that matches the level above

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Totals over siblings: [..., n] -> [..., nodes above]."""
        for step in self.rounds:
            left, right, single = step.split(array)
            array = np.concatenate([left + right, single], axis=-1)
        return array if self.last is None else array[..., self.last]

    def two_alive(self, gone: np.ndarray, alive: np.ndarray) -> np.ndarray:
        """Sum over sets of two or more siblings of prod(alive in the set) prod(gone outside it).

        gone: f64[n]. alive: f64[J, n], such as E[e^(-s X_c); c alive]. All terms are positive, so
        nothing cancels. Returns f64[J, nodes above].
        """
        one, more = alive, np.zeros_like(alive)
        for step in self.rounds:
            g_left, g_right, g_single = step.split(gone)
            a_left, a_right, _ = step.split(one + more)
            o_left, o_right, o_single = step.split(one)
            m_left, m_right, m_single = step.split(more)
            both = a_left * a_right + m_left * g_right + g_left * m_right
            one = np.concatenate([o_left * g_right + g_left * o_right, o_single], axis=-1)
            more = np.concatenate([both, m_single], axis=-1)
            gone = np.concatenate([g_left * g_right, g_single])
        return more if self.last is None else more[:, self.last]

    def excess(
        self, gone: np.ndarray, base: np.ndarray, linear: np.ndarray, rest: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Second-order part of a product over siblings, and the products over the other siblings.

        With alive = base + linear + rest, both over sets of two or more alive siblings:
        prod(alive) - prod(base) - sum over c of linear_c prod(base of the others). Written as a
        sum of products: nothing cancels where linear = 0 and rest >= 0.

        gone: f64[n]; base, linear, rest: f64[J, n].

        Returns:
          the second-order part f64[J, nodes above]; for each child prod(gone + base) of its
          siblings minus prod(gone), f64[J, n].
        """
        one, more, history = (base, linear, rest), tuple(map(np.zeros_like, (base,) * 3)), []
        for step in self.rounds:
            g_left, g_right, g_single = step.split(gone)
            lefts, rights, singles = zip(*map(step.split, one), strict=True)
            m_lefts, m_rights, m_singles = zip(*map(step.split, more), strict=True)
            b, lin, t = (x + y for x, y in zip(lefts, m_lefts, strict=True))
            b2, lin2, t2 = (x + y for x, y in zip(rights, m_rights, strict=True))
            both = b * b2, lin * b2 + b * lin2, t * b2 + b * t2 + (lin + t) * (lin2 + t2)
            history.append((step, g_left, g_right, b, b2))
            one = tuple(
                np.concatenate([x * g_right + g_left * y, z], axis=-1)
                for x, y, z in zip(lefts, rights, singles, strict=True)
            )
            more = tuple(
                np.concatenate([w + x * g_right + g_left * y, z], axis=-1)
                for w, x, y, z in zip(both, m_lefts, m_rights, m_singles, strict=True)
            )
            gone = np.concatenate([g_left * g_right, g_single])
        second = more[2] if self.last is None else more[2][:, self.last]
        return second, _others(history, gone, one[0])

    def product_of_others(self, array: np.ndarray) -> np.ndarray:
        """For each node the product of `array` over its siblings, without itself: [n] -> [n]."""
        history = []
        for step in self.rounds:
            left, right, single = step.split(array)
            history.append((step, left, right))
            array = np.concatenate([left * right, single])
        out = np.ones_like(array)
        for step, left, right in reversed(history):
            out = step.join(out[: step.pairs] * right, out[: step.pairs] * left, out[step.pairs :])
        return out


def _others(history: list, gone: np.ndarray, like: np.ndarray) -> np.ndarray:
    """For each item prod(gone + alive) minus prod(gone) over the other items of its group."""
    out_gone, out = np.ones_like(gone), np.zeros_like(like)
    for step, g_left, g_right, a_left, a_right in reversed(history):
        count = step.pairs
        og, og_single = out_gone[:count], out_gone[count:]
        o, o_single = out[:, :count], out[:, count:]
        left = o * (g_right + a_right) + og * a_right
        right = o * (g_left + a_left) + og * a_left
        out = step.join(left, right, o_single)
        out_gone = step.join(og * g_right, og * g_left, og_single)
    return out


def siblings(tree: worlds.Tree) -> tuple[list[Siblings], list[np.ndarray], int | None]:
    """The levels 1 .. m of a tree in an order that makes sums over siblings fast.

    Returns:
      how each level combines; for each level the tree's index of its nodes, i64[n]; and the
      number of children of a node of depth m-1 in a full tree (its leaves then lie slot by slot),
      None for another tree.
    """
    fans = [np.bincount(parent) for parent in tree.parents]
    is_full = all((fan == fan[0]).all() for fan in fans)
    order, levels, orders = np.zeros(1, np.int64), [], []
    for t, parent in enumerate(tree.parents):
        if is_full:
            fan, above = int(fans[t][0]), len(order)
            order = (order * fan + np.arange(fan)[:, None]).ravel()
            levels.append(Siblings(np.tile(np.arange(above), fan), _halves(fan, above), None))
        else:
            order = np.arange(len(parent))
            levels.append(Siblings(parent, *_pairs(parent)))
        orders.append(order)
    return levels, orders, int(fans[-1][0]) if is_full else None


def _halves(fan: int, above: int) -> tuple[Round, ...]:
    """Rounds for `fan` children a node that lie slot by slot: first half of the slots, second."""
    rounds = []
    while fan > 1:
        rounds.append(Round(None, fan // 2 * above))
        fan = fan // 2 + fan % 2
    return tuple(rounds)


def _pairs(parent: np.ndarray) -> tuple[tuple[Round, ...], np.ndarray]:
    """Rounds for any numbers of children: pair neighbours until each parent has one item."""
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
