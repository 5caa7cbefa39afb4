"""Expected KL per decoding step by enumeration of every corpus of a small tree.

The oracle of `theory.exact` and of the simulations: it uses no identity, only the definitions of P,
Q and sum P log(P/Q).
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from theory import checks, worlds

MOST_LEAVES = 20  # 2^20 corpora of random size
MOST_CORPORA = 2**20
BLOCK = 2**14  # corpora at a time
DECODERS = ("masked", "counted", "exact")


def enumerate_kl(
    relevance: np.ndarray,
    branching: int,
    depth: int,
    *,
    keep: float | np.ndarray | None = None,
    size: int | None = None,
    decoder: str = "masked",
    reverse: bool = False,
) -> np.ndarray:
    """E[KL of step t | corpus not empty] for t = 1 .. m, in nats; the quantity of arXiv 2504.09935.

    Args:
      relevance: f[N], N = branching**depth, >= 0, any scale, leaves in lexicographic docid order.
      keep: each leaf stays independently with this probability in (0, 1], a number or f[N]; either
        this or `size`.
      size: all sets of this many leaves are equally likely.
      decoder: P(c|v) on alive children is proportional to r(T_c) for "masked"; r(T_c) times the
        share of the leaves below c in the corpus for "counted" (in a full tree: the log of their
        number is added to the logit); r(T_c and C), which is Q, for "exact".
      reverse: KL[Q||P], steps weighed by Q(v), in place of KL[P||Q], weighed by P(v).

    Returns:
      f64[m]; inf where P gives mass to an alive child without relevance in the corpus while Q
      exists. A corpus without any
      relevance counts as 0.

    Raises:
      ValueError: for parameters out of range, more than 20 leaves with `keep`, or more than 2^20
        corpora with `size`.
    """
    return enumerate_kl_of(
        worlds.full(branching, depth, relevance),
        keep=keep,
        size=size,
        decoder=decoder,
        reverse=reverse,
    )


def enumerate_kl_of(
    tree: worlds.Tree,
    *,
    keep: float | np.ndarray | None = None,
    size: int | None = None,
    decoder: str = "masked",
    reverse: bool = False,
) -> np.ndarray:
    """`enumerate_kl` for a tree of any shape, f64[depth]."""
    if (keep is None) == (size is None):
        raise ValueError(f"enumerate_kl: expected keep or size, one of them, got {keep} and {size}")
    num_leaves = len(tree.relevance)
    if size is not None:
        blocks = _of_size(num_leaves, size)
    else:
        blocks = _of_any_size(num_leaves, 1.0 if keep is None else keep)
    total, weights = np.zeros(tree.depth), 0.0
    for corpora, weight in blocks:
        corpora, weight = corpora[weight > 0], weight[weight > 0]
        total += weight @ kl_of_corpora(tree, corpora, decoder=decoder, reverse=reverse)
        weights += weight.sum()
    return total / weights


def kl_of_corpora(
    tree: worlds.Tree, corpora: np.ndarray, *, decoder: str = "masked", reverse: bool = False
) -> np.ndarray:
    """f64[R, depth] KL of every step for each corpus, in nats; conventions as `enumerate_kl`.

    corpora: bool[R, N], True = in the corpus; an empty one has KL 0. Cost and memory O(R N).
    """
    corpora = np.asarray(corpora, bool)
    if corpora.ndim != 2 or corpora.shape[1] != len(tree.relevance):
        raise ValueError(
            f"kl_of_corpora: expected corpora [R, {len(tree.relevance)}], got {list(corpora.shape)}"
        )
    steps = np.zeros((len(corpora), tree.depth))
    reached = np.ones((2, len(corpora), 1))  # P(v), Q(v)
    for t, (p, q) in enumerate(laws_of_corpora(tree, corpora, decoder=decoder)):
        parent = tree.parents[t]
        first, second = (q, p) if reverse else (p, q)
        exists = (_total(q, parent) > 0)[:, parent]  # without Q there is nothing to compare
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where((first > 0) & exists, first * np.log(first / second), 0.0)
        kl = np.maximum(_total(terms, parent), 0)  # rounding
        node = reached[1 if reverse else 0]
        with np.errstate(invalid="ignore"):
            steps[:, t] = np.where(node > 0, node * kl, 0.0).sum(axis=1)
        reached = reached[:, :, parent] * np.stack([p, q])
    return steps


def laws_of_corpora(
    tree: worlds.Tree, corpora: np.ndarray, *, decoder: str = "masked"
) -> list[tuple[np.ndarray, np.ndarray]]:
    """P(c|v) and Q(c|v) at each depth for corpora bool[R, N]; 0 where v has no mass.

    Both f64[R, nodes at depth t+1].
    """
    if decoder not in DECODERS:
        raise ValueError(f"enumerate_kl: expected decoder in {DECODERS}, got {decoder!r}")
    here = _below(tree, corpora * tree.relevance)  # r(T_v and C), level by level
    number = _below(tree, corpora.astype(np.float64))
    laws = []
    for t, parent in enumerate(tree.parents):
        if decoder == "exact":
            weight = here[t + 1]
        elif decoder == "counted":
            weight = tree.masses[t + 1] * number[t + 1] / tree.counts[t + 1]
        else:
            weight = tree.masses[t + 1] * (number[t + 1] > 0)
        laws.append(
            (
                _ratio(weight, _total(weight, parent)[:, parent]),
                _ratio(here[t + 1], here[t][:, parent]),
            )
        )
    return laws


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _total(array: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """[R, children] -> [R, parents]."""
    return np.add.reduceat(array, np.flatnonzero(np.diff(parent, prepend=-1)), axis=1)


def _below(tree: worlds.Tree, leaves: np.ndarray) -> list[np.ndarray]:
    """[R, N] -> totals [R, nodes] of each depth 0 .. m."""
    levels = [leaves]
    for parent in reversed(tree.parents):
        levels.append(_total(levels[-1], parent))
    return levels[::-1]


def _of_any_size(num_leaves: int, keep: float | np.ndarray):
    """Blocks (corpora, probabilities) of all corpora but the empty one."""
    if num_leaves > MOST_LEAVES:
        raise ValueError(
            f"enumerate_kl: expected at most {MOST_LEAVES} leaves, got {num_leaves}; "
            "use theory.expected_kl"
        )
    keep = checks.shares("enumerate_kl", keep, num_leaves)
    for lo in range(1, 2**num_leaves, BLOCK):
        number = np.arange(lo, min(lo + BLOCK, 2**num_leaves))
        corpora = (number[:, None] >> np.arange(num_leaves)) % 2 == 1
        yield corpora, np.where(corpora, keep, 1 - keep).prod(axis=1)


def _of_size(num_leaves: int, size: int):
    """Blocks (corpora, probabilities) of all corpora of one size."""
    if size != int(size) or not 1 <= size <= num_leaves:
        raise ValueError(f"enumerate_kl: expected size in 1 .. {num_leaves}, got {size}")
    if math.comb(num_leaves, int(size)) > MOST_CORPORA:
        raise ValueError(
            f"enumerate_kl: expected at most {MOST_CORPORA} corpora, got {num_leaves} choose "
            f"{size}; shrink the tree"
        )
    chosen = itertools.combinations(range(num_leaves), int(size))
    while block := list(itertools.islice(chosen, BLOCK)):
        corpora = np.zeros((len(block), num_leaves), bool)
        np.put_along_axis(corpora, np.array(block), True, axis=1)
        yield corpora, np.ones(len(block))
