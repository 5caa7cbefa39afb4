"""The claims: each a statement with a prediction, a measurement by the real code, and a wrong prediction that the check must reject."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from theory.simulate import Estimate

MODULES = {  # in the order in which the report tells them
    name: f"theory.claims.{name}"
    for name in (
        "jensen_identity",
        "chain_rule",
        "exact_kl",
        "sharp_law",
        "rigorous_bound",
        "published_bound",
        "count_correction",
        "look_ahead",
        "tree_shape",
        "correlated_corpora",
        "recall_half",
        "closed_forms",
        "precision",
        "half_ceiling",
        "thick_tails",
        "wider_beams",
        "max_marginals",
        "count_noise",
        "concentration",
        "multi_vector",
    )
}
ERRORS = 4.0  # standard errors between a prediction and what is measured; one in 16,000 by chance
RELATIONS = ("equal", "at least", "at most")

Params = Mapping[str, Any]


class Claim(NamedTuple):
    """A statement that can be checked.

    predict(params) -> f64[...]; measure(key, params, n) -> Estimate of the same shape, standard error 0 where nothing is drawn.
    relation: measured is equal to, at least, or at most predicted, within ERRORS standard errors and `tolerance`.
    control(params) -> a prediction that is wrong for these cases; a check that accepts it has no power and fails.
    limits() -> sentences with numbers: what happens outside the assumptions.
    """

    name: str
    title: str  # the finding, as a figure would be titled
    statement: str
    source: str
    assumptions: tuple[str, ...]
    cases: tuple[dict[str, Any], ...]
    predict: Callable[[Params], Any]
    measure: Callable[[jax.Array, Params, int], Estimate]
    control: Callable[[Params], Any]
    relation: str = "equal"
    tolerance: float = 1e-6  # relative; of an asymptotic law, the size of what it leaves out
    absolute: float = 1e-6  # nats or shares; scores of the search are f32
    n: int = 2000  # draws of a case
    quick: int = 400  # of a quick check
    limits: Callable[[], Sequence[str]] = tuple
    # draws on matplotlib axes; the report's default shows the cases
    figure: Callable[[Any, jax.Array, int], None] | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """One case of a check."""

    params: Params
    predicted: np.ndarray
    found: Estimate
    holds: bool
    rejects: bool  # the control's prediction
    resolution: float  # smallest deviation that would have been noticed, relative to the prediction

    @property
    def passed(self) -> bool:
        return self.holds and self.rejects


@dataclasses.dataclass(frozen=True)
class Check:
    """What a check found: agreement and power row by row, and the limits."""

    claim: Claim
    rows: tuple[Row, ...]
    limits: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return all(row.passed for row in self.rows)


def names() -> tuple[str, ...]:
    """Names of all claims, in the order of the report."""
    return tuple(MODULES)


def get(name: str) -> Claim:
    """The claim of that name; ValueError naming those that exist otherwise."""
    if name not in MODULES:
        raise ValueError(f"no claim {name!r}; expected one of: {', '.join(MODULES)}")
    return importlib.import_module(MODULES[name]).CLAIM


def check(
    claim: Claim, key: jax.Array, *, n: int | None = None, quick: bool = False, limits: bool = True
) -> Check:
    """Measures every case of a claim. n: draws of a case, by default the claim's own."""
    draws = n or (claim.quick if quick else claim.n)
    rows = []
    for number, params in enumerate(claim.cases):
        found = claim.measure(jax.random.fold_in(key, number), params, draws)
        predicted, wrong = (
            np.atleast_1d(np.asarray(f(params), np.float64)) for f in (claim.predict, claim.control)
        )
        slack = _slack(claim, predicted, found)
        usable = np.isfinite(predicted) & (predicted != 0)
        resolution = float(np.min(slack[usable] / np.abs(predicted[usable]), initial=np.inf))
        rows.append(
            Row(
                params,
                predicted,
                found,
                _holds(claim, predicted, found),
                not _holds(claim, wrong, found),
                resolution,
            )
        )
    return Check(claim, tuple(rows), tuple(claim.limits()) if limits else ())


def _slack(claim: Claim, predicted: np.ndarray, found: Estimate) -> np.ndarray:
    return (
        ERRORS * np.atleast_1d(found.stderr) + claim.tolerance * np.abs(predicted) + claim.absolute
    )


def _holds(claim: Claim, predicted: np.ndarray, found: Estimate) -> bool:
    mean = np.atleast_1d(found.mean)
    with np.errstate(invalid="ignore"):  # of equal infinities
        gap = np.where(mean == predicted, 0, mean - predicted)
    slack = _slack(claim, np.where(np.isfinite(predicted), predicted, 0), found)
    if claim.relation == "at least":
        return bool((gap >= -slack).all())
    if claim.relation == "at most":
        return bool((gap <= slack).all())
    return bool((np.abs(gap) <= slack).all())


def exactly(value: Any) -> Estimate:
    """An estimate of something that nothing was drawn for."""
    value = np.asarray(value, np.float64)
    return Estimate(value, np.zeros_like(value), 1)


def world(params: Params) -> np.ndarray:
    """Relevance of a case: {"relevance": name in `worlds`, "branching": b, "depth": m, other arguments of that function}."""
    from theory import worlds

    rest = {
        name: value
        for name, value in params.items()
        if name in ("exponent", "placement", "seed", "concentration", "mass", "leaf", "sigma")
    }
    return getattr(worlds, params["relevance"])(params["branching"], params["depth"], **rest)
