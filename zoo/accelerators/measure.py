"""What the compiler says of a program: memory, operations, communication, and a predicted bound."""

from __future__ import annotations

import dataclasses
import math
import re
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from zoo.accelerators import chips, programs
from zoo.records import DataError
from zoo.train import execution as executions, sharding, stages, step

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
# operations of a compiled program that accelerators are slow at, by what to look for in its text
HOSTILE = {
    "gather": r" = \S+ gather\(",
    "scatter": r" = \S+ scatter\(",
    "sort": r" = .* sort\(",
    "float64": r" = f64\[",
    "host callback": r"custom-call\(.*custom_call_target=\"[^\"]*callback",
}
_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "f64": 8, "s64": 8}
_SHAPE = re.compile(r"\b(pred|[subf]+\d+)\[([\d,]*)\]")


@dataclasses.dataclass(frozen=True)
class Measured:
    """A compiled program; bytes and operations are those of one device.

    Operations and bytes count the body of a loop whose trips the compiler does not know once.
    """

    name: str
    devices: int
    seconds: float  # to compile
    arguments: int  # bytes
    outputs: int  # bytes, of which `aliased` take the place of arguments
    aliased: int
    temporaries: int
    flops: float
    bytes: float  # read and written
    collectives: Mapping[str, tuple[int, int]]  # kind -> (number, bytes)
    hostile: Mapping[str, int]  # what accelerators are slow at -> number
    chip: chips.Chip | None
    refused: str = ""  # the compiler's reason, where it found too little memory

    @property
    def memory(self) -> int:
        """Bytes that are live together."""
        return self.arguments + self.outputs - self.aliased + self.temporaries

    @property
    def fits(self) -> bool | None:
        """Whether the memory suffices; None if it is not known."""
        if self.refused:
            return False
        return None if self.chip is None else self.memory <= self.chip.memory

    @property
    def intensity(self) -> float:
        """Operations per byte of memory traffic."""
        return self.flops / max(self.bytes, 1.0)

    def bounds(self) -> dict[str, float]:
        """Seconds that the program takes at least, by what limits it; nothing without a chip.

        Predicted from peak rates (a roofline), not measured.
        """
        if self.chip is None:
            return {}
        sent = sum(size for _, size in self.collectives.values())
        return {
            "products": self.flops / self.chip.flops,
            "memory": self.bytes / self.chip.bandwidth,
            "communication": sent / self.chip.interconnect,
        }

    def record(self) -> dict[str, Any]:
        """JSON of everything, with the predicted bounds."""
        found = dataclasses.asdict(self)
        found["chip"] = None if self.chip is None else self.chip._asdict()
        return found | {
            "memory": self.memory,
            "fits": self.fits,
            "intensity": self.intensity,
            "predicted_seconds": self.bounds(),
        }


def training_step(
    program: stages.Program, target: chips.Target, mesh: str, execution: executions.Execution
) -> Measured:
    """The compiled training step of a stage on the devices of the target.

    Raises DataError if the mesh does not fit the devices, the parameters or the batch.
    """
    devices = mesh_over(target, mesh)
    progress = jax.eval_shape(
        lambda params: step.begin(
            params, program.optimizer, validated=program.validated, execution=execution
        ),
        program.params,
    )
    places = sharding.layouts(program.params, progress, devices)
    function = step.step_function(
        program.loss, program.optimizer, jax.random.key(0), execution=execution, places=places
    )
    batch = largest_batch(program)
    size = len(next(iter(batch.values())))
    parts = math.prod(devices.shape[axis] for axis in sharding.ROWS if axis in devices.shape)
    if size % parts:
        raise DataError(
            f"mesh: a batch of {size} rows cannot be split over {parts} devices (data times fsdp); "
            "choose a multiple (--set batch=...)"
        )
    rows = sharding.rows(devices)
    everywhere = jax.sharding.NamedSharding(devices, jax.sharding.PartitionSpec())
    placed = lambda leaf, where: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where)
    arguments = (
        jax.tree.map(placed, progress, places),
        {name: placed(array, rows) for name, array in batch.items()},
        jax.ShapeDtypeStruct((), np.float32, sharding=everywhere),
    )
    key = placed(np.asarray(function.key_data), everywhere)
    name, chip = f"train: {program.name}", target.chip
    return _compile(name, function.jitted, (*arguments, key), {}, chip, devices.size)


def answering(call: programs.Call, target: chips.Target) -> Measured:
    """A compiled call that answers, on one device of the target."""
    alone = jax.sharding.SingleDeviceSharding(target.devices[0])
    placed = jax.tree.map(lambda leaf: programs.shape_of(leaf, alone), call.arguments)
    return _compile(f"answer: {call.name}", call.function, placed, call.options, target.chip, 1)


def mesh_over(target: chips.Target, text: str) -> jax.sharding.Mesh:
    """The mesh of a text such as "data=4,model=2"; "" puts all devices along data."""
    sizes = sharding.sizes_of(text or f"data={len(target.devices)}")
    wanted = math.prod(sizes.values())
    if wanted != len(target.devices):
        raise DataError(
            f"mesh: {text} is over {wanted} devices, and {target.name} has {len(target.devices)}; "
            "choose sizes whose product is that, or another topology"
        )
    return jax.sharding.Mesh(np.array(target.devices).reshape(*sizes.values()), tuple(sizes))


def largest_batch(program: stages.Program) -> dict[str, np.ndarray]:
    """The batch with most numbers among the first; batches differ in the length of their texts."""
    drawn = [next(program.batches) for _ in range(programs.BATCHES)]
    return max(drawn, key=lambda batch: sum(array.size for array in batch.values()))


def _compile(
    name: str,
    function: Any,
    arguments: tuple,
    options: Mapping[str, Any],
    chip: chips.Chip | None,
    devices: int,
) -> Measured:
    start = time.monotonic()
    lowered = function.lower(*arguments, **options)
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        reason = next(line for line in str(error).splitlines() if "RESOURCE_EXHAUSTED" in line)
        spent = time.monotonic() - start
        return Measured(name, devices, spent, 0, 0, 0, 0, 0.0, 0.0, {}, {}, chip, reason.strip())
    seconds = time.monotonic() - start
    memory, cost, text = compiled.memory_analysis(), compiled.cost_analysis(), compiled.as_text()
    return Measured(
        name,
        devices,
        seconds,
        memory.argument_size_in_bytes,
        memory.output_size_in_bytes,
        memory.alias_size_in_bytes,
        memory.temp_size_in_bytes,
        float(cost.get("flops", 0.0)),
        float(cost.get("bytes accessed", 0.0)),
        collectives_of(text),
        {what: len(re.findall(pattern, text)) for what, pattern in HOSTILE.items()},
        chip,
    )


def collectives_of(text: str) -> dict[str, tuple[int, int]]:
    """Kind -> (number, bytes of the results) of the collectives in a compiled program's text.

    >>> collectives_of("  %a = f32[8,4]{1,0} all-reduce(%b), replica_groups={}")
    {'all-reduce': (1, 128)}
    """
    found: dict[str, tuple[int, int]] = {}
    for kind in COLLECTIVES:
        lines = re.findall(rf" = (.*?) {kind}(-start)?\(", text)
        # an asynchronous one returns its operand too, except all-reduce
        both = {"all-gather", "collective-permute"}
        sizes = [
            _sizes(shapes)[-1] if start and kind in both else sum(_sizes(shapes))
            for shapes, start in lines
        ]
        if lines:
            found[kind] = len(lines), sum(sizes)
    return found


def _sizes(shapes: str) -> list[int]:
    """Bytes of each array, largest last, in the type of an instruction: (f32[8], bf16[2,2])."""
    return sorted(
        _BYTES.get(kind, 4) * math.prod(int(size) for size in sizes.split(",") if size)
        for kind, sizes in _SHAPE.findall(shapes)
    )
