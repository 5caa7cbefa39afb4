"""The folder of a fit while it runs: who writes to it, what is fitted there, and what an error
leaves.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from zoo.api import fitted as stored
from zoo.data import atomic
from zoo.records import DataError
from zoo.train import log as logs

RUN = stored.RUN
JAX = "jax"  # of RUN: every version of jax that the fit has run under


def refuse_occupied(folder: pathlib.Path, run: Mapping[str, Any] | None = None) -> None:
    """Raises DataError unless the folder is absent, empty, or holds an unfinished fit.

    run: what is to be fitted, as far as it is known; the finished fit of the same run is no error,
    since `opened` answers with it.
    """
    if (folder / stored.FIT).exists() and (run is None or _changed(folder, run)):
        raise DataError(
            f"{folder}: holds a fitted system already; remove it or name another folder"
        )
    if not (folder.is_dir() and (folder / RUN).exists()):
        atomic.refuse_occupied(folder)


@contextlib.contextmanager
def opened(out: str | os.PathLike | None, run: Mapping[str, Any], jax: str) -> Iterator[bool]:
    """Locks the folder of a fit, notes there what is fitted, and tells whether that is finished
    already.

    An exception before the first checkpoint leaves the folder as it was; after it, the checkpoints
    and the note stay, so that the same call goes on.

    Args:
      out: the folder; None for a fit that is kept in memory.
      run: JSON of everything that decides the result.
      jax: the version of jax; noted beside those that the fit has run under before.

    Raises DataError if another process fits there, or the folder holds another run.
    """
    if out is None:
        yield False
        return
    folder = pathlib.Path(out)
    made = [path for path in (folder, *folder.absolute().parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        refuse_occupied(folder, run)
        if (folder / stored.FIT).exists():
            shutil.rmtree(folder / logs.CHECKPOINTS, ignore_errors=True)
            yield True
            return
        goes_on = (folder / RUN).exists()
        if goes_on and (changed := _changed(folder, run)):
            raise DataError(
                f"{folder}: holds an unfinished fit with another {' and '.join(changed)}; "
                "repeat its command, remove the folder, or name another"
            )
        atomic.remove_stale(folder)
        try:
            _note(folder, run, jax)
            yield False
        except Exception:
            if not goes_on and not logs.has_checkpoints(folder):
                atomic.empty(folder)
                atomic.remove_empty(made)
            raise


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[None]:
    """Holds the folder for this process; raises DataError if another one holds it.

    The system drops the lock of a process that ends in any way. On file systems without locks
    nothing is held.
    """
    try:
        import fcntl
    except ImportError:  # no POSIX system
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(
                f"{folder}: another process is fitting here; wait for it, or name another folder"
            ) from None
        except OSError:
            pass
        yield
    finally:
        os.close(handle)


def versions(out: str | os.PathLike | None, current: str) -> list[str]:
    """Versions of jax that the fit in a folder has run under, oldest first."""
    if out is None:
        return [current]
    return _read(pathlib.Path(out)).get(JAX, [current])


def _note(folder: pathlib.Path, run: Mapping[str, Any], jax: str) -> None:
    before = _read(folder).get(JAX, []) if (folder / RUN).exists() else []
    if before and before[-1] == jax:
        return
    with atomic.file(folder / RUN) as file:
        json.dump({**run, JAX: [*before, jax]}, file, indent=1)


def _read(folder: pathlib.Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / RUN).read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError):
        raise DataError(
            f"{folder / RUN}: not what `zoo fit` writes; remove the folder or name another"
        ) from None


def _changed(folder: pathlib.Path, run: Mapping[str, Any]) -> list[str]:
    """Names of what differs between the run of a folder and `run`."""
    if not (folder / RUN).exists():
        return list(run)
    before = _read(folder)
    return [name for name in run if before.get(name) != run[name]]
