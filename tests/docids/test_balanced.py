"""Balanced codes against values worked by hand, known sums, and exhaustive search."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.docids import balanced, quantize

NUM_CODES = 8


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((5, 5, 5, 5), 1.0),
        ((20, 0, 0, 0), 0.25),
        ((8, 6, 4, 2), 0.8),
        ((1, 1, 0, 0), 0.5),
        ((2, 1, 1, 1, 1), 1 - (0.8 + 4 * 0.2) / 12),
    ],
)
def test_diversity_equals_values_worked_by_hand(counts, expected):
    codes = np.repeat(np.arange(len(counts)), counts)
    assert balanced.diversity(codes, num_codes=len(counts)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("codes", "got"), [([], "none"), ([0, 4], "0 to 4"), ([-1, 2], "-1 to 2")])
def test_diversity_refuses_no_codes_and_codes_out_of_range(codes, got):
    with pytest.raises(ValueError, match=f"expected codes from 0 to 3, got {got}"):
        balanced.diversity(np.array(codes, int), num_codes=4)


@pytest.fixture(scope="module")
def biased():
    """Logits that prefer two codes for every row.

    Rows form groups of 60, 30, 9 and 1; 28 rows belong to no group.
    """
    random = np.random.default_rng(0)
    group = random.permutation(np.repeat([0, 1, 2, 3, -1], [60, 30, 9, 1, 28]))
    logits = random.normal(size=(128, NUM_CODES)) + 3 * np.array([2, 1.5, 0, 0, 0, 0, 0, 0])
    together = (group[:, None] == group) & (group >= 0)[:, None]
    return jnp.asarray(logits, jnp.float32), group, jnp.asarray(together)


@pytest.mark.parametrize("epsilon", [1.0, balanced.EPSILON, balanced.LEAST_EPSILON])
def test_a_plan_has_its_marginals_in_every_group(biased, epsilon):
    logits, group, together = biased
    plan = np.asarray(balanced.plan(balanced.scaled(logits), together, epsilon=epsilon))
    # the tolerance is f32 rounding
    np.testing.assert_allclose(plan[group >= 0].sum(axis=1), 1, atol=1e-4)
    assert (plan[group < 0] == 0).all()
    for number in range(4):
        rows = group == number
        np.testing.assert_allclose(plan[rows].sum(axis=0), rows.sum() / NUM_CODES, atol=1e-4)
    unbalanced = np.asarray(jax.nn.softmax(balanced.scaled(logits) / epsilon))  # the control
    assert np.abs(unbalanced[group == 0].sum(axis=0) - 60 / NUM_CODES).max() > 1


@pytest.mark.parametrize("rows", [NUM_CODES, 4 * NUM_CODES])
def test_a_plan_of_few_rows_for_each_code_has_its_marginals_too(rows):
    """A plan closer to an assignment takes more rounds."""
    find = jax.jit(
        lambda scores: balanced.plan(
            balanced.scaled(scores), jnp.ones((rows, rows), bool), epsilon=balanced.LEAST_EPSILON
        )
    )
    for seed in range(8):
        plan = np.asarray(
            find(
                jnp.asarray(np.random.default_rng(seed).normal(size=(rows, NUM_CODES)), jnp.float32)
            )
        )
        np.testing.assert_allclose(plan.sum(axis=1), 1, atol=1e-4)
        np.testing.assert_allclose(plan.sum(axis=0), rows / NUM_CODES, atol=1e-4)


def test_the_sums_of_a_large_group_are_right_to_float32():
    scores = balanced.scaled(
        jnp.asarray(np.random.default_rng(0).normal(size=(2000, 7)), jnp.float32)
    )
    plan = np.asarray(balanced.plan(scores, jnp.ones((2000, 2000), bool)))
    # about eight roundings of 1.2e-7
    np.testing.assert_allclose(plan.sum(axis=0, dtype=np.float64), 2000 / 7, rtol=1e-6)


def test_groups_of_a_batch_are_independent(biased):
    logits, group, together = biased
    scores = balanced.scaled(logits)
    plan = np.asarray(balanced.plan(scores, together))
    for number in range(4):
        rows = group == number
        alone = balanced.plan(scores[rows], jnp.ones((rows.sum(), rows.sum()), bool))
        np.testing.assert_allclose(plan[rows], alone, atol=1e-5)  # sums in another order


def test_targets_of_a_plan_are_more_diverse_than_the_largest_logits(biased):
    logits, group, together = biased
    plan, targets = (
        np.asarray(of(balanced.scaled(logits), together))
        for of in (balanced.plan, balanced.targets)
    )
    evenness = lambda codes: balanced.diversity(codes[group == 0], num_codes=NUM_CODES)
    assert evenness(targets) > 0.9 > 0.4 > evenness(np.asarray(logits).argmax(axis=1))
    assert (targets == plan.argmax(axis=1))[group == 0].all()  # scores only break ties


def test_a_lone_row_and_equal_rows_target_their_most_probable_code():
    logits = jnp.asarray(np.random.default_rng(4).normal(size=(24, NUM_CODES)), jnp.float32)
    scores = balanced.scaled(logits)
    targets = balanced.targets(scores, jnp.eye(24, dtype=bool))
    np.testing.assert_array_equal(targets, logits.argmax(axis=1))
    assert len(np.unique(targets)) > 4  # control: not one code for all
    equals = balanced.targets(jnp.broadcast_to(scores[:1], scores.shape), jnp.ones((24, 24), bool))
    np.testing.assert_array_equal(equals, logits[0].argmax())


def test_scores_span_minus_one_to_one_for_any_row():
    logits = jnp.array([[0.0, 4.0, 1.0], [100.0, 101.0, 100.5]])
    np.testing.assert_allclose(
        balanced.scaled(logits), [[-1, 1, -0.5], [-0.25, 0.25, 0]], atol=1e-5
    )


def test_an_epsilon_that_would_underflow_is_refused():
    with pytest.raises(ValueError, match="epsilon of at least 0.05, got 0.01"):
        balanced.plan(jnp.zeros((2, 2)), jnp.ones((2, 2), bool), epsilon=0.01)


@pytest.mark.parametrize(
    ("rows", "codes", "expected"),
    [(110_000, 512, (107, 1024)), (128, 8, (2, 32)), (200, 64, (1, 128)), (30, 64, (0, 128))],
)
def test_bounds_equal_the_paper_unless_capacity_needs_more(rows, codes, expected):
    found = balanced.bounds(rows, codes)
    assert found == expected and found[0] * codes <= rows <= found[1] * codes


def heap(count=90):
    """Vectors, two thirds of them in one place."""
    random = np.random.default_rng(1)
    places = np.where(random.random(count) < 2 / 3, 0, random.integers(1, 6, count))
    return (10 * random.normal(size=(6, 3))[places] + random.normal(size=(count, 3))).astype(
        np.float32
    )


def test_cluster_sizes_respect_their_bounds():
    vectors = heap()
    centroids, codes = balanced.kmeans(vectors, jax.random.key(0), num_codes=6, least=10, most=20)
    count = np.bincount(codes, minlength=6)
    assert 10 <= count.min() and count.max() <= 20
    for code in range(6):
        np.testing.assert_allclose(centroids[code], vectors[codes == code].mean(axis=0), atol=1e-4)
    free = np.bincount(
        quantize.rq_kmeans(vectors, jax.random.key(0), levels=1, codes=6)[1][:, 0], minlength=6
    )
    assert free.min() < 10 and free.max() > 20  # control: the bounds bind


def test_bounds_that_do_not_bind_change_nothing():
    vectors = heap()
    plain = quantize.rq_kmeans(vectors, jax.random.key(0), levels=1, codes=6)[1][:, 0]
    cost = np.random.default_rng(2).random((50, 5))
    np.testing.assert_array_equal(balanced.assign(cost, least=0, most=50), cost.argmin(axis=1))
    _, codes = balanced.kmeans(vectors, jax.random.key(0), num_codes=6, least=0, most=90)
    # one iterates until nothing changes, the other stops slightly earlier
    assert (codes == plain).mean() > 0.95


def test_assignments_are_close_to_the_best_of_all():
    """Exhaustive search over eight rows and three columns of two or three rows each.

    Control: random assignments within the bounds.
    """
    random = np.random.default_rng(3)
    every = np.array(
        [
            codes
            for codes in itertools.product(range(3), repeat=8)
            if sorted(np.bincount(codes, minlength=3)) == [2, 3, 3]
        ]
    )
    excess, drawn = [], []
    for _ in range(50):
        cost = random.random((8, 3))
        totals = cost[np.arange(8), every].sum(axis=1)
        codes = balanced.assign(cost, least=2, most=3)
        assert sorted(np.bincount(codes, minlength=3)) == [2, 3, 3]
        excess.append(cost[np.arange(8), codes].sum() - totals.min())
        drawn.append(totals.mean() - totals.min())
    assert min(excess) > -1e-9 and np.mean(excess) < 0.1 * np.mean(drawn)


def test_infeasible_bounds_are_refused():
    with pytest.raises(ValueError, match="10 rows do not fit 3 columns of 0 to 3"):
        balanced.assign(np.zeros((10, 3)), least=0, most=3)
