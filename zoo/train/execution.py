"""How training runs, independently of the system: the flags of `zoo fit`."""

from __future__ import annotations

import dataclasses
from typing import Any, TypedDict

from zoo.records import DataError


def _flag(default: Any, about: str, metavar: str = "", *, none: str = "") -> Any:
    """A field with its help as a flag of `zoo fit`; `none` says what the default means."""
    metadata = {"about": about, "metavar": metavar, "none": none}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Execution:
    """Devices, memory and safety of training."""

    mesh: str = _flag(
        "",
        "devices along data, fsdp and model, as data=4,model=2",
        "AXIS=SIZE,...",
        none="one device",
    )
    accumulate: int = _flag(
        1, "microbatches per step: as many times less memory for activations", "PARTS"
    )
    average: float = _flag(
        0.0,
        "decay of the moving average of the parameters that is validated and returned, as 0.999",
        "DECAY",
        none="no average",
    )
    remat: bool = _flag(
        False, "recompute activations in the backward pass: less memory, a third more computation"
    )
    skip: int = _flag(
        0, "steps with a loss or gradient that is not finite that may be skipped in all", "STEPS"
    )
    profile: str = _flag(
        "",
        "folder for a trace of ten steps, for TensorBoard or ui.perfetto.dev",
        "DIR",
        none="none",
    )

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise DataError(
                f"accumulate: expected 1 or more parts of a batch, got {self.accumulate}"
            )
        if not 0 <= self.average < 1:
            raise DataError(
                f"average: expected a decay from 0 to below 1, as 0.999, got {self.average}"
            )
        if self.skip < 0:
            raise DataError(f"skip: expected 0 or more steps, got {self.skip}")

    def decisive(self) -> dict[str, Any]:
        """The fields that change the result beyond rounding, if not the default."""
        default = Execution()
        return {
            name: getattr(self, name)
            for name in ("accumulate", "average", "skip")
            if getattr(self, name) != getattr(default, name)
        }


class Flags(TypedDict, total=False):
    """The fields of `Execution` as keywords."""

    mesh: str
    accumulate: int
    average: float
    remat: bool
    skip: int
    profile: str
