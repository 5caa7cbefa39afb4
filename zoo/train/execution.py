"""How a training is run, whatever is trained: what `zoo fit` takes as flags, and all recipes leave to the loop."""

from __future__ import annotations

import dataclasses
from typing import Any

from zoo.records import DataError


@dataclasses.dataclass(frozen=True)
class Execution:
    """Devices, memory and care of a training. The defaults: one device, one step a batch, the last parameters, no skipping."""

    mesh: str = ""  # sizes of axes, as data=4,model=2 (zoo.train.sharding); "" = one device
    # parts that a batch is computed in, one after the other, for as many times less memory
    accumulate: int = 1
    # decay of the moving average of the parameters that is judged and returned, 0 = none
    average: float = 0.0
    # compute the inside of layers again in the backward pass in place of keeping it; of networks
    # that have layers
    remat: bool = False
    # steps with a loss or gradient that is not finite that may be left out; one more ends training
    skip: int = 0
    profile: str = ""  # folder for a trace of a few steps, "" = none

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
        """What decides the result, beyond rounding, where it is not the default."""
        default = Execution()
        return {
            name: getattr(self, name)
            for name in ("accumulate", "average", "skip")
            if getattr(self, name) != getattr(default, name)
        }
