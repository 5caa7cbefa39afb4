"""bfloat16 training computes in bfloat16 and updates in float32, so small updates count."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

from zoo.models import encoder_decoder
from zoo.nets import network, transformer
from zoo.train import optimizers, step

SHAPE = transformer.Shape(
    source_vocab=20,
    target_vocab=9,
    target_length=3,
    width=16,
    heads=2,
    head_width=8,
    encoder_hidden=32,
    decoder_hidden=32,
    encoder_layers=1,
    decoder_layers=1,
    dropout=0.0,
    dtype="bfloat16",
)
BATCH = {
    "source": np.arange(1, 13, dtype=np.int32).reshape(4, 3),
    "target": np.arange(12, dtype=np.int32).reshape(4, 3) % 8 + 1,
}


def started():
    blank = jnp.zeros((1, 1), jnp.int32), jnp.zeros((1, 3), jnp.int32)
    return jax.jit(SHAPE.net().init)(jax.random.key(0), *blank)


def trained(shape, rate, steps):
    loss = encoder_decoder.likelihood(network.build(shape), smoothing=0.0, word_dropout=0.0)
    optimizer = optimizers.adamw(
        optimizers.schedule(rate, warmup=0, decay="constant"), weight_decay=0.0, clip=1.0
    )
    progress = step.begin(started(), optimizer)
    advance = step.step_function(loss, optimizer, jax.random.key(1))
    losses = []
    for _ in range(steps):
        progress, metrics = advance(progress, BATCH, np.float32(0.5))
        losses.append(float(metrics["loss"]))
    return progress, losses


def test_parameters_and_the_optimiser_stay_in_float32_while_products_are_in_bfloat16():
    progress, losses = trained(SHAPE, 1e-2, 30)
    floats = [
        leaf.dtype
        for leaf in jax.tree.leaves((progress.params, progress.optimizer))
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    assert set(floats) == {jnp.dtype("float32")}
    _, exact = trained(dataclasses.replace(SHAPE, dtype="float32"), 1e-2, 30)
    assert losses[-1] < losses[0] / 4
    np.testing.assert_allclose(losses, exact, rtol=0.1, atol=0.1)
    assert losses != exact  # control: it does compute in another precision
    text = (
        jax.jit(
            lambda params: encoder_decoder.likelihood(
                network.build(SHAPE), smoothing=0.0, word_dropout=0.0
            )(params, BATCH, jax.random.key(0))[0]
        )
        .lower(started())
        .as_text()
    )
    assert "bf16" in text and "stablehlo.dot_general" in text


def test_updates_that_bfloat16_would_round_away_add_up():
    """Steps of 1e-6 on weights near 1 are far below bfloat16's spacing there, 2^-8."""
    before, (progress, _) = started(), trained(SHAPE, 1e-6, 50)
    scale = lambda params: np.asarray(params["params"]["encoder_norm"]["scale"])
    moved = np.abs(scale(progress.params) - scale(before))
    assert 1e-5 < moved.max() < 1e-4
    rounded = optax.apply_updates(jnp.ones(16, jnp.bfloat16), jnp.full(16, 1e-6, jnp.bfloat16))
    assert (rounded == 1).all()  # control: bfloat16 weights lose the updates
