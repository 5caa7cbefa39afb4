"""Quantisers against brute force over all codes, statistics against sums worked by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from zoo.docids import lloyd, quantize

LEVELS, CODES, WIDTH, ROWS = 2, 4, 6, 40
seeds = st.integers(0, 2**31 - 1)


def normal(seed, rows=ROWS, width=WIDTH):
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def mixture(seed, rows=4096, width=64):
    """A mixture of three nested levels of 16 clusters, ever closer."""
    random = np.random.default_rng(seed)
    scales, total = (1.0, 0.5, 0.25), 0.1 * random.normal(size=(rows, width))
    path = np.zeros(rows, np.int64)
    for scale in scales:
        path = 16 * path + random.integers(0, 16, rows)
        total += scale * random.normal(size=(path.max() + 1, width))[path]
    return total.astype(np.float32)


def greedy(vectors, codebooks):
    """Nearest codes of each level by brute force, in float64."""
    residual, columns = np.asarray(vectors, np.float64), []
    for codebook in np.asarray(codebooks, np.float64):
        columns.append(((residual[:, None] - codebook[None]) ** 2).sum(axis=2).argmin(axis=1))
        residual = residual - codebook[columns[-1]]
    return np.stack(columns, axis=1)


@given(seed=seeds, shift=st.sampled_from([0.0, 100.0]))
@settings(max_examples=25)
def test_codes_are_the_nearest_of_each_level_by_brute_force(seed, shift):
    vectors, codebooks = (
        normal(seed),
        np.stack([normal(seed + level, CODES) for level in range(LEVELS)]),
    )
    vectors, codebooks[0] = vectors + np.float32(shift), codebooks[0] + np.float32(shift)
    np.testing.assert_array_equal(quantize.encode(vectors, codebooks), greedy(vectors, codebooks))


def test_codes_far_from_the_origin_are_the_nearest():
    # squares of 3000 leave no digit of a distance near 1; numbers of that size are themselves
    # rounded to 2e-4
    vectors, codebooks = (
        normal(0, 500) + np.float32(3000),
        np.stack([normal(1, CODES) + np.float32(3000), normal(2, CODES)]),
    )
    assert (quantize.encode(vectors, codebooks) != greedy(vectors, codebooks)).mean() < 0.01


@pytest.mark.parametrize("quantiser", [quantize.rq_kmeans, quantize.product])
@given(seed=seeds)
@settings(max_examples=10)
def test_codebooks_are_means_of_their_rows_and_frozen_ones_give_the_same_codes(quantiser, seed):
    vectors = normal(seed)
    codebooks, codes = quantiser(
        vectors, jax.random.key(seed), levels=LEVELS, codes=CODES, iterations=200
    )
    np.testing.assert_array_equal(quantize.encode(vectors, codebooks), codes)
    np.testing.assert_array_equal(quantize.encode(vectors[7:9], codebooks), codes[7:9])
    np.testing.assert_array_equal(codes, greedy(vectors, codebooks))
    residual, half = np.asarray(vectors, np.float64), WIDTH // LEVELS
    for level in range(LEVELS):
        columns = (
            slice(None)
            if quantiser is quantize.rq_kmeans
            else slice(level * half, (level + 1) * half)
        )
        for code in range(CODES):
            rows = residual[codes[:, level] == code, columns]
            assert len(rows)
            # Lloyd stops when an iteration lowers the error by less than TOLERANCE: 40 rows then do
            # not move at all
            np.testing.assert_allclose(
                codebooks[level, code, columns], rows.mean(axis=0), atol=1e-5
            )
        residual = residual - codebooks[level][codes[:, level]]


def test_levels_that_do_not_divide_the_columns_share_them_out():
    codebooks, codes = quantize.product(normal(3), jax.random.key(3), levels=4, codes=3)
    columns = [np.flatnonzero((codebook != 0).any(axis=0)).tolist() for codebook in codebooks]
    assert columns == [[0], [1, 2], [3], [4, 5]]
    np.testing.assert_array_equal(codes, greedy(normal(3), codebooks))


def test_product_codes_are_the_best_of_all_pairs():
    vectors = normal(1)
    codebooks, codes = quantize.product(vectors, jax.random.key(0), levels=2, codes=CODES)
    pairs = np.array(list(itertools.product(range(CODES), repeat=2)))
    every = quantize.decode(pairs, codebooks)
    best = ((vectors[:, None] - every[None]) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(codes, pairs[best])
    assert (codebooks[0, :, 3:] == 0).all() and (codebooks[1, :, :3] == 0).all()


def test_lloyd_lowers_the_error_of_its_seeds_and_stops_at_a_fixed_point():
    vectors, key = mixture(0, rows=600), jax.random.key(0)
    errors = []
    for iterations in (0, 1, 3, 25):
        codebooks, codes = quantize.rq_kmeans(
            vectors, key, levels=1, codes=16, iterations=iterations
        )
        errors.append(quantize.relative_error(vectors, quantize.decode(codes, codebooks)))
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.8 * errors[0]


def test_residual_kmeans_of_a_hierarchy_uses_every_code_and_each_level_reduces_the_error():
    vectors = mixture(0)
    codebooks, codes = quantize.rq_kmeans(vectors, jax.random.key(0), levels=3, codes=64)
    errors = [
        quantize.relative_error(vectors, quantize.decode(codes[:, :depth], codebooks[:depth]))
        for depth in (1, 2, 3)
    ]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.25
    assert (quantize.stats(codes, num_codes=64).usage == 1).all()
    _, again = quantize.rq_kmeans(vectors, jax.random.key(0), levels=3, codes=64)
    _, other = quantize.rq_kmeans(vectors, jax.random.key(1), levels=3, codes=64)
    np.testing.assert_array_equal(codes, again)
    assert (codes != other).any()


def test_codes_left_without_rows_move_to_the_farthest_rows_one_each():
    vectors, centroids = normal(0, 4), normal(1, 5)
    count, distance = np.array([2, 0, 1, 0, 0]), np.array([3.0, 0.0, 5.0, 0.0], np.float32)
    # rows 2 and 0 are far from their codes, 1 and 3 are not: codes 1 and 3 move, 4 gains nothing
    found = lloyd._refilled(
        *map(
            jnp.asarray,
            (centroids, count, np.r_["0,2", vectors, vectors[:1]], np.append(distance, 0)),
        )
    )
    expected = centroids.copy()
    expected[1], expected[3] = vectors[2], vectors[0]
    np.testing.assert_array_equal(found, expected)


def test_every_distinct_value_gets_a_code_if_there_are_enough():
    vectors = np.repeat(
        10.0 * np.stack([np.arange(9) % 3, np.arange(9) // 3], axis=1), 30, axis=0
    ).astype(np.float32)
    for seed in range(5):
        codebooks, codes = quantize.rq_kmeans(vectors, jax.random.key(seed), levels=1, codes=9)
        assert quantize.stats(codes, num_codes=9).usage == 1
        # rounding of means, (1e-6)^2
        assert quantize.relative_error(vectors, quantize.decode(codes, codebooks)) < 1e-12


def test_fewer_values_than_codes_leave_codes_unused_and_the_error_zero():
    vectors = np.repeat(normal(0, 3), 20, axis=0)
    codebooks, codes = quantize.rq_kmeans(vectors, jax.random.key(0), levels=2, codes=8)
    assert quantize.stats(codes, num_codes=8).usage[0] == 3 / 8
    # means of equal f32 numbers
    np.testing.assert_allclose(quantize.decode(codes, codebooks), vectors, atol=1e-6)


def test_rows_on_one_side_of_every_plane_share_a_code_and_opposite_rows_share_no_bit():
    vectors = normal(0, 30)
    vectors = np.concatenate([vectors, -vectors])  # their mean is 0
    planes, codes = quantize.lsh(vectors, jax.random.key(0), levels=3, bits=4)
    assert codes.shape == (60, 3) and 0 <= codes.min() and codes.max() < 16
    np.testing.assert_array_equal(codes[:30] ^ codes[30:], 15)
    np.testing.assert_array_equal(quantize.lsh_encode(3 * vectors[5:6], planes), codes[5:6])
    bits = (codes[:, :, None] >> np.arange(4)) & 1
    np.testing.assert_array_equal(bits[3, 2], planes.normals[2] @ vectors[3] > 0)


def test_planes_separate_vectors_in_proportion_to_their_angle():
    angle = np.pi / 5
    pair = np.array(
        [[1, 0], [np.cos(angle), np.sin(angle)], [-1, 0], [-np.cos(angle), -np.sin(angle)]],
        np.float32,
    )
    _, codes = quantize.lsh(pair, jax.random.key(0), levels=1000, bits=1)
    # four standard errors
    assert abs((codes[0] == codes[1]).mean() - (1 - 1 / 5)) < 4 * np.sqrt(0.2 * 0.8 / 1000)


def test_random_codes_are_uniform_and_follow_the_key():
    codes = quantize.random(4000, jax.random.key(0), levels=2, codes=8)
    counts = np.stack([np.bincount(column, minlength=8) for column in codes.T])
    assert (abs(counts - 500) < 5 * np.sqrt(500 * 7 / 8)).all()  # five standard deviations
    np.testing.assert_array_equal(
        codes, quantize.random(4000, jax.random.key(0), levels=2, codes=8)
    )
    assert (codes != quantize.random(4000, jax.random.key(1), levels=2, codes=8)).any()


def test_distances_to_the_last_codes_equal_distances_to_full_sums():
    vectors = normal(0)
    codebooks, codes = quantize.rq_kmeans(vectors, jax.random.key(0), levels=LEVELS, codes=CODES)
    for code in range(CODES):
        whole = quantize.decode(np.column_stack([codes[:, :1], np.full(ROWS, code)]), codebooks)
        expected = ((vectors - whole) ** 2).sum(axis=1)
        np.testing.assert_allclose(
            quantize.distances(vectors, codes, codebooks)[:, code], expected, rtol=1e-4, atol=1e-5
        )


def test_statistics_equal_counts_by_hand():
    codes = np.array([[0, 1], [0, 1], [0, 2], [3, 0]])
    found = quantize.stats(codes, num_codes=4)
    np.testing.assert_allclose(found.usage, [2 / 4, 3 / 4])
    # level 0: 3/4 and 1/4; level 1: 1/2, 1/4, 1/4; together 1/2, 1/4, 1/4
    np.testing.assert_allclose(found.perplexity, [4 / 27**0.25, 2**1.5])
    np.testing.assert_allclose(found.entropy, [2 - 0.75 * np.log2(3), 1.5])
    assert (
        found.prefixes.tolist() == [2, 3]
        and found.colliding == 0.5
        and found.most_alike == 2
        and found.collapsed == ()
    )


@pytest.mark.parametrize(
    ("column", "collapsed"),
    (
        (np.zeros(500, int), True),
        (np.arange(500) % 10, True),
        (np.arange(500) % 32, False),
        (np.r_[np.arange(32), np.zeros(5000, int)], True),
    ),
)
def test_a_nearly_constant_level_is_reported_as_collapsed(column, collapsed):
    codes = np.stack([column, np.arange(len(column)) % 32], axis=1)
    assert quantize.stats(codes, num_codes=32).collapsed == ((0,) if collapsed else ())


def test_relative_error_is_0_when_exact_and_1_for_the_mean():
    vectors = normal(0) + 5
    assert quantize.relative_error(vectors, vectors) == 0
    assert quantize.relative_error(
        vectors, np.broadcast_to(vectors.mean(axis=0, dtype=np.float64), vectors.shape)
    ) == pytest.approx(1)


def test_fitting_traces_once_for_all_levels():
    vectors, key = normal(3, 57, 11), jax.random.key(0)
    lloyd.kmeans.clear_cache()
    quantize.rq_kmeans(vectors, key, levels=3, codes=5, iterations=3)
    quantize.rq_kmeans(2 * vectors, key, levels=2, codes=5, iterations=4)
    assert lloyd.kmeans._cache_size() == 1


@pytest.mark.parametrize(
    ("vectors", "options", "message"),
    (
        (np.ones((9, 4)), {}, "rq_kmeans: all 9 vectors are equal"),
        (np.ones((9, 4, 1)), {}, r"expected vectors \[N, D\]"),
        (normal(0, 3), {}, "expected from 1 to 3 codes"),
        (
            np.where(np.arange(20)[:, None] == 7, np.nan, normal(0, 20)),
            {},
            "vector 7 is not finite",
        ),
        (normal(0), {"levels": 0}, "at least 1 level"),
    ),
)
def test_vectors_that_cannot_be_quantised_are_refused(vectors, options, message):
    with pytest.raises(ValueError, match=message):
        quantize.rq_kmeans(vectors, jax.random.key(0), **dict(levels=2, codes=4) | options)


def test_other_errors_name_a_remedy():
    vectors, key = normal(0), jax.random.key(0)
    with pytest.raises(ValueError, match="7 levels have no column each of 6; choose fewer"):
        quantize.product(vectors, key, levels=7, codes=2)
    with pytest.raises(ValueError, match="1 to 20 bits"):
        quantize.lsh(vectors, key, levels=4, bits=40)
    with pytest.raises(ValueError, match=r"got \[40, 6\] and \[2, 4, 5\]"):
        quantize.encode(vectors, np.zeros((2, 4, 5)))
