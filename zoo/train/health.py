"""Failures of a training as one-line errors, and signals."""

from __future__ import annotations

import contextlib
import hashlib
import pathlib
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import optax

from zoo.records import DataError
from zoo.train import checkpoint, processes

NAMED = 8  # examples of a batch that a message names


class Signals:
    """Context in which Ctrl-C and SIGTERM set `stop`; a second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self.stop = False
        self.preempted = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            self._before = {
                number: signal.signal(number, self._handle)
                for number in (signal.SIGINT, signal.SIGTERM)
            }
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: object) -> None:
        if self.stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.stop, self.preempted = True, number == signal.SIGTERM


@contextlib.contextmanager
def explain_memory(sizes: Callable[[], str]) -> Iterator[None]:
    """Raises DataError, with sizes() of the batch, when the device is out of memory."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise DataError(
            f"train: out of memory on {jax.local_devices()[0].device_kind} with {sizes()}; "
            "use a smaller batch, --accumulate 2 or more, --remat, "
            f"dtype=bfloat16, or a mesh with fsdp ({str(error).splitlines()[0][:150]})"
        ) from error


def divergence(
    progress: Any,
    batches: Any,
    key: jax.Array,
    folder: pathlib.Path | None,
    fetch: Callable[[Any], Any],
) -> FloatingPointError:
    """The error of a step with a non-finite loss or gradient, naming its batch; saves its inputs.

    progress: after the step, with the parameters that made it fail.
    fetch: parameters -> arrays of this process.
    """
    step = int(progress.failed)
    number = step - 1
    what = f"batch number {number}"
    batch = batches.batch(number) if hasattr(batches, "batch") else None
    if batch is not None:
        rows = batches.examples(number)
        names = ", ".join(map(str, rows[:NAMED])) + (", ..." if len(rows) > NAMED else "")
        what += f", examples {names}, SHA-256 {_digest(batch)}"
    if progress.skipped is not None:
        what += f"; {int(progress.skipped)} such steps were left out before"
    where = ""
    if folder is not None:
        place = pathlib.Path(folder).with_name(f"failed-at-{step}")
        state = {
            "params": fetch(progress.params),
            "key": np.asarray(jax.random.key_data(key)),
            "step": np.asarray(number),
        }
        if processes.first():
            shutil.rmtree(place, ignore_errors=True)
            checkpoint.save_state(state | ({} if batch is None else {"batch": batch}), place)
        where = (
            f"; {place} holds the parameters before it and the batch (zoo.train.health.reproduce)"
        )
    return FloatingPointError(
        f"the loss or its gradient is not finite at step {step} ({what}); "
        f"lower the learning rate or look at the data of that batch{where}"
    )


def reproduce(loss: Callable, folder: pathlib.Path) -> tuple[jax.Array, jax.Array]:
    """(loss, norm of its gradient) of a failed step, from the folder that its error names."""
    state = checkpoint.load_state(folder)
    key = jax.random.fold_in(jax.random.wrap_key_data(state["key"]), state["step"])
    params = jax.tree.map(jax.numpy.asarray, state["params"])
    (value, _), gradient = jax.value_and_grad(loss, has_aux=True)(params, state["batch"], key)
    return value, optax.tree.norm(gradient)


def _digest(batch: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, rows in batch.items():
        digest.update(
            f"{name} {rows.dtype} {rows.shape}".encode() + np.ascontiguousarray(rows).tobytes()
        )
    return digest.hexdigest()[:16]
