"""The verbs that Python and the command line share: fit, add, retrieve, evaluate; `zoo.api.fitted` saves and loads."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo import recipes, records
from zoo.api import fitted as stored, inputs, run_folder
from zoo.api.fitted import Fitted
from zoo.records import DataError
from zoo.train import execution as executions

FILE_OPTIONS = ("queries", "vectors")  # options that may name a file or folder


def fit(
    recipe: str,
    data: Any,
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
      data: a registered name, a path, `Collection`, `Interactions` or `Corpus`; or documents in
        memory: a list of texts, a dict of texts by id, a list of dicts or a data frame with the
        columns text, _id and title, or events with the columns user, item and timestamp.
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
      TypeError: data of another type; the message says what is accepted.
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
    run |= _files(config)
    begun = {} if start is None else {"init_from": {"path": start.where, "sha256": start.digest}}
    run |= begun
    written = out if processes.first() else None
    alone = jax.process_count() == 1
    if written is not None:
        run_folder.refuse_occupied(pathlib.Path(written), run if alone else None)
    collection = inputs.load_data(data)
    inputs.refuse_other_kind(chosen, collection)
    run["data"] = inputs.fingerprint(collection)
    started = time.monotonic()
    with run_folder.opened(written, run, jax.__version__) as finished:
        if finished:
            if not quiet:
                print(f"{out}: this fit was finished before; nothing to do", file=sys.stderr)
            return stored.load(pathlib.Path(written))
        log = logs.Log(
            out,
            quiet=quiet or not processes.first(),
            identity=json.dumps(run, sort_keys=True),
            execution=execution,
            writes=processes.first(),
        )
        versions = run_folder.versions(written, jax.__version__)
        if len(versions) > 1:
            log.warn(
                f"this fit began under jax {versions[0]} and goes on under {versions[-1]}; "
                "the result may differ from that of either alone"
            )
        weights = {} if start is None else {"start": start}
        with contextlib.closing(log):
            state = chosen.fit(
                collection.without("test"), config, jax.random.key(seed), log, **weights
            )
        about = _about(collection, state, log) | begun
        about |= {
            "source": inputs.source_of(data),
            "seconds": round(time.monotonic() - started, 2),
            "jax": ", then ".join(versions),
        }
        fitted = Fitted(
            recipe=recipe,
            size=size,
            config=config,
            seed=seed,
            state=state,
            documents=stored.for_display(collection.corpus),
            about=about,
            history=tuple(log.history),
        )
        if written is not None:
            stored.save(fitted, written)
            shutil.rmtree(pathlib.Path(written) / logs.CHECKPOINTS, ignore_errors=True)
    processes.wait("fitted")
    return fitted


def _about(
    collection: records.Collection | records.Interactions, state: Mapping[str, Any], log: Any
) -> dict[str, Any]:
    """What a fit says of its data, its machine and itself."""
    import jax

    leaves = jax.tree.leaves(state.get("params", {}))
    return {
        "collection": collection.name,
        "corpus": collection.corpus.fingerprint(),
        "num_documents": len(collection.corpus),
        **inputs.counts(collection),
        "parameters": int(sum(np.size(leaf) for leaf in leaves)),
        "device": jax.devices()[0].device_kind,
        "python": platform.python_version(),
        "warnings": list(log.warnings),
    }


def _files(config: Any) -> dict[str, Any]:
    """Digests of the files and folders that options name, by option; they decide the result too."""
    digests = {}
    for option in FILE_OPTIONS:
        path = pathlib.Path(str(getattr(config, option, "")))
        if path.suffix or len(path.parts) > 1 or path.is_dir():
            digests[option] = inputs.digest_of(path)
    return {"files": digests} if digests else {}


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
