"""A trie on disk, memory-mapped, and spread over the devices of a mesh."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import pathlib
import shutil
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo.index import level as levels, trie

FORMAT = 1  # of the files; another is refused
STALE_SECONDS = 1.0  # an unfinished save that is younger may not be locked yet
FIELDS = ("base", "offset", "heavy", "rank", "token", "rows")


def save(index: trie.Trie, folder: str | os.PathLike) -> None:
    """Writes a folder with one `.npy` per array and `trie.json`, atomically. Filters are not saved.

    Raises FileExistsError if the folder exists.
    """
    folder = pathlib.Path(folder)
    if folder.exists():
        raise FileExistsError(f"store: {folder} exists; choose another folder or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(folder)
    partial = pathlib.Path(tempfile.mkdtemp(".part", f".{folder.name}.", folder.parent))
    held = os.open(partial, os.O_RDONLY)
    try:
        _lock(held)
        np.save(partial / "document_start.npy", np.asarray(index.document_start))
        np.save(partial / "documents.npy", np.asarray(index.documents))
        for t, level in enumerate(index.levels):
            for field in FIELDS:
                np.save(partial / f"{t}.{field}.npy", np.asarray(getattr(level, field)))
        about = {
            "format": FORMAT,
            "alphabet": index.alphabet,
            "documents_per_leaf": index.documents_per_leaf,
            "forms": [level.form._asdict() for level in index.levels],
        }
        (partial / "trie.json").write_text(json.dumps(about, indent=1))
        mask = os.umask(0)
        os.umask(mask)
        partial.chmod(0o777 & ~mask)  # mkdtemp's is for the owner alone
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        os.close(held)


def load(folder: str | os.PathLike, *, mapped: bool = False) -> trie.Trie:
    """The trie that `save` wrote, on the device.

    mapped: keep it on the host, memory-mapped, for `shard` or to inspect.
    Raises ValueError naming the file if `save` did not write the folder or a file is damaged.
    """
    folder = pathlib.Path(folder)
    try:
        about = json.loads((folder / "trie.json").read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"store: {folder} holds no trie: {error}; expected a folder that `store.save` wrote"
        ) from error
    if about.get("format") != FORMAT:
        raise ValueError(
            f"store: {folder} has format {about.get('format')!r}, expected {FORMAT}; "
            "build the trie again"
        )

    def read(name: str) -> Any:
        file = folder / f"{name}.npy"
        try:
            array = np.load(file, mmap_mode="r" if mapped else None, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(
                f"store: {file} cannot be read: {error}; build the trie again"
            ) from error
        return array if mapped else jnp.asarray(array)

    parts = tuple(
        levels.Level(**{field: read(f"{t}.{field}") for field in FIELDS}, form=levels.Form(**form))
        for t, form in enumerate(about["forms"])
    )
    return trie.Trie(
        levels=parts,
        document_start=read("document_start"),
        documents=read("documents"),
        filter=None,
        alphabet=about["alphabet"],
        documents_per_leaf=about["documents_per_leaf"],
    )


def shard(index: trie.Trie, mesh: jax.sharding.Mesh, axis: str) -> trie.Trie:
    """The trie with every array sharded along its first axis over a mesh axis of n devices.

    Look-ups compile to a gather on each device and a sum over devices; answers do not change. For a
    trie larger than a device: for smaller ones, replication is faster. Arrays are padded to
    multiples of n; shorter arrays are replicated.
    """
    if axis not in mesh.axis_names:
        raise ValueError(
            f"store: expected one of the mesh's axes {', '.join(mesh.axis_names)}, got {axis!r}"
        )
    parts = mesh.shape[axis]
    # without axis types: the compiler chooses how axes are used
    mesh = jax.sharding.Mesh(mesh.devices, mesh.axis_names)

    def spread(array):
        array = np.asarray(array)
        spec = jax.sharding.PartitionSpec(axis if len(array) >= parts else None)
        missing = -len(array) % parts if len(array) >= parts else 0
        padded = (
            np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
            if missing
            else array
        )
        return jax.device_put(padded, jax.sharding.NamedSharding(mesh, spec))

    if index.filter is not None:
        raise ValueError(
            "store: expected a trie without a filter; shard it first and filter the result"
        )
    return jax.tree.map(spread, index)


def _remove_stale(folder: pathlib.Path) -> None:
    """Removes what saves to `folder` that were killed have left; their locks are gone."""
    for partial in folder.parent.glob(f".{glob.escape(folder.name)}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - partial.stat().st_mtime < STALE_SECONDS:
                continue
            held = os.open(partial, os.O_RDONLY)
            try:
                if _lock(held):
                    shutil.rmtree(partial)
            finally:
                os.close(held)


def _lock(held: int) -> bool:
    """Locks an open folder until it is closed; False if another process holds it.

    True without doing anything where the system has no such locks.
    """
    try:
        import fcntl

        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True
