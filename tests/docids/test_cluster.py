"""k-means against Lloyd's algorithm in numpy, the hierarchy against a recursion over lists."""

import itertools

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from zoo.docids import cluster

CLUSTERS, WIDTH = 4, 5
seeds = st.integers(0, 2**31 - 1)
counts = st.integers(1, 120)


def normal(seed, count, width=WIDTH):
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def inertia(vectors, centroids, assignment):
    return float(
        (
            (np.asarray(vectors, np.float64) - np.asarray(centroids)[np.asarray(assignment)]) ** 2
        ).sum()
    )


def distances(vectors, centroids):
    return (
        (np.asarray(vectors, np.float64)[:, None] - np.asarray(centroids, np.float64)[None]) ** 2
    ).sum(axis=2)


@given(seed=seeds, count=counts)
@settings(max_examples=30)
def test_every_iteration_equals_lloyd_in_numpy(seed, count):
    vectors, key = normal(seed, count), jax.random.key(seed)
    centroids = np.asarray(cluster.kmeans(vectors, CLUSTERS, key, iterations=0)[0], np.float64)
    for iterations in range(6):
        found, assignment = cluster.kmeans(vectors, CLUSTERS, key, iterations=iterations)
        # f32 means of at most 120 numbers of size 1
        np.testing.assert_allclose(found, centroids, atol=1e-5)
        nearest = distances(vectors, centroids).argmin(axis=1)
        assert inertia(vectors, found, assignment) == pytest.approx(
            inertia(vectors, centroids, nearest), rel=1e-5, abs=1e-9
        )
        centroids = np.stack(
            [
                vectors[nearest == k].mean(axis=0) if (nearest == k).any() else centroids[k]
                for k in range(CLUSTERS)
            ]
        )


@given(seed=seeds, count=counts, duplicates=st.booleans())
@settings(max_examples=30)
def test_inertia_never_rises_from_seeds_that_are_rows(seed, count, duplicates):
    vectors = normal(seed, count)
    if duplicates:
        vectors = vectors[np.arange(count) // 3]
    results = [
        cluster.kmeans(vectors, CLUSTERS, jax.random.key(seed), iterations=i)
        for i in (0, 1, 2, 4, 30)
    ]
    # rows and seeds are shifted by the mean and back: one f32 rounding
    assert (distances(results[0][0], vectors).min(axis=1) < 1e-9).all()
    path = [inertia(vectors, *result) for result in results]
    assert all(after <= before * (1 + 1e-6) + 1e-9 for before, after in itertools.pairwise(path))
    for centroids, assignment in results:
        away = distances(vectors, centroids)
        chosen = away[np.arange(count), np.asarray(assignment)]
        # the nearest, up to f32 products
        np.testing.assert_allclose(chosen, away.min(axis=1), atol=1e-4)


@given(seed=seeds, count=st.integers(CLUSTERS, 120))
@settings(max_examples=30)
def test_well_separated_blobs_are_recovered_exactly(seed, count):
    rng = np.random.default_rng(seed)
    blob = rng.permutation(np.arange(count) % CLUSTERS)
    vectors = 1000 * np.eye(CLUSTERS, WIDTH)[blob] + rng.normal(size=(count, WIDTH))
    assignment = np.asarray(
        cluster.kmeans(vectors, CLUSTERS, jax.random.key(seed), iterations=10)[1]
    )
    assert len({*zip(blob, assignment)}) == CLUSTERS  # one to one
    # control: overlapping blobs are not recovered
    assignment = np.asarray(
        cluster.kmeans(normal(seed, 120), CLUSTERS, jax.random.key(seed), iterations=10)[1]
    )
    assert len({*zip(np.arange(120) % CLUSTERS, assignment)}) > CLUSTERS


def test_seeds_are_drawn_in_proportion_to_squared_distance():
    # rows 0, 1, 3 on a line: after seed 0 the next is 3 with probability 9/10, after 1 it is 4/5,
    # after 3 it is 0 with 9/13
    vectors = np.array([[0.0], [1.0], [3.0]], np.float32)
    rounds = 600
    counts = dict.fromkeys(itertools.permutations((0, 1, 3), 2), 0)
    for key in jax.random.split(jax.random.key(0), rounds):
        first, second = (
            np.rint(np.asarray(cluster.kmeans(vectors, 2, key, iterations=0)[0]))[:, 0]
            .astype(int)
            .tolist()
        )
        counts[first, second] += 1
    expected = {
        (0, 1): 1 / 30,
        (0, 3): 9 / 30,
        (1, 0): 1 / 15,
        (1, 3): 4 / 15,
        (3, 0): 9 / 39,
        (3, 1): 4 / 39,
    }
    for pair, share in expected.items():
        # five standard errors
        assert abs(counts[pair] / rounds - share) < 5 * np.sqrt(share * (1 - share) / rounds)
    # control: the test rejects uniform seeds
    uniform = {pair: 1 / 6 for pair in expected}
    assert any(
        abs(counts[pair] / rounds - share) > 5 * np.sqrt(share * (1 - share) / rounds)
        for pair, share in uniform.items()
    )


def test_a_cluster_without_rows_keeps_its_centroid():
    centroids, assignment = cluster.kmeans(
        np.array([[0.0], [0.0], [0.0], [6.0]]), 4, jax.random.key(0), iterations=5
    )
    assert {*np.asarray(centroids)[:, 0].tolist()} == {0.0, 6.0} and len(
        {*np.asarray(assignment).tolist()}
    ) == 2


def recursion(rows, vectors, key, branching, leaf_size):
    """{row: digits} from the definition."""
    if len(rows) <= leaf_size:
        return {row: (index,) for index, row in enumerate(rows)}
    seed, *keys = jax.random.split(key, 1 + branching)
    assignment = cluster.kmeans(vectors[rows], branching, seed, iterations=cluster.ITERATIONS)[
        1
    ].tolist()
    if len(set(assignment)) == 1:
        assignment = [i * branching // len(rows) for i in range(len(rows))]
    names = {}
    for digit in range(branching):
        members = [row for row, d in zip(rows, assignment) if d == digit]
        below = recursion(members, vectors, keys[digit], branching, leaf_size)
        names |= {row: (digit, *rest) for row, rest in below.items()}
    return names


collections = st.fixed_dictionaries(
    {
        "seed": seeds,
        "count": st.integers(1, 150),
        "distinct": st.sampled_from([1, 2, 7, 150]),
        "leaf_size": st.sampled_from([1, 4, 20]),
    }
)


@given(collections)
@settings(max_examples=15)  # a recursion to leaves of one document splits up to a hundred times
def test_hierarchical_equals_a_slow_recursion_and_ends_on_duplicates(drawn):
    vectors = normal(drawn["seed"], drawn["count"])[np.arange(drawn["count"]) % drawn["distinct"]]
    key = jax.random.key(drawn["seed"])
    _, ids = cluster.hierarchical(vectors, key, branching=CLUSTERS, leaf_size=drawn["leaf_size"])
    expected = recursion(list(range(drawn["count"])), vectors, key, CLUSTERS, drawn["leaf_size"])
    found = {
        n: tuple(token - 1 for token in row if token) for n, row in enumerate(ids.tokens.tolist())
    }
    assert found == expected
    assert ids.alphabet == max(CLUSTERS, drawn["leaf_size"]) + 1
    # uniqueness and prefix-freeness: docids.build has checked them
    assert ids.tokens.shape[1] == ids.lengths.max()
    leaves = {}
    for name in found.values():
        leaves.setdefault(name[:-1], []).append(name[-1])
    for digits in leaves.values():
        assert sorted(digits) == list(range(len(digits))) and len(digits) <= drawn["leaf_size"]


def test_the_tree_holds_every_cluster_and_each_document_is_nearest_to_its_own():
    vectors = normal(0, 150)
    tree, ids = cluster.hierarchical(vectors, jax.random.key(0), branching=CLUSTERS, leaf_size=20)
    prefixes = {tuple(row[:depth]) for row in ids.tokens.tolist() for depth in (1, 2)}
    paths = [tuple(token for token in row if token) for row in tree.paths.tolist()]
    named = {path for path in prefixes if path in paths or len(path) == 1}
    assert named <= set(paths) and len(set(paths)) == len(paths)
    top = [row for row, path in enumerate(paths) if len(path) == 1]
    away = ((vectors[:, None] - tree.centroids[top][None]) ** 2).sum(-1)
    nearest = np.array([paths[top[place]][0] for place in away.argmin(axis=1)])
    np.testing.assert_array_equal(nearest, ids.tokens[:, 0])


def test_documents_of_a_cluster_share_their_first_digits():
    rng = np.random.default_rng(0)
    outer, inner = np.arange(320) // 80, np.arange(320) // 20 % 4
    vectors = 1e4 * np.eye(4, 8)[outer] + 100 * np.eye(4, 8, 4)[inner] + rng.normal(size=(320, 8))
    order = rng.permutation(320)
    _, ids = cluster.hierarchical(vectors[order], jax.random.key(0), branching=4, leaf_size=20)
    tokens = ids.tokens
    assert tokens.shape == (320, 3)
    assert len({*zip(outer[order], tokens[:, 0])}) == 4
    assert len({*zip(outer[order], inner[order], tokens[:, 0], tokens[:, 1])}) == 16


def test_equal_vectors_are_cut_into_equal_runs_of_rows():
    tree, ids = cluster.hierarchical(
        np.ones((1000, 3)), jax.random.key(0), branching=10, leaf_size=10
    )
    assert tree.paths.shape == (110, 2)
    rows = np.arange(1000)
    assert (ids.tokens - 1 == np.stack([rows // 100, rows // 10 % 10, rows % 10], axis=1)).all()


def test_a_collection_no_larger_than_a_leaf_is_numbered():
    tree, ids = cluster.hierarchical(normal(0, 5), jax.random.key(0), leaf_size=5)
    assert ids.tokens[:, 0].tolist() == [1, 2, 3, 4, 5] and not len(tree.paths)


def test_the_key_decides_the_identifiers():
    first, again, other = (
        cluster.hierarchical(normal(0, 300), jax.random.key(k), leaf_size=20)[1].tokens
        for k in (1, 1, 2)
    )
    assert first.shape == again.shape and (first == again).all()
    assert first.shape != other.shape or (first != other).any()


def test_collections_of_one_size_class_trace_once():
    before = cluster._lloyd._cache_size()
    for count in (3, 500, 1000, 1024):
        cluster.kmeans(normal(0, count, 17), 3, jax.random.key(0), iterations=count)
    assert cluster._lloyd._cache_size() == before + 1
    cluster.kmeans(normal(0, 1025, 17), 3, jax.random.key(0), iterations=1)
    assert cluster._lloyd._cache_size() == before + 2


def test_bad_input_is_refused():
    broken = normal(0, 200)
    broken[7, 2] = np.nan
    with pytest.raises(ValueError, match="vector 7 is not finite"):
        cluster.hierarchical(broken, jax.random.key(0))
    with pytest.raises(
        ValueError, match=r"expected vectors \[N, D\] and at least 1 cluster, got \[0, 4\] and 3"
    ):
        cluster.kmeans(np.zeros((0, 4)), 3, jax.random.key(0), iterations=1)
    with pytest.raises(
        ValueError, match="expected branching >= 2 and leaf_size >= 1, got 1 and 100"
    ):
        cluster.hierarchical(normal(0, 3), jax.random.key(0), branching=1)
