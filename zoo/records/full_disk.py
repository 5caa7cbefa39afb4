"""Errors of a full disk, of whichever library wrote to it, as one DataError."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator

from zoo.records.documents import DataError

FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG  # no space on the disk, in the quota, or for a file
FREE = "free some space and repeat the command"


@contextlib.contextmanager
def full_disk(folder: pathlib.Path, remedy: Callable[[], str] = lambda: FREE) -> Iterator[None]:
    """Raises DataError, ending in remedy(), in place of any error of a full disk.

    folder: where is written to, named in the error; it need not exist.
    """
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # TensorStore's are ValueErrors, Orbax's of many kinds
        if getattr(error, "errno", None) in FULL or any(
            os.strerror(code) in str(error) for code in FULL
        ):
            place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
            raise DataError(
                f"{folder}: no space left to write to "
                f"({shutil.disk_usage(place).free / 1e6:.0f} MB are free); {remedy()}"
            ) from error
        raise
