"""Tensors of safetensors files: one file, or those that an index names."""

from __future__ import annotations

import json
import pathlib

import numpy as np

from zoo.records import DataError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def read_folder(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """All tensors of a folder, by name; those of half precision and bfloat16 as float32.

    Raises DataError if a file is missing or damaged, or a tensor is not of finite floats.
    """
    tensors: dict[str, np.ndarray] = {}
    for name in _named_by(folder / INDEX) if (folder / INDEX).is_file() else [WEIGHTS]:
        if not (folder / name).is_file():
            pickled = next(
                iter(sorted(path.name for path in folder.glob("pytorch_model*.bin"))), None
            )
            remedy = (
                f"{pickled} is a pickle, which is not read; save it as safetensors"
                if pickled
                else "copy the folder again"
            )
            raise DataError(f"{folder / name}: missing; {remedy}")
        tensors |= _read(folder / name)
    return tensors


def _named_by(index: pathlib.Path) -> list[str]:
    """The files that an index names, which lie beside it."""
    try:
        named = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        files = sorted(set(named))
        good = files and all(pathlib.PurePath(file).name == file for file in files)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        good = False
    if not good:
        raise DataError(
            f"{index}: expected the weight_map of a sharded model, names of files beside it; "
            "copy the folder again"
        )
    return files


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    import ml_dtypes  # noqa: F401 (lets NumPy hold bfloat16)
    from safetensors import safe_open

    try:
        with safe_open(path, "np") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except Exception as error:  # SafetensorError, OSError, TypeError for kinds without numbers
        said = " ".join(str(error).split())[:120]
        raise DataError(f"{path}: not a whole safetensors file ({said}); copy it again") from None
    for name, tensor in tensors.items():
        if not _is_float(tensor.dtype):
            raise DataError(f"{path}: tensor {name!r} expected floats, got {tensor.dtype}")
        if not np.isfinite(tensor).all():
            raise DataError(f"{path}: tensor {name!r} holds NaN or infinity; copy it again")
    return {
        name: tensor if tensor.dtype == np.float64 else tensor.astype(np.float32)
        for name, tensor in tensors.items()
    }


def _is_float(dtype: np.dtype) -> bool:
    return np.issubdtype(dtype, np.floating) or dtype.name == "bfloat16"
