"""Identifier objectives against loops over tokens and against the product of probabilities."""

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from zoo.objectives import sequence

B, L, V = 4, 5, 6
compiled = jax.jit(sequence.cross_entropy, static_argnames="smoothing")


def random_case(seed):
    """Logits f32[B, L, V], and identifiers i32[B, L] of lengths 1, 3, L - 1 and L."""
    random = np.random.default_rng(seed)
    target = random.integers(1, V, (B, L)).astype(np.int32)
    for row, length in enumerate((1, 3, L - 1, L)):
        target[row, length:] = 0
    return random.normal(size=(B, L, V)).astype(np.float32) * 3, target


def probabilities(logits):
    """f64 softmax over the last axis."""
    weights = np.exp(logits.astype(np.float64))
    return weights / weights.sum(-1, keepdims=True)


def by_loops(logits, target, smoothing):
    """f64[B] cross-entropy against (1 - e) one-hot + e uniform, up to and with the first pad."""
    losses = np.zeros(len(target))
    for row, tokens in enumerate(target):
        for place, token in enumerate(tokens):
            wanted = np.full(V, smoothing / V)
            wanted[token] += 1 - smoothing
            losses[row] -= wanted @ np.log(probabilities(logits[row, place]))
            if token == 0:
                break
    return losses


def test_cross_entropy_is_the_value_worked_by_hand():
    # p = (1/4, 3/4) at each place: the token 1 costs ln(4/3), the pad that ends it ln 4, the second
    # pad nothing
    logits = jnp.log(jnp.tile(jnp.array([0.25, 0.75]), (1, 3, 1)))
    target = jnp.array([[1, 0, 0]])
    np.testing.assert_allclose(
        sequence.cross_entropy(logits, target), [np.log(4 / 3) + np.log(4)], rtol=1e-6
    )


def test_smoothing_by_hand_over_one_token():
    # p = (1/2, 1/4, 1/4), token 2, e = 0.3: targets (0.1, 0.1, 0.8), bits (1, 2, 2) -> 0.1 + 0.2 +
    # 1.6 = 1.9 bits
    logits = jnp.log(jnp.array([[[0.5, 0.25, 0.25]]]))
    got = sequence.cross_entropy(logits, jnp.array([[2]]), smoothing=0.3)
    np.testing.assert_allclose(got, [1.9 * np.log(2)], rtol=1e-6)


def test_cross_entropy_is_minus_the_log_of_the_product():
    logits, target = random_case(0)
    product = np.ones(B)
    for row, length in enumerate((1, 3, L - 1, L)):
        for place in range(min(length + 1, L)):
            product[row] *= probabilities(logits[row, place])[target[row, place]]
    # float32 sums of five terms
    np.testing.assert_allclose(compiled(logits, target), -np.log(product), rtol=1e-5)


def test_probabilities_of_all_identifiers_sum_to_one():
    # every identifier over 2 tokens of length 0 to 2: (), (1), (2), (1,1), (1,2), (2,1), (2,2)
    target = jnp.array([[0, 0], [1, 0], [2, 0], [1, 1], [1, 2], [2, 1], [2, 2]])
    random = np.random.default_rng(1)
    first, second = random.normal(size=(1, 3)), random.normal(size=(3, 3))
    logits = jnp.stack(
        [jnp.asarray(np.concatenate([first, second[int(row[0])][None]])) for row in target]
    )
    total = jnp.exp(-sequence.cross_entropy(logits, target)).sum()
    np.testing.assert_allclose(total, 1, rtol=1e-6)
    # negative control: without the pad that ends the short ones too much is counted
    full = jnp.take_along_axis(jax.nn.log_softmax(logits), target[..., None], axis=-1)[..., 0]
    assert jnp.exp(jnp.sum(full * (target != 0), axis=-1)).sum() > 1.5


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_equals_loops_over_tokens(smoothing):
    for seed in range(3):
        logits, target = random_case(seed)
        expected = by_loops(logits, target, smoothing)
        np.testing.assert_allclose(
            compiled(logits, target, smoothing=smoothing), expected, rtol=1e-5
        )


@hypothesis.settings(max_examples=50)
@hypothesis.given(
    lengths=st.lists(st.integers(0, L), min_size=B, max_size=B),
    seed=st.integers(0, 2**31),
    smoothing=st.sampled_from([0.0, 0.3]),
)
def test_tokens_after_the_first_pad_do_not_count(lengths, seed, smoothing):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(B, L, V)).astype(np.float32)
    target = random.integers(1, V, (B, L)).astype(np.int32)
    after = np.arange(L) > np.array(lengths)[:, None]
    target[np.arange(L) >= np.array(lengths)[:, None]] = 0
    other_logits = np.where(after[..., None], random.normal(size=(B, L, V)), logits).astype(
        np.float32
    )
    other_target = np.where(after, random.integers(0, V, (B, L)), target).astype(np.int32)
    one, other = (
        compiled(logits, target, smoothing=smoothing),
        compiled(other_logits, other_target, smoothing=smoothing),
    )
    np.testing.assert_array_equal(one, other)
    slopes = np.asarray(slope(logits, target))
    # the pad itself is learned
    assert not slopes[after].any() and slopes[~after].any(axis=-1).all()


slope = jax.jit(jax.grad(lambda logits, target: sequence.cross_entropy(logits, target).sum()))


def test_counted_marks_the_tokens_and_the_pad_that_ends_them():
    target = jnp.array([[3, 1, 2], [3, 1, 0], [3, 0, 0], [0, 0, 0], [0, 2, 2]])
    expected = [[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 0, 0]]
    got = sequence.count_mask(target)
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == jnp.float32


def test_large_logits_stay_finite():
    logits = jnp.array([[[1e4, -1e4, 0.0]]])
    value, gradient = jax.value_and_grad(
        lambda x: sequence.cross_entropy(x, jnp.array([[1]])).sum()
    )(logits)
    np.testing.assert_allclose(value, 2e4, rtol=1e-6)
    np.testing.assert_allclose(gradient, [[[1, -1, 0]]], atol=1e-6)  # softmax minus one-hot


def test_disagreement_is_the_value_worked_by_hand():
    # p = (1/2, 1/2), q = (1/4, 3/4): 1/2 [(1/2 - 1/4) ln 2 + (1/2 - 3/4) ln(2/3)] = 1/8 ln 3 at
    # each of two counted places
    one, other = (
        jnp.log(jnp.tile(jnp.array(row), (1, 3, 1))) for row in ([0.5, 0.5], [0.25, 0.75])
    )
    got = sequence.disagreement(one, other, jnp.array([[1, 0, 0]]))
    np.testing.assert_allclose(got, [2 * np.log(3) / 8], rtol=1e-6)


def test_disagreement_is_symmetric_zero_for_equals_and_ignores_masked_tokens():
    (one, target), (other, _) = random_case(0), random_case(1)
    disagree = jax.jit(sequence.disagreement)
    np.testing.assert_allclose(
        disagree(one, other, target), disagree(other, one, target), rtol=1e-6
    )
    np.testing.assert_array_equal(disagree(one, one, target), np.zeros(B))
    masked = [
        np.concatenate([x, np.full((B, L, 2), -np.inf, np.float32)], axis=-1) for x in (one, other)
    ]
    np.testing.assert_allclose(disagree(*masked, target), disagree(one, other, target), rtol=1e-6)
    slope = jax.grad(lambda x: sequence.disagreement(x, masked[1], target).sum())(masked[0])
    assert np.isfinite(slope).all() and np.abs(slope).max() > 0.01


def test_z_loss_adds_the_squared_logarithm_of_the_normaliser_of_each_counted_token():
    logits, target = random_case(3)
    more = sequence.cross_entropy(logits, target, z_loss=0.5) - sequence.cross_entropy(
        logits, target
    )
    normalisers = np.log(np.exp(np.float64(logits)).sum(axis=-1))
    np.testing.assert_allclose(
        more,
        0.5 * (normalisers**2 * np.asarray(sequence.count_mask(target))).sum(axis=-1),
        rtol=1e-4,
    )
