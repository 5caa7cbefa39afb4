"""Compiled programs on disk: the same command again compiles next to nothing.

JAX keeps them (its persistent compilation cache), in `compiled` of the folder for downloads
(`zoo.data.download.cache`), apart by version and kind of processor. At the start of a command the
files written longest ago are removed past $ZOO_COMPILED_GB (default 1); 0 turns the cache off. With
$JAX_COMPILATION_CACHE_DIR the user's own cache is used instead, as it is.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import pathlib
import platform
import re

from zoo.data import bounded, download

LIMIT, LIMIT_GB = "ZOO_COMPILED_GB", 1.0
SECONDS = 0.1  # a program that compiles faster is not kept


def keep() -> None:
    """Turns the cache on for this process, unless the user has configured JAX's own.

    Raises DataError if $ZOO_COMPILED_GB is no number.
    """
    import jax

    limit = bounded.limit_bytes(LIMIT, LIMIT_GB)
    if not limit or getattr(jax.config, "jax_compilation_cache_dir", None):
        return
    folder = download.cache() / "compiled"
    bounded.evict(folder, limit)
    jax.config.update("jax_compilation_cache_dir", str(folder / _machine()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SECONDS)


def _machine() -> str:
    """What a program is compiled for beside what JAX itself tells apart."""
    flags = ""
    if (info := pathlib.Path("/proc/cpuinfo")).is_file():
        found = re.search(r"^(?:flags|Features)\s*:(.*)$", info.read_text(), re.MULTILINE)
        flags = found.group(1) if found else ""
    version = importlib.metadata.version("jaxlib")
    digest = hashlib.sha256(f"{platform.processor()} {flags}".encode()).hexdigest()[:8]
    return f"{version}-{platform.machine()}-{digest}"
