"""Throughput of a training: examples, tokens and FLOPs per second, model FLOPs utilisation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.extend import core

# Dense bfloat16 operations a second of one device, by the beginning of JAX's name for its kind.
# TPU: cloud.google.com/tpu/docs/v4, /v5e, /v5p, /v6e ("peak compute per chip"); GPU: NVIDIA's data
# sheets, without sparsity.
PEAKS = {
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,  # v5e
    "TPU v5": 459e12,  # v5p
    "TPU v6 lite": 918e12,  # v6e
    "NVIDIA A100": 312e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H100": 989e12,  # SXM
    "NVIDIA H200": 989e12,
}


def peak(kind: str) -> float | None:
    """Dense bfloat16 operations a second of a device of that kind, None if it is not in PEAKS."""
    return next((rate for name, rate in PEAKS.items() if kind.startswith(name)), None)


UNTRACED, TRACED = 5, 10  # steps: the first ones, which compile, and those of a trace


def products(program: core.ClosedJaxpr | core.Jaxpr) -> float:
    """FLOPs of all matrix products of a program, before it is split over devices.

    A multiply-add counts as two. A scan counts all its iterations, a `while` loop one, a branch its
    largest case. Recomputation in the backward pass counts again.
    """
    found = 0.0
    for equation in getattr(program, "jaxpr", program).eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left, product = _shape(equation.invars[0]), _shape(equation.outvars[0])
            found += 2.0 * math.prod(product) * math.prod(left[axis] for axis in contracted)
            continue
        inner = [products(part) for value in equation.params.values() for part in _programs(value)]
        if inner:
            turns = equation.params["length"] if equation.primitive.name == "scan" else 1
            devices = equation.params["mesh"].size if equation.primitive.name == "shard_map" else 1
            found += (
                turns * devices * (max(inner) if equation.primitive.name == "cond" else sum(inner))
            )
    return found


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _programs(value: Any) -> Iterator[core.ClosedJaxpr | core.Jaxpr]:
    if isinstance(value, (core.ClosedJaxpr, core.Jaxpr)):
        yield value
    elif isinstance(value, (tuple, list)):
        yield from (part for part in value if isinstance(part, (core.ClosedJaxpr, core.Jaxpr)))


class Meter:
    """Counts work between two readings; operations are `products` of forward and backward pass."""

    def __init__(self, *, processes: int) -> None:
        """processes: that read as many rows each."""
        self._processes = processes
        self._known: dict[tuple, float] = {}  # operations of a step by the shape of its batch
        self._begin()

    def operations(self, step_fn: Callable, *arguments: Any) -> float:
        """Operations of a jitted step with these arguments, of which the second is the batch."""
        shapes = tuple(rows.shape for rows in arguments[1].values())
        if shapes not in self._known:
            self._known[shapes] = products(step_fn.trace(*arguments).jaxpr)
        return self._known[shapes]

    def count(self, batch: dict[str, np.ndarray], operations: float, waited: float) -> None:
        """One step with the rows of this process, that had to wait for them so many seconds."""
        self._examples += self._processes * len(next(iter(batch.values())))
        tokens = [
            np.count_nonzero(rows)
            for rows in batch.values()
            if rows.ndim == 2 and rows.dtype.kind in "iu"
        ]
        self._tokens += self._processes * sum(tokens)
        self._operations += operations
        self._waited += waited

    def read(self) -> dict[str, float]:
        """Rates since the last reading.

        "data_wait" is the fraction of time spent waiting for batches; "peak_share" that of the
        device's peak, if it is known.
        """
        seconds = max(time.monotonic() - self._since, 1e-9)
        found = {
            "examples_per_second": self._examples / seconds,
            "tokens_per_second": self._tokens / seconds,
            "flops_per_second": self._operations / seconds,
            "data_wait": self._waited / seconds,
        }
        if (most := peak(jax.devices()[0].device_kind)) is not None:
            found["peak_share"] = found["flops_per_second"] / (most * jax.device_count())
        self._begin()
        return found

    def _begin(self) -> None:
        self._since = time.monotonic()
        self._examples = self._tokens = 0
        self._operations = self._waited = 0.0


class Trace:
    """Context that traces TRACED steps of the first process by jax.profiler."""

    def __init__(self, folder: str, *, first: int, last: int) -> None:
        """folder: of the trace, none is written if ""; first, last: steps done before and after."""
        self._folder = folder if jax.process_index() == 0 else ""
        begin = first + min(UNTRACED, (last - first) // 2)
        self._begin, self._end = begin, begin + TRACED
        self._runs = False

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *error: object) -> None:
        if self._runs:
            jax.profiler.stop_trace()

    def before(self, done: int, ready: jax.Array) -> None:
        """Starts or ends the trace if due after `done` steps.

        ready: a result of the last step, waited for first.
        """
        if not self._folder or done not in (self._begin, self._end):
            return
        jax.block_until_ready(ready)
        if self._runs:
            jax.profiler.stop_trace()
            self._runs, self._folder = False, ""
        else:
            jax.profiler.start_trace(self._folder)
            self._runs = True


def format_rates(rates: dict[str, float]) -> str:
    """Rates as text for a progress bar."""
    parts = [
        f"{rates['examples_per_second']:.0f} examples/s",
        f"{rates['tokens_per_second']:.0f} tokens/s",
        f"{rates['flops_per_second'] / 1e9:.3g} GFLOP/s",
    ]
    if "peak_share" in rates:
        parts.append(f"{rates['peak_share']:.1%} of peak")
    return ", ".join(parts)
