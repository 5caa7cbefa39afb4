"""The claims: statements with a prediction, a measurement by the real code, and a control.

The control is a wrong prediction near the right one; a check that accepts it fails.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
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
        "product_law",
        "multi_vector",
        "limit_rank",
    )
}
ERRORS = 4.0  # standard errors between a prediction and what is measured; one in 16,000 by chance
CONTROL = 0.05  # relative distance of a control from the right prediction
RATIO = 0.03  # relative error of a stated measured / predicted
RELATIONS = ("equal", "at least", "at most")

# kinds of relevance, with the arguments that a case may leave out
RELEVANCE: dict[str, dict[str, Any]] = {
    "uniform": {},
    "zipf": {},
    "dirichlet": {"concentration": 1.0},
    "spike": {"mass": 0.5},
    "lognormal_branches": {"sigma": 1.0},
}

Params = Mapping[str, Any]


class Claim(NamedTuple):
    """A statement that can be checked.

    predict(params) -> f64[...]; measure(key, params, n) -> Estimate of the same shape, standard
    error 0 where nothing is drawn. `relation`: measured equals, is at least, or is at most the
    prediction, within ERRORS standard errors plus `tolerance` and `absolute`; one relation, or one
    per entry. control(params) -> a wrong prediction, within CONTROL of the right one unless
    `control_note` says why not; a check that accepts it has no power and fails. `ratios` says how
    tight a bound is: measured / predicted in each case, checked to RATIO.
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
    control_note: str = ""
    relation: str | tuple[str, ...] = "equal"
    ratios: tuple[Any, ...] = ()  # per case: a number or one per entry, NaN = not stated
    tolerance: float = 1e-6  # relative; of an asymptotic law, the size of what it leaves out
    absolute: float = 1e-6  # nats or shares; scores of the search are f32
    n: int = 2000  # draws per case
    quick: int = 400  # of a quick check
    formula: str = ""  # the statement in the notation of `theory.mathml`
    meaning: str = ""  # one paragraph: what this means for an index
    # sentences with numbers: what happens outside the assumptions
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
    tight: bool  # measured / predicted is the ratio that the claim states
    resolution: float  # smallest relative deviation of the prediction that fails the check

    @property
    def passed(self) -> bool:
        return self.holds and self.rejects and self.tight


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
                _tight(claim, number, predicted, found),
                resolution,
            )
        )
    return Check(claim, tuple(rows), tuple(claim.limits()) if limits else ())


def miss(claim: Claim, predicted: np.ndarray, found: Estimate) -> float:
    """Largest |measured - predicted| / |predicted| of the entries that fail; 0 where all hold."""
    predicted, mean = np.atleast_1d(predicted), np.atleast_1d(found.mean)
    relations = np.broadcast_to(claim.relation, mean.shape)
    worst = 0.0
    for i, relation in enumerate(relations):
        one = Estimate(mean[i : i + 1], np.atleast_1d(found.stderr)[i : i + 1], found.n)
        if not _holds(claim._replace(relation=str(relation)), predicted[i : i + 1], one):
            with np.errstate(divide="ignore", invalid="ignore"):
                worst = max(worst, float(np.abs(mean[i] / predicted[i] - 1)))
    return worst


def _slack(claim: Claim, predicted: np.ndarray, found: Estimate) -> np.ndarray:
    return (
        ERRORS * np.atleast_1d(found.stderr) + claim.tolerance * np.abs(predicted) + claim.absolute
    )


def _holds(claim: Claim, predicted: np.ndarray, found: Estimate) -> bool:
    mean = np.atleast_1d(found.mean)
    with np.errstate(invalid="ignore"):  # of equal infinities
        gap = np.where(mean == predicted, 0, mean - predicted)
    slack = _slack(claim, np.where(np.isfinite(predicted), predicted, 0), found)
    relations = np.broadcast_to(claim.relation, mean.shape)
    low = (gap >= -slack) | (relations == "at most")
    high = (gap <= slack) | (relations == "at least")
    return bool((low & high).all())


def _tight(claim: Claim, number: int, predicted: np.ndarray, found: Estimate) -> bool:
    if not claim.ratios:
        return True
    stated = np.broadcast_to(np.asarray(claim.ratios[number], np.float64), predicted.shape)
    mean, stderr = np.atleast_1d(found.mean), np.atleast_1d(found.stderr)
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.abs(mean / predicted - stated)
        slack = RATIO * stated + ERRORS * stderr / np.abs(predicted)
    return bool((np.isnan(stated) | (off <= slack)).all())


def off(predict: Callable[[Params], Any], share: float = 0.03) -> Callable[[Params], Any]:
    """The control that is wrong by a share of the prediction."""
    return lambda params: (1 + share) * np.asarray(predict(params), np.float64)


def exactly(value: Any) -> Estimate:
    """The estimate of a value that was computed, not sampled."""
    value = np.asarray(value, np.float64)
    return Estimate(value, np.zeros_like(value), 1)


def world(params: Params) -> np.ndarray:
    """Relevance of a case.

    params: {"relevance": name in RELEVANCE, "branching": b, "depth": m, arguments of that
    function in `worlds`}.

    Raises:
      ValueError: for another name, or arguments out of range.
    """
    from theory import worlds

    name = params["relevance"]
    if name not in RELEVANCE:
        raise ValueError(f"relevance: expected one of {', '.join(RELEVANCE)}, got {name!r}")
    function = getattr(worlds, name)
    allowed = set(inspect.signature(function).parameters) - {"branching", "depth"}
    chosen = {word: value for word, value in params.items() if word in allowed}
    return function(params["branching"], params["depth"], **RELEVANCE[name] | chosen)
