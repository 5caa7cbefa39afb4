"""Expected KL by quadrature against enumeration of all corpora, published values and algebra."""

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import theory
from theory import checks, enumeration, exact, worlds
from zoo.docids import table

SHARES = st.floats(1e-3, 1.0)
QUICK = settings(max_examples=60)
# The oracle, enumeration in float64, subtracts logs of order log p: an absolute error of 1e-14.
CLOSE = {"rtol": 1e-9, "atol": 1e-14}


@st.composite
def trees(draw, *, most=9, zeros=False):
    """Trees of any shape, up to 9 leaves and depth 4, relevance over e^6."""
    num_leaves, depth = draw(st.integers(1, most)), draw(st.integers(1, 4))
    labels = [np.zeros(num_leaves, np.int64)]
    for _ in range(depth - 1):
        cuts = draw(st.lists(st.booleans(), min_size=num_leaves, max_size=num_leaves))
        begins = np.array(cuts) | (np.diff(labels[-1], prepend=-1) != 0)
        labels.append(np.cumsum(begins) - 1)
    labels.append(np.arange(num_leaves))
    firsts = [np.flatnonzero(np.diff(label, prepend=-1)) for label in labels]
    relevance = np.exp(draw(st.lists(st.floats(-3, 3), min_size=num_leaves, max_size=num_leaves)))
    if zeros:
        relevance = relevance * draw(
            st.lists(st.booleans(), min_size=num_leaves, max_size=num_leaves).filter(any)
        )
    parents = tuple(above[first] for above, first in zip(labels, firsts[1:]))
    return worlds.Tree(parents, checks.normalised("trees", relevance, num_leaves))


@pytest.mark.parametrize(
    ("branching", "depth", "relevance", "keep", "steps"),
    (
        (2, 3, np.ones(8), 0.5, [0.0430735594, 0.0157044048, 0]),
        (2, 3, 1 / np.arange(1, 9), 0.1, [0.00858753103, 0.00146452489, 0]),
        (4, 2, 1 / np.arange(1, 17), 0.5, [0.0766263612, 0]),
    ),
)
def test_values_known_to_nine_digits_come_out(branching, depth, relevance, keep, steps):
    np.testing.assert_allclose(
        theory.expected_kl(relevance, branching=branching, depth=depth, keep=keep), steps, rtol=4e-9
    )


def test_two_branches_of_two_equal_leaves_worked_by_hand():
    # KL is 0 unless one branch keeps 2 leaves and the other 1: P = (1/2, 1/2), Q = (2/3, 1/3), 4
    # corpora of p^3 (1-p)
    p = 0.3
    one = 0.5 * np.log(3 / 4) + 0.5 * np.log(3 / 2)
    expected = 4 * p**3 * (1 - p) * one / (1 - (1 - p) ** 4)
    np.testing.assert_allclose(theory.expected_kl(np.ones(4), 2, 2, p), [expected, 0], rtol=1e-13)


@QUICK
@given(trees(), SHARES)
def test_quadrature_equals_enumeration_on_trees_of_any_shape(tree, keep):
    np.testing.assert_allclose(
        exact.expected_kl_of(tree, keep), enumeration.enumerate_kl_of(tree, keep=keep), **CLOSE
    )


@QUICK
@given(trees(zeros=True), SHARES)
def test_leaves_without_relevance_give_the_same_and_inf_in_the_same_steps(tree, keep):
    np.testing.assert_allclose(
        exact.expected_kl_of(tree, keep), enumeration.enumerate_kl_of(tree, keep=keep), **CLOSE
    )


@QUICK
@given(trees(most=7, zeros=True), st.lists(st.one_of(SHARES, st.just(1.0)), min_size=7, max_size=7))
def test_a_probability_of_its_own_for_every_leaf_is_exact_too(tree, keep):
    keep = np.array(keep[: len(tree.relevance)])
    np.testing.assert_allclose(
        exact.expected_kl_of(tree, keep), enumeration.enumerate_kl_of(tree, keep=keep), **CLOSE
    )


def test_a_leaf_that_surely_stays_saves_a_branch_with_barren_leaves():
    parents = (np.array([0, 0]), np.array([0, 0, 1]), np.array([0, 0, 0, 1, 1, 1, 2]))
    tree = worlds.Tree(parents, np.array([0, 0, 1, 1, 0, 0, 1]) / 3)
    keep = np.array([1, 1, 1, 0.5, 1, 1, 1])
    steps = exact.expected_kl_of(tree, keep)
    assert np.isfinite(steps[0]) and steps[1] == np.inf
    np.testing.assert_allclose(steps, enumeration.enumerate_kl_of(tree, keep=keep), **CLOSE)


def test_steps_after_an_infinite_one_count_barren_branches_as_alive():
    parents = (np.zeros(3, int), np.repeat(np.arange(3), 2), np.repeat(np.arange(6), 2))
    # two barren leaves may keep the second root branch alive
    relevance = np.array([1, 2, 3, 4, 5, 6, 0, 0, 9, 8, 7, 5])
    tree = worlds.Tree(parents, relevance / 50)
    steps = exact.expected_kl_of(tree, 0.4)
    assert steps[0] == np.inf and 0 < steps[1] < np.inf
    np.testing.assert_allclose(steps, enumeration.enumerate_kl_of(tree, keep=0.4), **CLOSE)


@pytest.mark.parametrize("keep", (1e-1, 1e-3, 1e-6, 1e-9, 1e-12))
@pytest.mark.parametrize(("branching", "depth"), ((2, 3), (3, 2), (12, 1), (1, 5), (2, 4)))
def test_small_shares_lose_no_digits(branching, depth, keep):
    relevance = 1 / np.arange(1, branching**depth + 1)
    found = theory.expected_kl(relevance, branching, depth, keep)
    np.testing.assert_allclose(
        found, theory.enumerate_kl(relevance, branching, depth, keep=keep), rtol=1e-9, atol=0
    )


def test_leaves_that_differ_by_twelve_orders_are_exact():
    relevance = np.logspace(-12, 0, 16)
    found = theory.expected_kl(relevance, 2, 4, 0.2)
    np.testing.assert_allclose(found, theory.enumerate_kl(relevance, 2, 4, keep=0.2), **CLOSE)


def test_a_docid_table_of_unequal_lengths_is_exact_in_any_row_order():
    tokens = np.array([[2, 1, 2], [1, 0, 0], [2, 2, 0], [3, 1, 0], [2, 1, 1], [3, 2, 4], [3, 2, 1]])
    scores = np.array([3.0, 1, 4, 1, 5, 9, 2])
    tree = worlds.from_docids(table.build(tokens), scores)
    assert [len(parent) for parent in tree.parents] == [3, 5, 7]
    found = exact.expected_kl_of(tree, 0.4)
    np.testing.assert_allclose(found, enumeration.enumerate_kl_of(tree, keep=0.4), **CLOSE)
    swapped = worlds.from_docids(table.build(tokens[::-1]), scores[::-1])
    np.testing.assert_allclose(exact.expected_kl_of(swapped, 0.4), found, rtol=1e-12)
    # negative control: scores of other documents
    wrong = worlds.from_docids(table.build(tokens), scores[::-1])
    assert not np.allclose(exact.expected_kl_of(wrong, 0.4), found, rtol=1e-3)


def test_full_and_ragged_arithmetic_agree_on_a_larger_tree():
    tree = worlds.full(5, 4, worlds.dirichlet(5, 4, concentration=0.3))
    # a sixth branch of one leaf without mass
    more = [np.append(parent, parent[-1] + 1) for parent in tree.parents[1:]]
    ragged = worlds.Tree((np.append(tree.parents[0], 0), *more), np.append(tree.relevance, 0))
    np.testing.assert_allclose(
        exact.expected_kl_of(ragged, 0.3), exact.expected_kl_of(tree, 0.3), rtol=1e-12
    )


@QUICK
@given(trees(), SHARES)
def test_never_negative_and_nothing_at_the_last_step(tree, keep):
    steps = exact.expected_kl_of(tree, keep)
    assert (steps >= 0).all() and steps[-1] == 0
    assert not exact.expected_kl_of(tree, 1.0).any()


def test_one_level_or_one_branch_costs_nothing():
    assert not theory.expected_kl(worlds.zipf(50, 1), 50, 1, 0.3).any()
    assert not theory.expected_kl([7.0], 1, 80, 0.3).any()


@QUICK
@given(trees(), SHARES, st.floats(1e-200, 1e200))
def test_scale_of_relevance_does_not_matter(tree, keep, scale):
    rescaled = worlds.Tree(
        tree.parents, checks.normalised("test", tree.relevance * scale, len(tree.relevance))
    )
    np.testing.assert_allclose(
        exact.expected_kl_of(rescaled, keep),
        exact.expected_kl_of(tree, keep),
        rtol=1e-9,
        atol=1e-13,
    )


@QUICK
@given(st.permutations(range(3)), st.permutations(range(9)), SHARES)
def test_siblings_may_trade_places_and_leaves_within_a_branch_keep_step_one(branches, leaves, keep):
    relevance = worlds.zipf(3, 3)
    steps = theory.expected_kl(relevance, 3, 3, keep)
    moved = relevance.reshape(3, 9)[list(branches)].reshape(-1)
    np.testing.assert_allclose(theory.expected_kl(moved, 3, 3, keep), steps, **CLOSE)
    within = relevance.reshape(3, 9)[:, list(leaves)].reshape(-1)
    np.testing.assert_allclose(theory.expected_kl(within, 3, 3, keep)[0], steps[0], **CLOSE)


def test_leaves_across_branches_do_not_trade_places():
    relevance = worlds.zipf(3, 3)  # negative control of the test before
    moved = relevance.reshape(3, 9).T.reshape(-1)
    assert (
        abs(
            theory.expected_kl(moved, 3, 3, 0.5)[0] / theory.expected_kl(relevance, 3, 3, 0.5)[0]
            - 1
        )
        > 0.1
    )


@QUICK
@given(trees(), SHARES, st.integers(0, 3))
def test_levels_of_only_children_change_nothing(tree, keep, place):
    place = min(place, tree.depth)
    unary = np.arange(len(tree.masses[place]))
    taller = worlds.Tree((*tree.parents[:place], unary, *tree.parents[place:]), tree.relevance)
    steps = exact.expected_kl_of(taller, keep)
    assert steps[place] == 0
    np.testing.assert_allclose(np.delete(steps, place), exact.expected_kl_of(tree, keep), **CLOSE)


def test_dead_branches_without_relevance_are_ignored():
    relevance = np.array([1.0, 2, 3, 4, 0, 0])
    steps = theory.expected_kl(relevance, 6, 1, 0.5)
    assert not steps.any()
    tree = worlds.Tree(
        (np.array([0, 0, 0]), np.array([0, 0, 1, 1, 2, 2])), checks.normalised("test", relevance, 6)
    )
    # but the corpus is not empty more often
    alone = theory.expected_kl(relevance[:4], 2, 2, 0.5) * (1 - 0.5**4) / (1 - 0.5**6)
    np.testing.assert_allclose(exact.expected_kl_of(tree, 0.5), alone, rtol=1e-12)


@pytest.mark.parametrize("relevance", ([1, 0, 1, 1], [1, 0, 1e-9, 0], [0, 2, 5, 3]))
def test_a_branch_that_may_live_without_relevance_costs_infinitely_much(relevance):
    assert theory.expected_kl(relevance, 2, 2, 0.5).tolist() == [np.inf, 0]
    assert theory.expected_kl(relevance, 2, 2, 1.0).tolist() == [0, 0]


def test_wider_and_flatter_trees_cost_less_in_total_and_more_at_first():
    # spec values of total KL for Dirichlet(1) relevance, N = 4096, p = .1, read off to three digits
    # from other draws: 5 %
    relevance = worlds.dirichlet(2, 12, concentration=1.0, seed=1)
    shapes = {(2, 12): 0.678, (4, 6): 0.617, (8, 4): 0.538, (16, 3): 0.456, (64, 2): 0.165}
    steps = {shape: theory.expected_kl(relevance, *shape, 0.1) for shape in shapes}
    for shape, total in shapes.items():
        assert abs(steps[shape].sum() / total - 1) < 0.05
    firsts = [steps[shape][0] for shape in shapes]
    assert firsts == sorted(firsts)


@pytest.mark.parametrize("keep", (0, -0.1, 1.5, np.nan, np.inf, np.full(8, 1.5), np.zeros(8)))
def test_a_share_outside_its_range_is_refused_in_one_line(keep):
    with pytest.raises(ValueError, match=r"expected_kl: expected keep.* in \(0, 1\], got [^\n]*$"):
        theory.expected_kl(np.ones(8), 2, 3, keep)


@pytest.mark.parametrize(
    ("relevance", "says"),
    (
        (np.ones(7), r"shape \[8\].*got \[7\]"),
        (-np.ones(8), r">= 0, got -1.0 at leaf 0"),
        (np.zeros(8), "all 8 zero"),
        (np.full(8, np.nan), "finite"),
        (np.ones((2, 4)), r"got \[2, 4\]"),
    ),
)
def test_relevance_that_is_none_is_refused_in_one_line(relevance, says):
    with pytest.raises(ValueError, match=says) as caught:
        theory.expected_kl(relevance, 2, 3, 0.5)
    assert "\n" not in str(caught.value)


def test_a_million_leaves_take_seconds_and_memory_of_the_order_of_the_tree():
    relevance = worlds.zipf(32, 4, placement="random")
    tracemalloc.start()
    begin = time.process_time()
    steps = theory.expected_kl(relevance, 32, 4, 0.1)
    seconds, peak = time.process_time() - begin, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 15  # of CPU; 2.5 measured, without tracemalloc
    # forty numbers a leaf, where a point of the grid for each would be 120
    assert peak < 40 * 8 * 32**4
    assert (steps[:3] > 0).all() and steps[3] == 0
