"""Settings of every test: eight CPU devices, warnings are errors, rank promotion raises."""

import os
import pathlib
import signal

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell ignores it for what runs in its background
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def compiled_programs():
    """Drop a file's compiled programs after it: each maps memory, and Linux ends a process at 65,530 maps."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """Folder of public collections to check loaders and numbers on; a test that needs it skips where it is missing."""
    folder = pathlib.Path(os.environ.get("ZOO_SHARED", pathlib.Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no collections at {folder}; set ZOO_SHARED to the folder that holds data/search to run this test")
    return folder
