"""Linear, Embed and Dropout against flax; float32 gradients; masks that any mesh shares."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from zoo.nets import linear
from zoo.train import sharding

NORMAL = nn.initializers.normal(0.3)
DRAWS = 400_000


@pytest.mark.parametrize(
    "features, contracted, shape",
    [(5, 1, (2, 3, 7)), ((2, 4), 1, (2, 3, 6)), (7, 2, (2, 3, 4, 5)), (3, 1, (4,))],
)
def test_a_product_equals_that_of_flax_with_the_same_parameters(features, contracted, shape):
    x = jax.random.normal(jax.random.key(1), shape)
    axes = tuple(range(-contracted, 0))
    theirs = nn.DenseGeneral(features, axis=axes, use_bias=False, kernel_init=NORMAL)
    ours = linear.Linear(features, NORMAL, contracted)
    params, expected = ours.init(jax.random.key(0), x), theirs.init(jax.random.key(0), x)
    jax.tree.map(np.testing.assert_array_equal, params, expected)
    np.testing.assert_allclose(
        ours.apply(params, x), theirs.apply(expected, x), rtol=1e-5, atol=1e-6
    )
    gradient = lambda net: jax.grad(lambda tree, x: (net.apply(tree, x) ** 2).sum(), (0, 1))(
        params, x
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        gradient(ours),
        gradient(theirs),
    )


def test_inner_products_equal_those_of_rows_for_any_leading_axes():
    x, rows = (
        jax.random.normal(jax.random.key(0), (2, 3, 5)),
        jax.random.normal(jax.random.key(1), (7, 5)),
    )
    np.testing.assert_allclose(
        linear.inner(x, rows), np.einsum("bsd,nd->bsn", x, rows), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(linear.inner(x[0, 0], rows), rows @ x[0, 0], rtol=1e-5, atol=1e-6)
    assert linear.inner(x.astype(jnp.bfloat16), rows).dtype == jnp.float32  # summed in it


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rows_equal_those_of_flax_and_gradients_are_summed_in_float32(dtype):
    ids = jnp.asarray([[1] * 3_000 + [2, 0, 1]])  # bfloat16 sums saturate at 256
    ours, theirs = (
        linear.Embed(4, 8, dtype=dtype),
        nn.Embed(4, 8, dtype=dtype, embedding_init=nn.initializers.normal(1.0)),
    )
    params, expected = ours.init(jax.random.key(0), ids), theirs.init(jax.random.key(0), ids)
    jax.tree.map(np.testing.assert_array_equal, params, expected)
    np.testing.assert_array_equal(ours.apply(params, ids), theirs.apply(expected, ids))
    gradient = jax.grad(lambda tree: ours.apply(tree, ids).sum())(params)["params"]["embedding"]
    np.testing.assert_array_equal(gradient[:, 0], [1, 3_001, 1, 0])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_mask_keeps_its_share_at_every_position_independently(share):
    keys = jax.random.split(jax.random.key(3), 4)
    masks = np.stack(
        [np.asarray(linear.keep_mask(key, (DRAWS // 100, 100), share)) for key in keys]
    ).astype(float)
    deviation = (share * (1 - share)) ** 0.5
    assert np.abs(masks.mean(axis=(1, 2)) - share).max() < 5 * deviation / DRAWS**0.5
    # of each column
    assert np.abs(masks.mean(axis=(0, 1)) - share).max() < 5 * deviation / (4 * DRAWS / 100) ** 0.5
    centred = (masks - share).reshape(4, -1) / deviation
    between = centred @ centred.T / DRAWS - np.eye(4) * (centred**2).mean(axis=1)
    assert np.abs(between).max() < 5 / DRAWS**0.5  # layers and steps have different keys
    for lag in (1, 2, 64, 100, 128, 1024):
        assert np.abs((centred[:, lag:] * centred[:, :-lag]).mean()) < 5 / (4 * DRAWS) ** 0.5, lag


def test_keys_have_different_masks_and_shares_0_and_1_are_exact():
    masks = [
        np.asarray(linear.keep_mask(jax.random.key(seed), (64, 64), 0.5)) for seed in range(20)
    ]
    assert len({mask.tobytes() for mask in masks}) == 20
    assert (
        not linear.keep_mask(jax.random.key(0), (1000,), 0.0).any()
        and not linear.keep_mask(jax.random.key(0), (1000,), 1e-11).any()
        and linear.keep_mask(jax.random.key(0), (1000,), 1.0).all()
    )


def test_dropout_keeps_the_mean_and_is_off_outside_training():
    x = jnp.ones((400, 500))
    out = np.asarray(
        linear.Dropout(0.25).apply({}, x, deterministic=False, rngs={"dropout": jax.random.key(0)})
    )
    assert set(np.unique(out)) == {0.0, np.float32(1 / 0.75)}
    assert abs(out.mean() - 1) < 5 * (0.25 / 0.75 / x.size) ** 0.5
    for layer, deterministic in ((linear.Dropout(0.25), True), (linear.Dropout(0.0), False)):
        np.testing.assert_array_equal(layer.apply({}, x, deterministic=deterministic), x)


def test_a_mask_does_not_depend_on_the_mesh():
    draw = lambda: linear.keep_mask(jax.random.key(5), (16, 24, 8), 0.7)
    mesh = sharding.mesh_of("data=4,model=2")
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data", None, "model"))
    np.testing.assert_array_equal(jax.jit(draw, out_shardings=spread)(), jax.jit(draw)())
