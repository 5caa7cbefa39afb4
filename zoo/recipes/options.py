"""Values of options that mean nothing are refused before work begins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.records import DataError

SIZE, COUNT, AMOUNT, SHARE = (1, math.inf), (0, math.inf), (0.0, math.inf), (0.0, 0.99)  # the least and the most


def require(recipe: str, config: Any, *, one_of: Mapping[str, Sequence[str]], limits: Mapping[str, tuple[float, float]]) -> None:
    """Raises DataError naming the first option of a config that is none of its names, or is not within its least and most."""
    for option, names in one_of.items():
        if getattr(config, option) not in names:
            raise DataError(f"{recipe}: option {option} expects one of {', '.join(names)}, got {getattr(config, option)!r}")
    for option, (least, most) in limits.items():
        if not least <= getattr(config, option) <= most:
            raise DataError(f"{recipe}: option {option} expects {least} to {most}, got {getattr(config, option)}")
