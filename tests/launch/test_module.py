"""The module for t5x equals the network: parameters, logits, and logits step by step."""

import dataclasses

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.linen import partitioning
from jax.sharding import PartitionSpec as P

from zoo.launch import module
from zoo.nets import transformer
from zoo.records import DataError

# axes in the rules of t5x and of Adafactor
STANDARD = {"vocab", "embed", "mlp", "heads", "kv", "joined_kv", "relpos_buckets"}
SHAPE = transformer.Shape(
    source_vocab=11,
    target_vocab=7,
    target_length=3,
    width=8,
    heads=2,
    head_width=4,
    encoder_hidden=8,
    decoder_hidden=8,
    encoder_layers=1,
    decoder_layers=2,
    last_tokens=(3, 5, 6),
)
KINDS = {
    "gated": SHAPE,
    "first T5": dataclasses.replace(SHAPE, mlp="relu", tied=True),
    "shared": dataclasses.replace(SHAPE, source_vocab=7, shared=True, recency=4),
}


@pytest.fixture(scope="module")
def tokens():
    """(source i32[2, 5], target i32[2, 3])."""
    return jnp.array([[2, 3, 4, 5, 0], [6, 1, 0, 0, 0]]), jnp.array([[1, 4, 6], [3, 5, 0]])


def initial(shape, tokens):
    """Inputs in t5x's form: tokens as floats."""
    source, target = (array.astype(jnp.float32) for array in tokens)
    return module.Transformer(shape).init(
        jax.random.key(0), source, target, target, decode=False, enable_dropout=False
    )


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_and_axes_have_the_paths_of_the_network(kind, tokens):
    variables = jax.eval_shape(lambda: initial(KINDS[kind], tokens))
    ours = jax.eval_shape(KINDS[kind].net().init, jax.random.key(0), *tokens)
    assert jax.tree.map(lambda leaf: leaf.shape, variables["params"]) == jax.tree.map(
        lambda leaf: leaf.shape, ours["params"]
    )
    axes = flax.core.unfreeze(partitioning.get_axis_names(variables["params_axes"]))
    jax.tree.map(
        lambda leaf, names: pytest.fail(str(names)) if len(names) != leaf.ndim else None,
        variables["params"],
        axes,
    )
    assert {
        name
        for names in jax.tree.leaves(axes, is_leaf=lambda x: isinstance(x, tuple))
        for name in names
    } <= STANDARD


def test_a_vocabulary_is_sharded_if_it_is_a_multiple_of_128():
    tables = {
        "source_embedding": {"embedding": np.zeros((256, 8))},
        "head": {"kernel": np.zeros((8, 100))},
    }
    axes = flax.core.unfreeze(partitioning.get_axis_names(module.axes_of(tables)))
    assert axes == {
        "source_embedding": {"embedding": P("vocab", "embed")},
        "head": {"kernel": P("embed", module.COPIED)},
    }


def test_a_parameter_without_axes_is_named():
    with pytest.raises(
        ValueError, match="decoder_0/new/kernel of 2 dimensions has axes None; add a line to AXES"
    ):
        module.axes_of({"decoder_0": {"new": {"kernel": np.zeros((2, 2))}}})


@pytest.fixture(scope="module")
def params(tokens):
    return {"params": jax.jit(lambda: initial(SHAPE, tokens)["params"])()}


def test_logits_equal_the_network_with_a_floor(params, tokens):
    source, target = tokens
    before = jnp.pad(target[:, :-1], ((0, 0), (1, 0)))
    call = jax.jit(
        lambda params: module.Transformer(SHAPE).apply(
            params, source, before, target, enable_dropout=False
        )
    )
    ours = jax.jit(lambda params: SHAPE.net().apply(params, source, target))(params)
    assert np.isneginf(ours).any()  # heads of positions
    np.testing.assert_array_equal(call(params), np.maximum(ours, module.FLOOR))


def test_steps_with_a_flax_cache_equal_the_full_pass(params, tokens):
    source, target = tokens
    net = module.Transformer(SHAPE)
    before = jnp.pad(target[:, :-1], ((0, 0), (1, 0)))
    whole = jax.jit(lambda: net.apply(params, source, before, target, enable_dropout=False))()

    @jax.jit
    def begin(params):
        _, made = net.apply(
            params, source, before, target, decode=True, enable_dropout=False, mutable=["cache"]
        )
        return made["cache"], net.apply(params, source, enable_dropout=False, method=net.encode)

    @jax.jit
    def step(params, cache, encoded, token):
        options = dict(
            decode=True,
            enable_dropout=False,
            max_decode_length=3,
            mutable=["cache"],
            method=net.decode,
        )
        logits, after = net.apply(
            {**params, "cache": cache}, encoded, source, token, token, **options
        )
        return logits[:, 0], after["cache"]

    cache, encoded = begin(params)
    assert {
        leaf.shape[0]
        for name, layer in cache.items()
        if name != "cache_index"
        for leaf in layer.values()
    } == {2}, "the batch comes first"
    for t in range(3):
        logits, cache = step(params, cache, encoded, before[:, t : t + 1])
        # sums of 8 numbers of size 1, in another order
        np.testing.assert_allclose(logits, whole[:, t], atol=1e-5)
    assert cache["cache_index"] == 3


def test_dropout_needs_a_key_only_if_it_is_enabled(params, tokens):
    source, target = tokens
    with pytest.raises(Exception, match='"dropout"'):
        module.Transformer(SHAPE).apply(params, source, enable_dropout=True, method="encode")


def test_packed_examples_are_refused(params, tokens):
    source, target = tokens
    apply = lambda **options: module.Transformer(SHAPE).apply(
        params, source, target, target, enable_dropout=False, **options
    )
    with pytest.raises(
        ValueError,
        match="encoder_segment_ids, but packed examples are not supported; set pack = False",
    ):
        apply(encoder_segment_ids=source)
    with pytest.raises(TypeError, match="no argument 'segments'"):
        apply(segments=None)


def test_a_shape_takes_sizes_but_not_vocabularies(export):
    assert module.shape(str(export), width=32, dropout=None).width == 32
    assert (
        module.shape(str(export), width=32).source_vocab == module.shape(str(export)).source_vocab
    )
    with pytest.raises(DataError, match="no size 'source_vocab'; expected one of: width, heads"):
        module.shape(str(export), source_vocab=5)
