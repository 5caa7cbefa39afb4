"""Time of the exact expected KL at a million leaves.

    python benchmarks/theory_exact.py [--branching 32 --depth 4]

Times `theory.expected_kl` beside a literal NumPy implementation of theorem T3, which transforms all
children from all their leaves at every depth. Prints seconds, the ratio, and the difference of the
two results.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

import theory
from theory import worlds

STEP = 0.25
BLOCK = 2**20


def straightforward(relevance: np.ndarray, branching: int, depth: int, keep: float) -> np.ndarray:
    """f64[m] by T3, level by level.

    Cost: 2 (m-1) N T evaluations of a transform, each on its own grid.
    """
    relevance = relevance / relevance.sum()
    log_t = np.arange(-37, 45 + np.log(branching ** (depth - 1)), STEP)
    alive = lambda leaves: -np.expm1(leaves * np.log1p(-keep))  # noqa: E731
    steps, path = np.zeros(depth), np.ones(1)
    for t in range(depth - 1):
        leaves = branching ** (depth - t - 1)
        child = relevance.reshape(-1, leaves).sum(axis=1)
        share = (
            child.reshape(-1, branching) / child.reshape(-1, branching).sum(axis=1, keepdims=True)
        ).ravel()
        nodes = relevance.reshape(-1, leaves * branching)
        node_log = mean_logs(nodes / nodes.sum(axis=1, keepdims=True), keep, log_t)
        child_log = mean_logs(relevance.reshape(-1, leaves) / child[:, None], keep, log_t)
        stay, gone = alive(leaves), 1 - alive(leaves)
        mask_log, inverse = np.zeros(len(nodes)), np.zeros(len(child))
        for u in log_t:
            factor = (gone + stay * np.exp(-np.exp(u) * share)).reshape(-1, branching)
            whole = factor.prod(axis=1)
            mask_log += STEP * (
                alive(leaves * branching) * np.exp(-np.exp(u)) - whole + gone**branching
            )
            rest = np.divide(
                whole[:, None], factor, out=np.zeros_like(factor), where=factor > 0
            ).ravel()
            inverse += STEP * np.exp(u) * np.exp(-np.exp(u) * share) * rest
        weight = share * inverse
        steps[t] = path @ (
            node_log - mask_log - (weight * child_log).reshape(-1, branching).sum(axis=1)
        )
        path = np.repeat(path, branching) * weight
    return steps / alive(len(relevance))


def mean_logs(shares: np.ndarray, keep: float, log_t: np.ndarray) -> np.ndarray:
    """E[log S; alive] per row of shares f64[nodes, leaves]."""
    leaves = shares.shape[1]
    gone = (1 - keep) ** leaves
    found = np.zeros(len(shares))
    rows = max(1, BLOCK // leaves)
    for lo in range(0, len(shares), rows):
        part = shares[lo : lo + rows]
        for u in log_t:
            transform = np.exp(np.log1p(keep * np.expm1(-np.exp(u) * part)).sum(axis=1))
            found[lo : lo + rows] += STEP * ((1 - gone) * np.exp(-np.exp(u)) - transform + gone)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--branching", type=int, default=32)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--keep", type=float, default=0.1)
    parser.add_argument(
        "--repeat", type=int, default=3, help="runs of the fast path; prints the fastest"
    )
    args = parser.parse_args()
    relevance = worlds.zipf(args.branching, args.depth, placement="random")
    fast_seconds = []
    for _ in range(args.repeat):
        begin = time.perf_counter()
        fast = theory.expected_kl(relevance, args.branching, args.depth, args.keep)
        fast_seconds.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    slow = straightforward(relevance, args.branching, args.depth, args.keep)
    slow_seconds = time.perf_counter() - begin
    difference = (
        np.abs(fast / np.where(slow > 1e-12, slow, np.inf) - 1)[:-1].max()
        if args.depth > 1
        else 0.0
    )
    print(
        f"N = {len(relevance)} ({args.branching}, {args.depth}), p = {args.keep}, "
        f"{os.cpu_count()} cores"
    )
    print(f"theory.expected_kl   {min(fast_seconds):8.2f} s   {fast}")
    print(f"T3 in plain NumPy    {slow_seconds:8.2f} s   {slow}")
    print(
        f"ratio {slow_seconds / min(fast_seconds):.1f}, largest relative difference "
        f"{difference:.1e}"
    )


if __name__ == "__main__":
    main()
