"""A fitted state on disk: arrays by Orbax, text as JSON, a digest of every file; no pickle."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import pathlib
import shutil

import jax
import numpy as np

from zoo.records import DataError

ARRAYS, TEXTS, MANIFEST = "arrays", "texts.json", "manifest.json"


def save_state(state: dict, folder: pathlib.Path) -> None:
    """Writes nested dicts whose leaves are non-empty arrays or str into a new folder.

    Arrays go through Orbax, text into one JSON file; a manifest holds the SHA-256 of every file.
    """
    ocp = orbax()
    folder = pathlib.Path(folder).absolute()
    folder.mkdir(parents=True)
    arrays, texts = _parted(state)
    empty = [name for name, leaf in _leaves(arrays) if leaf.size == 0]
    if empty:
        raise ValueError(
            f"save_state: array {empty[0]!r} is empty, which Orbax cannot store; leave it out"
        )
    refuse_full(folder, sum(leaf.nbytes for _, leaf in _leaves(arrays)))
    if arrays:
        checkpointer = ocp.PyTreeCheckpointer()
        checkpointer.save(folder / ARRAYS, arrays)
        checkpointer.close()
    (folder / TEXTS).write_text(json.dumps(texts), encoding="utf-8")
    digests = {name: digest(folder / name) for name in sorted(files(folder))}
    (folder / MANIFEST).write_text(json.dumps(digests, indent=1), encoding="utf-8")


def load_state(folder: pathlib.Path) -> dict:
    """What `save_state` wrote, arrays as numpy.

    Raises DataError naming the file that is missing or is not what was written.
    """
    folder = pathlib.Path(folder).absolute()
    if not (folder / MANIFEST).is_file():
        raise DataError(
            f"{folder}: expected a saved state with {MANIFEST}, found none; "
            "fit again or name another folder"
        )
    try:
        digests = dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError):
        raise DataError(
            f"{folder / MANIFEST}: not a manifest; copy the folder again or fit again"
        ) from None
    foreign = sorted(files(folder) - digests.keys() - {MANIFEST})
    if foreign:
        raise DataError(
            f"{folder / foreign[0]}: not in the manifest, so not of this state; remove it"
        )
    for name, expected in digests.items():
        path = folder / name
        if not path.is_file():
            raise DataError(
                f"{path}: missing, but the manifest lists it; copy the folder again or fit again"
            )
        if digest(path) != expected:
            raise DataError(
                f"{path}: changed since it was written (SHA-256 differs); "
                "copy the folder again or fit again"
            )
    texts = json.loads((folder / TEXTS).read_text(encoding="utf-8"))
    if not (folder / ARRAYS).is_dir():
        return texts
    checkpointer = orbax().PyTreeCheckpointer()
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


def files(folder: pathlib.Path) -> set[str]:
    """Paths of all files below a folder, relative to it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def digest(path: pathlib.Path) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def refuse_full(folder: pathlib.Path, size: int) -> None:
    """Raises OSError (ENOSPC) if fewer than `size` bytes are free, before TensorStore finds out."""
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def orbax():
    """Orbax without its running commentary; imported late because it takes a second."""
    import orbax.checkpoint as ocp

    logging.getLogger("absl").setLevel(logging.CRITICAL)  # its errors are raised too
    return ocp
