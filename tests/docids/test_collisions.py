"""Collisions: every policy gives valid, unique identifiers.

Also checks the marginals of transport plans, and rounded plans against the best assignment.
"""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from zoo.docids import collisions, quantize, table as docids

CODES, LEVELS, ROWS = 8, 2, 12
tables = st.lists(st.tuples(*[st.integers(0, 2)] * LEVELS), min_size=ROWS, max_size=ROWS).map(
    np.array
)
varied = tables.filter(lambda codes: (codes != codes[0]).any())
seeds = st.integers(0, 2**31 - 1)


def drawn_costs(seed):
    table = np.random.default_rng(seed).random((ROWS, CODES)).astype(np.float32)
    return table, lambda rows, codes: table[rows]


def counted(codes):
    """The counter policy as a loop over documents."""
    seen, rows = {}, []
    for row in map(tuple, codes.tolist()):
        seen[row] = seen.get(row, 0) + 1
        rows.append([code + 1 for code in row] + [seen[row]])
    return rows


@given(codes=varied)
@settings(max_examples=50)
def test_counters_number_equal_codes_in_row_order(codes):
    ids = collisions.collide(codes, num_codes=CODES, policy="counter")
    assert ids.tokens.tolist() == counted(codes)
    np.testing.assert_array_equal(docids.lookup(ids, ids.tokens), np.arange(ROWS))


@given(codes=varied, split=st.integers(1, ROWS - 1))
@settings(max_examples=50)
def test_adding_documents_later_is_adding_them_at_once_and_changes_no_name(codes, split):
    whole = collisions.collide(codes, num_codes=CODES, policy="counter")
    first = collisions.extend(None, codes[:split], num_codes=CODES, policy="counter")
    both = collisions.extend(first, codes[split:], num_codes=CODES, policy="counter")
    np.testing.assert_array_equal(both.tokens, whole.tokens)
    assert both.alphabet == whole.alphabet


def test_three_equal_documents_get_counters_in_order():
    ids = collisions.collide(
        np.array([[5, 5], [1, 2], [5, 5], [5, 5]]), num_codes=6, policy="counter"
    )
    assert ids.tokens.tolist() == [[6, 6, 1], [2, 3, 1], [6, 6, 2], [6, 6, 3]] and ids.alphabet == 7
    many = collisions.collide(np.array([[0]] * 9 + [[1]]), num_codes=2, policy="counter")
    assert many.alphabet == 10  # counters 1 .. 9 for nine documents


@given(codes=varied, seed=seeds)
@settings(max_examples=30)
def test_sharing_out_changes_only_the_last_code_of_colliding_documents(codes, seed):
    table, costs = drawn_costs(seed)
    prefixes = codes[:, 0].tolist()
    ids = collisions.collide(codes, num_codes=CODES, policy="sinkhorn", costs=costs)
    if max(map(prefixes.count, prefixes)) > CODES:
        assert len(np.unique(ids.tokens, axis=0)) == ROWS
        return
    np.testing.assert_array_equal(ids.tokens[:, :-1], codes[:, :-1] + 1)
    assert len(np.unique(ids.tokens, axis=0)) == ROWS and ids.alphabet == CODES + 1
    rows = list(map(tuple, codes.tolist()))
    for row in range(ROWS):
        group = [other for other in rows if other[0] == rows[row][0]]
        if len(set(group)) == len(group):
            assert tuple(ids.tokens[row] - 1) == rows[row]


@given(seed=seeds, rows=st.integers(20, 27), old=st.integers(0, 20))
@settings(max_examples=40)
def test_if_codes_run_out_few_documents_move_to_the_nearest_free_code(seed, rows, old):
    """27 identifiers of 3 codes at 3 levels, nearly as many documents, few first codes."""
    random = np.random.default_rng(seed)
    codebooks = random.normal(size=(3, 3, 2)) * np.array([9, 3, 1])[:, None, None]
    vectors = codebooks[0, 0] + random.normal(size=(rows, 2))
    codes = quantize.encode(vectors.astype(np.float32), codebooks.astype(np.float32))
    costs = lambda of: (
        lambda which, begun: quantize.distances(
            vectors[of][which], begun, codebooks[: begun.shape[1]]
        )
    )
    if (codes == codes[0]).all():
        return
    ids = collisions.collide(codes, num_codes=3, policy="sinkhorn", costs=costs(slice(None)))
    assert len(np.unique(ids.tokens, axis=0)) == rows and ids.alphabet == 4
    stayed = (ids.tokens[:, 0] - 1 == codes[:, 0]).sum()
    # the fullest code keeps its capacity
    assert stayed >= min(9, np.bincount(codes[:, 0]).max())
    if old and not (codes[:old] == codes[0]).all():
        first = collisions.collide(
            codes[:old], num_codes=3, policy="sinkhorn", costs=costs(slice(old))
        )
        both = (
            collisions.extend(
                first, codes[old:], num_codes=3, policy="sinkhorn", costs=costs(slice(old, None))
            )
            if old < rows
            else first
        )
        np.testing.assert_array_equal(both.tokens[:old], first.tokens)
        assert len(np.unique(both.tokens, axis=0)) == rows


@given(seed=seeds, count=st.integers(2, 4))
@settings(max_examples=40)
def test_the_rounded_plan_costs_little_more_than_the_best_of_all_assignments(seed, count):
    cost = np.random.default_rng(seed).random((count, 5)).astype(np.float32)
    best = min(
        cost[range(count), columns].sum() for columns in itertools.permutations(range(5), count)
    )
    found = cost[range(count), collisions._assigned(cost)].sum()
    # entropic regularisation costs at most epsilon (log of the number of assignments) x the scale,
    # rounding as much again
    assert (
        best - 1e-6 <= found <= best + 2 * collisions.EPSILON * np.log(120) * np.ptp(cost) * count
    )


@given(seed=seeds)
@settings(max_examples=20)
def test_plans_have_their_marginals(seed):
    random = np.random.default_rng(seed)
    rows, columns = random.dirichlet(np.ones(6)), random.dirichlet(np.ones(4))
    rows = np.append(rows, 0)  # does not count
    cost = random.random((7, 4))
    plan = np.asarray(
        collisions.sinkhorn(*map(jnp.float32, (cost, rows, columns)), epsilon=0.1, rounds=200)
    )
    np.testing.assert_allclose(plan.sum(axis=1), rows, atol=1e-5)
    np.testing.assert_allclose(plan.sum(axis=0), columns, rtol=0.01, atol=1e-4)
    assert (plan[6] == 0).all() and np.isfinite(plan).all()


def test_a_plan_of_large_epsilon_is_independent_and_of_small_epsilon_cheapest():
    cost = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    half = np.full(2, 0.5, np.float32)
    flat = np.asarray(collisions.sinkhorn(cost, half, half, epsilon=1e4, rounds=10))
    np.testing.assert_allclose(flat, 0.25, rtol=1e-3)  # cost / epsilon = 1e-4
    np.testing.assert_allclose(
        collisions.sinkhorn(cost, half, half, epsilon=1e-3, rounds=10), np.eye(2) / 2, atol=1e-6
    )


def test_a_plan_spreads_a_skewed_batch_over_codes():
    cost = np.random.default_rng(0).random((32, 4)).astype(np.float32)
    cost[:, 0] -= 1  # every row's nearest
    plan = np.asarray(
        collisions.sinkhorn(
            cost,
            np.full(32, 1 / 32, np.float32),
            np.full(4, 0.25, np.float32),
            epsilon=0.05,
            rounds=200,
        )
    )
    counts = np.bincount(plan.argmax(axis=1), minlength=4)
    assert (cost.argmin(axis=1) == 0).all() and counts.min() >= 4


def test_new_documents_get_last_codes_that_no_old_one_has():
    table, costs = drawn_costs(0)
    codes = np.array([[0, 0], [0, 1], [0, 0], [1, 3]])
    ids = collisions.collide(codes, num_codes=CODES, policy="sinkhorn", costs=costs)
    more = collisions.extend(ids, codes, num_codes=CODES, policy="sinkhorn", costs=costs)
    np.testing.assert_array_equal(more.tokens[:4], ids.tokens)
    np.testing.assert_array_equal(more.tokens[4:, 0], codes[:, 0] + 1)
    assert len(np.unique(more.tokens, axis=0)) == 8


def test_unique_codes_pass_every_policy():
    codes = np.array([[0, 1], [1, 0], [0, 2]])
    for policy in ("refuse", "sinkhorn"):
        ids = collisions.collide(
            codes, num_codes=4, policy=policy, costs=lambda rows, codes: np.zeros((len(rows), 4))
        )
        np.testing.assert_array_equal(ids.tokens, codes + 1)


@pytest.mark.parametrize("policy", collisions.POLICIES)
def test_a_constant_tokenizer_is_refused(policy):
    with pytest.raises(
        ValueError, match=r"all 5 documents have the codes \[3, 1\]: the tokenizer has collapsed"
    ):
        collisions.collide(
            np.array([[3, 1]] * 5),
            num_codes=4,
            policy=policy,
            costs=lambda rows, codes: np.zeros((len(rows), 4)),
        )


@pytest.mark.parametrize(
    ("codes", "options", "message"),
    (
        (
            [[0, 1], [2, 0], [2, 2], [2, 0]],
            {"policy": "refuse"},
            r"documents 1 and 3 both have the codes \[2, 0\] \(2 documents",
        ),
        (
            [[0, 1], [2, 0]],
            {"policy": "retry"},
            "no policy 'retry'; expected one of: counter, sinkhorn, refuse",
        ),
        ([[0, 1], [2, 9]], {}, r"document 1 has the codes \[2, 9\]; expected 0 to 3"),
        ([[0, 1], [-1, 0]], {}, r"document 1 has the codes \[-1, 0\]"),
        ([0, 1], {}, r"expected codes i32\[N, L\]"),
        ([[0, 1], [1, 1]], {"policy": "sinkhorn"}, "sinkhorn needs the costs"),
        (
            [[0, 1], [1, 1], [0, 0], [1, 0], [1, 1]],
            {"policy": "sinkhorn", "num_codes": 2, "costs": len},
            r"5 documents and 2\^2 identifiers; take more",
        ),
    ),
)
def test_unresolvable_collisions_are_refused(codes, options, message):
    with pytest.raises(ValueError, match=message):
        collisions.collide(np.array(codes), **dict(num_codes=4, policy="counter") | options)


def test_identifiers_of_another_length_are_not_extended():
    ids = collisions.collide(np.array([[0, 1], [1, 1]]), num_codes=4, policy="counter")
    with pytest.raises(ValueError, match="expected identifiers of length 2 for sinkhorn, got 3"):
        collisions.extend(
            ids,
            np.array([[0, 1]]),
            num_codes=4,
            policy="sinkhorn",
            costs=lambda rows, codes: np.zeros((1, 4)),
        )


def test_plans_trace_once_for_groups_of_one_size_class():
    collisions.sinkhorn.clear_cache()
    for count in (2, 3, 7):
        collisions._assigned(np.random.default_rng(0).random((count, 16)).astype(np.float32))
    assert collisions.sinkhorn._cache_size() == 1
