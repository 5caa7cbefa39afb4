"""The encoder-decoder against a T5 in NumPy, and decoding steps against teacher forcing."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.nets import layers, transformer
from zoo.objectives import sequence

B, K, S, L = 3, 4, 7, 5
SHAPE = transformer.Shape(
    source_vocab=13,
    target_vocab=9,
    target_length=L,
    width=16,
    heads=2,
    head_width=4,
    encoder_hidden=12,
    decoder_hidden=20,
    encoder_layers=2,
    decoder_layers=2,
    buckets=8,
    max_distance=6,
)
# the first T5
FIRST = dataclasses.replace(SHAPE, target_vocab=13, mlp="relu", tied=True, shared=True)
BFLOAT = dataclasses.replace(SHAPE, dtype="bfloat16")
LENGTHS = (S, 4, 1)  # of the sources
# float32 sums in another order, through four layers, over logits of size 1 to 10
CLOSE = dict(rtol=1e-4, atol=1e-4)


@functools.cache
def params(shape=SHAPE):
    """Random weights and norm scales (initially 1), so that a missing scale shows."""
    pairs = jnp.ones((1, S), jnp.int32), jnp.ones((1, L), jnp.int32)
    wanted = jax.eval_shape(transformer.EncoderDecoder(shape).init, jax.random.key(0), *pairs)
    random = np.random.default_rng(0)

    def draw(path, leaf):
        name = path[-1].key
        if name == "scale":
            return jnp.asarray(random.uniform(0.6, 1.6, leaf.shape), leaf.dtype)
        size = {"embedding": 1.0, "table": 0.5, "kernel": SHAPE.width**-0.5}[name]
        return jnp.asarray(random.normal(0, size, leaf.shape), leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, wanted)


@functools.cache
def case():
    """Sources i32[B, S] of unequal lengths, targets i32[B, K, L]; the third ends early."""
    random = np.random.default_rng(1)
    source = random.integers(1, SHAPE.source_vocab, (B, S)) * (
        np.arange(S) < np.array(LENGTHS)[:, None]
    )
    target = random.integers(1, SHAPE.target_vocab, (B, K, L))
    target[:, 2, 3:] = 0
    return jnp.asarray(source, jnp.int32), jnp.asarray(target, jnp.int32)


@functools.partial(jax.jit, static_argnames="shape")
def logits_of(tree, source, target, shape=SHAPE):
    return transformer.EncoderDecoder(shape).apply(tree, source, target)


def teacher_forced(tree, source, target, shape=SHAPE):
    """f32[B, K, L, V] of every beam's target, the source repeated for each."""
    flat = logits_of(
        tree, jnp.repeat(source, target.shape[1], axis=0), target.reshape(-1, L), shape
    )
    return flat.reshape(*target.shape, -1)


@functools.partial(jax.jit, static_argnames="shape")
def remember(tree, source, shape=SHAPE):
    model = transformer.EncoderDecoder(shape)
    return model.apply(tree, model.apply(tree, source, method="encode"), method="memory")


def _step(tree, t, token, cache, memory, source, shape=SHAPE):
    return transformer.EncoderDecoder(shape).apply(
        tree, t, token, cache, memory, source, method="step"
    )


step = jax.jit(_step, static_argnames="shape")


def before(target, t):
    """i32[B, K] input tokens of step t."""
    return target[:, :, t - 1] if t else jnp.zeros(target.shape[:2], jnp.int32)


def reference(tree, source, target, shape=SHAPE):
    """f64[L, V] logits of identifier i[L] given source i[S] without pads, both families of T5."""
    weights = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree["params"])

    def norm(p, x):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * p["scale"]

    def bias(table, queries, keys, bidirectional):
        return np.array(
            [
                [table[bucket_of(key - query, bidirectional, 8, 6)] for key in range(keys)]
                for query in range(queries)
            ]
        )

    def attend(p, x, y, biases, causal=False):  # biases [Q, K, H]
        out = np.zeros_like(x)
        for head in range(SHAPE.heads):
            query, key, value = (
                z @ p[name]["kernel"][:, head]
                for name, z in (("query", x), ("key", y), ("value", y))
            )
            scores = np.exp(query @ key.T + biases[..., head])
            scores = np.tril(scores) if causal else scores
            out += scores / scores.sum(-1, keepdims=True) @ value @ p["out"]["kernel"][head]
        return out

    def mlp(p, x):
        if shape.mlp == "relu":
            return np.maximum(x @ p["value"]["kernel"], 0) @ p["out"]["kernel"]
        gate = x @ p["gate"]["kernel"]
        gate = gate / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)))
        return gate * (x @ p["value"]["kernel"]) @ p["out"]["kernel"]

    x = weights["source_embedding"]["embedding"][source]
    biases = bias(weights["encoder_bias"]["table"], len(source), len(source), True)
    for number in range(SHAPE.encoder_layers):
        p = weights[f"encoder_{number}"]
        y = norm(p["attention_norm"], x)
        x = x + attend(p["attention"], y, y, biases)
        x = x + mlp(p["mlp"], norm(p["mlp_norm"], x))
    encoded = norm(weights["encoder_norm"], x)
    words = weights["source_embedding" if shape.shared else "target_embedding"]["embedding"]
    x = words[[0, *target[:-1]]]
    biases = bias(weights["decoder_bias"]["table"], len(target), len(target), False)
    for number in range(SHAPE.decoder_layers):
        p = weights[f"decoder_{number}"]
        y = norm(p["self_norm"], x)
        x = x + attend(p["self_attention"], y, y, biases, causal=True)
        x = x + attend(
            p["cross_attention"],
            norm(p["cross_norm"], x),
            encoded,
            np.zeros((len(target), len(source), SHAPE.heads)),
        )
        x = x + mlp(p["mlp"], norm(p["mlp_norm"], x))
    head = words.T / math.sqrt(shape.width) if shape.tied else weights["head"]["kernel"]
    return norm(weights["decoder_norm"], x) @ head


def bucket_of(distance, bidirectional, buckets, max_distance):
    """Bucket of key - query, one at a time, in whole numbers.

    T5: near distances have a bucket each; bucket exact + j starts at
    exact (max_distance / exact)^(j / coarse).
    """
    first = 0
    if bidirectional:
        buckets //= 2
        first = buckets if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    exact = buckets // 2
    if distance < exact:
        return first + distance
    coarse = buckets - exact
    reached = [
        j for j in range(coarse) if distance**coarse * exact**j >= exact**coarse * max_distance**j
    ]
    return first + exact + max(reached)


@pytest.mark.parametrize("shape", [SHAPE, FIRST], ids=["v1.1", "first"])
def test_the_network_equals_t5_in_numpy(shape):
    source, target = case()
    got = teacher_forced(params(shape), source, target, shape)
    for row, length in enumerate(LENGTHS):
        for beam in (0, 2):
            expected = reference(
                params(shape),
                np.asarray(source[row, :length]),
                np.asarray(target[row, beam]),
                shape,
            )
            np.testing.assert_allclose(got[row, beam], expected, **CLOSE)


def test_steps_of_the_first_t5_equal_teacher_forcing_and_its_head_is_tied():
    source, target = case()
    expected = teacher_forced(params(FIRST), source, target, FIRST)
    memory, cache = (
        remember(params(FIRST), source, FIRST),
        transformer.empty_cache(FIRST, B, K, places=L),
    )
    for t in range(L):
        logits, cache = step(
            params(FIRST), t, before(target, t), cache, memory, source, shape=FIRST
        )
        np.testing.assert_allclose(logits, expected[:, :, t], **CLOSE)
    assert set(params(FIRST)["params"]) == set(params()["params"]) - {"head", "target_embedding"}
    hidden, _ = transformer.EncoderDecoder(FIRST).apply(
        params(FIRST), L - 1, before(target, L - 1), cache, memory, source, method="extend"
    )
    np.testing.assert_allclose(
        hidden @ transformer.output_kernel(params(FIRST), FIRST), expected[:, :, L - 1], **CLOSE
    )
    with pytest.raises(ValueError, match="13 source and 9 target"):
        dataclasses.replace(FIRST, target_vocab=9)
    with pytest.raises(ValueError, match="mlp expects one of gelu, relu, got 'silu'"):
        dataclasses.replace(FIRST, mlp="silu")


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("buckets, max_distance", [(32, 128), (32, 100), (8, 6), (8, 20)])
def test_relative_buckets_equal_the_definition(bidirectional, buckets, max_distance):
    query, key = np.arange(150, 153), np.arange(300)
    call = functools.partial(
        layers.relative_buckets,
        bidirectional=bidirectional,
        buckets=buckets,
        max_distance=max_distance,
    )
    expected = [
        [bucket_of(int(k - q), bidirectional, buckets, max_distance) for k in key] for q in query
    ]
    np.testing.assert_array_equal(call(query, key), expected)
    np.testing.assert_array_equal(jax.jit(call)(query, key), expected)


def test_relative_buckets_worked_by_hand():
    # 8 buckets both ways: 4 a side, distances 0 and 1 exact, then from 2 and from 2 sqrt(8 / 2) =
    # 4; later keys from 4 on
    at_four = functools.partial(
        layers.relative_buckets, np.array([4]), np.arange(10), buckets=8, max_distance=8
    )
    np.testing.assert_array_equal(at_four(bidirectional=True), [[3, 2, 2, 1, 0, 5, 6, 6, 7, 7]])
    # 8 buckets backwards only: distances 0 to 3 exact, 4 in the next; later keys share bucket 0
    np.testing.assert_array_equal(at_four(bidirectional=False), [[4, 3, 2, 1, 0, 0, 0, 0, 0, 0]])


def test_steps_with_the_cache_equal_teacher_forcing():
    traced = []

    @jax.jit
    def take(*given):
        traced.append(given[1])
        return _step(*given)

    source, target = case()
    memory, cache = remember(params(), source), transformer.empty_cache(SHAPE, B, K, places=L)
    expected = teacher_forced(params(), source, target)
    for t in range(L):
        logits, cache = take(params(), t, before(target, t), cache, memory, source)
        np.testing.assert_allclose(logits, expected[:, :, t], **CLOSE)
    assert len(traced) == 1  # one program for every t


def test_unrolled_steps_equal_teacher_forcing():
    @jax.jit
    def unrolled(tree, source, target):  # t is a Python number, and the cache grows
        memory, cache, logits = remember(tree, source), transformer.empty_cache(SHAPE, B, K), []
        for t in range(L):
            one, cache = _step(tree, t, before(target, t), cache, memory, source)
            logits.append(one)
        return jnp.stack(logits, axis=2)

    source, target = case()
    np.testing.assert_allclose(
        unrolled(params(), source, target), teacher_forced(params(), source, target), **CLOSE
    )


def test_reordered_beams_continue_their_own_past():
    source, target = case()
    memory, order = remember(params(), source), jnp.array([3, 3, 0, 2])
    cache, reordered = transformer.empty_cache(SHAPE, B, K), target[:, order]
    for t in range(2):
        _, cache = step(params(), t, before(target, t), cache, memory, source)
    moved = jax.tree.map(lambda leaf: leaf[:, order], cache)
    got, _ = step(params(), 2, before(reordered, 2), moved, memory, source)
    np.testing.assert_allclose(got, teacher_forced(params(), source, reordered)[:, :, 2], **CLOSE)
    # control: the past of another beam
    wrong, _ = step(params(), 2, before(reordered, 2), cache, memory, source)
    assert np.abs(wrong - got).max() > 0.01


def test_a_step_does_not_read_the_cache_at_or_after_its_position():
    source, target = case()
    memory, cache = remember(params(), source), transformer.empty_cache(SHAPE, B, K, places=L)
    for t in range(2):
        _, cache = step(params(), t, before(target, t), cache, memory, source)
    dirty = jax.tree.map(lambda leaf: leaf.at[:, :, 2:].set(7.0), cache)
    clean_logits, _ = step(params(), 2, before(target, 2), cache, memory, source)
    dirty_logits, _ = step(params(), 2, before(target, 2), dirty, memory, source)
    np.testing.assert_array_equal(clean_logits, dirty_logits)


def test_more_padding_after_the_source_changes_nothing():
    source, target = case()
    padded = jnp.pad(source, ((0, 0), (0, 4)))
    one, other = (teacher_forced(params(), given, target) for given in (source, padded))
    np.testing.assert_allclose(one, other, **CLOSE)
    longer = padded.at[:, S].set(1)  # control: a token instead of a pad
    assert (np.abs(teacher_forced(params(), longer, target) - one).max(axis=(1, 2, 3)) > 0.01).all()


def test_recency_counts_from_the_last_token_and_saturates():
    shape = dataclasses.replace(SHAPE, recency=3)
    source, target = case()
    one = teacher_forced(params(shape), source, target, shape)
    np.testing.assert_allclose(
        teacher_forced(params(shape), jnp.pad(source, ((0, 0), (0, 4))), target, shape),
        one,
        **CLOSE,
    )
    vectors = params(shape)["params"]["recency"]["embedding"]
    tokens = params(shape)["params"]["source_embedding"]["embedding"]
    # a table whose rows hold token + place, read without places: source 0 has 7 tokens, source 1
    # has 4
    place = np.array([[2, 2, 2, 2, 2, 1, 0], [2, 2, 1, 0, 0, 0, 0]])
    table = (tokens[:, None] + vectors[None]).reshape(-1, SHAPE.width)
    spelt = dataclasses.replace(SHAPE, source_vocab=len(table))
    tree = {name: part for name, part in params(shape)["params"].items() if name != "recency"}
    tree = {"params": tree | {"source_embedding": {"embedding": table.at[0].set(0.0)}}}
    spelling = jnp.where(source[:2] > 0, 3 * source[:2] + place, 0)
    np.testing.assert_allclose(teacher_forced(tree, spelling, target[:2], spelt), one[:2], **CLOSE)


def test_a_source_of_pads_only_stays_finite():
    _, target = case()
    assert np.isfinite(teacher_forced(params(), jnp.zeros((B, S), jnp.int32), target)).all()


@pytest.mark.parametrize("place", range(L))
def test_a_token_changes_only_the_logits_after_it(place):
    source, target = case()
    changed = target.at[:, :, place].set(target[:, :, place] % (SHAPE.target_vocab - 1) + 1)
    assert (changed != target).any(axis=2).all()
    one, other = (
        np.asarray(teacher_forced(params(), source, given)) for given in (target, changed)
    )
    np.testing.assert_array_equal(one[:, :, : place + 1], other[:, :, : place + 1])
    # control: all later places see it
    assert (np.abs(one - other)[:, :, place + 1 :].max(axis=-1) > 1e-4).all()


def test_bfloat16_is_close_to_float32_and_parameters_stay_float32():
    # Each rounding to bfloat16 errs by up to 2^-9 of the value; about 6 in each of 4 layers add up
    # as their root: 1%,
    # of logits that residuals of like size make; four times that is allowed.
    tolerance = 4 * 2**-9 * math.sqrt(24)
    source, target = case()
    model = transformer.EncoderDecoder(BFLOAT)
    fresh = jax.eval_shape(model.init, jax.random.key(0), source, target[:, 0])
    assert {leaf.dtype for leaf in jax.tree.leaves(fresh)} == {jnp.dtype("float32")}
    exact, rounded = (
        np.asarray(teacher_forced(params(), source, target, shape)) for shape in (SHAPE, BFLOAT)
    )
    assert rounded.dtype == np.float32
    distance = np.linalg.norm(rounded - exact, axis=-1) / np.linalg.norm(exact, axis=-1)
    assert np.sqrt((distance**2).mean()) < tolerance
    assert np.sqrt((distance**2).mean()) > 2**-12  # control: it is rounded
    memory, cache = (
        remember(params(), source, BFLOAT),
        transformer.empty_cache(BFLOAT, B, K, places=L),
    )
    assert {leaf.dtype for leaf in jax.tree.leaves((memory, cache))} == {jnp.dtype("bfloat16")}
    for t in range(L):
        logits, cache = step(params(), t, before(target, t), cache, memory, source, shape=BFLOAT)
        distance = np.linalg.norm(logits - exact[:, :, t], axis=-1) / np.linalg.norm(
            exact[:, :, t], axis=-1
        )
        assert logits.dtype == jnp.float32 and np.sqrt((distance**2).mean()) < tolerance


def test_the_base_shape_has_the_parameter_count_of_t5():
    d, inner, hidden, words, ids = 768, 12 * 64, 2048, 32128, 512
    shape = transformer.Shape(
        source_vocab=words,
        target_vocab=ids,
        target_length=8,
        width=d,
        heads=12,
        head_width=64,
        encoder_hidden=hidden,
        decoder_hidden=hidden,
        encoder_layers=12,
        decoder_layers=12,
    )
    count = _count(shape)
    encoder_layer = 4 * d * inner + 3 * d * hidden + 2 * d
    decoder_layer = 8 * d * inner + 3 * d * hidden + 3 * d
    assert (
        count
        == words * d + 2 * ids * d + 12 * (encoder_layer + decoder_layer) + 2 * 32 * 12 + 2 * d
    )
    one_table = dataclasses.replace(
        shape,
        target_vocab=words,
        encoder_hidden=3072,
        decoder_hidden=3072,
        mlp="relu",
        tied=True,
        shared=True,
    )
    assert _count(one_table) == 222_903_552  # the published size of the first T5 base
    # with T5's words as identifiers too, and less the table that T5 shares: the published size of
    # T5 v1.1 base
    assert _count(dataclasses.replace(shape, target_vocab=words)) - words * d == 247_577_856


def _count(shape):
    pairs = jnp.ones((1, 4), jnp.int32), jnp.ones((1, 8), jnp.int32)
    tree = jax.eval_shape(transformer.EncoderDecoder(shape).init, jax.random.key(0), *pairs)
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def test_the_gradient_reaches_every_parameter():
    source, target = case()
    source, target = jnp.tile(source, (K, 1)), target.swapaxes(0, 1).reshape(-1, L)

    def loss(tree):
        return sequence.cross_entropy(
            transformer.EncoderDecoder(SHAPE).apply(tree, source, target), target
        ).mean()

    slopes = jax.jit(jax.grad(loss))(params())["params"]
    for path, leaf in jax.tree_util.tree_leaves_with_path(slopes):
        where = jax.tree_util.keystr(path)
        assert np.isfinite(leaf).all(), where
        if "embedding" in where or "table" in where:
            assert np.asarray(leaf).any(), where
        else:
            assert np.asarray(leaf).all(), where  # every number of every matrix
    # control: unused rows have no gradient: the pad, words in no source, buckets of absent
    # distances
    used = np.isin(np.arange(SHAPE.source_vocab), np.asarray(source)) & (
        np.arange(SHAPE.source_vocab) > 0
    )
    assert not used[1:].all()
    np.testing.assert_array_equal(
        np.asarray(slopes["source_embedding"]["embedding"]).any(axis=1), used
    )
    near = {bucket_of(-distance, False, SHAPE.buckets, SHAPE.max_distance) for distance in range(L)}
    table = np.asarray(slopes["decoder_bias"]["table"]).any(axis=1)
    assert set(np.flatnonzero(table)) == near and len(near) < SHAPE.buckets


def test_dropout_is_drawn_from_the_key_and_only_in_training():
    @functools.partial(jax.jit, static_argnames="rate")
    def trained(seed, rate=SHAPE.dropout):
        model = transformer.EncoderDecoder(dataclasses.replace(SHAPE, dropout=rate))
        rngs = {"dropout": jax.random.key(seed, impl="rbg")}  # compiles fast
        return model.apply(params(), source, target[:, 0], train=True, rngs=rngs)

    source, target = case()
    calm = teacher_forced(params(), source, target)[:, 0]
    np.testing.assert_array_equal(trained(1), trained(1))
    assert np.abs(trained(1) - trained(2)).max() > 0.01 and np.abs(trained(1) - calm).max() > 0.01
    np.testing.assert_allclose(trained(1, rate=0.0), calm, **CLOSE)
