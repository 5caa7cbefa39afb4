"""Files and folders that appear whole or not at all: written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO

from zoo import records
from zoo.data import streams


@contextlib.contextmanager
def file(path: str | os.PathLike, mode: str = "w") -> Iterator[IO]:
    """An open file that takes the place of `path` when the block ends without an error, else is removed.

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
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    handle = tempfile.NamedTemporaryFile(
        mode, dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False, **text
    )
    try:
        with handle:
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
    """A fresh folder that takes the place of `path` when the block ends without an error, else is removed.

    Raises DataError if `path` exists and is not an empty folder; nothing is ever overwritten.
    """
    path = pathlib.Path(path)
    refuse_occupied(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = pathlib.Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    try:
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


def refuse_occupied(path: str | os.PathLike) -> None:
    """Raises DataError if something other than an empty folder stands at `path`; call it before long work."""
    path = pathlib.Path(path)
    if path.is_dir():
        first = next(path.iterdir(), None)
        if first is not None:
            raise records.DataError(
                f"{path}: expected no folder or an empty one, found {first.name} in it; remove it or name another"
            )
    elif path.exists() or path.is_symlink():
        raise records.DataError(
            f"{path}: expected no folder or an empty one, got a file; remove it or name another"
        )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
