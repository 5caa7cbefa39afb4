"""A wrong formula or sampler makes the claim that states it fail."""

import importlib.util
import pathlib

import pytest

PATH = pathlib.Path(__file__).parents[2] / "benchmarks" / "theory_mutations.py"
spec = importlib.util.spec_from_file_location("theory_mutations", PATH)
mutations = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mutations)


@pytest.mark.slow  # about a minute of CPU: each runs a claim
@pytest.mark.parametrize("mutation", mutations.MUTATIONS, ids=lambda m: m.name)
def test_a_wrong_formula_fails_its_claim(mutation):
    assert mutations.caught(mutation)


def test_mutations_are_undone():
    before = mutations.bounds.kl_lower_bound_of
    with mutations.applied(mutations.MUTATIONS[3]):
        assert mutations.bounds.kl_lower_bound_of is not before
    assert mutations.bounds.kl_lower_bound_of is before
