"""The training loop: one jitted step with donated state, on a device or a mesh; exactly resumable.

`zoo.train.stages` builds what it needs; systems call that.
"""

from __future__ import annotations

import contextlib
import math
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from zoo.train import (
    best,
    checkpoints,
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

Loss = steps_.Loss
Interrupted, Preempted = interrupts.Interrupted, interrupts.Preempted


class Run(NamedTuple):
    """One training, apart from its loss and its data."""

    steps: int
    key: jax.Array  # folded with the step, so a resumed run draws what an uninterrupted one would
    log: logs.Log  # its `execution` says on which devices, in how many parts of a batch, ...
    # Training ends after so many seconds if that is sooner; the number of steps then depends on the
    # machine. Counted from the first finished step: compilation is excluded.
    seconds: float = math.inf
    folder: pathlib.Path | None = None  # of checkpoints, to write and to resume from; None: neither
    identity: str = ""  # configuration and data; a checkpoint of another identity is refused
    # arrays kept with the checkpoints, such as learned identifiers; a checkpoint with others is
    # refused
    attached: Mapping[str, Any] | None = None


class Hooks(NamedTuple):
    """Functions called between steps.

    They get the parameters, or their moving average if the execution has one (`amend` always the
    parameters), on one device, and must not keep them.
    """

    evaluate: Callable[[Any], dict] | None = None  # params -> scalars for the log
    evaluate_every: int = 1000  # steps; also after the last
    # (params, steps done) -> params of the same shapes, for what descent cannot do, such as moving
    # unused codes. Pure, so that a resumed run does the same; not called after the last step.
    amend: Callable[[Any, int], Any] | None = None
    amend_every: int = 100
    validation: best.Validation | None = None  # selects the parameters that are returned


class Result(NamedTuple):
    """What a training ends with."""

    params: Any  # the last, their moving average, or those of best validation; on one device
    steps: int  # done
    seconds: float  # of steps and hooks, compilation excluded, those before a resume included


def train(
    loss: Loss | Mapping[str, Loss],
    params: Any,
    batches: Any,
    optimizer: optax.GradientTransformation,
    run: Run,
    hooks: Hooks = Hooks(),
) -> Result:
    """Result of descending the mean loss over batches for `run.steps` steps or `run.seconds`.

    The fraction of the run that is over, by steps or by time, drives the optimiser's schedule.

    Args:
      loss: see `step.Loss`; a mapping holds one for each task, see `step.step_function`.
      params: initial parameters. The buffers are donated.
      batches: iterator of dicts of arrays [B, ...] with `position()` and `seek(position)`, as those
        of zoo.data.batches. Several processes need `share(part, parts)`; with `batch(number)` and
        `examples(number)` a batch with a loss that is not finite is named and saved.

    Raises:
      FloatingPointError: a loss or gradient is not finite; names the step and the batch.
        Checkpoints are from before it.
      Interrupted: Ctrl-C; Preempted, a subclass: SIGTERM, after everything was saved.
      DataError: `run.folder` holds a checkpoint of another identity or an unreadable one; the mesh
        does not fit the parameters; the device is out of memory or the disk is full.
    """
    with contextlib.ExitStack() as stack:
        training = _Training(loss, params, batches, optimizer, run, hooks)
        training.open(stack)
        while training.fraction < 1 and not training.stopped():
            training.step()
            training.call_hooks()
            training.save_if_due()
            if training.reports.failed:
                break
        training.finish()
    return training.result()


class _Clock:
    """Seconds spent on steps and hooks; stands still while something compiles."""

    def __init__(self) -> None:
        self._spent, self._since = 0.0, None
        self._compiled: set[Any] = set()

    def set(self, seconds: float) -> None:
        self._spent = seconds

    def seconds(self) -> float:
        return self._spent + (0.0 if self._since is None else time.monotonic() - self._since)

    def before(self, what: Any, pending: Any) -> None:
        """Stops the clock if `what` is called for the first time, after waiting for `pending`."""
        if what not in self._compiled:
            self._compiled.add(what)
            jax.block_until_ready(pending)
            self._spent, self._since = self.seconds(), None

    def after(self, result: Any) -> None:
        """Starts the clock if it stands still, after waiting for `result`."""
        if self._since is None:
            jax.block_until_ready(result)
            self._since = time.monotonic()


class _Training:
    """A training in progress: the state of `train` between steps."""

    def __init__(self, loss, params, batches, optimizer, run: Run, hooks: Hooks) -> None:
        self.run, self.hooks, self.batches = run, hooks, batches
        self.execution = execution = run.log.execution
        progress = steps_.begin(
            params, optimizer, validated=hooks.validation is not None, execution=execution
        )
        self.placed = sharding.Placement(params, progress, sharding.mesh_of(execution.mesh))
        self.progress = self.placed.put(progress)
        self.step_fn = steps_.step_function(
            loss, optimizer, run.key, execution=execution, places=self.placed.places
        )
        self.checkpoints: checkpoints.Checkpoints | None = None
        self.clock, self.batch, self.metrics = _Clock(), {}, {}
        self.fraction, self.done, self.first = 0.0, 0, 0

    def open(self, stack: contextlib.ExitStack) -> None:
        """Restores the last checkpoint and enters everything that has to be closed."""
        run, parts = self.run, self.placed.parts
        if parts > 1:
            self.batches.share(self.placed.part, parts)
        if run.folder is not None:
            self.checkpoints = stack.enter_context(
                checkpoints.Checkpoints(run.folder, run.identity, run.key, run.attached)
            )
            self._restore(self.checkpoints)
        self.done = self.first = int(self.progress.step)
        run.log.rewind(self.done)
        bar = stack.enter_context(run.log.progress(run.steps, "train", "steps", start=self.done))
        self.signals = stack.enter_context(health.Signals())
        self.trace = stack.enter_context(
            speed.Trace(self.execution.profile, first=self.done, last=run.steps)
        )
        stack.enter_context(health.explain_memory(self._sizes))
        self.reports = _Reports(run.log, bar, speed.Meter(processes=parts), self.done)
        self.decided = processes.Decision(self.clock.seconds(), False, False)
        self.saved = time.monotonic()
        self._advance_fraction()
        self._stop_early()

    def stopped(self) -> bool:
        """Whether a signal asks to save and stop."""
        return self.decided.stop if jax.process_count() > 1 else self.signals.stop

    def step(self) -> None:
        self.trace.before(self.done, self.progress.step)
        asked = time.monotonic()
        self.batch = next(self.batches)
        waited = time.monotonic() - asked
        self.clock.before(self._sizes(), self.progress.step)
        arguments = self.progress, self.placed.split(self.batch), np.float32(self.fraction)
        self.reports.count(self.batch, self.step_fn, arguments, waited)
        self.progress, self.metrics = self.step_fn(*arguments)
        self.clock.after(self.metrics)
        self.done += 1
        self.reports.bar.update()
        wish = processes.Decision(
            self.clock.seconds(), self.signals.stop, time.monotonic() - self.saved > SAVE_SECONDS
        )
        self.decided = processes.agree(self.done, wish, self.decided)
        self._advance_fraction()

    def call_hooks(self) -> None:
        """Amends, reports, evaluates and validates where it is time to."""
        run, hooks, done, log = self.run, self.hooks, self.done, self.run.log
        if hooks.amend is not None and done % hooks.amend_every == 0 and self.fraction < 1:
            params = hooks.amend(self.placed.fetch(self.progress.params), done)
            self.progress = self.placed.put(self.progress._replace(params=params))
        if done % max(1, run.steps // REPORTS) == 0:
            self.reports.add(done, self.metrics)
            self.reports.bar.total = min(run.steps, math.ceil(done / self.fraction))
        if hooks.evaluate is not None and (done % hooks.evaluate_every == 0 or self.fraction >= 1):
            self.clock.before("evaluate", self.progress.step)
            log.scalars(done, **hooks.evaluate(self._current()))
            self.clock.after(())
        if hooks.validation is not None and (hooks.validation.due(done) or self.fraction >= 1):
            self.clock.before("validate", self.progress.step)
            self._validate(hooks.validation)
            self.clock.after(())

    def save_if_due(self) -> None:
        if self.checkpoints is not None and self.decided.save and self.fraction < 1:
            self.reports.flush()
            if not int(self.progress.failed):
                self._save(self.checkpoints)
            self.saved = time.monotonic()

    def finish(self) -> None:
        """Writes what is left; raises if the training failed or was interrupted."""
        if self.done > self.first:
            self.reports.add(self.done, self.metrics)
        self.reports.flush()
        run, stopped = self.run, self.stopped()
        if self.reports.failed:
            raise health.divergence(
                self.progress, self.batches, run.key, run.folder, self.placed.fetch
            )
        if self.checkpoints is not None and (stopped or self.done > self.first):
            self._save(self.checkpoints)
        # writing may be interrupted too
        if not (stopped or self.stopped()):
            return
        remains = "nothing is kept, because no folder was given"
        if self.checkpoints is not None:
            remains = (
                f"all {self.done} steps are kept in {run.folder}; "
                "the same command goes on from there"
            )
        kept = self.signals.preempted and self.checkpoints is not None
        raise (Preempted if kept else Interrupted)(
            f"stopped at step {self.done} of {run.steps}; {remains}"
        )

    def result(self) -> Result:
        if self.hooks.validation is not None:
            params = self.placed.fetch(self.progress.best.params)
        else:
            params = self._current()
        return Result(params, self.done, self.decided.seconds)

    def _restore(self, checkpoints_: checkpoints.Checkpoints) -> None:
        found = checkpoints_.restore(self.progress)
        if found is not None:
            self.progress, position = self.placed.put(found[0]), found[1]
            self.batches.seek(position["batches"])
            self.clock.set(position["seconds"])
            self.fraction = position["fraction"]

    def _save(self, checkpoints_: checkpoints.Checkpoints) -> None:
        position = {
            "batches": self.batches.position(),
            "seconds": self.clock.seconds(),
            "fraction": self.fraction,
        }
        checkpoints_.save(self.done, self.progress, position)

    def _validate(self, validation: best.Validation) -> None:
        score = processes.same(float(validation.score(self._current())))
        self.run.log.scalars(self.done, validation=score)
        found = best.better(self.progress.best, self._parameters(), score, self.done)
        self.progress = self.placed.put(self.progress._replace(best=found))
        self._stop_early()

    def _advance_fraction(self) -> None:
        """How much of the run is over, by steps or by time."""
        spent = self.decided.seconds / self.run.seconds
        self.fraction = max(self.fraction, self.done / self.run.steps, spent)

    def _stop_early(self) -> None:
        validation = self.hooks.validation
        if validation is not None and validation.exhausted(self.progress.best, self.done):
            self.fraction = 1.0

    def _parameters(self) -> Any:
        return self.progress.average if self.execution.average else self.progress.params

    def _current(self) -> Any:
        return self.placed.fetch(self._parameters())

    def _sizes(self) -> str:
        return ", ".join(f"{name} {list(rows.shape)}" for name, rows in self.batch.items())


class _Reports:
    """Scalars on their way to the log, read one report late, when they are long computed."""

    def __init__(self, log: logs.Log, bar: Any, meter: speed.Meter, done: int) -> None:
        self._log, self.bar, self._meter = log, bar, meter
        self._pending: tuple[int, dict, dict] | None = None
        self._last = done
        self.failed = False  # whether a step that was read had numbers that are not finite

    def count(self, batch: dict, step_fn: Callable, arguments: tuple, waited: float) -> None:
        self._meter.count(batch, self._meter.operations(step_fn, *arguments), waited)

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
        self.bar.set_postfix_str(
            f"loss {values['loss']:.3f}, {speed.format_rates(rates)}", refresh=False
        )
