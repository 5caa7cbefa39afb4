"""Vectors in NumPy's .npy format; header, size of the file and numbers are checked."""

from __future__ import annotations

import math
import os
import pathlib

import numpy as np
from numpy.lib import format as npy_format

from zoo import records


def read_vectors(path: str | os.PathLike) -> np.ndarray:
    """The finite vectors of a file, f32[N, D] of any floats [N, D].

    Raises DataError for anything else: a header that does not parse, a shape that the file is too
    short for (nothing of its size is allocated), no rows, numbers that are not finite.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        found = "found nothing" if not path.exists() else "got no regular file"
        raise records.DataError(f"{path}: expected a .npy file of vectors, {found}")
    shape, dtype = _header(path)
    if len(shape) != 2 or not np.issubdtype(dtype, np.floating) or 0 in shape:
        raise records.DataError(
            f"{path}: expected floats [N, D], a vector a document, got {dtype} {list(shape)}"
        )
    with np.errstate(over="ignore"):
        vectors = np.load(path, allow_pickle=False).astype(np.float32)
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise records.DataError(
            f"{path}: expected finite numbers, row {bad[0]} holds NaN or infinity (of 32 bits), "
            f"and {len(bad) - 1} more rows do; replace them"
        )
    return vectors


def _header(path: pathlib.Path) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type; DataError if they cannot be read, or the file is not of their size."""
    read = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
    try:
        with open(path, "rb") as file:
            version = npy_format.read_magic(file)
            shape, _, dtype = read[version](file)
            bytes_there = os.fstat(file.fileno()).st_size - file.tell()
        expected = math.prod(shape) * dtype.itemsize
    except OSError as error:
        raise records.DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # the header is Python source: ValueError, SyntaxError, TokenError
        raise records.DataError(
            f"{path}: not an array of numbers in NumPy's format ({type(error).__name__}); write it "
            "with numpy.save"
        ) from None
    if expected != bytes_there:
        raise records.DataError(
            f"{path}: its header says {dtype} {list(shape)}, {expected:,} bytes, but "
            f"{bytes_there:,} follow; write it again with numpy.save"
        )
    return shape, dtype
