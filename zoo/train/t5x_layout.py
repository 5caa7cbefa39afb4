"""Parameters in t5x's layout: item "state" of MODEL_DIR/checkpoint_STEP.

The item is {"target": parameters, "state": {"step", ...}}.
"""

from __future__ import annotations

import pathlib

import jax
import numpy as np

from zoo.records import DataError
from zoo.train import checkpoint


def save(params: dict, folder: pathlib.Path, *, step: int) -> None:
    """Writes parameters to folder/checkpoint_STEP/state as t5x does, without optimiser state."""
    ocp = checkpoint.orbax()
    tree = {
        "target": jax.tree.map(np.asarray, params),
        "state": {"step": np.asarray(step, np.int32)},
    }
    with _manager(folder) as manager:
        manager.save(step, args=ocp.args.Composite(state=ocp.args.PyTreeSave(tree)))


def load(folder: str | pathlib.Path) -> tuple[dict, int, pathlib.Path]:
    """(parameters as numpy, step, path) of a checkpoint that t5x wrote by Orbax, its default.

    folder: checkpoint_STEP, or a folder of such, of which the last is read.
    Raises DataError if there is none, it is of another kind, or it cannot be read.
    """
    ocp = checkpoint.orbax()
    folder = pathlib.Path(folder).absolute()
    if not folder.name.startswith("checkpoint_"):
        found = {
            int(path.name[11:]): path
            for path in folder.glob("checkpoint_*")
            if path.name[11:].isdigit()
        }
        if not found:
            raise DataError(
                f"{folder}: holds no checkpoint_STEP; expected a t5x checkpoint or its MODEL_DIR"
            )
        folder = found[max(found)]
    if not (folder / "state").is_dir():
        raise DataError(
            f"{folder}: holds no Orbax checkpoint (no folder state); "
            "save with t5x's default, train.use_orbax = True"
        )
    try:
        _list_keys(folder / "state")
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
            tree = reader.metadata(folder / "state").item_metadata.tree
            wanted = {"target": tree["target"], "state": {"step": tree["state"]["step"]}}
            as_numpy = jax.tree.map(lambda leaf: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
            restored = reader.restore(
                folder / "state",
                args=ocp.args.PyTreeRestore(wanted, restore_args=as_numpy, partial_restore=True),
            )
    except Exception as error:  # Orbax, TensorStore and JSON raise of many kinds for a damaged file
        raise DataError(
            f"{folder}: a damaged or foreign checkpoint ({type(error).__name__}); copy it again"
        ) from error
    return restored["target"], int(restored["state"]["step"]), folder


def _list_keys(folder: pathlib.Path) -> None:
    """Reads the file that lists all arrays, so that damage raises here, once.

    In parallel reads it would raise in each, and the last ones would find their event loop closed.
    """
    if (folder / "manifest.ocdbt").is_file():
        import tensorstore

        tensorstore.KvStore.open(
            {"driver": "ocdbt", "base": {"driver": "file", "path": f"{folder}/"}}
        ).result().list().result()


def _manager(folder: pathlib.Path):
    ocp = checkpoint.orbax()
    options = ocp.CheckpointManagerOptions(
        step_prefix="checkpoint", enable_async_checkpointing=False
    )
    return ocp.CheckpointManager(
        pathlib.Path(folder).absolute(),
        options=options,
        item_names=("state",),
        item_handlers={"state": ocp.PyTreeCheckpointHandler()},
    )
