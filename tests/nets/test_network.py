"""Networks survive a JSON round trip, and their functions agree with one another."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.nets import bottleneck, causal, dual, heads, network, recurrent, transformer
from zoo.records import DataError

SIZES = dict(
    source_vocab=12,
    target_vocab=10,
    target_length=3,
    width=16,
    heads=2,
    head_width=8,
    encoder_hidden=16,
    decoder_hidden=16,
    encoder_layers=1,
    decoder_layers=1,
    dropout=0.0,
    last_tokens=(3, 6, 9),
)
GENERATORS = {"t5": transformer.Shape(**SIZES), "nci": heads.PrefixShape(**SIZES)}
SPECS = GENERATORS | {
    "causal": causal.Shape(num_items=9, width=16, hidden=16),
    "gru": recurrent.Shape(num_items=9, width=16),
    "rqvae": bottleneck.Shape(width=16, hidden=(8, 4)),
}
SOURCE = jnp.asarray([[3, 5, 1, 0], [2, 2, 7, 9]], jnp.int32)
TARGET = jnp.asarray([[1, 4, 7], [3, 6, 9]], jnp.int32)


@pytest.mark.parametrize("kind", SPECS)
def test_json_of_a_spec_is_the_spec_again_and_names_its_kind(kind):
    text = network.dump(SPECS[kind])
    assert json.loads(text)["kind"] == kind
    assert network.parse(text) == SPECS[kind] and type(network.parse(text)) is type(SPECS[kind])
    assert network.build(text) is network.build(SPECS[kind])  # one, so that jit compiles once
    wider = dataclasses.replace(SPECS[kind], width=32)
    assert network.build(wider) != network.build(SPECS[kind])


def test_a_dual_encoder_keeps_the_spec_of_its_towers():
    spec = dual.Shape(GENERATORS["t5"], towers="two")
    text = network.dump(spec)
    assert json.loads(text)["encoder"]["kind"] == "t5" and network.parse(text) == spec
    net = network.build(text)
    params = net.init(jax.random.key(0))
    asked, answers = (net.encode(params, SOURCE, side=side) for side in (dual.QUERY, dual.DOCUMENT))
    np.testing.assert_allclose(
        net.logits(params, asked, answers),
        dual.DualEncoder(spec).apply(params, SOURCE, SOURCE),
        rtol=1e-6,  # f32 sums in another order
    )
    assert np.abs(np.asarray(asked - answers)).max() > 1e-3  # two towers


@pytest.mark.parametrize("kind", GENERATORS)
def test_steps_give_the_logits_of_the_whole_target(kind):
    net = network.build(SPECS[kind])
    params = net.init(jax.random.key(0))
    memory = net.encode(params, SOURCE)
    whole = np.asarray(net.logits(params, memory, TARGET))
    assert whole.shape == (2, 3, 10)
    cache, token = net.empty_cache(2), jnp.zeros((2, 1), jnp.int32)
    for t in range(3):
        logits, cache = net.step(params, memory, t, token, cache)
        np.testing.assert_allclose(logits[:, 0], whole[:, t], atol=1e-5)  # sums in another order
        token = TARGET[:, t : t + 1]


def test_wide_alphabets_return_factors_of_the_same_logits(monkeypatch):
    spec = dataclasses.replace(GENERATORS["t5"], last_tokens=())
    net = network.build(spec)
    params = net.init(jax.random.key(0))
    memory, token = net.encode(params, SOURCE), jnp.zeros((2, 1), jnp.int32)
    whole, _ = net.step(params, memory, 0, token, net.empty_cache(2))
    monkeypatch.setattr(network, "WIDE", 5)
    factors, _ = net.step(params, memory, 0, token, net.empty_cache(2))
    np.testing.assert_allclose(factors.hidden @ factors.kernel, whole, atol=1e-5)


@pytest.mark.parametrize("kind", ["causal", "gru"])
def test_candidates_have_their_scores_among_all_items(kind):
    net = network.build(SPECS[kind])
    params = net.init(jax.random.key(0))
    hidden = net.encode(params, SOURCE)
    every = np.asarray(net.logits(params, hidden, None))
    assert every.shape == (2, 4, 9)
    with pytest.raises(TypeError, match="generates nothing"):
        net.empty_cache(2)
    candidates = jnp.broadcast_to(jnp.asarray([9, 1, 4]), (2, 4, 3))
    found = np.asarray(net.logits(params, hidden, candidates))
    np.testing.assert_allclose(found, every[..., [8, 0, 3]], atol=1e-6)


def test_dropout_masks_of_source_and_target_differ():
    spec = dataclasses.replace(GENERATORS["t5"], dropout=0.5)
    net = network.build(spec)
    params, key = net.init(jax.random.key(0)), jax.random.key(1)
    seen = []

    def watch(path, output):
        seen.append(np.asarray(output) != 0)
        return output

    watched = network.intercept(net, ["drop"], watch)
    source = jnp.asarray([[3, 5, 1]], jnp.int32)
    memory = watched.encode(params, source, train=True, rngs={"dropout": key})
    watched.logits(params, memory, TARGET[:1], train=True, rngs={"dropout": key})
    encoder, decoder = seen[0], seen[2]  # the first masks of each, of equal shape
    assert encoder.shape == decoder.shape and (encoder != decoder).any()


def test_an_intercepted_module_returns_the_given_output():
    net = network.build(GENERATORS["t5"])
    params = net.init(jax.random.key(0))
    silent = network.intercept(net, ["decoder_0/mlp"], lambda path, output: 0 * output)
    found = silent.logits(params, silent.encode(params, SOURCE), TARGET)
    tree = params["params"]
    out = tree["decoder_0"]["mlp"]["out"]
    mlp = tree["decoder_0"]["mlp"] | {"out": {"kernel": jnp.zeros_like(out["kernel"])}}
    zeroed = {"params": tree | {"decoder_0": tree["decoder_0"] | {"mlp": mlp}}}
    expected = net.logits(zeroed, net.encode(zeroed, SOURCE), TARGET)
    np.testing.assert_array_equal(found, expected)
    plain = net.logits(params, net.encode(params, SOURCE), TARGET)
    finite = np.isfinite(plain)
    assert np.abs(np.asarray(plain - found)[finite]).max() > 1e-3  # the control


def test_rematerialisation_builds_another_network():
    net = network.with_remat(network.build(GENERATORS["t5"]), True)
    assert net.spec.remat and net is not network.build(GENERATORS["t5"])
    gru = network.build(SPECS["gru"])
    assert network.with_remat(gru, True) is gru  # it has no layers of that kind


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"kind": "lstm"},
            "expected a kind of t5, nci, llama, rows, causal, gru, dual, rqvae, got 'lstm'",
        ),
        ({}, "got None"),
        ({"kind": "gru", "num_items": 3, "heads": 2}, "no gru network has these sizes .*heads"),
    ],
)
def test_specs_of_no_network_are_refused(spec, message):
    with pytest.raises(DataError, match=message):
        network.build(spec)


def test_a_state_without_its_network_is_refused_in_one_line():
    with pytest.raises(DataError, match="fitted by an earlier version, .*; fit again"):
        network.of({"shape": "{}"})
