"""Orbax checkpoints: of a training run, to go on from, and of a fitted state, to answer with. Nothing is pickled."""

from __future__ import annotations

import hashlib
import json
import logging
import pathlib
from typing import Any

import jax
import numpy as np

from zoo.records import DataError

ARRAYS, TEXTS, MANIFEST = "arrays", "texts.json", "manifest.json"
KEPT = 2  # checkpoints of a run


class Keeper:
    """Checkpoints of one training run in a folder, written in the background; the last KEPT are kept.

    A context; when it ends, all that was saved is on disk.
    """

    def __init__(self, folder: pathlib.Path, identity: str) -> None:
        """identity: what the run is; checkpoints of another identity are refused by `restore`."""
        ocp = _orbax()
        self._folder, self._identity = pathlib.Path(folder).absolute(), identity
        self._folder.mkdir(parents=True, exist_ok=True)
        self._manager = ocp.CheckpointManager(self._folder, options=ocp.CheckpointManagerOptions(max_to_keep=KEPT))

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, *error: object) -> None:
        self._manager.close()

    def save(self, step: int, progress: Any, position: dict) -> None:
        """Starts to write; the arrays are copied before it returns, so the caller may donate them."""
        if step == self._manager.latest_step():
            return
        ocp = _orbax()
        about = {"identity": self._identity, "position": position}
        items = ocp.args.Composite(progress=ocp.args.StandardSave(progress), about=ocp.args.JsonSave(about))
        self._manager.save(step, args=items)

    def restore(self, like: Any) -> tuple[Any, dict] | None:
        """The last (progress, position) that was written whole, or None.

        like: a pytree of the same structure and shapes.
        Raises DataError if the folder holds a run of another identity, or the checkpoint cannot be read.
        """
        ocp = _orbax()
        step = self._manager.latest_step()
        if step is None:
            return None
        about = self._read(step, about=ocp.args.JsonRestore())["about"]
        if about["identity"] != self._identity:
            raise DataError(
                f"{self._folder}: holds training of another configuration or of other data, stopped at step {step}; "
                "repeat the command it was started with, remove the folder, or name another with --out"
            )
        return self._read(step, progress=ocp.args.StandardRestore(like))["progress"], about["position"]

    def _read(self, step: int, **items: Any) -> Any:
        try:
            return self._manager.restore(step, args=_orbax().args.Composite(**items))
        except Exception as error:  # Orbax, TensorStore and JSON raise of many kinds for a damaged file
            others = [other for other in self._manager.all_steps() if other != step]
            remedy = f"go on from step {max(others)}" if others else "start again"
            raise DataError(
                f"{self._folder / str(step)}: a damaged checkpoint ({type(error).__name__}); remove it to {remedy}"
            ) from error


def save_state(state: dict, folder: pathlib.Path) -> None:
    """Writes nested dicts whose leaves are non-empty arrays or str into a new folder.

    Arrays go through Orbax, text into one JSON file; a manifest holds the SHA-256 of every file.
    """
    ocp = _orbax()
    folder = pathlib.Path(folder).absolute()
    folder.mkdir(parents=True)
    arrays, texts = _parted(state)
    empty = [name for name, leaf in _leaves(arrays) if leaf.size == 0]
    if empty:
        raise ValueError(f"save_state: array {empty[0]!r} is empty, which Orbax cannot store; leave it out")
    if arrays:
        checkpointer = ocp.PyTreeCheckpointer()
        checkpointer.save(folder / ARRAYS, arrays)
        checkpointer.close()
    (folder / TEXTS).write_text(json.dumps(texts), encoding="utf-8")
    digests = {name: _digest(folder / name) for name in sorted(_files(folder))}
    (folder / MANIFEST).write_text(json.dumps(digests, indent=1), encoding="utf-8")


def load_state(folder: pathlib.Path) -> dict:
    """What `save_state` wrote, arrays as numpy.

    Raises DataError naming the file that is missing or is not what was written.
    """
    folder = pathlib.Path(folder).absolute()
    if not (folder / MANIFEST).is_file():
        raise DataError(f"{folder}: expected a saved state with {MANIFEST}, found none; fit again or name another folder")
    try:
        digests = dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise DataError(f"{folder / MANIFEST}: not a manifest; copy the folder again or fit again") from None
    foreign = sorted(_files(folder) - digests.keys() - {MANIFEST})
    if foreign:
        raise DataError(f"{folder / foreign[0]}: not in the manifest, so not of this state; remove it")
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path}: missing, but the manifest lists it; copy the folder again or fit again")
        if _digest(path) != digest:
            raise DataError(f"{path}: changed since it was written (SHA-256 differs); copy the folder again or fit again")
    texts = json.loads((folder / TEXTS).read_text(encoding="utf-8"))
    if not (folder / ARRAYS).is_dir():
        return texts
    checkpointer = _orbax().PyTreeCheckpointer()
    arrays = checkpointer.restore(folder / ARRAYS)
    checkpointer.close()
    return _merged(jax.tree.map(np.asarray, arrays), texts)


def _parted(state: dict) -> tuple[dict, dict]:
    """The arrays as numpy and the text of nested dicts, each with the empty dicts left out."""
    arrays: dict = {}
    texts: dict = {}
    for name, value in state.items():
        if isinstance(value, dict):
            inner = _parted(value)
            for part, kept in zip((arrays, texts), inner):
                if kept:
                    part[name] = kept
        elif isinstance(value, str):
            texts[name] = value
        else:
            arrays[name] = np.asarray(value)
    return arrays, texts


def _merged(arrays: dict, texts: dict) -> dict:
    merged = dict(arrays)
    for name, value in texts.items():
        merged[name] = _merged(merged.get(name, {}), value) if isinstance(value, dict) else value
    return merged


def _leaves(tree: dict, prefix: str = ""):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value


def _files(folder: pathlib.Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _digest(path: pathlib.Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _orbax():
    """Orbax without its running commentary; imported late because it takes a second."""
    import orbax.checkpoint as ocp

    logging.getLogger("absl").setLevel(logging.ERROR)
    return ocp
