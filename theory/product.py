"""The product law: recall of the whole beam search, level by level, and the beams that it asks for.

Model `worlds.SparseThick` with iid tail scores in a full tree. At level t < m a node sums n_t =
b^(m-t) leaves; a relevant leaf leads by lambda_t = lambda_1 b^((t-1)/2) standard deviations of
such a sum. Given that its ancestor survived, it is one of rho_1 .. rho_{t-1} k relevant nodes
among the K b candidates of level t, of which K are kept: the same selection problem as at step 1,
so

    leaf recall = rho_1 rho_2 .. rho_{m-1},  rho_1 = recall_exact(b, k, K, lambda_1),
    rho_t = recall_limit(kappa_t, lambda_t, K / candidates),
    kappa_t = rho_1 .. rho_{t-1} k / (K b).

The last factor is 1: at level m a node is one leaf, and a relevant score above the tail is never
lost while K >= k. One half is the first factor alone. Derived here. Assumes Gaussian sums
(b >= 8 or so), a relevant score above the tail, distinct root branches, and that survivors of one
level are a fresh sample at the next. The last one is an approximation: the survivors' sums are
large, and their children inherit 1/sqrt(b) of that in units of lambda, relevant and irrelevant
alike; it cancels while lambda_t is small, and where it is not, rho_t is near 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from theory import recall


class Schedule(NamedTuple):
    """A beam for each level, and what it is predicted to do."""

    widths: tuple[int, ...]  # nodes kept at level 1 .. m
    recall: float  # leaf recall
    cost: int  # children scored, b + K_1 b + ... + K_{m-1} b


def leaf_recall(b: int, depth: int, k: int, width: int | Sequence[int], snr: float) -> float:
    """Mean share of the k relevant leaves among the answers of the whole beam search.

    Args:
      b: children of a node.
      depth: levels m of the full tree.
      k: relevant leaves, in distinct root branches; 1 <= k <= b.
      width: K of every level, or one for each level 1 .. m.
      snr: lambda_1 = (c - mu) / (tau sqrt(b^(m-1))), of a relevant leaf in its root branch.

    >>> round(leaf_recall(32, 3, 16, 16, 0.270633), 2)
    0.19
    """
    return math.prod(level_recalls(b, depth, k, width, snr))


def level_recalls(
    b: int, depth: int, k: int, width: int | Sequence[int], snr: float
) -> tuple[float, ...]:
    """Factors rho_1 .. rho_m of `leaf_recall`; the last is 1 unless the last beam is below k."""
    widths = _widths("leaf_recall", b, depth, k, width)
    if not math.isfinite(snr):
        raise ValueError(f"leaf_recall: expected a finite snr, got {snr}")
    kept, alive, factors = 1, float(k), []
    for t in range(1, depth):
        candidates = kept * b
        kept = min(widths[t - 1], candidates)
        signal = min(snr * float(b) ** ((t - 1) / 2), 1e6)
        if kept == candidates:
            factors.append(1.0)
        elif candidates == b:
            factors.append(recall.recall_exact(b, k, kept, signal))
        else:
            share = min(alive / candidates, 1.0)
            factors.append(recall.recall_limit(share, signal, kept / candidates) if alive else 0.0)
        alive *= factors[-1]
    factors.append(min(1.0, widths[-1] / alive) if alive > 0 else 1.0)
    return tuple(factors)


def beam_schedule(b: int, depth: int, k: int, snr: float, recall: float) -> Schedule:
    """Beams per level that reach a leaf recall with the fewest children scored.

    With K_t = rho_1..rho_t k + (K_{t-1} b - rho_1..rho_{t-1} k) Phi(z(rho_t) - lambda_t), the
    inverse of `recall_limit`, the cost sum_t K_t b is minimised over the split
    log recall = log rho_1 + ... + log rho_{m-1}. lambda_t grows by sqrt(b) a level, so nearly all
    of the width belongs to the first: this is what a wider first beam (`first_beam` of TIGER) does.

    Args:
      b: as in `leaf_recall`, like depth, k and snr.
      depth: levels m.
      k: relevant leaves.
      snr: lambda_1.
      recall: wanted, in (0, 1).
    """
    _widths("beam_schedule", b, depth, k, max(k, 1))
    if not 0 < recall < 1:
        raise ValueError(f"beam_schedule: expected recall in (0, 1), got {recall}")
    if not math.isfinite(snr):
        raise ValueError(f"beam_schedule: expected a finite snr, got {snr}")
    if depth == 1:
        return Schedule((k,), 1.0, b)
    signals = np.minimum(snr * float(b) ** (np.arange(depth - 1) / 2), 1e6)
    budget = -math.log(recall)

    def beams(shares: np.ndarray) -> list[float]:
        kept, alive, widths = 1.0, float(k), []
        for share, signal in zip(shares, signals):
            rho = min(math.exp(-budget * share), 1 - 1e-9)
            others = max(kept * b - alive, 0.0)
            wide = alive * rho + others * special.ndtr(special.ndtri(rho) - signal)
            kept, alive = min(wide, kept * b), alive * rho
            widths.append(kept)
        return widths

    def logs(free: np.ndarray) -> float:
        return math.log(sum(beams(special.softmax(np.append(free, 0.0)))))

    free = np.zeros(0)
    if depth > 2:
        options = {"maxiter": 400 * depth}
        starts = [4.0 * (np.arange(depth - 1) == t) for t in range(depth - 1)]
        tried = [
            optimize.minimize(logs, (s - s[-1])[:-1], method="Nelder-Mead", options=options)
            for s in starts
        ]
        free = min(tried, key=lambda result: result.fun).x
    widths = [math.ceil(w - 1e-9) for w in beams(special.softmax(np.append(free, 0.0)))]
    widths = _raised(b, depth, k, snr, recall, [max(w, 1) for w in widths])
    cost = b + b * sum(min(w, b**t) for t, w in enumerate(widths, start=1))
    return Schedule((*widths, k), leaf_recall(b, depth, k, (*widths, k), snr), cost)


def _raised(b, depth, k, snr, wanted, widths: list[int]) -> list[int]:
    """Widths scaled up until the law with its exact first step reaches the recall wanted."""
    first = list(widths)
    for step in range(400):
        if leaf_recall(b, depth, k, (*widths, k), snr) >= wanted:
            break
        widths = [math.ceil(w * (1 + 0.005 * (step + 1))) for w in first]
    return [min(w, b**t) for t, w in enumerate(widths, start=1)]


def _widths(where: str, b: int, depth: int, k: int, width) -> tuple[int, ...]:
    if any(value != int(value) for value in (b, depth, k)) or not (depth >= 1 and 1 <= k <= b):
        raise ValueError(
            f"{where}: expected integers depth >= 1 and 1 <= k <= b, "
            f"got b={b}, depth={depth}, k={k}"
        )
    widths = [width] * int(depth) if np.ndim(width) == 0 else list(width)
    if len(widths) != depth or any(w != int(w) or w < 1 for w in widths):
        raise ValueError(
            f"{where}: expected width >= 1, one integer or one for each of {depth} levels, "
            f"got {width}"
        )
    return tuple(int(w) for w in widths)
