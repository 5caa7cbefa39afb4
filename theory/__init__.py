"""The theorems of constrained generative retrieval, checked through the beam search that retrieves.

>>> import theory
>>> theory.expected_kl([1.0, 1, 1, 1, 1, 1, 1, 1], branching=2, depth=3, keep=0.5).round(6).tolist()
[0.043074, 0.015704, 0.0]
"""

from __future__ import annotations

import importlib

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
}
__all__ = [*_HOME]  # loaded when first used, so that `import theory` is quick


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'theory' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
