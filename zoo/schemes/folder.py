"""Identifiers in a folder: codes, table, statistics."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from zoo import records
from zoo.data import atomic, jsonl
from zoo.docids import table as docids
from zoo.records import DataError
from zoo.schemes import codes, quantisers, scheme
from zoo.train import checkpoint, log as logs

# files of a folder that `make` wrote
STATE, TABLE, ABOUT, LABELS = "state", "docids.tsv", "docids.json", "categories.txt"
UNFINISHED = "unfinished.txt"  # and of one that it is writing


def make(
    names_of: Sequence[str],
    vectors: np.ndarray,
    config: quantisers.Config,
    out: str | os.PathLike,
    *,
    seed: int = 0,
    labels: Sequence[str] = (),
    quiet: bool = False,
) -> dict:
    """State of the codes of N documents, also written into a folder with a table of identifiers, a
    summary and the log.

    Codes are capped for few documents (`codes.cap_codes`). After an interruption the same call
    resumes.

    Args:
      names_of: ids of the N documents.
      vectors: f32[N, D].
      labels: N categories to colour pictures by, kept beside the table, or none.

    Raises DataError if the folder holds something else.
    """
    out = pathlib.Path(out)
    content = hashlib.sha256(np.ascontiguousarray(vectors).data).hexdigest() + repr((config, seed))
    identity = hashlib.sha256(content.encode()).hexdigest()[:16]
    with (
        _unfinished(out, identity),
        contextlib.closing(logs.Log(out, quiet=quiet, identity=identity)) as log,
    ):
        log.phase(config.kind)
        state = fit(vectors, config, jax.random.key(seed), log)
        shutil.rmtree(out / STATE, ignore_errors=True)
        checkpoint.save_state(state, out / STATE)
        with atomic.file(out / TABLE) as table:
            table.writelines(
                f"{name}\t{' '.join(map(str, row[row != docids.PAD]))}\n"
                for name, row in zip(names_of, state["tokens"])
            )
        if labels:
            with atomic.file(out / LABELS) as file:
                file.writelines(f"{' '.join(label.split())}\n" for label in labels)
        about = json.loads(state["about"]) | {
            "documents": len(vectors),
            "relative_error": quantisers.relative_error(state, vectors, state["codes"]),
            "seed": seed,
        }
        with atomic.file(out / ABOUT) as file:
            json.dump(about, file, indent=1)
        shutil.rmtree(out / logs.CHECKPOINTS, ignore_errors=True)
    return state


def fit(vectors: np.ndarray, config: quantisers.Config, key: jax.Array, log: Any) -> dict:
    """State of the codes of N documents with vectors f32[N, D].

    It is that of the scheme, with "codes" i32[N, L] before collisions were resolved, and "tokens"
    and "alphabet" of the identifiers.
    """
    rows = tuple(map(str, range(len(vectors))))
    corpus = records.Corpus(rows, ("",) * len(rows), ("",) * len(rows))
    if config.kind == "atomic":
        config = dataclasses.replace(config, levels=1, codes=len(corpus), collisions="refuse")
    else:
        power = config.kind == "lsh"
        capped = codes.cap_codes(config.codes, len(corpus), log, power_of_two=power)
        config = dataclasses.replace(config, codes=capped)
    state, ids = scheme.of_codes(config).fit(corpus, vectors, key, log)
    if config.collisions == "sinkhorn" and config.kind != "atomic":
        found = quantisers.encode(state, vectors)  # the last codes were changed
    else:
        found = ids.tokens[:, : config.levels] - 1
    about = {name: getattr(config, name) for name in quantisers.ABOUT}
    return state | {"about": json.dumps(about), "codes": found} | docids.pack(ids)


@contextlib.contextmanager
def _unfinished(out: pathlib.Path, identity: str) -> Iterator[None]:
    """Notes in a folder what is made there until it is.

    An error before the first checkpoint leaves the folder as it was; after it, what is written
    stays, so that the same call goes on.

    Raises DataError if the folder holds anything but the same, unfinished.
    """
    note = out / UNFINISHED
    if (out / ABOUT).exists():
        raise DataError(f"{out}: holds identifiers already; remove it or name another folder")
    if new := not note.exists():
        atomic.refuse_occupied(out)
        made = [path for path in (out, *out.absolute().parents) if not path.exists()]
        out.mkdir(parents=True, exist_ok=True)
    elif note.read_text(encoding="utf-8") != identity:
        raise DataError(
            f"{out}: holds unfinished identifiers of another configuration or of other data; "
            "repeat that command, or remove the folder"
        )
    try:
        with records.full_disk(out):
            if new:
                with atomic.file(note) as file:
                    file.write(identity)
            yield
    except Exception:
        if new and not logs.has_checkpoints(out):
            atomic.empty(out)
            atomic.remove_empty(made)
        raise
    note.unlink()


def load(folder: str | os.PathLike) -> tuple[dict, dict]:
    """The tokenizer that `make` wrote, and what it is.

    DataError if the folder does not hold one.
    """
    folder = pathlib.Path(folder)
    if not (folder / ABOUT).is_file():
        raise DataError(
            f"{folder}: expected identifiers with {ABOUT}, found none; make them with zoo docids "
            "fit"
        )
    state = checkpoint.load_state(folder / STATE)
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        good = json.loads(state["about"]).items() <= about.items()
        good = good and about["documents"] == len(state["codes"])
        good = good and type(about["relative_error"]) in (int, float, type(None))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        good = False
    if not good:
        raise DataError(
            f"{folder / ABOUT}: not what `zoo docids fit` writes; make the identifiers again"
        )
    return state, about


def read_labels(path: str | os.PathLike, count: int) -> list[str]:
    """The labels of a UTF-8 file, one on each of `count` lines."""
    labels = [line.rstrip("\r\n") for _, line in jsonl.raw_lines(pathlib.Path(path))]
    if len(labels) != count:
        raise DataError(
            f"{path}: expected {count} lines, a category for each document in their order, got "
            f"{len(labels)}"
        )
    return labels
