"""The bottleneck against a loop over rows, and the gradients of each level."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from zoo.nets import bottleneck
from zoo.objectives import codes

LEVELS, CODES, WIDTH, BATCH = 3, 4, 5, 6
SHAPE = bottleneck.Shape(width=7, hidden=(8,), code_width=WIDTH, levels=LEVELS, codes=CODES)
seeds = st.integers(0, 2**31 - 1)


def drawn(seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(BATCH, WIDTH)).astype(np.float32), random.normal(
        size=(LEVELS, CODES, WIDTH)
    ).astype(np.float32)


def run(z, codebooks, residual_grad="pass", estimator="straight_through"):
    return bottleneck.quantize(
        jnp.asarray(z), jnp.asarray(codebooks), residual_grad=residual_grad, estimator=estimator
    )


def by_hand(z, codebooks):
    rows = []
    for residual in z:
        row = []
        for codebook in codebooks:
            row.append(int(((residual[None] - codebook) ** 2).sum(axis=1).argmin()))
            residual = residual - codebook[row[-1]]
        rows.append(row)
    return np.array(rows)


def level_losses(z, codebooks, residual_grad):
    """Codebook and commitment losses of each level, f32[L] both."""
    found = run(z, codebooks, residual_grad)
    stop = jax.lax.stop_gradient
    return ((stop(found.inputs) - found.chosen) ** 2).sum((0, 2)), (
        (found.inputs - stop(found.chosen)) ** 2
    ).sum((0, 2))


@pytest.mark.parametrize("residual_grad", bottleneck.RESIDUAL_GRADS)
@pytest.mark.parametrize("estimator", bottleneck.ESTIMATORS)
@given(seed=seeds)
@settings(max_examples=10)
def test_codes_and_values_equal_a_loop_for_every_gradient_estimator(seed, residual_grad, estimator):
    z, codebooks = drawn(seed)
    found, expected = run(z, codebooks, residual_grad, estimator), by_hand(z, codebooks)
    np.testing.assert_array_equal(found.codes, expected)
    chosen = np.stack([codebooks[level][expected[:, level]] for level in range(LEVELS)], axis=1)
    # z is added and taken off again
    np.testing.assert_allclose(found.output, chosen.sum(axis=1), atol=1e-5)
    np.testing.assert_allclose(
        found.inputs - found.chosen, z[:, None] - chosen.cumsum(axis=1), atol=1e-5
    )


@pytest.mark.parametrize(
    ("residual_grad", "heard"),
    (("stop", [True, False, False]), ("pass", [True] * 3), ("cumulative", [True] * 3)),
)
def test_the_encoder_gets_the_commitment_of_these_levels(residual_grad, heard):
    z, codebooks = drawn()
    # -> [L, B, d]
    gradient = np.asarray(jax.jacobian(lambda z: level_losses(z, codebooks, residual_grad)[1])(z))
    residual = np.asarray(
        z[:, None]
        - np.cumsum(
            [codebooks[n][by_hand(z, codebooks)[:, n]] for n in range(LEVELS)], axis=0
        ).swapaxes(0, 1)
    )
    for level in range(LEVELS):
        np.testing.assert_allclose(
            gradient[level], 2 * residual[:, level] if heard[level] else 0 * z, atol=1e-5
        )


@pytest.mark.parametrize("residual_grad", bottleneck.RESIDUAL_GRADS)
def test_the_codebook_term_trains_codes_alone_and_commitment_the_encoder_alone(residual_grad):
    z, codebooks = drawn()
    of_codebook = jax.jacobian(lambda z: level_losses(z, codebooks, residual_grad)[0])(z)
    of_commitment = jax.jacobian(lambda codebooks: level_losses(z, codebooks, residual_grad)[1])(
        codebooks
    )
    assert (of_codebook == 0).all() and (of_commitment == 0).all()


@pytest.mark.parametrize("residual_grad", bottleneck.RESIDUAL_GRADS)
def test_the_codebook_term_of_a_level_reaches_these_codebooks(residual_grad):
    z, codebooks = drawn()
    # -> [L, L, C, d]
    gradient = jax.jacobian(lambda codebooks: level_losses(z, codebooks, residual_grad)[0])(
        codebooks
    )
    reached = np.asarray(jnp.abs(gradient).sum((2, 3)) > 0)
    expected = (
        np.tril(np.ones((LEVELS, LEVELS), bool))
        if residual_grad == "cumulative"
        else np.eye(LEVELS, dtype=bool)
    )
    np.testing.assert_array_equal(reached, expected)
    unused = np.setdiff1d(np.arange(CODES), by_hand(z, codebooks)[:, 1])
    assert len(unused) and (gradient[:, 1, unused] == 0).all()


def test_straight_through_gives_the_encoder_the_gradient_of_the_output():
    z, codebooks = drawn()
    weight = np.random.default_rng(1).normal(size=(BATCH, WIDTH)).astype(np.float32)
    for residual_grad in bottleneck.RESIDUAL_GRADS:
        to_z, to_codes = jax.grad(
            lambda z, codebooks: (run(z, codebooks, residual_grad).output * weight).sum(),
            argnums=(0, 1),
        )(z, codebooks)
        np.testing.assert_array_equal(to_z, weight)
        assert (to_codes == 0).all()


@given(seed=seeds)
@settings(max_examples=20)
def test_rotation_scales_the_gradient_and_keeps_its_angle(seed):
    z, codebooks = drawn(seed)
    weight = np.random.default_rng(seed + 1).normal(size=(BATCH, WIDTH)).astype(np.float32)
    gradient = np.asarray(
        jax.grad(lambda z: (run(z, codebooks, estimator="rotation").output * weight).sum())(z),
        np.float64,
    )
    output = np.asarray(run(z, codebooks).output, np.float64)
    norm = lambda x: np.linalg.norm(x, axis=-1)
    scale = norm(output) / norm(z)
    np.testing.assert_allclose(norm(gradient), scale * norm(weight), rtol=1e-3)
    cosine = lambda a, b: (a * b).sum(axis=-1) / norm(a) / norm(b)
    # f32; a rotation keeps angles
    np.testing.assert_allclose(cosine(gradient, z), cosine(weight, output), atol=1e-3)


def test_a_linear_auto_encoder_starts_from_its_linear_paths_alone():
    net = bottleneck.RqVae(SHAPE)
    vectors = np.random.default_rng(0).normal(size=(BATCH, 7)).astype(np.float32)
    params = jax.jit(net.init)(jax.random.key(0), vectors)
    kernel = lambda name: params["params"][name]["kernel"]
    z = net.apply(params, vectors, method="encode")
    np.testing.assert_allclose(z, vectors @ kernel("inward"), atol=1e-6)
    np.testing.assert_allclose(
        net.apply(params, z, method="decode"), z @ kernel("outward"), atol=1e-6
    )


@pytest.mark.parametrize("linear", [True, False])
def test_every_parameter_of_the_net_gets_a_gradient_once_it_has_moved(linear):
    shape = bottleneck.Shape(
        width=7, hidden=(8,), code_width=WIDTH, levels=1, codes=1, linear=linear
    )
    net = bottleneck.RqVae(shape)
    vectors = np.random.default_rng(0).normal(size=(BATCH, 7)).astype(np.float32)
    params = jax.tree.map(lambda leaf: leaf + 0.1, jax.jit(net.init)(jax.random.key(0), vectors))

    def loss(params):
        decoded, found = net.apply(params, vectors)
        return codes.rq_vae(
            vectors, decoded, found.inputs, found.chosen, commitment=0.25, reduction="sum"
        )[0]

    gradient = jax.jit(jax.grad(loss))(params)
    assert all(bool((leaf != 0).any()) for leaf in jax.tree.leaves(gradient))
    assert ("inward" in params["params"]) == linear


@pytest.mark.parametrize("option", ["residual_grad", "estimator"])
def test_an_option_that_does_not_exist_is_refused(option):
    net = bottleneck.RqVae(bottleneck.Shape(width=7, **{option: "other"}))
    with pytest.raises(ValueError, match=f"expected {option} to be one of .*, got 'other'"):
        net.init(jax.random.key(0), np.zeros((1, 7), np.float32))
