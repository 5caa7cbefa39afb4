"""What t5x imports and its runs on SeqIO never call: small stand-ins for airio and jestimator where they are not installed.

t5x looks at airio's types only to find that a task is none of them, and at jestimator's optimiser Amos only to offer it. Neither is on
the package index in a form that current JAX takes. Checked with t5x cc342d4 of 2026-04-21.
"""

from __future__ import annotations

import importlib.util
import pathlib
import sys
import types
from typing import NamedTuple

from zoo.records import DataError

CHECKED = "cc342d4"  # of github.com/google-research/t5x
NEEDED = (
    "jax",
    "flax",
    "optax",
    "orbax",
    "clu",
    "seqio",
    "tensorflow",
    "tensorflow_datasets",
    "gin",
    "fiddle",
    "tensorboard",
)


def prepare() -> None:
    """Makes `import t5x` work with its source alone on the path; DataError naming what is missing."""
    missing = [name for name in ("t5x", *NEEDED) if importlib.util.find_spec(name) is None]
    if missing:
        where = (
            "put a checkout of github.com/google-research/t5x on PYTHONPATH"
            if "t5x" in missing
            else "install the packages of the README"
        )
        raise DataError(
            f"zoo.launch: cannot import {', '.join(missing)}; {where} (docs/t5x.md has the exact commands)"
        )
    for name, make in (("airio", _airio), ("jestimator", _jestimator)):
        if importlib.util.find_spec(name) is None:
            sys.modules.update(make())


def _airio() -> dict[str, types.ModuleType]:
    kinds = {
        name: type(name, (), {})
        for name in ("DatasetProviderBase", "Task", "Mixture", "AirIODatasetIterator")
    }
    core = _module("airio.core", **kinds)
    return {"airio": _module("airio", core=core, __path__=[]), "airio.core": core}


def _jestimator() -> dict[str, types.ModuleType]:
    class ScaleByAmosState(NamedTuple):
        """A type that no state has."""

    def refuse(*arguments: object, **options: object) -> None:
        raise DataError(
            "zoo.launch: the optimiser Amos needs jestimator's source; put it on PYTHONPATH or choose another optimiser"
        )

    amos = _module("jestimator.amos", amos=refuse, ScaleByAmosState=ScaleByAmosState)
    helper = _module("jestimator.amos_helper", state_partition_rule=refuse)
    whole = _module("jestimator", amos=amos, amos_helper=helper, __path__=[])
    return {"jestimator": whole, "jestimator.amos": amos, "jestimator.amos_helper": helper}


def _module(name: str, **contents: object) -> types.ModuleType:
    module = types.ModuleType(name, "A stand-in made by zoo.launch.")
    vars(module).update(contents)
    return module


def search_paths() -> list[str]:
    """Where `configs/...` and `t5x/...` are found: here, and beside the packages."""
    return [
        ".",
        str(pathlib.Path(__file__).parents[2]),
        str(pathlib.Path(importlib.util.find_spec("t5x").origin).parents[1]),
    ]
