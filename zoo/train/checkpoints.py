"""Checkpoints to resume a training from, written in the background, atomically, with digests."""

from __future__ import annotations

import hashlib
import json
import pathlib
import threading
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from zoo import records
from zoo.records import DataError
from zoo.train import checkpoint, processes

KEPT = 2  # checkpoints of a run; the best parameters so far are in each
DIGESTS = "digests.json"  # of the other files of a checkpoint
POLL = 0.02  # seconds between looks whether a checkpoint is whole


class Checkpoints:
    """Checkpoints of one training run in a folder; the last KEPT are kept.

    A context manager; on exit, everything that was saved is on disk. Several processes share one
    folder, which all of them see.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        identity: str,
        key: jax.Array | None = None,
        attached: Mapping[str, Any] | None = None,
    ) -> None:
        """`restore` refuses checkpoints with another identity, key or other attached arrays.

        identity: configuration and data of the run. key: its PRNG key. attached: arrays saved with
        it, such as its identifiers.
        """
        ocp = checkpoint.orbax()
        self._folder = pathlib.Path(folder).absolute()
        self._attached = {name: np.asarray(array) for name, array in (attached or {}).items()}
        self._about = {
            "identity": identity,
            "key": [] if key is None else np.asarray(jax.random.key_data(key)).tolist(),
            "attached": {name: _digest_of(array) for name, array in self._attached.items()},
        }
        if processes.first():
            self._folder.mkdir(parents=True, exist_ok=True)
        processes.wait("checkpoint folder")
        self._manager = ocp.CheckpointManager(
            self._folder, options=ocp.CheckpointManagerOptions(max_to_keep=KEPT)
        )
        self._sealing: threading.Thread | None = None

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *error: object) -> None:
        with self._explained():
            self._manager.wait_until_finished()
        if self._sealing is not None:
            self._sealing.join()
        self._manager.close()

    def save(self, step: int, progress: Any, position: dict) -> None:
        """Starts writing; arrays are copied before it returns, so the caller may donate them.

        Raises DataError if this or the last checkpoint could not be written, as on a full disk.
        """
        if step == self._manager.latest_step():
            return
        ocp = checkpoint.orbax()
        items = {
            "progress": ocp.args.StandardSave(progress),
            "about": ocp.args.JsonSave(self._about | {"position": position}),
        }
        if self._attached:
            items["attached"] = ocp.args.StandardSave(self._attached)
        with self._explained():
            self._manager.wait_until_finished()
            if self._sealing is not None:
                self._sealing.join()
            size = sum(leaf.nbytes for leaf in jax.tree.leaves((progress, self._attached)))
            checkpoint.refuse_full(self._folder, size)
            self._manager.save(step, args=ocp.args.Composite(**items))
        if processes.first():
            self._sealing = threading.Thread(target=self._seal, args=(step,), daemon=True)
            self._sealing.start()

    def restore(self, like: Any) -> tuple[Any, dict] | None:
        """The last complete (progress, position), or None.

        like: a pytree of the same structure, shapes and shardings; the checkpoint may come from
            another mesh or device.

        Raises DataError if the folder holds another run, or the checkpoint is truncated or was
        changed after it was written.
        """
        ocp = checkpoint.orbax()
        step = self._manager.latest_step()
        if step is None:
            return None
        changed = _changed(self._folder / str(step))
        if changed:
            raise self._damaged(step, changed)
        about = self._read(step, about=ocp.args.JsonRestore())["about"]
        if not isinstance(about, dict) or not {"identity", "position"} <= about.keys():
            raise DataError(
                f"{self._folder / str(step)}: not a checkpoint of this zoo; "
                "remove it or name another folder with --out"
            )
        differs = [name for name in self._about if about.get(name) != self._about[name]]
        if differs:
            what = {
                "identity": "another configuration or of other data",
                "key": "another key",
                "attached": "other identifiers",
            }[differs[0]]
            raise DataError(
                f"{self._folder}: holds training of {what}, stopped at step {step}; "
                "repeat the command it was started with, remove the folder, or name another "
                "with --out"
            )
        return self._read(step, progress=ocp.args.StandardRestore(like))["progress"], about[
            "position"
        ]

    def _read(self, step: int, **items: Any) -> Any:
        try:
            return self._manager.restore(step, args=checkpoint.orbax().args.Composite(**items))
        # Orbax, TensorStore and JSON raise of many kinds for a damaged file
        except Exception as error:
            raise self._damaged(step, type(error).__name__) from error

    def _damaged(self, step: int, why: str) -> DataError:
        others = [other for other in self._manager.all_steps() if other != step]
        remedy = f"go on from step {max(others)}" if others else "start again"
        return DataError(
            f"{self._folder / str(step)}: a damaged checkpoint ({why}); remove it to {remedy}"
        )

    def _seal(self, step: int) -> None:
        """Writes the digests of a checkpoint once Orbax has renamed it, when it is complete."""
        folder = self._folder / str(step)
        while not folder.is_dir():
            if not self._manager.is_saving_in_progress() and not folder.is_dir():
                return  # it could not be written
            time.sleep(POLL)
        part = folder.with_name(f"{step}.{DIGESTS}.part")
        part.write_text(json.dumps(_digests(folder), indent=1), encoding="utf-8")
        part.replace(folder / DIGESTS)

    def _explained(self) -> Any:
        return records.full_disk(self._folder, self._kept)

    def _kept(self) -> str:
        """What was saved, and what to do about a full disk."""
        steps = [int(path.name) for path in self._folder.iterdir() if path.name.isdecimal()]
        kept = f"step {max(steps)} is kept" if steps else "no step is kept"
        return f"{kept}; free some space and repeat the command"


def _digests(folder: pathlib.Path) -> dict[str, str]:
    return {
        name: checkpoint.digest(folder / name)
        for name in sorted(checkpoint.files(folder))
        if name != DIGESTS
    }


def _changed(folder: pathlib.Path) -> str:
    """What is wrong with the files of a checkpoint, or "".

    A process that was killed before it wrote the digests leaves a complete checkpoint without any;
    TensorStore's own checksums guard it.
    """
    if not (folder / DIGESTS).is_file():
        return ""
    try:
        written = dict(json.loads((folder / DIGESTS).read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError):
        return f"{DIGESTS} is not what was written"
    found = _digests(folder)
    for name in sorted(written.keys() | found.keys()):
        if name not in found:
            return f"{name} is missing"
        if name not in written:
            return f"{name} was added"
        if written[name] != found[name]:
            return f"{name} is not what was written: its SHA-256 differs"
    return ""


def _digest_of(array: np.ndarray) -> str:
    return hashlib.sha256(
        f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes()
    ).hexdigest()
