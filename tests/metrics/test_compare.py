"""The paired test equals enumeration for few queries, and keeps its level under the null."""

import itertools

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.stats

from zoo import records
from zoo.metrics import compare
from zoo.report import tables


def run(name, values, **rest):
    return compare.Run(name, {"nDCG@10": np.array(values, float)}, **rest)


def exact_p(gaps):
    """Two-sided p-value over all 2^B sign vectors."""
    sums = np.array([np.dot(signs, gaps) for signs in itertools.product((-1, 1), repeat=len(gaps))])
    return (np.abs(sums) >= abs(np.sum(gaps)) - 1e-9).mean()


@hypothesis.given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.3, 1.0]), min_size=1, max_size=9))
@hypothesis.settings(max_examples=40)
def test_the_randomisation_test_equals_enumeration(gaps):
    p = exact_p(np.array(gaps))
    stderr = np.sqrt(p * (1 - p) / 10_000)
    # 40 draws: five standard errors make a false alarm less likely than 1 in 40,000; 1 / 10,001 for
    # the added one
    assert abs(compare.randomisation_test(np.array(gaps)) - p) <= 5 * stderr + 1e-4


def test_large_gaps_agree_with_the_t_test():
    gaps = np.random.default_rng(0).normal(0.1, 1.0, 800)
    # For many normal gaps both tests estimate one p-value; 10,000 samples give it to about .002.
    assert compare.randomisation_test(gaps) == pytest.approx(
        scipy.stats.ttest_1samp(gaps, 0.0).pvalue, abs=0.006
    )


def test_under_the_null_one_test_in_twenty_rejects_and_a_real_gap_is_found():
    rng = np.random.default_rng(1)
    noise = [
        compare.randomisation_test(rng.normal(size=60), num_samples=400, seed=row)
        for row in range(400)
    ]
    rate = np.mean(np.array(noise) < 0.05)
    assert abs(rate - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 400)  # four standard errors of 400 trials
    # negative control: this must reject
    assert compare.randomisation_test(rng.normal(0.8, 1.0, size=60)) < 0.001


def test_blocks_do_not_change_the_result(monkeypatch):
    gaps = np.random.default_rng(2).normal(0.2, 1.0, 50)
    whole = compare.randomisation_test(gaps), compare.bootstrap_interval(gaps)
    monkeypatch.setattr(compare, "_BLOCK", 700)
    parts = compare.randomisation_test(gaps), compare.bootstrap_interval(gaps)
    # other draws: four standard errors at p about .15
    assert parts[0] == pytest.approx(whole[0], abs=0.02)
    np.testing.assert_allclose(parts[1], whole[1], atol=0.02)


def test_the_bootstrap_interval_is_the_normal_one_for_many_queries():
    gaps = np.random.default_rng(3).normal(0.3, 1.0, 2_000)
    half = 1.96 * gaps.std() / np.sqrt(len(gaps))
    # quantiles of 10,000 resamples are known to about 3 % of the half-width
    np.testing.assert_allclose(
        compare.bootstrap_interval(gaps), [gaps.mean() - half, gaps.mean() + half], atol=0.06 * half
    )


def test_holm_by_hand():
    # sorted .005 .01 .03 .04 times 4 3 2 1: .02 .03 .06 .04, made monotone .02 .03 .06 .06
    np.testing.assert_allclose(compare.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(compare.holm([0.6, 0.7]), [1.0, 1.0])
    assert compare.holm([]).shape == (0,)


def test_runs_are_ordered_and_every_pair_is_tested():
    rng = np.random.default_rng(4)
    base = rng.random(300)
    found = compare.compare(
        [run("low", base - 0.2), run("high", base), run("same", base - 1e-6 * rng.random(300))]
    )
    assert [one.name for one in found.runs] == ["high", "same", "low"]
    assert [(gap.better, gap.worse) for gap in found.differences] == [
        ("high", "same"),
        ("high", "low"),
        ("same", "low"),
    ]
    assert found.differences[1].mean == pytest.approx(0.2) and found.differences[1].significant
    assert found.differences[1].low <= found.differences[1].mean <= found.differences[1].high
    assert found.num_queries == 300


def test_equal_runs_are_level():
    found = compare.compare([run("a", [0.0, 1.0]), run("b", [0.0, 1.0])])
    assert found.differences[0].p == 1.0 and not found.differences[0].significant
    assert tables.verdict(found) == "a and b are level: nDCG@10 0.500 each on 2 queries."


def test_unlike_runs_are_refused():
    with pytest.raises(records.DataError, match="have 2 and 3 queries"):
        compare.compare([run("a", [0, 1]), run("b", [0, 1, 1])])
    with pytest.raises(records.DataError, match="different names, got a, a"):
        compare.compare([run("a", [0]), run("a", [1])])
    with pytest.raises(records.DataError, match="run a has no R@5; it has nDCG@10"):
        compare.compare([run("a", [0])], "R@5")
    with pytest.raises(records.DataError, match="at least one run"):
        compare.compare([])
