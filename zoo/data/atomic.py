"""Files and folders that appear whole or not at all: written beside their place, flushed to the
disk, then renamed.
"""

from __future__ import annotations

import contextlib
import glob
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from typing import IO, Any

from zoo import records
from zoo.data import streams

STALE_SECONDS = 1.0  # a part that is younger may not be locked yet


@contextlib.contextmanager
def file(path: str | os.PathLike, mode: str = "w") -> Iterator[IO]:
    """An open file that replaces `path` when the block ends without an error, else is removed.

    A pipe, a terminal or a device is written directly; a symbolic link keeps pointing to the file.

    mode: "w" for UTF-8 text with "\\n" line ends, "wb" for bytes.
    Raises DataError if the folder does not exist or `path` is a folder.
    """
    if (stream := streams.open_stream(path, mode)) is not None:
        with stream:
            yield stream
        return
    path = pathlib.Path(os.path.realpath(path) if os.path.islink(path) else path)
    if not path.parent.is_dir():
        raise records.DataError(
            f"{path}: expected the folder {path.parent} to exist; create it or name another place"
        )
    if path.is_dir():
        raise records.DataError(
            f"{path}: expected the name of a file, got a folder; add a file name"
        )
    remove_stale(path.parent, path.name)
    with records.full_disk(path), _part_of(path, mode) as handle:
        yield handle


@contextlib.contextmanager
def _part_of(path: pathlib.Path, mode: str) -> Iterator[IO]:
    """An open file beside `path` that replaces it when the block ends, else is removed."""
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    handle = tempfile.NamedTemporaryFile(
        mode, dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False, **text
    )
    try:
        with handle:
            _hold(handle.fileno())
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.chmod(handle.name, 0o666 & ~_umask())
        os.replace(handle.name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(handle.name)
        raise


@contextlib.contextmanager
def folder(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A fresh folder that takes the place of `path` when the block ends without an error, else is
    removed.

    Raises DataError if `path` exists and is not an empty folder; nothing is ever overwritten.
    """
    path = pathlib.Path(path)
    refuse_occupied(path)
    made = [parent for parent in path.absolute().parents if not parent.exists()]
    try:
        with records.full_disk(path), _part_folder(path) as part:
            yield part
    except BaseException:
        remove_empty(made)
        raise


@contextlib.contextmanager
def _part_folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder beside `path` that takes its place when the block ends, else is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(path.parent, path.name)
    part = pathlib.Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    held = os.open(part, os.O_RDONLY)
    try:
        _hold(held)
        yield part
        for written in part.rglob("*"):
            if written.is_file():
                with open(written, "rb") as handle:
                    os.fsync(handle.fileno())
        part.chmod(0o777 & ~_umask())
        refuse_occupied(path)
        if path.is_dir():
            path.rmdir()
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    finally:
        os.close(held)


def remove_stale(parent: pathlib.Path, name: str = "*") -> None:
    """Removes what processes that were killed have left of files and folders of a name."""
    for part in parent.glob(f".{glob.escape(name) if name != '*' else name}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime < STALE_SECONDS:
                continue
            handle = os.open(part, os.O_RDONLY)
            try:
                if _hold(handle):
                    shutil.rmtree(part) if part.is_dir() else part.unlink()
            finally:
                os.close(handle)


def empty(folder: pathlib.Path) -> None:
    """Removes everything in a folder."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def remove_empty(folders: Iterable[pathlib.Path]) -> None:
    """Removes those of the folders that are empty, in this order."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def refuse_occupied(path: str | os.PathLike) -> None:
    """Raises DataError if something other than an empty folder stands at `path`.

    Call it before long work.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        first = next(path.iterdir(), None)
        if first is not None:
            raise records.DataError(
                f"{path}: expected no folder or an empty one, found {first.name} in it; remove it "
                "or name another"
            )
    elif path.exists() or path.is_symlink():
        raise records.DataError(
            f"{path}: expected no folder or an empty one, got a file; remove it or name another"
        )


def _hold(handle: int) -> bool:
    """Locks a part for as long as it is open; False if another process holds it.

    True without doing anything where the system has no such locks.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
