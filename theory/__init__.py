"""The theorems of constrained generative retrieval, checked through the beam search of `zoo`.

>>> import theory
>>> theory.expected_kl([1.0, 1, 1, 1, 1, 1, 1, 1], branching=2, depth=3, keep=0.5).round(6).tolist()
[0.043074, 0.015704, 0.0]
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from theory.bounds import kl_lower_bound, second_order_kl, simpson
    from theory.enumeration import enumerate_kl
    from theory.exact import expected_kl
    from theory.product import beam_schedule, leaf_recall
    from theory.recall import (
        half_threshold,
        recall_bound,
        recall_exact,
        recall_limit,
        width_for_recall,
    )

_HOME = {
    "expected_kl": "theory.exact",
    "enumerate_kl": "theory.enumeration",
    "second_order_kl": "theory.bounds",
    "kl_lower_bound": "theory.bounds",
    "simpson": "theory.bounds",
    "recall_exact": "theory.recall",
    "recall_limit": "theory.recall",
    "width_for_recall": "theory.recall",
    "half_threshold": "theory.recall",
    "recall_bound": "theory.recall",
    "leaf_recall": "theory.product",
    "beam_schedule": "theory.product",
}
__all__ = [  # loaded on first use, so that `import theory` is fast
    "beam_schedule",
    "enumerate_kl",
    "expected_kl",
    "half_threshold",
    "kl_lower_bound",
    "leaf_recall",
    "recall_bound",
    "recall_exact",
    "recall_limit",
    "second_order_kl",
    "simpson",
    "width_for_recall",
]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'theory' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
