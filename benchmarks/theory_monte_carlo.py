"""Monte Carlo of the KL of constrained decoding: ours beside two NumPy versions.

`python benchmarks/theory_monte_carlo.py --corpora 300` draws that many corpora of a full tree (32
children, depth 4: N = 2^20, p = .1, Zipf relevance) with `theory.simulate.kl`, a few with each
NumPy version, and prints nanoseconds per leaf and corpus, without compilation, and the time for
10,000 corpora.

lean: sums of kept relevance, logs at inner nodes only (T1). naive: both laws of each step,
normalised, and their KL term by term.

Random bits bound theory.simulate on CPUs: of about 3.4 ns of a core per leaf and corpus, threefry
takes 2.1, the comparison .5 and the walk up the tree .8; 10,000 corpora are 36 s of a core.
"""

from __future__ import annotations

import argparse
import time

import jax
import numpy as np

import theory
from theory import simulate, worlds


def lean(
    relevance: np.ndarray, branching: int, depth: int, keep: float, rng: np.random.Generator
) -> np.ndarray:
    left = (
        (relevance * (rng.random(len(relevance), np.float32) < keep)).reshape(-1, branching).sum(1)
    )
    levels = [(relevance.reshape(-1, branching).sum(1), left)]
    while len(levels[-1][0]) > 1:
        levels.append(tuple(x.reshape(-1, branching).sum(1) for x in levels[-1]))
    reach, steps = np.ones(1), []
    for mass, left in levels[-2::-1]:
        mass, left = mass.reshape(-1, branching), left.reshape(-1, branching)
        chosen = mass * (left > 0)
        chosen = chosen / np.maximum(chosen.sum(1, keepdims=True), 1e-300)
        share = np.where(left > 0, left / mass, 1)
        steps.append(
            float(
                (
                    reach
                    * (
                        np.log(np.maximum((chosen * share).sum(1), 1e-300))
                        - (chosen * np.log(share)).sum(1)
                    )
                ).sum()
            )
        )
        reach = (reach[:, None] * chosen).reshape(-1)
    return np.array([*steps, 0.0])


def naive(
    relevance: np.ndarray, branching: int, depth: int, keep: float, rng: np.random.Generator
) -> np.ndarray:
    kept = rng.random(len(relevance)) < keep
    reach, steps = np.ones(1), []
    for t in range(depth):
        mass = relevance.reshape(branching ** (t + 1), -1).sum(1).reshape(-1, branching)
        left = (relevance * kept).reshape(branching ** (t + 1), -1).sum(1).reshape(-1, branching)
        model = np.where(left > 0, mass, 0)
        model, wanted = (x / np.maximum(x.sum(1, keepdims=True), 1e-300) for x in (model, left))
        ratio = np.where(model > 0, model / np.where(wanted > 0, wanted, 1), 1)
        steps.append(float((reach * (model * np.log(ratio)).sum(1)).sum()))
        reach = (reach[:, None] * model).reshape(-1)
    return np.array(steps)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--branching", type=int, default=32)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--keep", type=float, default=0.1)
    parser.add_argument("--corpora", type=int, default=300, help="10000 is the full job")
    given = parser.parse_args()
    tree = given.branching, given.depth
    relevance = worlds.zipf(*tree, placement="random")

    def ours(num_corpora: int, seed: int) -> simulate.Estimate:
        return simulate.kl(
            relevance, *tree, worlds.Kept(given.keep), jax.random.key(seed), num_corpora=num_corpora
        )

    def seconds(job) -> float:
        started = time.perf_counter()
        job()
        return time.perf_counter() - started

    # each call compiles once, so the difference of two calls excludes compilation
    few = min(32, given.corpora // 2)
    warm = seconds(lambda: ours(few, 0))
    rng = np.random.default_rng(0)
    rows = [
        (
            "NumPy naive",
            4,
            seconds(lambda: [naive(relevance, *tree, given.keep, rng) for _ in range(4)]),
        )
    ]
    rows.append(
        (
            "NumPy lean",
            8,
            seconds(
                lambda: [
                    lean(relevance.astype(np.float32), *tree, given.keep, rng) for _ in range(8)
                ]
            ),
        )
    )
    found = {}
    whole = seconds(lambda: found.update(kl=ours(given.corpora, 1)))
    rows.append(("theory.simulate", given.corpora - few, whole - warm))
    print(
        f"{jax.devices()[0].device_kind}: N = {len(relevance):,}, p = {given.keep}; "
        f"compilation and the first {few} corpora {warm:.1f} s, left out of theory.simulate"
    )
    last = rows[-1][2] / rows[-1][1]
    for name, corpora, taken in rows:
        each = taken / corpora
        print(
            f"{name:<16} {each / len(relevance) * 1e9:8.2f} ns per leaf and corpus   "
            f"{each * 1e4:8.1f} s for 10,000   {each / last:6.1f} x ours"
        )
    exact = theory.expected_kl(relevance, *tree, given.keep)
    print(f"mean   {found['kl'].mean}\nstderr {found['kl'].stderr}\nexact  {exact}")


if __name__ == "__main__":
    main()
