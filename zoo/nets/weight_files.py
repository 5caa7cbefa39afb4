"""Checkpoints of t5x as arrays by name."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator

import jax
import numpy as np

from zoo.records import DataError

CONFIG = "config.json"
STATE, STEP = "state", re.compile(r"checkpoint_(\d+)")  # of t5x: MODEL_DIR/checkpoint_100/state


def read_t5x(folder: pathlib.Path) -> tuple[dict[str, np.ndarray], pathlib.Path]:
    """Parameters of a checkpoint by path ("encoder/layers_0/..."), and its folder."""
    steps = {
        int(found[1]): path
        for path in folder.iterdir()
        if path.is_dir() and (found := STEP.fullmatch(path.name))
    }
    folder = steps[max(steps)] if steps else folder
    folder = folder / STATE if (folder / STATE).is_dir() else folder
    if any(path.name.startswith("target.") for path in folder.iterdir()):
        return dict(_legacy_arrays(folder)), folder
    import orbax.checkpoint as ocp

    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            tree = checkpointer.metadata(folder.absolute())
            tree = dict(getattr(getattr(tree, "item_metadata", tree), "tree", tree) or {})
            wanted = {
                "target": jax.tree.map(
                    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), dict(tree["target"])
                )
            }
            options = jax.tree.map(lambda leaf: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
            found = checkpointer.restore(
                folder.absolute(),
                args=ocp.args.PyTreeRestore(
                    item=wanted, restore_args=options, partial_restore=True
                ),
            )
    # Orbax and TensorStore raise of many kinds for what is no checkpoint
    except Exception as error:
        what = "no tree 'target'" if isinstance(error, KeyError) else type(error).__name__
        raise DataError(
            f"{folder}: expected {CONFIG} beside safetensors, or a checkpoint of t5x; "
            f"got neither ({what})"
        ) from None
    flat = jax.tree_util.tree_leaves_with_path(found["target"])
    return {"/".join(key.key for key in path): np.asarray(leaf) for path, leaf in flat}, folder


def _legacy_arrays(folder: pathlib.Path) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays of a t5x checkpoint without Orbax, as T5's are published: zarr folders."""
    import tensorstore

    for path in sorted(folder.iterdir()):
        if path.name.startswith("target."):
            store = {"driver": "zarr", "kvstore": {"driver": "file", "path": str(path.absolute())}}
            try:
                yield (
                    path.name.removeprefix("target.").replace(".", "/"),
                    tensorstore.open(store).result().read().result(),
                )
            except ValueError as error:
                raise DataError(
                    f"{path}: not a complete array ({str(error).splitlines()[0]}); "
                    "copy the checkpoint again"
                ) from None
