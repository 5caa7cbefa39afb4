"""Scores of keys with gradients against the float64 definition, and the margins by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.objectives import keys
from zoo.ranking import keys as exact


def test_scores_and_gradients_are_those_of_the_definition():
    log_prob = np.array([-1.0, -0.5, -5.0, -2.0, -0.01, -3.0])
    count, size = np.array([10, 1, 10, 100, 3, 0]), 1000
    found = keys.key_score(jnp.float32(log_prob), jnp.asarray(count), size)
    np.testing.assert_allclose(found, exact.key_score(log_prob, count, size), rtol=1e-4)
    slope = jax.grad(lambda lp: keys.key_score(lp, jnp.asarray(count), size).sum())
    step = 1e-6  # of central differences in float64
    up, down = (exact.key_score(log_prob + s, count, size) for s in (step, -step))
    expected = (up - down) / (2 * step)
    np.testing.assert_allclose(slope(jnp.float32(log_prob)), expected, rtol=1e-3, atol=1e-6)
    assert np.isfinite(slope(jnp.zeros(6))).all()


def test_the_margins_of_the_worked_example():
    one, other = (jnp.float32([s]) for s in (100, 50))
    assert keys.two_margins((one, other), (one, other), margin=300, more=100) == pytest.approx(300)
    far, near = (jnp.float32([s]) for s in (500, 100))
    assert keys.two_margins((far, near), (far, near), margin=300, more=100) == 0
