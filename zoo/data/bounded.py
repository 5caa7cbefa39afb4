"""Folders of the cache that keep to a size: the files used longest ago are removed."""

from __future__ import annotations

import contextlib
import os
import pathlib

from zoo.records import DataError


def limit_bytes(variable: str, default_gb: float) -> int:
    """Bytes that an environment variable allows in gigabytes; 0 = keep nothing.

    Raises DataError for a value that is no such number.
    """
    value = os.environ.get(variable) or str(default_gb)
    with contextlib.suppress(ValueError):
        if 0 <= (limit := float(value)) < 1e6:
            return int(limit * 1e9)
    raise DataError(f"{variable}: expected gigabytes, 0 = keep nothing, got {value!r}")


def evict(folder: pathlib.Path, limit: int, pattern: str = "*") -> None:
    """Removes files until the others have `limit` bytes together, the oldest change first.

    Who reads a file sets its time of change, if reading is to count as use.
    """
    files = []
    for path in folder.rglob(pattern):
        with contextlib.suppress(OSError):  # another process may remove it
            if path.is_file():
                files.append((path.stat().st_mtime, path.stat().st_size, path))
    kept = 0
    for _, size, path in sorted(files, reverse=True):
        kept += size
        if kept > limit:
            with contextlib.suppress(OSError):
                path.unlink()
