"""Settings of all tests: eight CPU devices, warnings as errors, rank promotion raises.

Compiling small programs, many of them several times, dominates the run time. A cache in
build/compiled keeps the programs for all workers and for the processes that tests start. XLA skips
most optimisations, except in tests marked `trains`, which compute for longer than they compile.
Each worker has one thread: pools of more spin on cores that other workers need.

tests/durations.txt has the seconds of the longest files. They begin first, so that workers end
together, and ZOO_QUICK leaves them out. A run of the whole suite writes such a file to build/.
"""

import collections
import importlib.metadata
import os
import pathlib
import signal

ROOT = pathlib.Path(__file__).parents[1]

FLAGS = ["--xla_force_host_platform_device_count=8"]
JAXLIB = importlib.metadata.version("jaxlib")
# an unknown flag aborts the process
COARSE = JAXLIB.startswith(("0.10.", "0.12.")) and "ZOO_EXACT" not in os.environ
if COARSE:
    # compiles in half the time: one LLVM module per program, without MLIR's fusion emitters; two
    # programs then differ more in the last digits of float32, which tests marked `exact` would see
    FLAGS += [
        "--xla_cpu_parallel_codegen_split_count=1",
        "--xla_cpu_opt_preset=CPU_OPT_PRESET_FAST_COMPILE",
    ]
    if JAXLIB.startswith("0.10."):  # later versions have no other emitters
        FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS])
for name, value in {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    # full float32 products; the defaults are TF32 on a GPU and bfloat16 on a TPU
    "JAX_DEFAULT_MATMUL_PRECISION": "float32",
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "JAX_COMPILATION_CACHE_DIR": str(ROOT / "build" / "compiled"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}.items():
    os.environ.setdefault(name, value)

import hypothesis
import jax
import pytest

# no deadline: the first example includes compilation or imports
hypothesis.settings.register_profile("zoo", deadline=None)
hypothesis.settings.load_profile("zoo")
jax.config.update("jax_numpy_rank_promotion", "raise")

# shells ignore SIGINT for background processes
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before the fixtures of the test
def pytest_runtest_setup(item):
    if COARSE and item.get_closest_marker("exact"):
        pytest.skip("sees what the flags for fast compilation cost: ZOO_EXACT=1 pytest -m exact")
    jax.config.update("jax_disable_most_optimizations", item.get_closest_marker("trains") is None)


DURATIONS = ROOT / "tests" / "durations.txt"
LONG = 10  # seconds; a file that takes longer is no part of a quick run
spent = collections.Counter()  # seconds of each file of this run


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Sorts by the seconds of the files, longest first; ZOO_QUICK leaves out long files."""
    rows = (line.split() for line in DURATIONS.read_text(encoding="utf-8").splitlines())
    seconds = {name: float(number) for number, name in rows}
    of = lambda item: seconds.get(file_of(item.nodeid), 0.0)
    items.sort(key=of, reverse=True)
    if "ZOO_QUICK" in os.environ:
        config.hook.pytest_deselected(items=[item for item in items if of(item) > LONG])
        items[:] = [item for item in items if of(item) <= LONG]


def file_of(nodeid):
    return nodeid.partition("::")[0]


def pytest_runtest_logreport(report):
    spent[file_of(report.nodeid)] += report.duration


def pytest_sessionfinish(session):
    whole = session.config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if whole and not {"PYTEST_XDIST_WORKER", "ZOO_QUICK"} & set(os.environ):
        path = ROOT / "build" / DURATIONS.name
        path.parent.mkdir(exist_ok=True)
        rows = [f"{number:.0f} {name}" for name, number in spent.most_common() if number >= 5]
        path.write_text("\n".join([*rows, ""]), encoding="utf-8")


@pytest.fixture(scope="module", autouse=True)
def compiled_programs():
    """Drops compiled programs after each file: Linux kills a process at 65,530 memory maps."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """Folder of public collections; a test that needs it skips if it is missing."""
    folder = pathlib.Path(os.environ.get("ZOO_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(
            f"no collections at {folder}; set ZOO_SHARED to the folder that holds data/search to "
            "run this test"
        )
    return folder
