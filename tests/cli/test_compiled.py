"""Compiled programs outlive a command, unless it says otherwise."""

import os
import subprocess
import sys

import pytest

from zoo.data import bounded
from zoo.records import DataError

# a command that compiles nothing of ours, then a program of a tenth of a second and more
SCRIPT = """
import sys
from zoo.cli import main
sys.argv = ["zoo", "list"]
assert main.main() == 0
import jax, jax.numpy as jnp
def chain(x):
    for size in range(12):
        x = jnp.sort(jnp.concatenate([x, jnp.sin(x[: size + 3])]))
    return x
jax.jit(chain)(jnp.arange(7.0)).block_until_ready()
"""


def kept(cache, **variables):
    """Files of the program in a cache, after a command, with their times."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("JAX_COMP")}
    subprocess.run(
        [sys.executable, "-c", SCRIPT],
        check=True,
        env=clean | {"ZOO_CACHE": str(cache)} | variables,
        stdout=subprocess.DEVNULL,
    )
    return [(path.name, path.stat().st_mtime_ns) for path in cache.rglob("jit_chain*-cache")]


def test_a_command_keeps_compiled_programs_and_not_if_the_limit_is_zero(tmp_path):
    # three processes that import JAX: seconds
    first = kept(tmp_path / "on")
    assert len(first) == 1 and kept(tmp_path / "on") == first
    assert not kept(tmp_path / "off", ZOO_COMPILED_GB="0")


def test_the_oldest_files_make_room(tmp_path):
    for age, name in enumerate(("new", "middle", "old")):
        path = tmp_path / name
        path.write_bytes(b"x" * 100)
        os.utime(path, (1000 - age, 1000 - age))
    bounded.evict(tmp_path, 250)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "middle"}


def test_a_limit_that_is_no_number_is_refused(monkeypatch):
    monkeypatch.setenv("ZOO_COMPILED_GB", "lots")
    with pytest.raises(DataError, match="ZOO_COMPILED_GB: expected gigabytes, .* got 'lots'"):
        bounded.limit_bytes("ZOO_COMPILED_GB", 1.0)
