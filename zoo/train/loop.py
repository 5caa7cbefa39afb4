"""The one training loop: one jitted step with donated state, on one device or a mesh, resumable bit for bit."""

from __future__ import annotations

import contextlib
import pathlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from zoo.train import checkpoint as checkpoints
from zoo.train import log as logs

REPORTS = 200  # scalars written in a run; between them the host does not wait for the device
SAVE_SECONDS = 60.0  # between checkpoints

Loss = Callable[[Any, dict, jax.Array], tuple[jax.Array, dict]]  # (params, batch, key) -> f32[] and scalars to report


class Progress(NamedTuple):
    """All that a step changes."""

    step: jax.Array  # i32[] steps done
    params: Any
    optimizer: Any  # optax state


class Interrupted(KeyboardInterrupt):
    """Training was stopped from outside; the message says what is kept and how to go on."""


def train(
    loss: Loss,
    params: Any,
    batches: Any,
    optimizer: optax.GradientTransformation,
    *,
    steps: int,
    key: jax.Array,
    log: logs.Log,
    mesh: jax.sharding.Mesh | None = None,
    folder: pathlib.Path | None = None,
    identity: str = "",
) -> Any:
    """Parameters after `steps` steps of descent on the mean loss of the batches.

    Args:
      loss: pure; the key it gets is folded with the step, so a resumed run draws what an uninterrupted one would.
      params: where to start. The buffers are donated.
      batches: iterator of dicts of arrays [B, ...] with `position()` and `seek(position)` (zoo.data.batches).
      mesh: with an axis "data", over which batches are split; parameters are copied to every device. None: one device.
      folder: where checkpoints go and are resumed from; none are written if None. An interrupt (Ctrl-C, SIGTERM) saves
        before it raises Interrupted.
      identity: what the run is (its configuration and data); a checkpoint of another identity is refused.

    Raises:
      FloatingPointError: the loss is not finite; names the step. Nothing is saved over the last good checkpoint.
    """
    progress = Progress(jnp.zeros((), jnp.int32), params, optimizer.init(params))
    keeper = checkpoints.Keeper(folder, identity) if folder is not None else None
    if keeper is not None and (found := keeper.restore(progress)) is not None:
        progress, position = found
        batches.seek(position)
    place = _placement(mesh)
    progress = jax.tree.map(lambda leaf: place(leaf, ()), progress)
    step_fn = step_function(loss, optimizer, key)

    done = int(progress.step)
    every = max(1, steps // REPORTS)
    pending: dict = {}
    saved = time.monotonic()
    with log.progress(steps, "train", "steps", start=done) as bar, _signals() as stop:
        while done < steps and not stop.is_set():
            batch = {name: place(jnp.asarray(rows), ("data",)) for name, rows in next(batches).items()}
            progress, metrics = step_fn(progress, batch)
            done += 1
            bar.update()
            if done % every == 0 or done == steps:
                _report(pending, log, bar)  # the step before the last `every`: long finished, no wait
                pending = {"step": done, **metrics}
            if keeper is not None and done < steps and time.monotonic() - saved > SAVE_SECONDS:
                keeper.save(done, progress, batches.position())
                saved = time.monotonic()
        _report(pending, log, bar)
        if stop.is_set():
            kept = "nothing is kept, because no folder was given"
            if keeper is not None:
                keeper.save(done, progress, batches.position())
                keeper.wait()
                kept = f"all {done} steps are kept in {folder}; the same command goes on from there"
            raise Interrupted(f"stopped at step {done} of {steps}; {kept}")
    if keeper is not None:
        keeper.wait()
    return progress.params


def step_function(loss: Loss, optimizer: optax.GradientTransformation, key: jax.Array) -> Callable:
    """The jitted (progress, batch) -> (progress, scalars); traces once for each shape of batch."""

    def step(progress: Progress, batch: dict) -> tuple[Progress, dict]:
        draw = jax.random.fold_in(key, progress.step)
        (value, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(progress.params, batch, draw)
        updates, state = optimizer.update(gradient, progress.optimizer, progress.params)
        params = optax.apply_updates(progress.params, updates)
        metrics = {"loss": value, "gradient_norm": optax.global_norm(gradient), **metrics}
        return Progress(progress.step + 1, params, state), metrics

    return jax.jit(step, donate_argnums=0)


def _placement(mesh: jax.sharding.Mesh | None) -> Callable:
    """place(array, axes) -> the array on the mesh, split by axes."""
    if mesh is None:
        return lambda array, axes: array

    def place(array: jax.Array, axes: tuple) -> jax.Array:
        return jax.device_put(array, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes)))

    return place


def _report(metrics: dict, log: logs.Log, bar) -> None:
    if not metrics:
        return
    values = {name: float(value) for name, value in metrics.items() if name != "step"}
    if not jnp.isfinite(values["loss"]):
        raise FloatingPointError(
            f"the loss is {values['loss']} at step {metrics['step']}; lower the learning rate or look at the data near it"
        )
    log.scalars(metrics["step"], **values)
    bar.set_postfix_str(f"loss {values['loss']:.3f}", refresh=False)


@contextlib.contextmanager
def _signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set while the block runs; a second Ctrl-C interrupts at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number, frame):
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
