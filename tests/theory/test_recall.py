"""Recall and precision of a beam of marginals: enumeration, limits, thresholds and bounds."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import special

from theory import recall, tails

SNR = st.floats(0, 6)
SHARE = st.floats(0.01, 0.99)


@pytest.mark.parametrize(
    ("arguments", "value"), [((10, 5, 5, 1), 0.697249537769), ((100, 50, 50, 1), 0.691877904287)]
)
def test_exact_recall_equals_the_reference_values(arguments, value):
    assert recall.recall_exact(*arguments) == pytest.approx(value, abs=2e-12)


def test_exact_recall_equals_an_integral_over_every_split():
    """b = 4, k = 2: the first relevant branch against each set of the others that may beat it."""
    snr, points = 0.8, np.linspace(-9, 9, 4001)
    for width in (1, 2, 3):
        total = 0.0
        # one relevant and two irrelevant others; 1 = above
        for beaten in itertools.product((0, 1), repeat=3):
            if sum(beaten) > width - 1:
                continue
            above = special.ndtr(-points), special.ndtr(-points - snr), special.ndtr(-points - snr)
            chance = np.prod([p if hit else 1 - p for p, hit in zip(above, beaten)], axis=0)
            total += np.sum(chance * np.exp(-(points**2) / 2) / math.sqrt(2 * math.pi)) * (
                points[1] - points[0]
            )
        assert recall.recall_exact(4, 2, width, snr) == pytest.approx(total, rel=1e-10)


@settings(max_examples=40)
@given(st.integers(2, 40), st.data())
def test_without_signal_recall_is_the_share_that_is_kept(b, data):
    k, width = data.draw(st.integers(1, b)), data.draw(st.integers(1, b))
    assert recall.recall_exact(b, k, width, 0.0) == pytest.approx(width / b, abs=1e-12)
    # control
    assert recall.recall_exact(b, k, width, 0.3) > width / b + 1e-6 or k == b or width == b


@settings(max_examples=40)
@given(st.integers(3, 40), SNR, st.data())
def test_exact_recall_grows_with_signal_and_width_up_to_one(b, snr, data):
    k, width = data.draw(st.integers(1, b - 1)), data.draw(st.integers(1, b - 1))
    value = recall.recall_exact(b, k, width, snr)
    assert value <= recall.recall_exact(b, k, width, snr + 0.5) + 1e-12
    assert value <= recall.recall_exact(b, k, width + 1, snr) + 1e-12
    assert recall.recall_exact(b, k, b, snr) == recall.recall_exact(b, k, b + 7, snr) == 1


@pytest.mark.parametrize("snr", [0.0, 0.5, 2.0])
@pytest.mark.parametrize(("kappa", "beta"), [(0.5, 0.5), (0.1, 0.1), (0.1, 0.3)])
def test_finite_recall_goes_to_its_limit(kappa, beta, snr):
    limit = recall.recall_limit(kappa, snr, beta)
    gaps = [
        abs(recall.recall_exact(b, int(kappa * b), int(beta * b), snr) - limit)
        for b in (100, 1000, 10_000)
    ]
    assert gaps[2] < 1e-4 and gaps[2] <= gaps[1] + 1e-12 and gaps[1] <= gaps[0] + 1e-12


@given(SNR)
def test_the_limit_at_one_half_is_the_closed_form(snr):
    assert recall.recall_limit(0.5, snr, 0.5) == pytest.approx(special.ndtr(snr / 2), abs=1e-12)
    assert recall.recall_limit(0.5, 1e-3, 0.5) - 0.5 == pytest.approx(
        1e-3 / (2 * math.sqrt(2 * math.pi)), rel=1e-5
    )


@given(SHARE, SNR, SHARE)
def test_width_for_recall_inverts_the_limit(kappa, snr, wanted):
    width = recall.width_for_recall(kappa, snr, wanted)
    assert 0 < width <= 1
    if width < 1 - 1e-9:
        assert recall.recall_limit(kappa, snr, width) == pytest.approx(wanted, abs=1e-9)
    # control: signal saves width
    assert recall.width_for_recall(kappa, snr + 0.1, wanted) < width or kappa == 1


def test_beams_that_the_reference_asks_for_recall_of_nine_tenths():
    ratios = [recall.width_for_recall(0.05, snr, 0.9) / 0.05 for snr in (0.1, 1, 2, 3)]
    assert ratios == pytest.approx([17.6, 12.5, 5.4, 1.71], rel=5e-3)


@given(st.floats(0.001, 0.65), st.floats(0.001, 3))
def test_half_of_the_recall_is_exceeded_beyond_the_threshold_and_not_before(kappa, step):
    threshold = recall.half_threshold(kappa)
    assert recall.recall_limit(kappa, threshold + step, kappa) > 0.5
    assert recall.recall_limit(kappa, threshold - step, kappa) < 0.5
    assert recall.recall_limit(kappa, threshold, kappa) == pytest.approx(0.5, abs=1e-9)


def test_thresholds_equal_the_reference_values():
    values = [recall.half_threshold(kappa) for kappa in (0.5, 1 / 3, 0.25, 0.1, 0.01, 0.001)]
    assert values == pytest.approx([0, 0.67449, 0.96742, 1.59322, 2.57235, 3.29025], abs=5e-6)
    assert recall.half_threshold(0.7) == -math.inf


@settings(max_examples=60)
@given(st.integers(1, 20), st.integers(1, 60), st.floats(0, 50), st.integers(1, 10**6))
def test_the_bound_is_above_exact_recall(half, width, score, leaves):
    b, tail, leaves = 2 * half, tails.uniform(0.0, 1.0), leaves + 1
    snr = max(score - tail.mean, 0) / (tail.sd * math.sqrt(leaves))
    bound = recall.recall_bound(b, half, width, leaves=leaves, score=score, tail=tail)
    assert recall.recall_exact(b, half, width, snr) <= bound + 1e-12


def test_the_bound_decays_to_one_half_as_the_root_of_the_branch_size():
    tail = tails.gamma(1.0, 1.0)
    excess = [
        recall.recall_bound(100, 50, 50, leaves=n, score=5.0, tail=tail) - 0.5
        for n in (10**4 + 1, 10**6 + 1, 10**8 + 1)
    ]
    assert excess[0] / excess[1] == pytest.approx(10, rel=1e-6) and excess[1] / excess[
        2
    ] == pytest.approx(10, rel=1e-6)
    assert excess[2] == pytest.approx(
        (5 / math.sqrt(2 * math.pi) + 2 * 0.4748 * tail.third) * 1e-4, rel=1e-6
    )


def test_a_tail_below_zero_counts_from_its_lower_end():
    # replacing a leaf of mean -9.5 by a score of 0 is a lead of 9.5: measured recall is .697, the
    # bound without the lower end said .539
    tail, b, k, n = tails.uniform(-10.0, -9.0), 100, 50, 1000
    bound = recall.recall_bound(b, k, k, leaves=n, score=0.0, tail=tail)
    assert recall.recall_exact(b, k, k, 9.5 / (tail.sd * math.sqrt(n))) > 0.69
    assert bound > 0.9
    assert bound - 0.5 == pytest.approx(
        10 / (tail.sd * math.sqrt(2 * math.pi * 999))
        + 0.9496 * tail.third / (tail.sd**3 * math.sqrt(999)),
        rel=1e-12,
    )


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 12))
def test_precision_is_one_less_the_chance_that_every_kept_branch_is_irrelevant(k, others, width):
    b = k + others
    missed = math.comb(others, width) / math.comb(b, width) if width <= b else 0
    assert recall.precision_bound(b, k, width) == pytest.approx(1 - missed, abs=1e-12)


def test_precision_of_half_relevant_branches_is_exponentially_near_one():
    assert 1 - recall.precision_bound(20, 10, 10) == pytest.approx(1 / math.comb(20, 10), rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recall.recall_exact(3, 4, 1, 0.0), "1 <= k <= b"),
        (lambda: recall.recall_exact(3, 2, 0, 0.0), "width >= 1"),
        (lambda: recall.recall_exact(3, 2, 1, math.inf), "finite snr"),
        (lambda: recall.recall_limit(0.0, 1.0, 0.5), r"kappa in \(0, 1\]"),
        (lambda: recall.recall_limit(0.5, 1.0, 1.5), r"beta in \(0, 1\]"),
        (lambda: recall.width_for_recall(0.5, 1.0, 0.0), r"recall in \(0, 1\]"),
        (lambda: recall.half_threshold(-1), "kappa"),
        (lambda: recall.precision_bound(4, 5, 1), "1 <= k <= b"),
        (
            lambda: recall.recall_bound(4, 2, 2, leaves=1, score=1.0, tail=tails.gamma(1, 1)),
            "leaves >= 2",
        ),
        (
            lambda: recall.recall_bound(4, 2, 2, leaves=9, score=1.0, tail=tails.gaussian(0, 1)),
            "bounded below",
        ),
        (
            lambda: recall.recall_bound(4, 2, 2, leaves=9, score=1.0, tail=tails.uniform(2, 3)),
            "score >= its lower end",
        ),
    ],
)
def test_bad_parameters_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
