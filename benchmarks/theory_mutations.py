"""Do the claims detect a wrong theory? `python benchmarks/theory_mutations.py [NAME ...]`.

Changes one formula or sampler at a time, by 3 % up to a factor of 10, and runs the quick check of a
claim that states it, on its most sensitive case. Prints the score and whether the claim fails, as
it should. `tests/theory/test_mutations.py` runs it (marked slow).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp

import theory
from theory import bounds, claims, exact, limits, product, recall, simulate, tails, worlds


class Mutation(NamedTuple):
    """A wrong formula: the replaced attribute, its replacement, and the claim that must fail."""

    name: str
    home: object
    attribute: str
    wrong: Callable  # correct function -> wrong function
    claim: str
    case: int


def scaled(factor: float) -> Callable:
    return lambda right: lambda *a, **kw: factor * right(*a, **kw)


def with_lead(share: float) -> Callable:
    def wrong(right):
        def bound(b, k, width, *, leaves, score, tail):
            lead = tail.low + share * (score - tail.low)
            return right(b, k, width, leaves=leaves, score=lead, tail=tail)

        return bound

    return wrong


def linear_index(right):
    return lambda r, b, m, p: 0.05 * float(bounds.simpson(r, b, m)[1]) / p


def heavier(right):
    return lambda *a: dataclasses.replace(right(*a), third=2 * right(*a).third)


def whole_bytes(right):
    return lambda key, keep, size: right(key, math.floor(256 * keep) / 256, size)


def stronger(right):
    return lambda world, key, n: right(
        dataclasses.replace(world, score=world.score + 0.15 * (world.score - world.tail.mean)),
        key,
        n,
    )


def quieter(right):
    def tail(*a):
        made = right(*a)
        return dataclasses.replace(made, sums=lambda *shape: 0.9 * made.sums(*shape))

    return tail


def clustered(right):
    return lambda law, key, n: right(
        dataclasses.replace(law, correlation=1.5 * law.correlation), key, n
    )


def law_of(signal: Callable, share: Callable) -> Callable:
    """The product law with another growth of the signal or of the share of relevant nodes."""

    def leaf_recall(b, depth, k, width, snr):
        rho = recall.recall_exact(b, k, width, snr)
        for t in range(2, depth):
            kappa = share(rho) * k / (width * b)
            rho *= recall.recall_limit(kappa, signal(snr, b, t), 1 / b)
        return rho

    return lambda right: leaf_recall


def decoys(right):
    def predict(params):
        b, k = params["branches"], params["relevant"]
        good = right(params)
        return jnp.array([recall.recall_exact(b, k, k, noise._signals(params)[0]), *good[1:]])

    return predict


def own_weight(right):
    return lambda right_keep, leaves, spread, snr: right(right_keep, leaves, spread, 1.2 * snr)


noise = importlib.import_module("theory.claims.count_noise")
wrong_signal = law_of(lambda snr, b, t: snr * b ** (t - 1), lambda rho: rho)
no_growth = law_of(lambda snr, b, t: snr * b ** ((t - 2) / 2), lambda rho: rho)
all_relevant = law_of(lambda snr, b, t: snr * b ** ((t - 1) / 2), lambda rho: 1.0)

MUTATIONS = (
    Mutation("T4 + 3 %", bounds, "second_order_kl", scaled(1.03), "sharp_law", 0),
    Mutation("T4 - 3 %", bounds, "second_order_kl", scaled(0.97), "sharp_law", 2),
    Mutation("T3 + 3 %", exact, "expected_kl", scaled(1.03), "exact_kl", 0),
    Mutation("T5 x 2", bounds, "kl_lower_bound_of", scaled(2.0), "rigorous_bound", 6),
    Mutation("T5' x 2", bounds, "readable_bound", scaled(2.0), "rigorous_bound", 5),
    Mutation("T5'' x 3", bounds, "sufficient_bound", scaled(3.0), "rigorous_bound", 5),
    Mutation(
        "published constant x 10", bounds, "published_bound", scaled(10.0), "published_bound", 3
    ),
    Mutation("published E^2 -> E", bounds, "published_bound", linear_index, "published_bound", 3),
    Mutation("correlated - 10 %", bounds, "correlated_kl", scaled(0.9), "correlated_corpora", 2),
    Mutation("correlated - 3 %", bounds, "correlated_kl", scaled(0.97), "correlated_corpora", 0),
    Mutation("rho_3 x 2", tails, "gamma", heavier, "recall_half", 0),
    Mutation("Berry-Esseen dropped", recall, "BERRY_ESSEEN", lambda right: 0.0, "recall_half", 0),
    Mutation("lead - 40 %", recall, "recall_bound", with_lead(0.6), "recall_half", 3),
    Mutation("T8 + 3 %", recall, "recall_exact", scaled(1.03), "closed_forms", 1),
    Mutation("T9 + 5 %", recall, "half_threshold", scaled(1.05), "half_ceiling", 2),
    Mutation("width_for_recall + 3 %", recall, "width_for_recall", scaled(1.03), "wider_beams", 0),
    Mutation("sampler: whole bytes", simulate, "_kept_bytes", whole_bytes, "exact_kl", 4),
    Mutation("sampler: lead + 15 %", worlds.SparseThick, "draw", stronger, "closed_forms", 1),
    Mutation("sampler: tail noise - 10 %", tails, "gaussian", quieter, "closed_forms", 1),
    Mutation(
        "sampler: correlation x 1.5",
        worlds.BranchCorrelated,
        "draw",
        clustered,
        "correlated_corpora",
        2,
    ),
    Mutation("decoys have no lead", noise, "predict", decoys, "count_noise", 0),
    Mutation("Dirichlet index + 5 %", bounds, "dirichlet_simpson", scaled(1.05), "tree_shape", 0),
    Mutation("trade-off: lambda + 20 %", limits, "sparse_thick_kl", own_weight, "concentration", 1),
    Mutation(
        "product law: lambda_t ~ b^(t-1)", product, "leaf_recall", wrong_signal, "product_law", 0
    ),
    Mutation(
        "product law: lambda_t one level late", product, "leaf_recall", no_growth, "product_law", 0
    ),
    Mutation(
        "product law: no survivors lost", product, "leaf_recall", all_relevant, "product_law", 0
    ),
)


@contextlib.contextmanager
def applied(mutation: Mutation) -> Iterator[None]:
    """Replaces the attribute where it is defined and where `theory` exports it."""
    right = getattr(mutation.home, mutation.attribute)
    wrong = mutation.wrong(right)
    homes = [mutation.home]
    if getattr(theory, mutation.attribute, None) is right:
        homes.append(theory)
    try:
        for home in homes:
            setattr(home, mutation.attribute, wrong)
        yield
    finally:
        for home in homes:
            setattr(home, mutation.attribute, right)


def caught(mutation: Mutation) -> bool:
    """True if the claim fails on its case under the mutation."""
    with applied(mutation):
        claim = claims.get(mutation.claim)
        if mutation.attribute == "predict":
            claim = claim._replace(predict=mutation.home.predict)
        ratios = claim.ratios[mutation.case : mutation.case + 1]
        claim = claim._replace(cases=(claim.cases[mutation.case],), ratios=ratios)
        (row,) = claims.check(claim, jax.random.key(1), quick=True, limits=False).rows
    return not (row.holds and row.tight)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="mutations (default: all)")
    chosen = parser.parse_args().names
    score, run = 0, [m for m in MUTATIONS if not chosen or m.name in chosen]
    for mutation in run:
        begin = time.perf_counter()
        found = caught(mutation)
        score += found
        seconds = time.perf_counter() - begin
        print(
            f"{'caught' if found else 'MISSED'}  {mutation.name:<38} {mutation.claim:<20} "
            f"{seconds:5.1f} s",
            flush=True,
        )
    print(f"{score} of {len(run)} mutations caught")
    return 0 if score == len(run) else 1


if __name__ == "__main__":
    sys.exit(main())
