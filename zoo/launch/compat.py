"""Stand-ins for airio and jestimator, which t5x imports but does not call in runs on SeqIO.

t5x uses airio's types only in isinstance checks, and jestimator only for the optimiser Amos.
Neither is published in a version that works with current JAX. Checked with t5x cc342d4 of
2026-04-21.
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
    """Makes `import t5x` work from its source. Raises DataError naming missing packages."""
    missing = [name for name in ("t5x", *NEEDED) if importlib.util.find_spec(name) is None]
    if missing:
        where = (
            "put a checkout of github.com/google-research/t5x on PYTHONPATH"
            if "t5x" in missing
            else "install the packages of the README"
        )
        raise DataError(
            f"zoo.launch: cannot import {', '.join(missing)}; {where} "
            "(docs/t5x.md has the exact commands)"
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
        """The type of no optimiser state."""

    def refuse(*arguments: object, **options: object) -> None:
        raise DataError(
            "zoo.launch: the optimiser Amos needs jestimator's source; put it on PYTHONPATH or "
            "choose another optimiser"
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
    """The gin search paths of `configs/...` and `t5x/...`."""
    found = importlib.util.find_spec("t5x")
    assert found is not None and found.origin is not None
    here, t5x = pathlib.Path(__file__).parents[2], pathlib.Path(found.origin).parents[1]
    return [".", str(here), str(t5x)]
