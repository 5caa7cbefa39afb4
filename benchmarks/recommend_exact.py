"""Is a beam enough? TIGER's beam and best-first search against scoring every identifier.

    zoo fit tiger --data amazon-beauty --out runs/tiger
    python benchmarks/recommend_exact.py runs/tiger amazon-beauty

Prints the share of users whose first k answers equal the exact ones in order, the share of answers
that are among the exact k, and the seconds: for the beam with and without all first codes kept
(first_beam), and for best-first search. Answers with equal scores up to rounding may swap places.
"""

from __future__ import annotations

import argparse
import itertools
import time

import numpy as np

import zoo
from zoo import records
from zoo.data import load

ROUNDING = 1e-4  # in nats: float32 sums in another order


def agreement(found: records.Ranking, exact: records.Ranking) -> tuple[float, float]:
    """(share of users with the exact answers, share of exact answers)."""
    ours, true = (
        np.where(ranking.documents < 0, -np.inf, ranking.scores) for ranking in (found, exact)
    )
    same = (found.documents == exact.documents) | (
        np.abs(np.where(np.isfinite(ours), ours, 0) - np.where(np.isfinite(true), true, 0))
        < ROUNDING
    )
    among = [np.isin(mine, theirs) for mine, theirs in zip(found.documents, exact.documents)]
    return float(same.all(axis=1).mean()), float((np.array(among) | same).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="DIR", help="folder of a fitted tiger")
    parser.add_argument("data", metavar="NAME|PATH")
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--beam", type=int, nargs="+", default=[10, 20, 50, 100])
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument(
        "--decoding",
        nargs="+",
        default=["trie", "best-first"],
        help="decoders to compare (default: trie best-first)",
    )
    options = parser.parse_args()
    fitted = zoo.load(options.folder)
    histories, _ = load.load(options.data).split("test")
    some = histories.take(np.random.default_rng(0).permutation(len(histories))[: options.users])

    def timed(**changes):
        begin = time.perf_counter()
        ranking = zoo.retrieve(zoo.with_options(fitted, changes), some, options.k)
        return ranking, time.perf_counter() - begin

    exact, seconds = timed(decoding="max-marginal")
    print(f"{len(some)} users, {len(fitted.documents):,} items; all scored in {seconds:.1f} s")
    for decoding, beam, first in itertools.product(
        options.decoding, options.beam, (fitted.config.first_beam, 0)
    ):
        if decoding == "best-first" and not first:
            continue  # first_beam has no effect on it
        timed(beam=beam, decoding=decoding, first_beam=first)
        found, taken = timed(beam=beam, decoding=decoding, first_beam=first)
        whole, each = agreement(found, exact)
        kept = "" if decoding == "best-first" else f", {max(first, beam):4d} first codes"
        print(
            f"{decoding}, beam {beam:4d}{kept}: the exact {options.k} for {whole:.2%} of users, "
            f"{each:.2%} of answers exact, {taken:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
