"""A deep stack is trained by one scan over its layers, with the values of the unrolled one."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from zoo.nets import stack, transformer

SHAPE = transformer.Shape(
    source_vocab=13,
    target_vocab=9,
    target_length=5,
    width=16,
    heads=2,
    head_width=4,
    encoder_hidden=12,
    decoder_hidden=20,
    encoder_layers=3,
    decoder_layers=2,
    dropout=0.0,
)
SOURCE = jnp.asarray([[3, 1, 4, 1], [5, 9, 2, 0], [6, 0, 0, 0]])
TARGET = jnp.asarray([[1, 2, 3, 4, 5], [2, 7, 1, 8, 2], [8, 0, 0, 0, 0]])


def test_a_scan_over_layers_equals_them_one_by_one(monkeypatch):
    net = transformer.EncoderDecoder(SHAPE)
    params = net.init(jax.random.key(0), SOURCE, TARGET)

    def loss(params):
        return jnp.square(net.apply(params, SOURCE, TARGET, train=True)).mean()

    unrolled = jax.value_and_grad(loss)(params)
    monkeypatch.setattr(stack, "SCANNED", 2)
    assert "scan" in str(jax.make_jaxpr(loss)(params))
    scanned = jax.value_and_grad(loss)(params)
    # float32 sums in another order
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    jax.tree.map(close, unrolled, scanned)


def test_a_scan_draws_the_masks_of_its_key(monkeypatch):
    monkeypatch.setattr(stack, "SCANNED", 2)
    net = transformer.EncoderDecoder(dataclasses.replace(SHAPE, dropout=0.5))
    params = net.init(jax.random.key(0), SOURCE, TARGET)
    encoded = lambda key: np.asarray(
        net.apply(
            params, SOURCE, train=True, rngs={"dropout": jax.random.key(key)}, method="encode"
        )
    )
    np.testing.assert_array_equal(encoded(0), encoded(0))
    assert (encoded(0) != encoded(1)).any()
