"""A mesh of devices changes the placement of arrays but not the result of training."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from zoo.models import encoder_decoder
from zoo.nets import network, transformer
from zoo.records import DataError
from zoo.train import execution, log as logs, loop, optimizers, sharding, step as steps

SHAPE = transformer.Shape(
    source_vocab=19,
    target_vocab=10,
    target_length=2,
    width=16,
    heads=2,
    head_width=8,
    encoder_hidden=32,
    decoder_hidden=16,
    encoder_layers=1,
    decoder_layers=1,
    dropout=0.1,
)
MESHES = ("data=8", "fsdp=8", "data=2,fsdp=2,model=2")


class Stream:
    """Batch number i of sources and targets is drawn from i."""

    def __init__(self):
        self.number = 0

    def __next__(self):
        draw = np.random.default_rng(self.number)
        self.number += 1
        return {
            "source": draw.integers(1, 19, (16, 5)).astype(np.int32),
            "target": draw.integers(1, 10, (16, 2)).astype(np.int32),
        }

    def position(self):
        return {"number": self.number}

    def seek(self, position):
        self.number = position["number"]


@functools.cache
def drawn():
    blank = jnp.zeros((1, 1), jnp.int32), jnp.zeros((1, 2), jnp.int32)
    return jax.tree.map(
        np.asarray, jax.jit(transformer.EncoderDecoder(SHAPE).init)(jax.random.key(0), *blank)
    )


def params():
    return jax.tree.map(jnp.asarray, drawn())


def trained(planned, make=optimizers.adamw, steps=3):
    """(parameters, losses) of a small encoder-decoder with dropout."""
    log = logs.Log(quiet=True, execution=planned)
    rate = optimizers.schedule(1e-2, warmup=0, decay="constant")
    options = {"weight_decay": 0.1} if make is optimizers.adamw else {}
    loss = encoder_decoder.likelihood(network.build(SHAPE), smoothing=0.1, word_dropout=0.2)
    found = loop.train(
        loss,
        params(),
        Stream(),
        make(rate, clip=1.0, **options),
        loop.Run(steps=steps, key=jax.random.key(2), log=log),
    )
    return found.params, [row["loss"] for row in log.history]


@pytest.fixture(scope="module")
def alone():
    return trained(execution.Execution())


# Adam turns the rounding of a gradient that nearly cancels into a step; with this key none does
@pytest.mark.exact
@pytest.mark.slow  # compiles for eight devices, five seconds a mesh
@pytest.mark.parametrize("mesh", MESHES)
def test_a_mesh_gives_the_result_of_one_device(mesh, alone):
    # a compilation each, for eight devices
    found, losses = trained(execution.Execution(mesh=mesh))
    np.testing.assert_allclose(losses, alone[1], atol=1e-5)  # sums in another order, here and below
    for got, expected in zip(jax.tree.leaves(found), jax.tree.leaves(alone[0])):
        assert len(got.devices()) == 1
        np.testing.assert_allclose(got, expected, atol=1e-5)
    assert abs(alone[1][0] - alone[1][1]) > 1e-2  # the reference loss changes


def test_a_mesh_splits_parameters_and_moments_alike():
    mesh = sharding.mesh_of("data=2,fsdp=2,model=2")
    optimizer = optimizers.adamw(
        optimizers.schedule(1.0, warmup=0, decay="constant"), weight_decay=0.0, clip=1.0
    )
    progress = steps.begin(params(), optimizer, execution=execution.Execution(average=0.9))
    placed = sharding.Placement(progress.params, progress, mesh).put(progress)
    moments = next(state for state in placed.optimizer if isinstance(state, optax.ScaleByAdamState))
    places = lambda tree: jax.tree.map(lambda leaf: leaf.sharding, tree)
    assert (
        places(placed.params) == places(moments.mu) == places(moments.nu) == places(placed.average)
    )
    layer = placed.params["params"]["encoder_0"]
    # of [16, 2, 8]
    assert layer["attention"]["query"]["kernel"].addressable_shards[0].data.shape == (8, 1, 8)
    assert layer["mlp"]["out"]["kernel"].addressable_shards[0].data.shape == (16, 8)  # of [32, 16]
    assert (
        layer["mlp_norm"]["scale"].sharding.is_fully_replicated
        and placed.step.sharding.is_fully_replicated
    )
    split = sum(not leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(placed.params))
    # embeddings, encoder layer, decoder layer, head; not norms and biases
    assert split == 2 + 7 + 11 + 1


def test_a_dimension_that_an_axis_does_not_divide_is_refused_by_name():
    mesh = sharding.mesh_of("data=2,model=4")
    with pytest.raises(
        DataError,
        match=r"params/decoder_0/cross_attention/key/kernel: dimension 1 is 2, which model=4 does "
        r"not divide; choose another",
    ):
        trained(execution.Execution(mesh="data=2,model=4"))
    spec = lambda *shape: sharding.layout("params/source_embedding/embedding", shape, mesh)
    assert spec(20, 16) == jax.sharding.PartitionSpec("model", None)
    # a vocabulary of any size: replicated, as the table declares
    assert spec(19, 16) == jax.sharding.PartitionSpec(None, None)
    with pytest.raises(DataError, match="has 1 dimensions, and the rule .* is for 2"):
        sharding.layout("mlp/out/kernel", (16,), mesh)


def test_a_batch_that_the_mesh_does_not_divide_is_refused():
    class Odd(Stream):
        def __next__(self):
            return {name: rows[:12] for name, rows in super().__next__().items()}

    loss = lambda params, batch, key: (jnp.mean(params["w"] * batch["source"]), {})
    with pytest.raises(DataError, match=r"a batch of 12 rows cannot be split over 8 devices"):
        loop.train(
            loss,
            {"w": jnp.ones(())},
            Odd(),
            optax.sgd(0.1),
            loop.Run(
                steps=1,
                key=jax.random.key(0),
                log=logs.Log(quiet=True, execution=execution.Execution(mesh="data=8")),
            ),
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data=4", "data=4 is over 4 devices, and JAX sees 8"),
        (
            "rows=8",
            r"expected sizes of data, fsdp, model, as data=4,model=2, got 'rows=8' \('rows=8'\)",
        ),
        ("data=4,data=2", "expected sizes"),
        ("data=-8", "expected sizes"),
        ("data", "expected sizes"),
        ("data=0", "expected sizes"),
    ],
)
def test_an_invalid_mesh_is_refused(text, message):
    with pytest.raises(DataError, match=message):
        sharding.mesh_of(text)


def test_one_process_reads_all_rows():
    assert all(sharding.share(sharding.mesh_of(text)) == (0, 1) for text in MESHES)


@pytest.mark.slow  # compiles for eight devices
def test_accumulation_and_rematerialisation_change_no_result():
    """Without dropout, four parts of a batch on a mesh with remat equal the whole batch."""
    loss = lambda planned: encoder_decoder.likelihood(
        network.build(dataclasses.replace(SHAPE, dropout=0.0, remat=planned.remat)),
        smoothing=0.0,
        word_dropout=0.0,
    )
    run = lambda planned: loop.train(
        loss(planned),
        params(),
        Stream(),
        optax.sgd(0.1),
        loop.Run(steps=2, key=jax.random.key(1), log=logs.Log(quiet=True, execution=planned)),
    )
    whole, parts = (
        run(execution.Execution()).params,
        run(execution.Execution(accumulate=4, remat=True, mesh="data=4,model=2")).params,
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), whole, parts)
    with pytest.raises(DataError, match="a batch of 16 rows cannot be computed in 3 equal parts"):
        run(execution.Execution(accumulate=3))


def test_rematerialisation_stores_only_layer_outputs():
    deep = dataclasses.replace(SHAPE, encoder_layers=3, decoder_layers=3)
    source, target = (jax.ShapeDtypeStruct((16, length), jnp.int32) for length in (40, 2))
    drawn = jax.eval_shape(transformer.EncoderDecoder(deep).init, jax.random.key(0), source, target)

    def kept(shape):
        """Bytes of the residuals for the backward pass, including parameters."""
        loss = encoder_decoder.likelihood(network.build(shape), smoothing=0.0, word_dropout=0.0)
        given = lambda params, source, target: jax.vjp(
            lambda p: loss(p, {"source": source, "target": target}, jax.random.key(0))[0], params
        )[1]
        return sum(
            leaf.size * 4 for leaf in jax.tree.leaves(jax.eval_shape(given, drawn, source, target))
        )

    assert kept(dataclasses.replace(deep, remat=True)) < kept(deep) / 3


def test_a_moving_average_equals_the_value_worked_by_hand():
    class Ones(Stream):
        def __next__(self):
            self.number += 1
            return {"x": np.ones(1, np.float32)}

    loss = lambda params, batch, key: (-params["w"] * batch["x"].sum(), {})
    run = lambda average, n: loop.train(
        loss,
        {"w": jnp.zeros(())},
        Ones(),
        optax.sgd(1.0),
        loop.Run(
            steps=n,
            key=jax.random.key(0),
            log=logs.Log(quiet=True, execution=execution.Execution(average=average)),
        ),
    ).params["w"]
    assert run(0.0, 3) == 3
    # decays of 1/10, 2/11 and 3/12, all below .9: 0 -> .9 -> .9 * 2/11 + 2 * 9/11 -> ...
    np.testing.assert_allclose(run(0.9, 3), (0.9 * 2 / 11 + 18 / 11) * 0.25 + 3 * 0.75, rtol=1e-6)
    np.testing.assert_allclose(run(0.15, 2), 0.9 * 0.15 + 2 * 0.85, rtol=1e-6)


@pytest.mark.parametrize(
    "options", [{"accumulate": 0}, {"average": 1.0}, {"average": -0.1}, {"skip": -1}]
)
def test_an_invalid_execution_is_refused(options):
    with pytest.raises(DataError, match=f"{next(iter(options))}: expected"):
        execution.Execution(**options)
