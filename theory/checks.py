"""Checks of arguments: each returns the value, or raises a ValueError that names the function."""

from __future__ import annotations

import numpy as np


def normalised(where: str, relevance: np.ndarray, num_leaves: int) -> np.ndarray:
    """f64[num_leaves] relevance of sum 1; ValueError naming the function `where` if invalid."""
    relevance = np.asarray(relevance, np.float64)
    if relevance.shape != (num_leaves,):
        raise ValueError(
            f"{where}: expected relevance of shape [{num_leaves}], one value per leaf, "
            f"got {list(relevance.shape)}"
        )
    bad = ~(np.isfinite(relevance) & (relevance >= 0))
    if bad.any():
        leaf = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"{where}: expected finite relevance >= 0, got {relevance[leaf]} at leaf {leaf}; "
            "shift or drop it"
        )
    if not relevance.any():
        raise ValueError(
            f"{where}: expected some relevance above 0, got all {num_leaves} zero; "
            "give one leaf mass"
        )
    # first, so that the sum of large values does not overflow
    relevance = relevance / relevance.max()
    return relevance / relevance.sum()


def share(where: str, keep: float) -> float:
    """p in (0, 1] as a float; ValueError naming the function `where` otherwise."""
    if np.ndim(keep) != 0 or not 0 < float(keep) <= 1:
        raise ValueError(
            f"{where}: expected keep, the share of leaves in the corpus, in (0, 1], got {keep}; "
            "1 keeps all"
        )
    return float(keep)


def shares(where: str, keep: float | np.ndarray, num_leaves: int) -> np.ndarray:
    """f64[num_leaves] in (0, 1] from a number or one per leaf; ValueError naming `where` if not."""
    if np.ndim(keep) == 0:
        return np.full(num_leaves, share(where, float(keep)))
    keep = np.asarray(keep, np.float64)
    if keep.shape != (num_leaves,):
        raise ValueError(
            f"{where}: expected keep in (0, 1], a number or one for each of {num_leaves} leaves, "
            f"got {list(keep.shape)}"
        )
    bad = ~((keep > 0) & (keep <= 1))
    if bad.any():
        leaf = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"{where}: expected keep for every leaf in (0, 1], got {keep[leaf]} at leaf {leaf}"
        )
    return keep


def num_leaves(where: str, branching: int, depth: int) -> int:
    """branching**depth; ValueError naming the function `where` for sizes below 1."""
    if branching != int(branching) or depth != int(depth) or branching < 1 or depth < 1:
        raise ValueError(
            f"{where}: expected whole branching >= 1 and depth >= 1, got {branching} and {depth}"
        )
    return int(branching) ** int(depth)


def positive(where: str, name: str, value: float) -> None:
    """Raises ValueError naming the function `where` unless the value is finite and above 0."""
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{where}: expected {name} > 0, got {value}")
