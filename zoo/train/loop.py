"""The one training loop: one jitted step with donated state, on one device or a mesh, resumable bit for bit."""

from __future__ import annotations

import contextlib
import math
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import optax

from zoo.train import (
    best as bests,
    checkpoints,
    execution as executions,
    health,
    interrupts,
    log as logs,
    processes,
    sharding,
    speed,
    step as steps_,
)

REPORTS = 200  # scalars written in a run; between them the host does not wait for the device
SAVE_SECONDS = 60.0  # between checkpoints
PROFILED = (5, 15)  # steps of a run whose trace is written; the first ones compile

Loss = steps_.Loss
Interrupted, Preempted = interrupts.Interrupted, interrupts.Preempted


def train(
    loss: Loss,
    params: Any,
    batches: Any,
    optimizer: optax.GradientTransformation,
    *,
    steps: int,
    key: jax.Array,
    log: logs.Log,
    execution: executions.Execution | None = None,
    mesh: jax.sharding.Mesh | None = None,
    folder: pathlib.Path | None = None,
    identity: str = "",
    attached: Mapping[str, Any] | None = None,
    seconds: float = math.inf,
    evaluate: Callable[[Any], dict] | None = None,
    evaluate_every: int = 1000,
    amend: Callable[[Any, int], Any] | None = None,
    amend_every: int = 100,
    judge: bests.Validation | None = None,
) -> Any:
    """Parameters after `steps` steps of descent on the mean loss of the batches; with a judge, the best of those that it saw.

    Args:
      loss: pure, a mean over rows; the key it gets is folded with the step, so a resumed run draws what an uninterrupted one would.
      params: where to start. The buffers are donated.
      batches: iterator of dicts of arrays [B, ...] with `position()` and `seek(position)` (zoo.data.batches); for several processes
        `share(part, parts)` too, and with `batch(number)` and `examples(number)` a batch that fails is named and saved.
      execution: devices, parts of a batch, averaging, ...; that of the log if None.
      mesh: in place of the execution's; see zoo.train.sharding. Results are those of one device, up to the order of sums.
      folder: where checkpoints go and are resumed from; none are written if None. An interrupt (Ctrl-C, SIGTERM) saves
        before it raises Interrupted.
      identity: what the run is (its configuration and data); a checkpoint of another identity is refused.
      attached: arrays to keep with the checkpoints, as the identifiers that are learned; a checkpoint with others is refused.
      seconds: training ends after this long, time before a resume counted, if that is before `steps`. The schedule of the
        optimiser runs to its end either way; the number of steps, and so the result, then depends on the machine.
      evaluate: scalars of the parameters for the log, every `evaluate_every` steps; must not keep the parameters.
      amend: (parameters, steps done) -> the parameters to go on with, of the same shapes, every `amend_every` steps but not
        after the last; what descent cannot do, as giving unused codes a new place. Pure, so that a resumed run does the same.
      judge: see `best.Judge`; its scores go to the log as "judged".

    What evaluates, amends or judges gets the parameters, or their moving average if the execution has one (amend the parameters), on one
    device; so does the caller.

    Raises:
      FloatingPointError: a loss or gradient is not finite; names the step and the batch. Checkpoints are from before it.
      Interrupted: Ctrl-C; Preempted, a kind of it: SIGTERM, with all kept.
      DataError: `folder` holds a checkpoint of another identity, or one that cannot be read; the mesh does not fit the parameters;
        no memory on the device or space on the disk.
    """
    execution = log.execution if execution is None else execution
    progress = steps_.begin(params, optimizer, judged=judge is not None, execution=execution)
    placed = sharding.Placement(
        params, progress, sharding.mesh_of(execution.mesh) if mesh is None else mesh
    )
    progress = placed.put(progress)
    step_fn = steps_.step_function(loss, optimizer, key, execution=execution, places=placed.places)
    current = lambda: placed.fetch(progress.average if execution.average else progress.params)
    batch: dict = {}
    with contextlib.ExitStack() as stack:
        kept = (
            None
            if folder is None
            else stack.enter_context(checkpoints.Checkpoints(folder, identity, key, attached))
        )
        started = time.monotonic()
        if placed.parts > 1:
            batches.share(placed.part, placed.parts)
        if kept is not None and (found := kept.restore(progress)) is not None:
            progress, reached = placed.put(found[0]), found[1]
            batches.seek(reached["batches"])
            started -= reached["seconds"]
        done = first = int(progress.step)
        log.rewind(done)
        bar = stack.enter_context(log.progress(steps, "train", "steps", start=done))
        signals = stack.enter_context(health.Signals())
        trace = stack.enter_context(speed.Trace(execution.profile, first=done, last=steps))
        stack.enter_context(
            health.explained(
                lambda: ", ".join(f"{name} {list(rows.shape)}" for name, rows in batch.items())
            )
        )
        reports = _Reports(log, bar, speed.Meter(processes=placed.parts), done)
        every = max(1, steps // REPORTS)
        saved = time.monotonic()
        decided = processes.Decision(time.monotonic() - started, False, False)
        fraction = _fraction(done, steps, decided.seconds, seconds)
        if judge is not None and judge.hopeless(progress.best, done):
            fraction = 1.0
        halted = lambda: decided.stop if jax.process_count() > 1 else signals.stop
        while fraction < 1 and not halted():
            trace.before(done, progress.step)
            asked = time.monotonic()
            batch = next(batches)
            waited = time.monotonic() - asked
            given = progress, placed.split(batch), np.float32(fraction)
            reports.count(batch, step_fn, given, waited)
            progress, metrics = step_fn(*given)
            done += 1
            bar.update()
            wish = processes.Decision(
                time.monotonic() - started, signals.stop, time.monotonic() - saved > SAVE_SECONDS
            )
            decided = processes.agree(done, wish, decided)
            fraction = _fraction(done, steps, decided.seconds, seconds)
            if amend is not None and done % amend_every == 0 and fraction < 1:
                progress = placed.put(
                    progress._replace(params=amend(placed.fetch(progress.params), done))
                )
            if done % every == 0:
                reports.add(done, metrics)
                bar.total = min(steps, math.ceil(done / fraction))
            if evaluate is not None and (done % evaluate_every == 0 or fraction >= 1):
                log.scalars(done, **evaluate(current()))
            if judge is not None and (judge.due(done) or fraction >= 1):
                score = processes.same(float(judge.score(current())))
                log.scalars(done, judged=score)
                candidate = progress.average if execution.average else progress.params
                progress = placed.put(
                    progress._replace(best=bests.better(progress.best, candidate, score, done))
                )
                fraction = 1.0 if judge.hopeless(progress.best, done) else fraction
            if kept is not None and decided.save and fraction < 1:
                reports.flush()
                if not int(progress.failed):
                    kept.save(
                        done,
                        progress,
                        {"batches": batches.position(), "seconds": time.monotonic() - started},
                    )
                saved = time.monotonic()
            if reports.failed:
                break
        if done > first:
            reports.add(done, metrics)
        reports.flush()
        if reports.failed:
            raise health.diverged(progress, batches, key, folder, placed.fetch)
        # what follows may be interrupted too
        if kept is not None and done > first and not halted():
            kept.save(
                done,
                progress,
                {"batches": batches.position(), "seconds": time.monotonic() - started},
            )
        if halted():
            remains = "nothing is kept, because no folder was given"
            if kept is not None:
                kept.save(
                    done,
                    progress,
                    {"batches": batches.position(), "seconds": time.monotonic() - started},
                )
                remains = (
                    f"all {done} steps are kept in {folder}; the same command goes on from there"
                )
            kind = Preempted if signals.preempted and kept is not None else Interrupted
            raise kind(f"stopped at step {done} of {steps}; {remains}")
    if judge is not None:
        return placed.fetch(progress.best.params)
    return current()


def _fraction(done: int, steps: int, spent: float, seconds: float) -> float:
    return max(done / steps, spent / seconds)


class _Reports:
    """Scalars on their way to the log. They are read one report late, when they are long computed: nothing waits."""

    def __init__(self, log: logs.Log, bar: Any, meter: speed.Meter, done: int) -> None:
        self._log, self._bar, self._meter = log, bar, meter
        self._pending: tuple[int, dict, dict] | None = None
        self._last = done
        self.failed = False  # whether a step that was read had numbers that are not finite

    def count(self, batch: dict, step_fn: Callable, given: tuple, waited: float) -> None:
        self._meter.count(batch, self._meter.operations(step_fn, *given), waited)

    def add(self, step: int, metrics: dict) -> None:
        if step == self._last:
            return
        self.flush()
        self._last = step
        self._pending = step, self._meter.read(), metrics

    def flush(self) -> None:
        if self._pending is None:
            return
        step, rates, metrics = self._pending
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        self._pending = None
        self.failed = self.failed or bool(values.pop("failed"))
        if self.failed:
            return
        self._log.scalars(step, **values, **rates)
        self._bar.set_postfix_str(f"loss {values['loss']:.3f}, {speed.shown(rates)}", refresh=False)
