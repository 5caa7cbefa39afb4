"""Measures of identifiers against least squares and values worked by hand."""

import numpy as np
import pytest

from zoo.docids import fidelity

RNG = np.random.default_rng(0)


def test_reconstruction_converges_to_least_squares_over_tokens():
    tokens = RNG.integers(0, 4, (40, 3))
    vectors = RNG.normal(size=(40, 5)).astype(np.float32)
    indicators = np.concatenate([(column[:, None] == [1, 2, 3]) for column in tokens.T], axis=1)
    solution = np.linalg.lstsq(indicators.astype(float), vectors.astype(float), rcond=None)[0]
    found = fidelity.reconstruct(tokens, vectors, sweeps=60)
    np.testing.assert_allclose(found, indicators @ solution, atol=1e-4)  # f32, 180 updates
    # negative control: one sweep is not the solution
    assert np.abs(fidelity.reconstruct(tokens, vectors, sweeps=1) - found).max() > 1e-2


def test_identifiers_of_their_own_keep_the_vectors():
    vectors = RNG.normal(size=(6, 3)).astype(np.float32)
    found = fidelity.reconstruct(np.arange(1, 7)[:, None], vectors)
    np.testing.assert_allclose(found, vectors, atol=1e-6)


def test_prefixes_end_where_tokens_part_or_at_the_pad():
    tokens = np.array([[1, 2, 3], [1, 2, 0], [1, 3, 3]])
    others = np.array([[1, 2, 4], [1, 2, 0], [2, 3, 3]])
    assert fidelity.shared_prefix(tokens, others).tolist() == [2, 2, 0]


def test_measures_worked_by_hand():
    tokens = np.array([[1, 1], [1, 2], [2, 1], [2, 1]])
    near, far = np.array([1, 0, 3, 2]), np.array([2, 3, 0, 1])
    assert fidelity.neighbours_first(tokens, near, far) == 1
    assert fidelity.neighbours_first(tokens, far, near) == 0
    assert fidelity.neighbours_first(tokens, near, near) == 0.5
    assert fidelity.colliding(tokens) == 0.5
    # shares (1/2, 1/2) -> 1; (3/4, 1/4) -> exp(H) / 2 = 4 / 3^(3/4) / 2
    assert fidelity.balance(tokens) == pytest.approx((1 + 2 / 3**0.75) / 2)
    assert fidelity.bits(tokens) == 2
