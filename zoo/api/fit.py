"""Fitting a system to a collection, in memory or in a folder that can be resumed."""

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
from typing import Any, NamedTuple, Unpack

import numpy as np

from zoo import recipes, records
from zoo.api import allocator, fitted as stored, inputs as given, run_folder
from zoo.api.fitted import Fitted
from zoo.data import learning
from zoo.models import warm_start
from zoo.records import DataError
from zoo.train import execution as executions, log as logs

WEIGHTS = "weights"  # role of the fit or folder whose parameters training starts from
FILE_OPTIONS = ("queries", "vectors", "encoder")  # options that may name a file or folder


class Flags(executions.Flags, total=False):
    """Keywords of `fit` that the command line has as flags."""

    learn: str


class Job(NamedTuple):
    """A fit before it begins."""

    recipe: recipes.Recipe
    size: str
    seed: int
    learn: str  # one of `learning.KINDS`
    config: Any  # the recipe's Config
    start: warm_start.Start | None  # weights that training starts from
    execution: executions.Execution

    def identity(self) -> dict[str, Any]:
        """JSON of everything but the data that decides the result."""
        return {
            "recipe": self.recipe.name,
            "size": self.size,
            "seed": self.seed,
            "learn": self.learn,
            "config": dataclasses.asdict(self.config),
            "execution": self.execution.decisive(),
            **_files(self.config),
            **self.origin(),
        }

    def origin(self) -> dict[str, Any]:
        """Where the weights came from; nothing without any."""
        if self.start is None:
            return {}
        return {"init_from": {"path": self.start.where, "sha256": self.start.digest}}


def fit(
    recipe: str,
    data: Any,
    *,
    size: str = "small",
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    inputs: Mapping[str, str | os.PathLike] | None = None,
    out: str | os.PathLike | None = None,
    quiet: bool = False,
    **flags: Unpack[Flags],
) -> Fitted:
    """Fits a system to a collection; the test split is withheld unless `learn` is "all".

    Args:
      recipe: a name of `recipes.names()`.
      data: a registered name, a path, a record, or documents in memory (`zoo.api.inputs`): texts,
        dicts, a data frame.
      size: tiny, small, base or paper.
      options: values that replace those of the size's preset, by name.
      seed: of everything random; the same seed on the same machine gives the same system.
      inputs: folders of other fits that this one starts from, by role. "weights": initial
        parameters, T5's (safetensors, or a checkpoint of t5x, with its tokenizer) or those of a fit
        of ours; options of sizes are then those of the weights.
      out: folder for the result, the logs, and the checkpoints of training. A fit with the same
        arguments that was interrupted there resumes; one that was finished there is returned.
      quiet: no progress bars and no lines on stderr.
      flags: learn="train+dev" also learns from dev, to be evaluated on test, and learn="all" from
        everything, for use (`zoo.data.learning`); nothing selects checkpoints then. The others are
        fields of `zoo.train.execution.Execution`, such as mesh="data=8" and accumulate=2;
        every system that trains follows them. Of several processes the first one writes.

    Raises:
      TypeError: data or a keyword of another kind; the message says what is accepted.
      DataError: unknown names, unreadable data, or a folder that holds something else; before the
        first checkpoint, errors leave `out` as it was.
    """
    import jax

    from zoo.train import processes, sharding

    allocator.keep_freed_memory()
    job = _job(recipe, size, options or {}, seed, inputs or {}, dict(flags))
    sharding.mesh_of(job.execution.mesh)
    if out is not None and processes.first():
        known = job.identity() if jax.process_count() == 1 else None
        run_folder.refuse_occupied(pathlib.Path(out), known)
    collection = given.load_data(data)
    given.refuse_other_kind(job.recipe, collection)
    return _fit_in(out, job, collection, given.source_of(data), quiet=quiet)


def _fit_in(
    out: str | os.PathLike | None,
    job: Job,
    collection: records.Collection | records.Interactions,
    source: str,
    *,
    quiet: bool,
) -> Fitted:
    """The fit of a job, written to a folder if one is named, or found finished there."""
    import jax

    from zoo.train import processes

    written = out if processes.first() else None
    learned = learning.select(collection, job.learn)
    run = job.identity() | {"data": given.fingerprint(learned)}
    with run_folder.opened(written, run, jax.__version__) as finished:
        if finished and written is not None:
            if not quiet:
                print(f"{out}: this fit was finished before; nothing to do", file=sys.stderr)
            return stored.load(pathlib.Path(written))
        fitted = _fitted(job, collection, learned, source, out, run, quiet=quiet)
        if written is not None:
            stored.save(fitted, written)
            shutil.rmtree(pathlib.Path(written) / logs.CHECKPOINTS, ignore_errors=True)
    processes.wait("fitted")
    return fitted


def _execution(given: Mapping[str, Any]) -> executions.Execution:
    """Raises TypeError for a keyword that `fit` does not have."""
    known = [field.name for field in dataclasses.fields(executions.Execution)]
    for name in given:
        if name not in known:
            raise TypeError(
                f"fit: no parameter {name!r}; those of training are: learn, {', '.join(known)}"
            )
    return executions.Execution(**given)


def _job(
    recipe: str,
    size: str,
    options: Mapping[str, Any],
    seed: int,
    inputs: Mapping[str, str | os.PathLike],
    flags: dict[str, Any],
) -> Job:
    """The fit that the arguments describe. Raises DataError for a bad seed, name or option."""
    if not 0 <= seed < 2**32:
        raise DataError(f"fit: expected a seed from 0 to {2**32 - 1}, got {seed}")
    learn = flags.pop("learn", learning.KINDS[0])
    learning.refuse_unknown(learn)
    execution = _execution(flags)
    for role in inputs:
        if role != WEIGHTS:
            raise DataError(f"fit: expected inputs with the role {WEIGHTS}, got {role!r}")
    chosen = recipes.get(recipe)
    config = recipes.configure(chosen, size, options)
    start = _start(chosen, os.fspath(inputs[WEIGHTS])) if WEIGHTS in inputs else None
    if start is not None:
        config = warm_start.configure(recipe, config, options, start)
    return Job(chosen, size, seed, learn, config, start, execution)


def _fitted(
    job: Job,
    collection: records.Collection | records.Interactions,
    learned: records.Collection | records.Interactions,
    source: str,
    out: str | os.PathLike | None,
    run: Mapping[str, Any],
    *,
    quiet: bool,
) -> Fitted:
    """The trained system; logs and checkpoints go to `out`."""
    import jax

    from zoo.train import processes

    first, started = processes.first(), time.monotonic()
    log = logs.Log(
        out,
        quiet=quiet or not first,
        identity=json.dumps(run, sort_keys=True),
        execution=job.execution,
        writes=first,
    )
    versions = run_folder.versions(out if first else None, jax.__version__)
    if len(versions) > 1:
        log.warn(
            f"this fit began under jax {versions[0]} and resumes under {versions[-1]}; "
            "the result may differ from that of either alone"
        )
    weights = {} if job.start is None else {"start": job.start}
    with contextlib.closing(log):
        state = job.recipe.fit(learned, job.config, jax.random.key(job.seed), log, **weights)
    return Fitted(
        recipe=job.recipe.name,
        size=job.size,
        config=job.config,
        seed=job.seed,
        state=state,
        documents=stored.for_display(collection.corpus),
        digests=stored.digests_of(collection.corpus),
        about={
            **_about(learned if job.learn == "all" else collection, state, log),
            "learn": job.learn,
            **job.origin(),
            "source": source,
            "seconds": round(time.monotonic() - started, 2),
            "jax": ", then ".join(versions),
        },
        history=tuple(log.history),
        users=stored.digests_of_users(learned),
    )


def _about(
    collection: records.Collection | records.Interactions, state: Mapping[str, Any], log: Any
) -> dict[str, Any]:
    """Facts on the data, the parameters and the machine of a fit."""
    import jax

    leaves = jax.tree.leaves(state.get("params", {}))
    return {
        "collection": collection.name,
        "corpus": collection.corpus.fingerprint(),
        "num_documents": len(collection.corpus),
        **given.counts(collection),
        "parameters": int(sum(np.size(leaf) for leaf in leaves)),
        "device": jax.devices()[0].device_kind,
        "python": platform.python_version(),
        "stages": list(log.stages),
        "warnings": list(log.warnings),
        **({"facts": dict(log.facts)} if log.facts else {}),
    }


def _files(config: Any) -> dict[str, Any]:
    """Digests of the files and folders that options name, by option; they decide the result too."""
    digests = {}
    for option in FILE_OPTIONS:
        value = str(getattr(config, option, ""))
        path = pathlib.Path(value)  # of "" the working directory
        if value and (path.suffix or len(path.parts) > 1 or path.is_dir()):
            digests[option] = given.digest_of(path)
    return {"files": digests} if digests else {}


def _start(recipe: recipes.Recipe, where: str):
    """Weights of a folder or a fit. Raises DataError if the recipe cannot start from any."""
    if not recipe.starts:
        able = ", ".join(name for name in recipes.names() if recipes.get(name).starts)
        raise DataError(
            f"{recipe.name}: has no encoder-decoder that could start from {where}; "
            f"leave --init-from out, or fit one of: {able}"
        )
    if any((pathlib.Path(where) / name).is_file() for name in (stored.FIT, stored.RUN)):
        fitted = stored.load(where)
        return warm_start.of_fit(where, fitted.recipe, fitted.config, fitted.state)
    return warm_start.of_weights(where)
