"""Every listed claim agrees with its measurement, and its check rejects a wrong prediction."""

import pathlib

import jax
import numpy as np
import pytest

from theory import claims
from theory.simulate import Estimate

FOLDER = pathlib.Path(claims.__file__).parent


@pytest.mark.parametrize("name", claims.names())
def test_a_claim_holds_and_its_check_has_power(name):
    claim = claims.get(name)
    check = claims.check(claim, jax.random.key(1), quick=True, limits=False)
    for row in check.rows:
        assert row.holds, (row.params, row.predicted, row.found)
        assert row.rejects, (row.params, claim.control(row.params), row.found)
        assert row.tight, (row.params, row.predicted, row.found)


@pytest.mark.parametrize("name", claims.names())
def test_a_control_is_near_the_truth_or_states_its_reason(name):
    claim = claims.get(name)
    if claim.control_note:
        return
    for params in claim.cases:
        right = np.atleast_1d(np.asarray(claim.predict(params), np.float64))
        wrong = np.atleast_1d(np.asarray(claim.control(params), np.float64))
        assert (np.abs(wrong - right) <= claims.CONTROL * np.abs(right)).all()
        assert (wrong != right).any()


def test_a_bound_states_its_tightness():
    for name in claims.names():
        claim = claims.get(name)
        assert not claim.ratios or len(claim.ratios) == len(claim.cases)
        if claim.relation in ("at least", "at most"):
            assert claim.ratios, name


def test_every_file_is_listed_and_states_its_claim():
    assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__"} == set(claims.names())
    for name in claims.names():
        claim = claims.get(name)
        assert claim.name == name
        assert set(np.atleast_1d(claim.relation)) <= set(claims.RELATIONS)
        assert claim.statement.endswith(".") and claim.source and claim.assumptions and claim.cases
    titles = [claims.get(name).title for name in claims.names()]
    assert len(set(titles)) == len(titles)


def fixed(relation, predicted, mean, stderr=0.0, wrong=9.0, **others):
    return claims.Claim(
        name="fixed",
        title="",
        statement="",
        source="",
        assumptions=(),
        cases=({},),
        relation=relation,
        predict=lambda params: predicted,
        measure=lambda key, params, n: Estimate(np.asarray(mean), np.asarray(stderr), n),
        control=lambda params: wrong,
        **others,
    )


@pytest.mark.parametrize(
    ("claim", "holds", "rejects"),
    [
        (fixed("equal", 1.0, 1.0), True, True),
        (fixed("equal", 1.0, 1.1), False, True),
        (fixed("equal", 1.0, 1.1, stderr=0.03), True, True),
        (fixed("equal", 1.0, 1.1, tolerance=0.2), True, True),
        (fixed("equal", 1.0, 1.1, stderr=5.0), True, False),  # too few draws to decide
        (fixed("at least", 1.0, 1.1), True, True),
        (fixed("at least", 1.0, 0.9), False, True),
        (fixed("at most", 1.0, 0.9, wrong=0.5), True, True),
        (fixed("at most", 1.0, 1.1, wrong=0.5), False, True),
        (fixed(("equal", "at least"), [1.0, 1.0], [1.0, 2.0]), True, True),
        (fixed(("equal", "at least"), [1.0, 1.0], [2.0, 2.0]), False, True),
        (fixed("equal", np.inf, np.inf), True, True),
        (fixed("equal", np.inf, 1.0), False, True),
    ],
)
def test_the_check_accepts_right_and_rejects_wrong_predictions(claim, holds, rejects):
    (row,) = claims.check(claim, jax.random.key(0)).rows
    assert (row.holds, row.rejects) == (holds, rejects)
    assert claims.check(claim, jax.random.key(0)).passed is (holds and rejects)


def test_a_bound_that_is_not_as_tight_as_stated_fails():
    assert claims.check(fixed("at least", 1.0, 2.0, ratios=(2.0,)), jax.random.key(0)).passed
    # the bound doubled: still a bound, no longer the one stated
    doubled = fixed("at least", 2.0, 2.0, ratios=(2.0,))
    assert not claims.check(doubled, jax.random.key(0)).passed


def test_an_unknown_claim_is_refused_with_the_names():
    with pytest.raises(ValueError, match="no claim 'x'; expected one of: jensen_identity, "):
        claims.get("x")
