"""Losses of a quantising auto-encoder against sums and gradients worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.objectives import codes

BATCH, LEVELS, WIDTH, CODE = 3, 2, 5, 4
random = np.random.default_rng(0)
VECTORS, DECODED = (random.normal(size=(BATCH, WIDTH)).astype(np.float32) for _ in range(2))
INPUTS, CHOSEN = (random.normal(size=(BATCH, LEVELS, CODE)).astype(np.float32) for _ in range(2))
BETA = 0.25


def value(vectors=VECTORS, decoded=DECODED, inputs=INPUTS, chosen=CHOSEN, *, reduction="sum"):
    return codes.rq_vae(
        *map(jnp.asarray, (vectors, decoded, inputs, chosen)), commitment=BETA, reduction=reduction
    )[0]


def test_sums_are_sums_over_features_and_levels_and_the_mean_over_the_batch():
    expected = 0.0
    for row in range(BATCH):
        expected += sum((VECTORS[row] - DECODED[row]) ** 2) / BATCH
        for level in range(LEVELS):
            expected += (1 + BETA) * sum((INPUTS[row, level] - CHOSEN[row, level]) ** 2) / BATCH
    assert float(value()) == pytest.approx(expected, rel=1e-5)  # f32 sums of 40 numbers


def test_means_are_means_of_every_axis():
    expected = ((VECTORS - DECODED) ** 2).mean() + (1 + BETA) * ((INPUTS - CHOSEN) ** 2).mean()
    assert float(value(reduction="mean")) == pytest.approx(expected, rel=1e-5)


def test_the_terms_sum_to_the_loss():
    loss, terms = codes.rq_vae(VECTORS, DECODED, INPUTS, CHOSEN, commitment=BETA, reduction="sum")
    assert float(loss) == pytest.approx(
        float(terms["reconstruction"] + terms["codebook"] + BETA * terms["commitment"])
    )
    # the same number, other gradients
    assert float(terms["codebook"]) == pytest.approx(float(terms["commitment"]))
    np.testing.assert_allclose(
        codes.reconstruction(VECTORS, DECODED, reduction="mean"),
        ((VECTORS - DECODED) ** 2).mean(axis=1),
        rtol=1e-5,
    )


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_codebook_term_moves_codes_alone_and_commitment_inputs_alone(reduction):
    gradient = jax.grad(
        lambda inputs, chosen: value(inputs=inputs, chosen=chosen, reduction=reduction),
        argnums=(0, 1),
    )(INPUTS, CHOSEN)
    each = BATCH * (1 if reduction == "sum" else LEVELS * CODE)
    np.testing.assert_allclose(gradient[0], BETA * 2 * (INPUTS - CHOSEN) / each, rtol=1e-5)
    np.testing.assert_allclose(gradient[1], 2 * (CHOSEN - INPUTS) / each, rtol=1e-5)


def test_the_gradient_equals_finite_differences_where_nothing_is_stopped():
    step = 1e-2
    gradient = jax.grad(lambda decoded: value(decoded=decoded))(DECODED)
    for place in ((0, 0), (2, 3)):
        up, down = DECODED.copy(), DECODED.copy()
        up[place] += step
        down[place] -= step
        # exact for a square up to f32 rounding of a loss near 50, 4e-6 / step
        assert float(gradient[place]) == pytest.approx(
            (float(value(decoded=up)) - float(value(decoded=down))) / (2 * step), abs=2e-3
        )


def test_another_reduction_is_refused():
    with pytest.raises(ValueError, match="expected reduction sum or mean, got 'max'"):
        value(reduction="max")
