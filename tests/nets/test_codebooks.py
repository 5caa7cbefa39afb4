"""Codebooks are columns of the head, and positions keep to their own."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from zoo.nets import codebooks, transformer
from zoo.train import optimizers

LEVELS, NUM_CODES = 3, 4
SHAPE = transformer.Shape(
    source_vocab=9,
    target_vocab=1 + LEVELS * NUM_CODES,
    target_length=LEVELS,
    width=8,
    heads=2,
    head_width=4,
    encoder_hidden=8,
    decoder_hidden=8,
    encoder_layers=0,
    decoder_layers=1,
    dropout=0.0,
    last_tokens=(4, 8, 12),
)
SOURCE, CODES = jnp.array([[3, 4, 0], [5, 6, 7]]), np.array([[3, 0, 2], [1, 1, 3]], np.int32)


@pytest.fixture(scope="module")
def params():
    return jax.jit(SHAPE.net().init)(jax.random.key(0), SOURCE, jnp.zeros((2, LEVELS), jnp.int32))


def test_logits_of_a_position_are_products_of_its_state_and_codebook(params):
    net, target = SHAPE.net(), codebooks.tokens(CODES, NUM_CODES)
    np.testing.assert_array_equal(target, [[4, 5, 11], [2, 6, 12]])

    @jax.jit
    def both(params):
        memory = net.apply(params, net.apply(params, SOURCE, method="encode"), method="memory")
        return net.apply(params, SOURCE, target), net.apply(
            params, target, memory, SOURCE, method="states"
        )

    logits, states = both(params)
    for t in range(LEVELS):
        own = slice(1 + t * NUM_CODES, 1 + (t + 1) * NUM_CODES)
        np.testing.assert_allclose(
            logits[:, t, own], states[:, t] @ codebooks.codebook(params, t, NUM_CODES).T, atol=1e-5
        )
        others = np.delete(np.asarray(logits[:, t]), np.r_[0, own], axis=1)
        assert np.isneginf(others).all()


def test_placing_a_codebook_changes_no_other(params):
    book = np.random.default_rng(0).normal(size=(NUM_CODES, 8)).astype(np.float32)
    placed = codebooks.place(params, 1, jnp.asarray(book))
    np.testing.assert_array_equal(codebooks.codebook(placed, 1, NUM_CODES), book)
    for t in (0, 2):
        np.testing.assert_array_equal(
            codebooks.codebook(placed, t, NUM_CODES), codebooks.codebook(params, t, NUM_CODES)
        )


def test_held_codebooks_stay_bit_for_bit_and_the_rest_moves(params):
    rate = optimizers.schedule(0.1, warmup=1, decay="constant")
    optimizer = optimizers.freeze(
        optimizers.adamw(rate, weight_decay=0.1, clip=1.0), codebooks.hold(params, 2, NUM_CODES)
    )

    @jax.jit
    def step(params):
        gradient = jax.tree.map(jnp.ones_like, params)
        updates, _ = optimizer.update(
            gradient,
            optimizer.init(params),
            params,
            step=jnp.zeros((), int),
            fraction=jnp.zeros(()),
        )
        return optax.apply_updates(params, updates)

    after = step(params)
    for t in range(LEVELS):
        same = codebooks.codebook(after, t, NUM_CODES) == codebooks.codebook(params, t, NUM_CODES)
        assert same.all() if t < 2 else not same.any()
    others = [(a != b).any() for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(params))]
    assert all(others)  # the head too: position 2 and the pad


def test_a_wider_alphabet_starts_with_copies_of_the_last_token(params):
    wide = codebooks.widen(params, 16)["params"]
    kernel, table = wide["head"]["kernel"], wide["target_embedding"]["embedding"]
    assert kernel.shape == (8, 16) and table.shape == (16, 8)
    for column in (12, 13, 15):
        np.testing.assert_array_equal(kernel[:, column], params["params"]["head"]["kernel"][:, 12])
        np.testing.assert_array_equal(
            table[column], params["params"]["target_embedding"]["embedding"][12]
        )
    for one, other in zip(jax.tree.leaves(codebooks.widen(params, 3)), jax.tree.leaves(params)):
        np.testing.assert_array_equal(one, other)
