"""Multi-process training, one process per host or accelerator: start-up and joint decisions."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from zoo.records import DataError

EVERY = 10  # steps between agreements, which wait for the device
HEARTBEAT = 60  # seconds of silence after which a process counts as dead and the others end


class Decision(NamedTuple):
    """What all processes do next: the maximum over their wishes."""

    seconds: float  # that training has taken
    stop: bool  # a signal asks to save and stop
    save: bool  # a checkpoint is due


def start(text: str) -> None:
    """Joins the processes of a training; before anything else is done with JAX.

    text: "auto" on Cloud TPU, SLURM and Open MPI, where JAX finds the others; or
        ADDRESS:PORT,NUMBER,COUNT with the address of process 0, this process's number from 0, and
        the number of processes.

    Raises DataError if the text is neither, or the others are not found.
    """
    options = {}
    if text != "auto":
        address, *numbers = text.split(",")
        if (
            ":" not in address
            or len(numbers) != 2
            or not all(number.isdecimal() for number in numbers)
            or not int(numbers[0]) < int(numbers[1])
        ):
            raise DataError(
                f"processes: expected auto, or ADDRESS:PORT,NUMBER,COUNT as localhost:1234,0,2, "
                f"got {text!r}"
            )
        options = {
            "coordinator_address": address,
            "process_id": int(numbers[0]),
            "num_processes": int(numbers[1]),
        }
    try:
        jax.distributed.initialize(**options, heartbeat_timeout_seconds=HEARTBEAT)
    except (RuntimeError, ValueError) as error:
        raise DataError(
            f"processes: {text} did not come together ({' '.join(str(error).split())[:200]}); "
            "start all of them with the same address and count"
        ) from None


def first() -> bool:
    """Whether this process writes the files that only one may write."""
    return jax.process_index() == 0


def agree(done: int, wish: Decision, last: Decision) -> Decision:
    """The wish of a single process; of several, their agreement at the last multiple of EVERY.

    last: the previous decision. All processes must call this at the same steps.
    """
    if jax.process_count() == 1:
        return wish
    if done % EVERY:
        return last._replace(stop=False, save=False)
    from jax.experimental import multihost_utils

    seconds, stop, save = np.max(
        multihost_utils.process_allgather(np.array(wish, np.float32)), axis=0
    )
    return Decision(float(seconds), bool(stop), bool(save))


def same(value: float) -> float:
    """The value of the first process."""
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    return float(multihost_utils.broadcast_one_to_all(np.float32(value)))


def wait(name: str) -> None:
    """Blocks until all processes call it."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)
