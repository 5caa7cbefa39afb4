"""The one training loop: one jitted step with donated state, on one device or a mesh, resumable bit for bit."""

from __future__ import annotations

import contextlib
import math
import pathlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from zoo.train import best as bests
from zoo.train import checkpoint as checkpoints
from zoo.train import log as logs

REPORTS = 200  # scalars written in a run; between them the host does not wait for the device
SAVE_SECONDS = 60.0  # between checkpoints

Loss = Callable[[Any, dict, jax.Array], tuple[jax.Array, dict]]  # (params, batch, key) -> f32[] and scalars to report


class Progress(NamedTuple):
    """All that a step changes."""

    step: jax.Array  # i32[] steps done
    failed: jax.Array  # i32[] number, from 1, of the first step whose loss or gradient was not finite; 0 = none
    params: Any
    optimizer: Any  # optax state
    best: Any = None  # best.Best, None where nobody judges


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
    seconds: float = math.inf,
    evaluate: Callable[[Any], dict] | None = None,
    evaluate_every: int = 1000,
    amend: Callable[[Any, int], Any] | None = None,
    amend_every: int = 100,
    judge: bests.Judge | None = None,
) -> Any:
    """Parameters after `steps` steps of descent on the mean loss of the batches; with a judge, the best of those that it saw.

    Args:
      loss: pure; the key it gets is folded with the step, so a resumed run draws what an uninterrupted one would.
      params: where to start. The buffers are donated.
      batches: iterator of dicts of arrays [B, ...] with `position()` and `seek(position)` (zoo.data.batches).
      mesh: with an axis "data", over which batches are split; parameters are copied to every device. None: one device.
      folder: where checkpoints go and are resumed from; none are written if None. An interrupt (Ctrl-C, SIGTERM) saves
        before it raises Interrupted.
      identity: what the run is (its configuration and data); a checkpoint of another identity is refused.
      seconds: training ends after this long, time before a resume counted, if that is before `steps`. The schedule of the
        optimiser runs to its end either way; the number of steps, and so the result, then depends on the machine.
      evaluate: scalars of the parameters for the log, every `evaluate_every` steps; must not keep the parameters.
      amend: (parameters, steps done) -> the parameters to go on with, of the same shapes, every `amend_every` steps but not
        after the last; what descent cannot do, as giving unused codes a new place. Pure, so that a resumed run does the same.
      judge: see `best.Judge`; its scores go to the log as "judged".

    Raises:
      FloatingPointError: a loss or gradient is not finite; names the step. Checkpoints are from before it.
      DataError: `folder` holds a checkpoint of another identity, or one that cannot be read.
    """
    progress = begin(params, optimizer, judged=judge is not None)
    place, split = _placement(mesh)
    step_fn = step_function(loss, optimizer, key)
    with contextlib.ExitStack() as stack:
        keeper = None if folder is None else stack.enter_context(checkpoints.Keeper(folder, identity))
        started = time.monotonic()
        if keeper is not None and (found := keeper.restore(progress)) is not None:
            progress, place_reached = found
            batches.seek(place_reached["batches"])
            started -= place_reached["seconds"]
        progress = jax.tree.map(place, progress)
        done = first = int(progress.step)
        log.rewind(done)
        bar = stack.enter_context(log.progress(steps, "train", "steps", start=done))
        stop = stack.enter_context(_signals())
        reports = _Reports(log, bar, done)
        every = max(1, steps // REPORTS)
        saved = time.monotonic()
        fraction = _fraction(done, steps, started, seconds)
        if judge is not None and judge.hopeless(progress.best, done):
            fraction = 1.0
        while fraction < 1 and not stop.is_set():
            batch = next(batches)
            progress, metrics = step_fn(progress, split(batch), np.float32(fraction))
            done += 1
            bar.update()
            reports.count(batch)
            fraction = _fraction(done, steps, started, seconds)
            if amend is not None and done % amend_every == 0 and fraction < 1:
                progress = progress._replace(params=jax.tree.map(place, amend(progress.params, done)))
            if done % every == 0:
                reports.add(done, metrics)
                bar.total = min(steps, math.ceil(done / fraction))
            if evaluate is not None and (done % evaluate_every == 0 or fraction >= 1):
                log.evaluated(done, **evaluate(progress.params))
            if judge is not None and (judge.due(done) or fraction >= 1):
                score = float(judge.score(progress.params))
                log.evaluated(done, judged=score)
                progress = progress._replace(best=jax.tree.map(place, bests.better(progress.best, progress.params, score, done)))
                fraction = 1.0 if judge.hopeless(progress.best, done) else fraction
            if keeper is not None and time.monotonic() - saved > SAVE_SECONDS and fraction < 1:
                reports.flush()
                _refuse_failed(progress.failed)
                keeper.save(done, progress, {"batches": batches.position(), "seconds": time.monotonic() - started})
                saved = time.monotonic()
        if done > first:
            reports.add(done, metrics)
        reports.flush()
        if keeper is not None and done > first and not stop.is_set():  # what follows may be interrupted too
            keeper.save(done, progress, {"batches": batches.position(), "seconds": time.monotonic() - started})
        if stop.is_set():
            kept = "nothing is kept, because no folder was given"
            if keeper is not None:
                keeper.save(done, progress, {"batches": batches.position(), "seconds": time.monotonic() - started})
                kept = f"all {done} steps are kept in {folder}; the same command goes on from there"
            raise Interrupted(f"stopped at step {done} of {steps}; {kept}")
    return progress.params if judge is None else progress.best.params


def begin(params: Any, optimizer: optax.GradientTransformation, *, judged: bool = False) -> Progress:
    """Progress before the first step."""
    best = bests.nothing(params) if judged else None
    return Progress(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32), params, optimizer.init(params), best)


def step_function(loss: Loss, optimizer: optax.GradientTransformation, key: jax.Array) -> Callable:
    """The jitted (progress, batch, fraction) -> (progress, scalars); traces once for each shape of batch.

    fraction: f32[], how much of the training is over; the optimiser gets it with the step.
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def step(progress: Progress, batch: dict, fraction: jax.Array) -> tuple[Progress, dict]:
        draw = jax.random.fold_in(key, progress.step)
        (value, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(progress.params, batch, draw)
        updates, state = optimizer.update(
            gradient, progress.optimizer, progress.params, step=progress.step, fraction=fraction
        )
        params = optax.apply_updates(progress.params, updates)
        norm = optax.tree.norm(gradient)
        fails = (progress.failed == 0) & ~(jnp.isfinite(value) & jnp.isfinite(norm))
        failed = jnp.where(fails, progress.step + 1, progress.failed)
        metrics = {"loss": value, "gradient_norm": norm, "failed": failed, **metrics}
        return Progress(progress.step + 1, failed, params, state, progress.best), metrics

    return jax.jit(step, donate_argnums=0)


def _fraction(done: int, steps: int, started: float, seconds: float) -> float:
    return max(done / steps, (time.monotonic() - started) / seconds)


def _placement(mesh: jax.sharding.Mesh | None) -> tuple[Callable, Callable]:
    """(place an array on all devices, split a batch of this process over them)."""
    if mesh is None:
        return jnp.asarray, lambda batch: jax.tree.map(jnp.asarray, batch)
    mesh = jax.sharding.Mesh(mesh.devices, mesh.axis_names)  # the compiler places what lies between, whatever the axes' types
    whole, rows = (jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes)) for axes in ((), ("data",)))
    place = lambda array: jax.device_put(array, whole)
    return place, lambda batch: jax.tree.map(lambda array: jax.make_array_from_process_local_data(rows, array), batch)


class _Reports:
    """Scalars on their way to the log. They are read one report late, when they are long computed: nothing waits."""

    def __init__(self, log: logs.Log, bar: Any, done: int) -> None:
        self._log, self._bar = log, bar
        self._pending: tuple[int, float, dict] | None = None
        self._last = done
        self._examples, self._since = 0, time.monotonic()

    def count(self, batch: dict) -> None:
        self._examples += len(next(iter(batch.values())))

    def add(self, step: int, metrics: dict) -> None:
        if step == self._last:
            return
        self.flush()
        self._last = step
        now = time.monotonic()
        self._pending = step, self._examples / max(now - self._since, 1e-9), metrics
        self._examples, self._since = 0, now

    def flush(self) -> None:
        if self._pending is None:
            return
        step, rate, metrics = self._pending
        values = {name: float(value) for name, value in jax.device_get(metrics).items() if name != "failed"}
        _refuse_failed(metrics["failed"])
        self._log.scalars(step, **values, examples_per_second=rate)
        self._bar.set_postfix_str(f"loss {values['loss']:.3f}, {rate:.0f} examples/s", refresh=False)
        self._pending = None


def _refuse_failed(failed: jax.Array) -> None:
    if int(failed):
        raise FloatingPointError(
            f"the loss or its gradient is not finite at step {int(failed)} (batch number {int(failed) - 1}); "
            "lower the learning rate or look at the data of that batch"
        )


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
