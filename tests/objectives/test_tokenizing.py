"""Losses of a tokenizer against values worked by hand and sums written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.objectives import tokenizing

ROWS, POSITIONS, WIDTH = 6, 2, 4
random = np.random.default_rng(0)
CHOSEN, STATES = (random.normal(size=(ROWS, POSITIONS, WIDTH)).astype(np.float32) for _ in range(2))
CODES = np.array([[0], [0], [0], [1], [2], [0]])
REAL = np.array([True] * 5 + [False])


def test_a_straight_through_code_is_the_code_and_passes_its_gradient_to_the_state():
    value, gradients = jax.value_and_grad(
        lambda d, c: (tokenizing.straight_through(d, c) * jnp.arange(3.0)).sum(), argnums=(0, 1)
    )(jnp.array([5.0, 6.0, 7.0]), jnp.array([1.0, 2.0, 3.0]))
    assert value == 8
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, [0, 1, 2])


def test_real_rows_that_share_a_prefix_are_together():
    found = np.asarray(
        tokenizing.same_prefix(
            jnp.array([[0, 1], [0, 1], [0, 2], [1, 1], [0, 1]]), jnp.array([True] * 4 + [False])
        )
    )
    real = np.outer([1, 1, 1, 1, 0], [1, 1, 1, 1, 0]).astype(bool)
    np.testing.assert_array_equal(found[0], real)
    np.testing.assert_array_equal(np.flatnonzero(found[1][0]), [0, 1, 2])
    np.testing.assert_array_equal(np.flatnonzero(found[2][0]), [0, 1])
    np.testing.assert_array_equal(np.flatnonzero(found[2][2]), [2])
    assert not found[:, 4].any() and not found[:, :, 4].any()


def test_reconstruction_is_the_sum_written_out_and_ignores_other_prefixes():
    prefixes = tokenizing.same_prefix(jnp.asarray(CODES), jnp.asarray(REAL))
    found = np.asarray(
        tokenizing.reconstruction(jnp.asarray(CHOSEN), jnp.asarray(STATES), prefixes)
    )
    for row in range(5):
        expected = 0.0
        for position in range(POSITIONS):
            others = [j for j in range(5) if position == 0 or CODES[j] == CODES[row]]
            scores = {
                j: CHOSEN[row, position] @ STATES[j, position] / np.sqrt(WIDTH) for j in others
            }
            expected += np.log(sum(np.exp(score) for score in scores.values())) - scores[row]
        assert found[row] == pytest.approx(expected, abs=1e-5)
    changed = STATES.copy()
    changed[[3, 4, 5], 1] += 9  # other prefixes at the second position, and a row that is not real
    again = np.asarray(
        tokenizing.reconstruction(jnp.asarray(CHOSEN), jnp.asarray(changed), prefixes)
    )
    np.testing.assert_array_equal(again[:3], found[:3])
    changed[1, 1] += 9  # a sibling: the control
    assert (
        np.asarray(tokenizing.reconstruction(jnp.asarray(CHOSEN), jnp.asarray(changed), prefixes))[
            :3
        ]
        != found[:3]
    ).any()


def test_reconstruction_moves_codes_and_states_but_not_its_targets():
    prefixes = tokenizing.same_prefix(jnp.asarray(CODES), jnp.asarray(REAL))

    def loss(states, codes):
        return tokenizing.reconstruction(
            tokenizing.straight_through(states, codes), states, prefixes
        ).sum()

    moved, codes = jax.grad(loss, argnums=(0, 1))(jnp.asarray(STATES), jnp.asarray(CHOSEN))
    np.testing.assert_allclose(moved, codes, atol=1e-6)  # the path through the choice alone
    # alone under their prefix: no contrast
    assert np.abs(codes[:3]).min() > 0 and (np.asarray(codes)[[3, 4], 1] == 0).all()


def test_a_row_alone_has_zero_loss_and_averages_leave_out_uncounted_rows():
    alone = tokenizing.contrast(jnp.ones((3, 2)), jnp.ones((3, 2)), jnp.zeros((3, 3), bool))
    np.testing.assert_array_equal(alone, 0)
    assert tokenizing.masked_mean(jnp.array([1.0, 2.0, 9.0]), jnp.array([True, True, False])) == 1.5
    assert tokenizing.masked_mean(jnp.array([1.0]), jnp.array([False])) == 0
