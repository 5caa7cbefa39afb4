"""The verbs that Python and the command line share: fit, add, retrieve, evaluate; `zoo.api.fitted` saves and loads."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import platform
import shutil
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo import recipes, records
from zoo.api import fitted as stored, inputs
from zoo.api.fitted import Fitted
from zoo.records import DataError
from zoo.train import execution as executions


def fit(
    recipe: str,
    data: records.Collection | records.Interactions | str | os.PathLike,
    *,
    size: str = "small",
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    out: str | os.PathLike | None = None,
    init_from: str | os.PathLike | None = None,
    quiet: bool = False,
    execution: executions.Execution = executions.Execution(),
) -> Fitted:
    """Fits a system to a collection, of which it sees everything but the test split.

    Args:
      recipe: a name of `recipes.names()`.
      data: a collection or interactions, a registered name, or a folder (in the BEIR layout, or with interactions).
      size: tiny, small, base or paper.
      options: replaced values of the size's preset, by name.
      seed: decides everything random; the same seed on the same machine gives the same system.
      out: folder for the result, its logs, and checkpoints while it trains. If a fit with the same arguments was
        interrupted there, it goes on.
      init_from: a folder of weights that training starts from: T5's (safetensors, or a checkpoint of t5x), with its tokenizer, or
        a fit of ours. Options of sizes are then those of the weights.
      quiet: no progress bar.
      execution: how it is trained: devices, parts of a batch, averaging, ...; every system that trains follows it. In several processes
        (`zoo.train.processes.start`) all call this with the same arguments, and the first one writes.

    Raises:
      DataError: unknown names, unreadable data, or a folder that holds something else. A folder that this call opened is
        then as it was before.
    """
    import jax

    from zoo.train import log as logs, processes, sharding

    if not 0 <= seed < 2**32:
        raise DataError(f"fit: expected a seed from 0 to {2**32 - 1}, got {seed}")
    chosen = recipes.get(recipe)
    config = recipes.configure(chosen, size, options or {})
    start = None if init_from is None else _start(chosen, os.fspath(init_from))
    if start is not None:
        from zoo.models import warm_start

        config = warm_start.configure(recipe, config, options or {}, start)
    sharding.mesh_of(execution.mesh)
    run = {
        "recipe": recipe,
        "size": size,
        "seed": seed,
        "config": dataclasses.asdict(config),
        "execution": execution.decisive(),
    }
    begun = {} if start is None else {"init_from": {"path": start.where, "sha256": start.digest}}
    run |= begun
    written = out if processes.first() else None
    if written is not None:
        stored.refuse_occupied(pathlib.Path(written))
    collection = inputs.load_data(data)
    inputs.refuse_other_kind(chosen, collection)
    run["data"] = inputs.fingerprint(collection)
    started = time.monotonic()
    with stored.opened_run(written, run):
        log = logs.Log(
            out,
            quiet=quiet or not processes.first(),
            identity=json.dumps(run, sort_keys=True),
            execution=execution,
            writes=processes.first(),
        )
        try:
            weights = {} if start is None else {"start": start}
            state = chosen.fit(
                collection.without("test"), config, jax.random.key(seed), log, **weights
            )
        finally:
            log.close()
    fitted = Fitted(
        recipe=recipe,
        size=size,
        config=config,
        seed=seed,
        state=state,
        documents=stored.for_display(collection.corpus),
        about={
            "collection": collection.name,
            "source": inputs.source_of(data),
            "corpus": collection.corpus.fingerprint(),
            "num_documents": len(collection.corpus),
            **inputs.counts(collection),
            **begun,
            "seconds": round(time.monotonic() - started, 2),
            "parameters": int(
                sum(np.size(leaf) for leaf in jax.tree.leaves(state.get("params", {})))
            ),
            "device": jax.devices()[0].device_kind,
            "python": platform.python_version(),
            "jax": jax.__version__,
            "warnings": list(log.warnings),
        },
        history=tuple(log.history),
    )
    if written is not None:
        stored.save(fitted, written)
        shutil.rmtree(pathlib.Path(written) / logs.CHECKPOINTS, ignore_errors=True)
    processes.wait("fitted")
    return fitted


def _start(recipe: recipes.Recipe, where: str):
    """The weights of a folder, or of a fit. Raises DataError if the recipe cannot start from any."""
    from zoo.models import warm_start

    if not recipe.starts:
        able = ", ".join(name for name in recipes.names() if recipes.get(name).starts)
        raise DataError(
            f"{recipe.name}: has no encoder-decoder that could start from {where}; leave --init-from out, or fit one of: {able}"
        )
    if any((pathlib.Path(where) / name).is_file() for name in (stored.FIT, stored.RUN)):
        fitted = stored.load(where)
        return warm_start.of_fit(where, fitted.recipe, fitted.config, fitted.state)
    return warm_start.of_weights(where)
