"""Comparison of systems on one split: paired tests, Holm's correction, bootstrap intervals."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zoo import records

NUM_SAMPLES = 10_000  # sign flips of a test, resamples of an interval
LEVEL = 0.05  # significance level
_BLOCK = 2_000_000  # random numbers in memory at a time


class Run(NamedTuple):
    """The evaluation of one system on a split."""

    name: str
    # measure -> f64[B], the same queries in the same order in all runs
    per_query: Mapping[str, np.ndarray]
    seconds_to_fit: float | None = None  # None = not measured
    queries_per_second: float | None = None
    invalid_share: float = 0.0
    # column title -> a value over all queries, such as catalogue coverage
    beside: Mapping[str, float] = {}

    def mean(self, measure: str) -> float:
        return float(self.per_query[measure].mean())


class Difference(NamedTuple):
    """Mean of `better` minus mean of `worse` on one measure."""

    better: str
    worse: str
    mean: float  # >= 0
    low: float  # 95 % bootstrap interval of the mean
    high: float
    p: float  # two-sided, after Holm's correction over all pairs
    significant: bool  # p < LEVEL


class Comparison(NamedTuple):
    """Runs, best first by `measure`, and the difference of each pair."""

    runs: tuple[Run, ...]
    measure: str  # ir-measures' name
    num_queries: int
    # pairs of runs in order: (first, second), (first, third), ...
    differences: tuple[Difference, ...]


def compare(
    runs: Sequence[Run], measure: str = "nDCG@10", *, seed: int = 0, num_samples: int = NUM_SAMPLES
) -> Comparison:
    """Orders the runs by the mean of one measure and tests every pair.

    Raises DataError if a run lacks the measure, names repeat, or runs differ in their number of
    queries.
    """
    _refuse_unlike(runs, measure)
    ordered = sorted(runs, key=lambda run: -run.mean(measure))
    pairs = list(itertools.combinations(ordered, 2))
    gaps = [first.per_query[measure] - second.per_query[measure] for first, second in pairs]
    corrected = holm([randomisation_test(gap, seed=seed, num_samples=num_samples) for gap in gaps])
    differences = []
    for (first, second), gap, p in zip(pairs, gaps, corrected):
        low, high = bootstrap_interval(gap, seed=seed, num_samples=num_samples)
        differences.append(
            Difference(
                first.name, second.name, float(gap.mean()), low, high, float(p), bool(p < LEVEL)
            )
        )
    return Comparison(
        tuple(ordered), measure, len(ordered[0].per_query[measure]), tuple(differences)
    )


def randomisation_test(gaps: np.ndarray, *, seed: int = 0, num_samples: int = NUM_SAMPLES) -> float:
    """Two-sided p-value of "the two systems are exchangeable on every query", by random signs.

        p = (1 + #{samples with |mean(sign * gap)| >= |mean(gap)|}) / (1 + samples)

    The paired randomisation test (Smucker, Allan and Carterette 2007), which assumes no
    distribution. gaps: f64[B].
    """
    gaps = np.asarray(gaps, np.float64)
    gaps = gaps[gaps != 0]  # a zero has no sign
    if not len(gaps):
        return 1.0
    # sums that differ only by rounding count as equal
    observed = abs(gaps.sum()) - 1e-9 * np.abs(gaps).sum()
    rng = np.random.default_rng(seed)
    exceeding = 0
    for count in _blocks(num_samples, len(gaps)):
        signs = rng.integers(0, 2, size=(count, len(gaps)), dtype=np.int8) * 2.0 - 1.0
        exceeding += int((np.abs(signs @ gaps) >= observed).sum())
    return (1 + exceeding) / (1 + num_samples)


def bootstrap_interval(
    gaps: np.ndarray, *, seed: int = 0, num_samples: int = NUM_SAMPLES, coverage: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `gaps` f64[B], by resampling queries."""
    gaps = np.asarray(gaps, np.float64)
    rng = np.random.default_rng(seed)
    means = [
        gaps[rng.integers(0, len(gaps), size=(count, len(gaps)))].mean(axis=1)
        for count in _blocks(num_samples, len(gaps))
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - coverage) / 2, (1 + coverage) / 2])
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """P-values f64[M] corrected for M tests (Holm 1979).

    The i-th smallest, from i = 0, is multiplied by M - i, made monotone and cut at 1.

    >>> holm([0.01, 0.04, 0.03]).round(9).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    stepped = (
        np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
        if len(values)
        else values
    )
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def _blocks(num_samples: int, width: int) -> list[int]:
    """Sizes of the blocks in which samples are drawn, so that memory stays bounded."""
    size = max(1, _BLOCK // width)
    return [min(size, num_samples - start) for start in range(0, num_samples, size)]


def _refuse_unlike(runs: Sequence[Run], measure: str) -> None:
    if not runs:
        raise records.DataError("compare: expected at least one run, got none")
    names = [run.name for run in runs]
    if len(set(names)) != len(names):
        raise records.DataError(f"compare: runs need different names, got {', '.join(names)}")
    for run in runs:
        if measure not in run.per_query:
            raise records.DataError(
                f"compare: run {run.name} has no {measure}; it has {', '.join(run.per_query)}"
            )
        if len(run.per_query[measure]) != len(runs[0].per_query[measure]):
            counts = f"{len(runs[0].per_query[measure])} and {len(run.per_query[measure])}"
            raise records.DataError(
                f"compare: {runs[0].name} and {run.name} have {counts} queries; "
                "evaluate both on one split"
            )
