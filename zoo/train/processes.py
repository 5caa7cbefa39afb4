"""Training in several processes, one a host or an accelerator: how they start, and what they must do at the same step."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from zoo.records import DataError

EVERY = 10  # steps between agreements; an agreement waits for the device
HEARTBEAT = 60  # seconds without a sign after which a process counts as dead, and the others end


class Decision(NamedTuple):
    """What all processes do next; of their wishes the largest."""

    seconds: float  # that training has taken
    stop: bool  # a signal asks to save and stop
    save: bool  # a checkpoint is due


def start(text: str) -> None:
    """Joins the processes of a training; before anything else is done with JAX.

    text: "auto" on Cloud TPU, SLURM and Open MPI, where JAX finds the others; or ADDRESS:PORT,NUMBER,COUNT, with the address of
    process 0, this process's number from 0, and how many there are.
    Raises DataError if the text is neither, or the others cannot be found.
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
                f"processes: expected auto, or ADDRESS:PORT,NUMBER,COUNT as localhost:1234,0,2, got {text!r}"
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
            f"processes: {text} did not come together ({' '.join(str(error).split())[:200]}); start all of them with the same address and count"
        ) from None


def first() -> bool:
    """Whether this process is the one that writes what one alone may write."""
    return jax.process_index() == 0


def agree(done: int, wish: Decision, last: Decision) -> Decision:
    """The wish of a process that is alone; of several, what they agreed on at the latest step divisible by EVERY.

    last: the decision before. All processes must call this at the same steps.
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
    """The value that the first process has."""
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    return float(multihost_utils.broadcast_one_to_all(np.float32(value)))


def wait(name: str) -> None:
    """Until all processes are here."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)
