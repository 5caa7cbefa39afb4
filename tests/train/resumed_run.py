"""A small training run: `python resumed_run.py FOLDER [STEPS]` saves after every step."""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from zoo.data import batches
from zoo.train import log, loop, optimizers

STEPS = 40
WIDTH = 16


def stream():
    random = np.random.default_rng(0)
    rows = {
        "source": random.integers(1, 10, (50, 4)).astype(np.int32),
        "x": random.normal(size=(50, WIDTH)).astype(np.float32),
    }
    return batches.Batches([batches.Source(rows, 1.0)], batch_size=8, seed=1)


def loss(params, batch, key):
    """Depends on every number of the parameters, the batch and the key."""
    noise = jax.random.normal(key, batch["x"].shape)
    hidden = (batch["x"] + 0.1 * noise) @ params["inner"] + params["table"][batch["source"]].mean(
        axis=1
    )
    error = jnp.tanh(hidden) @ params["outer"] - batch["x"].sum(axis=1, keepdims=True)
    return jnp.mean(error**2), {}


def params():
    shapes = {"table": (10, WIDTH), "inner": (WIDTH, WIDTH), "outer": (WIDTH, 1)}
    keys = jax.random.split(jax.random.key(0), len(shapes))
    return {
        name: 0.1 * jax.random.normal(key, shape)
        for key, (name, shape) in zip(keys, shapes.items())
    }


def looped(loss, params, batches, optimizer, **options):
    """Parameters after `loop.train` with the fields of its `Run` and `Hooks` as options."""
    hooks = {name: options.pop(name) for name in loop.Hooks._fields if name in options}
    run, hooks = loop.Run(**options), loop.Hooks(**hooks)
    return loop.train(loss, params, batches, optimizer, run, hooks).params


def train(log, *, steps=STEPS, **options):
    rate = optimizers.schedule(1e-2, warmup=5, decay="cosine")
    optimizer = optimizers.adamw(rate, weight_decay=0.01, clip=1.0)
    return looped(
        loss, params(), stream(), optimizer, steps=steps, key=jax.random.key(1), log=log, **options
    )


if __name__ == "__main__":
    folder, steps = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else STEPS
    loop.SAVE_SECONDS = 0.0
    found = train(
        log.Log(folder, quiet=True), steps=steps, folder=f"{folder}/training", identity="run"
    )
    np.savez(f"{folder}/params.npz", **{name: np.asarray(leaf) for name, leaf in found.items()})
