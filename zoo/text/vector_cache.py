"""Vectors of texts on disk, found by what the texts and the encoder are.

Texts are stored in parts of PART, a file each, named by a digest of the encoder, the side and the
texts of the part: a corpus that grew at its end, or a job that was interrupted, computes only the
parts that are missing. The folder is `vectors` in that of downloads (`zoo.data.download.cache`);
past $ZOO_VECTORS_GB (default 2; 0 stores nothing) the files read longest ago are removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from zoo.data import atomic, bounded, download
from zoo.records import DataError

PART = 2048  # texts of a file
AT_ONCE = 8  # parts that are encoded together
FEWEST = 16  # fewer texts, such as a query, are not worth a file
LIMIT, LIMIT_GB = "ZOO_VECTORS_GB", 2.0


def compute(
    texts: Sequence[str], identity: str, encode: Callable[[Sequence[str]], np.ndarray]
) -> np.ndarray:
    """encode(texts), f32[N, D], whose parts come from the disk where they are.

    identity: of everything but the texts that decides the vectors.
    """
    limit = bounded.limit_bytes(LIMIT, LIMIT_GB)
    folder = download.cache() / "vectors"
    parts = [texts[first : first + PART] for first in range(0, len(texts), PART)]
    paths = [folder / f"{_digest(identity, part)}.npy" for part in parts]
    found = [_read(path, len(part)) if limit else None for path, part in zip(paths, parts)]
    missing = [number for number, vectors in enumerate(found) if vectors is None]
    for first in range(0, len(missing), AT_ONCE):
        group = missing[first : first + AT_ONCE]
        fresh = encode([text for number in group for text in parts[number]])
        ends = np.cumsum([len(parts[number]) for number in group])
        for number, vectors in zip(group, np.split(fresh, ends[:-1])):
            found[number] = vectors
            if limit and len(texts) >= FEWEST:
                _write(paths[number], vectors)
    if missing and limit:
        bounded.evict(folder, limit, "*.npy")
    whole = [vectors for vectors in found if vectors is not None]
    return np.concatenate(whole) if whole else encode(texts)


def _digest(identity: str, texts: Sequence[str]) -> str:
    hashed = hashlib.sha256(identity.encode())
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        hashed.update(len(data).to_bytes(8, "little") + data)
    return hashed.hexdigest()[:40]


def _read(path: pathlib.Path, rows: int) -> np.ndarray | None:
    """The vectors of a file, which counts as used now; None if there is none that is whole."""
    try:
        vectors = np.load(path, allow_pickle=False)
        os.utime(path)
    except (OSError, ValueError, EOFError):
        return None
    return vectors if vectors.ndim == 2 and len(vectors) == rows else None


def _write(path: pathlib.Path, vectors: np.ndarray) -> None:
    """Stores vectors; a disk that is full or read-only costs only the next computation."""
    with contextlib.suppress(OSError, DataError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic.file(path, "wb") as file:
            np.save(file, vectors)
