"""How fast a training is: examples, tokens and floating-point operations a second, the share of the device's peak, waiting for data."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

# Dense bfloat16 operations a second of one device, by the beginning of JAX's name for its kind.
# TPU: cloud.google.com/tpu/docs/v4, /v5e, /v5p, /v6e ("peak compute per chip"); GPU: NVIDIA's data sheets, without sparsity.
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


class Meter:
    """Counts what steps do between two readings.

    Operations are XLA's count of the step as it is lowered, before it is optimised or split over devices: matrix products and all
    else, of forward pass, backward pass and update. A loop inside a network counts as one turn, as XLA counts it.
    """

    def __init__(self, *, loops: int, processes: int) -> None:
        """loops: turns of the loop that the step is, 1 if it is none; processes: that read as many rows each."""
        self._loops, self._processes = loops, processes
        self._known: dict[tuple, float] = {}  # operations of a step by the shape of its batch
        self._begin()

    def operations(self, step_fn: Callable, *arguments: Any) -> float:
        """Operations of a step with these arguments, of which the second is the batch."""
        shapes = tuple(rows.shape for rows in arguments[1].values())
        if shapes not in self._known:
            counted = step_fn.lower(*arguments).cost_analysis() or {}
            self._known[shapes] = self._loops * max(float(counted.get("flops", 0.0)), 0.0)
        return self._known[shapes]

    def count(self, batch: dict[str, np.ndarray], operations: float, waited: float) -> None:
        """One step with the rows of this process, that had to wait for them so many seconds."""
        self._examples += self._processes * len(next(iter(batch.values())))
        tokens = [np.count_nonzero(rows) for rows in batch.values() if rows.ndim == 2 and rows.dtype.kind in "iu"]
        self._tokens += self._processes * sum(tokens)
        self._operations += operations
        self._waited += waited

    def read(self) -> dict[str, float]:
        """Scalars since the last reading: rates, "peak_share" where the device's peak is known, and "data_wait", a share of the time."""
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
    """A trace of TRACED steps for TensorBoard or Perfetto (jax.profiler); of the first process. A context."""

    def __init__(self, folder: str, *, first: int, last: int) -> None:
        """folder: where it goes, none is written if ""; first, last: steps done before and after the training."""
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
        """Starts or ends the trace, if it is time after so many steps; ready: a result of the last, which it then waits for."""
        if not self._folder or done not in (self._begin, self._end):
            return
        jax.block_until_ready(ready)
        if self._runs:
            jax.profiler.stop_trace()
            self._runs, self._folder = False, ""
        else:
            jax.profiler.start_trace(self._folder)
            self._runs = True


def shown(rates: dict[str, float]) -> str:
    """Rates in words, for a progress bar."""
    parts = [f"{rates['examples_per_second']:.0f} examples/s", f"{rates['tokens_per_second']:.0f} tokens/s", f"{rates['flops_per_second'] / 1e9:.3g} GFLOP/s"]
    if "peak_share" in rates:
        parts.append(f"{rates['peak_share']:.1%} of peak")
    return ", ".join(parts)
