"""Output paths that are not regular files: terminals, pipes and devices, such as /dev/stdout."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from typing import IO

STDOUT, STDERR = 1, 2  # file descriptors


def open_stream(path: str | os.PathLike, mode: str) -> IO | None:
    """The open pipe, terminal or device at `path`; None for a regular file, a folder or nothing.

    A regular file that stdout or stderr is redirected to is written through that descriptor, so
    that neither overwrites the other's output.
    """
    try:
        found = os.stat(path)
    except OSError:
        return None
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "\n")
    for descriptor in (STDOUT, STDERR):
        if _is_open_as(found, descriptor):
            (sys.stdout if descriptor == STDOUT else sys.stderr).flush()
            return os.fdopen(os.dup(descriptor), mode, encoding=encoding, newline=newline)
    if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
        return None
    return open(path, mode, encoding=encoding, newline=newline)


def is_stdout(path: str | os.PathLike) -> bool:
    """Whether writing to `path` writes to this process's stdout."""
    try:
        return _is_open_as(os.stat(path), STDOUT)
    except OSError:
        return False


def _is_open_as(found: os.stat_result, descriptor: int) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(found, os.fstat(descriptor))
    return False
