"""The product law against its factors, the searches that it predicts, and beams that it plans."""

import itertools
import math

import jax
import pytest
from hypothesis import given, settings, strategies as st

import theory
from theory import leafwise, product, recall, tails, worlds

TAIL = tails.uniform(0.0, 1.0)
TREES = st.tuples(st.integers(2, 12), st.integers(1, 3))


def world(b, depth, k, score):
    return worlds.SparseThick(b, k, b ** (depth - 1), score, TAIL)


def test_the_law_is_its_factors_worked_by_hand():
    b, k, snr = 16, 8, 0.3
    first = recall.recall_exact(b, k, k, snr)
    second = recall.recall_limit(first * k / (k * b), 4 * snr, 1 / b)
    third = recall.recall_limit(first * second * k / (k * b), 16 * snr, 1 / b)
    assert theory.leaf_recall(b, 2, k, k, snr) == pytest.approx(first, rel=1e-12)
    assert theory.leaf_recall(b, 4, k, k, snr) == pytest.approx(first * second * third, rel=1e-12)
    # a beam that holds all of level 1 loses nothing there, and selects K of b^2 at level 2
    wide = product.level_recalls(b, 3, k, 40, snr)
    assert wide == (1, pytest.approx(recall.recall_limit(k / b**2, 4 * snr, 40 / b**2)), 1)


@settings(max_examples=8)
@given(TREES, st.floats(0, 5), st.data())
def test_recall_grows_with_the_beam_and_the_signal_and_falls_with_depth(tree, snr, data):
    b, depth = tree
    k, width = data.draw(st.integers(1, b)), data.draw(st.integers(1, b**depth))
    value = theory.leaf_recall(b, depth, k, width, snr)
    assert 0 <= value <= 1
    assert value <= theory.leaf_recall(b, depth, k, width, snr + 0.5) + 1e-9
    deeper = theory.leaf_recall(b, depth + 1, k, width, snr)
    assert deeper <= value + 1e-9
    assert theory.leaf_recall(b, depth, k, max(b**depth, k), snr) == pytest.approx(1)


# none of them is a value that the derivation was fitted to
GRID = [
    *((b, 3, c) for b, c in ((8, 2.0), (10, 2.0), (12, 3.0), (20, 2.0), (20, 5.0), (24, 3.0))),
    *((b, 4, c) for b, c in ((8, 5.0), (10, 4.0), (12, 6.0))),
    (32, 3, 2.0),
    (32, 3, 4.0),
    (64, 3, 5.0),
]


@pytest.mark.slow  # one and a half minutes of CPU: every leaf of every query is drawn
@pytest.mark.parametrize(("b", "depth", "score"), GRID)
def test_the_law_predicts_the_whole_search(b, depth, score):
    k = b // 2
    queries = max(60, 8_000_000 // b**depth // k)
    found = leafwise.search(
        world(b, depth, k, score), depth, jax.random.key(3), width=k, num_queries=queries
    ).recall
    wanted = theory.leaf_recall(b, depth, k, k, world(b, depth, k, score).snr)
    assert abs(found.mean - wanted) < 4 * found.stderr
    # the control: the first factor alone
    first = recall.recall_exact(b, k, k, world(b, depth, k, score).snr)
    assert abs(found.mean - first) > 4 * found.stderr


def test_a_search_of_three_levels_keeps_what_the_law_says():
    case = world(16, 3, 8, 3.0)
    found = leafwise.search(case, 3, jax.random.key(1), width=8, num_queries=500).recall
    assert abs(found.mean - theory.leaf_recall(16, 3, 8, 8, case.snr)) < 4 * found.stderr
    assert abs(found.mean - recall.recall_exact(16, 8, 8, case.snr)) > 4 * found.stderr  # control


@pytest.mark.parametrize(("b", "depth", "k", "wanted"), ((6, 3, 2, 0.5), (8, 3, 4, 0.9)))
def test_a_schedule_reaches_its_recall_at_no_more_than_the_cost_of_any_other(b, depth, k, wanted):
    plan = theory.beam_schedule(b, depth, k, 0.4, wanted)
    assert plan.recall >= wanted and plan.widths[-1] == k
    assert plan.recall == theory.leaf_recall(b, depth, k, plan.widths, 0.4)
    assert plan.cost == b + b * sum(plan.widths[:-1])
    best = math.inf
    for widths in itertools.product(range(1, b + 1, 2), range(1, 8 * b, 5)):
        cost = b + b * sum(widths)
        if cost < best and theory.leaf_recall(b, depth, k, (*widths, k), 0.4) >= wanted:
            best = cost
    assert plan.cost <= 1.1 * best  # rounding up, and the exact first step


def test_the_first_beam_is_the_wide_one():
    plan = theory.beam_schedule(256, 4, 50, 0.5, 0.9)
    assert plan.widths[0] > 4 * max(plan.widths[1:])
    # one width for all levels needs 212 at each
    assert theory.leaf_recall(256, 4, 50, 205, 0.5) < 0.9
    assert plan.cost < 0.5 * (256 + 256 * 3 * 205)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.leaf_recall(4, 3, 5, 2, 1.0), "1 <= k <= b"),
        (lambda: theory.leaf_recall(4, 3, 2, (2, 2), 1.0), "each of 3 levels"),
        (lambda: theory.leaf_recall(4, 3, 2, 0, 1.0), "width >= 1"),
        (lambda: theory.leaf_recall(4, 3, 2, 2, math.nan), "finite snr"),
        (lambda: theory.beam_schedule(4, 3, 2, 1.0, 1.0), r"recall in \(0, 1\)"),
    ],
)
def test_parameters_out_of_range_are_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
