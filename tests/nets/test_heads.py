"""The prefix-aware head against explicit matrices, the tied head, and its own steps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.nets import heads, network, transformer

B, L, D, V = 3, 3, 8, 8
SHAPE = heads.PrefixShape(
    source_vocab=9,
    target_vocab=V,
    target_length=L,
    width=D,
    heads=2,
    head_width=4,
    encoder_hidden=8,
    decoder_hidden=8,
    encoder_layers=1,
    decoder_layers=2,
    adaptor_layers=2,
    dropout=0.0,
    last_tokens=(2, 5, 7),
)
TOKENS = [(0, 1, 2), (0, 3, 4, 5), (0, 6, 7)]  # of each position, the end first
SOURCE = jnp.array([[1, 2, 0, 0], [3, 4, 5, 6], [8, 0, 0, 0]])
TARGET = jnp.array([[1, 3, 6], [2, 0, 0], [2, 5, 7]])
CLOSE = dict(rtol=1e-5, atol=1e-5)  # float32 sums of eight terms in another order


@pytest.fixture(scope="module")
def drawn():
    """Parameters before training."""
    return jax.jit(SHAPE.net().init)(jax.random.key(0), SOURCE, TARGET)


@pytest.fixture(scope="module")
def tree(drawn):
    """Parameters with random matrices of the adaptor, which start at zero."""
    matrices = jax.random.normal(jax.random.key(1), drawn["params"]["adaptor_out"].shape)
    return {"params": {**drawn["params"], "adaptor_out": matrices}}


@jax.jit
def passed(tree):
    """Logits of TARGET, decoder states h and adaptor states a, of the whole pass."""
    net = SHAPE.net()
    memory = net.apply(tree, net.apply(tree, SOURCE, method="encode"), method="memory")
    states = net.apply(tree, TARGET, memory, SOURCE, method="states")
    return net.apply(tree, SOURCE, TARGET), states, net.apply(tree, TARGET, method="adapt")


@jax.jit
def stepped(tree, t, token, cache):
    net = SHAPE.net()
    memory = net.apply(tree, net.apply(tree, SOURCE, method="encode"), method="memory")
    return net.apply(tree, t, token, cache, memory, SOURCE, method="step")


def tied(tree, states):
    """f32[B, L, V]: D^-1/2 h W, -inf for tokens of other positions."""
    expected = np.full((B, L, V), -np.inf, np.float32)
    table = np.asarray(tree["params"]["target_embedding"]["embedding"])
    for t, tokens in enumerate(TOKENS):
        expected[:, t, list(tokens)] = np.asarray(states)[:, t] @ table[list(tokens)].T / np.sqrt(D)
    return expected


def gap(one, other):
    """Largest difference of logits where tokens are possible."""
    one, other = np.asarray(one), np.asarray(other)
    possible = np.isfinite(one)
    return np.abs(one[possible] - other[possible]).max()


def test_training_starts_with_the_tied_head(drawn, tree):
    logits, states, _ = passed(drawn)
    np.testing.assert_allclose(logits, tied(drawn, states), **CLOSE)
    assert gap(passed(tree)[0], logits) > 0.1  # control: with it, it is not


def test_the_weights_are_the_embeddings_plus_the_prefix_term(tree):
    logits, states, adapted = passed(tree)
    expected = tied(tree, states)
    for row in range(B):
        for t, tokens in enumerate(TOKENS):
            for place, token in enumerate(tokens):
                matrix = np.asarray(tree["params"]["adaptor_out"])[t, place]  # M of this token
                expected[row, t, token] += states[row, t] @ (matrix @ adapted[row, t]) / np.sqrt(D)
    np.testing.assert_allclose(logits, expected, **CLOSE)


def test_the_adaptor_reads_the_tokens_before_and_no_others(tree):
    adapt = jax.jit(lambda target: SHAPE.net().apply(tree, target, method="adapt"))
    for place in range(L):
        changed = TARGET.at[:, place].set(TARGET[:, place] % 7 + 1)
        gap = np.abs(np.asarray(adapt(changed)) - np.asarray(adapt(TARGET))).max(axis=(0, 2))
        assert (gap[: place + 1] == 0).all() and (gap[place + 1 :] > 1e-3).all()


def test_steps_with_both_caches_equal_the_full_pass_and_trace_once(tree):
    expected, cache = passed(tree)[0], SHAPE.empty_cache(B, L)
    before = stepped._cache_size()
    for t in range(L):
        token = TARGET[:, t - 1 : t] if t else jnp.zeros((B, 1), jnp.int32)
        logits, cache = stepped(tree, jnp.asarray(t), token, cache)
        np.testing.assert_allclose(logits[:, 0], expected[:, t], **CLOSE)
    assert stepped._cache_size() == before + 1


def test_each_beam_continues_its_own_prefix(tree):
    """Two hypotheses, exchanged after the first step: each sees its own past in both caches."""
    swapped = jnp.stack([TARGET, jnp.roll(TARGET, 1, axis=0)], axis=1)  # -> [B, 2, L]
    cache = jax.tree.map(lambda leaf: jnp.repeat(leaf, 2, axis=1), SHAPE.empty_cache(B))
    _, cache = stepped(tree, jnp.asarray(0), jnp.zeros((B, 2), jnp.int32), cache)
    _, cache = stepped(tree, jnp.asarray(1), swapped[:, :, 0], cache)
    cache = jax.tree.map(lambda leaf: leaf[:, ::-1], cache)
    logits, _ = stepped(tree, jnp.asarray(2), swapped[:, ::-1, 1], cache)
    np.testing.assert_allclose(logits[:, 1], passed(tree)[0][:, 2], **CLOSE)
    stale = {**cache, "adaptor": jax.tree.map(lambda leaf: leaf[:, ::-1], cache["adaptor"])}
    wrong, _ = stepped(tree, jnp.asarray(2), swapped[:, ::-1, 1], stale)
    assert gap(wrong, logits) > 0.01  # control: the prefix of another beam


def test_a_shape_survives_json():

    assert network.parse(network.dump(SHAPE)) == SHAPE
    assert isinstance(SHAPE.net(), transformer.EncoderDecoder)


def test_a_head_without_positions_is_refused():
    with pytest.raises(ValueError, match="expects last_tokens of 3 positions"):
        dataclasses.replace(SHAPE, last_tokens=(2, 7))
