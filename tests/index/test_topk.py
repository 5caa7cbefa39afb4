"""Two-stage selection against `lax.top_k` and against sorting."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from zoo.index import topk

top_k = jax.jit(topk.top_k, static_argnames="k")


@pytest.mark.parametrize(
    ("length", "k"), [(999, 3), (1000, 1), (4096, 7), (50, 50), (257, 2), (100, 30)]
)
@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.sampled_from([1, 2, 20, 10**6]),
    dead=st.sampled_from([0.0, 0.5, 0.999, 1.0]),
)
@settings(max_examples=40)
def test_values_and_positions_equal_a_stable_sort(length, k, seed, levels, dead):
    rng = np.random.default_rng(seed)
    # few levels: ties within and across chunks
    score = rng.integers(-levels, levels, (3, length)).astype(np.float32)
    score = np.where(rng.random(score.shape) < dead, -np.inf, score)
    value, place = top_k(score, k)
    expected = np.argsort(-score, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(place, expected)
    np.testing.assert_array_equal(value, np.take_along_axis(score, expected, axis=1))


def test_the_cases_above_cover_both_algorithms():
    assert [
        topk.chunk_of(length, k) for length, k in [(999, 3), (4096, 7), (50, 50), (100, 30)]
    ] == [16, 32, 1, 1]


def test_chunks_merged_out_of_order_break_ties_wrongly(monkeypatch):
    score = np.zeros((1, 4096), np.float32)
    score[0, 2000:] = 1.0  # chunks are taken in order of their maxima: these, then none
    score[0, 0] = 1.0
    score[0, 4000] = 2.0  # the chunk of 4000 is taken first
    expected = np.argsort(-score, axis=1, kind="stable")[:, :7]
    assert (jax.jit(functools.partial(topk.top_k, k=7))(score)[1] == expected).all()
    monkeypatch.setattr(topk.jnp, "sort", lambda chunks, axis: chunks)
    assert not (jax.jit(functools.partial(topk.top_k, k=7))(score)[1] == expected).all()


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=2))
def test_integer_keys_have_the_order_of_their_floats(pair):
    a, b = (np.float32(x) + np.float32(0) for x in pair)  # no negative zero
    first, second = topk.ordered(jnp.array([a, b]))
    assert (first < second) == (a < b) and (first == second) == (a == b)
    assert (topk.unordered(jnp.array([first, second])) == jnp.array([a, b])).all()
    assert topk.ordered(jnp.float32(np.nan)) > topk.ordered(jnp.float32(np.inf))
