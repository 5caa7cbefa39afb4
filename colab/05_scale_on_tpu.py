# ---
# jupyter:
#   accelerator: TPU
#   jupytext:
#     notebook_metadata_filter: accelerator
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From a laptop to a TPU slice
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/generative-retrieval-zoo/generative-retrieval-zoo/blob/main/colab/05_scale_on_tpu.ipynb)
#
# The same recipe trains on one core, on the eight cores of a TPU, and on many hosts; the device
# mesh is a flag. This notebook trains on all devices that it finds, in bfloat16, interrupts
# training and resumes it, and exports what [t5x](https://github.com/google-research/t5x) needs to
# train the same model. A run on eight virtual devices of two CPU cores took four minutes; it has
# not been run on a TPU.

# %%
REPOSITORY = "https://github.com/generative-retrieval-zoo/generative-retrieval-zoo"

import glob
import importlib.util
import shutil
import subprocess
import sys

if importlib.util.find_spec("zoo") is None:
    extra = (
        "[tpu]"
        if glob.glob("/dev/accel*") + glob.glob("/dev/vfio/[0-9]*")
        else "[cuda]"
        if shutil.which("nvidia-smi")
        else ""
    )
    # from the repository or, if it cannot be reached, from a wheel beside this notebook
    wheels = [f"{name}{extra}" for name in glob.glob("./generative_retrieval_zoo-*.whl")]
    for package in [f"generative-retrieval-zoo{extra} @ git+{REPOSITORY}", *wheels]:
        command = [sys.executable, "-m", "pip", "install", "--quiet", package]
        if subprocess.run(command).returncode == 0:
            break
    else:
        raise SystemExit(f"{REPOSITORY} cannot be reached; upload a wheel beside this notebook")

# %%
import os

FLAGS = os.environ.get("XLA_FLAGS", "")
if not glob.glob("/dev/accel*") + glob.glob("/dev/vfio/[0-9]*") and not shutil.which("nvidia-smi"):
    # eight devices to play with
    os.environ["XLA_FLAGS"] = FLAGS + " --xla_force_host_platform_device_count=8"

import json
import pathlib
import signal
import tempfile
import time

import jax
import numpy as np
from IPython.display import Image, display

import zoo
from zoo.report import plots

SMALL = "ZOO_SMALL" in os.environ  # a quick pass over everything, for tests
RUNS = pathlib.Path(tempfile.mkdtemp())
devices = jax.device_count()
print(f"running on {devices} x {jax.devices()[0].device_kind}")

# %% [markdown]
# ## One fit, every device
#
# `data=N` splits each batch over N devices; `model=N` shards the matrices; `fsdp=N` shards
# parameters and optimiser state and gathers them layer by layer. Computation is in bfloat16;
# parameters stay in float32.

# %%
# one small program to compile
short = {"encoder_layers": 0, "document_length": 8, "query_length": 8} if SMALL else {}
options = {"steps": 30 if SMALL else 600, "dtype": "bfloat16", **short}
meshes = {"one device": "", "data": f"data={devices}"}
if devices % 2 == 0 and not SMALL:
    meshes["data and model"] = f"data={devices // 2},model=2"
fits = {
    name: zoo.fit("dsi", "toy", size="tiny", options=options, mesh=mesh)
    for name, mesh in meshes.items()
}
for name, fitted in fits.items():
    rates = [row["examples_per_second"] for row in fitted.history if "examples_per_second" in row]
    print(
        f"{name:15s} {meshes[name] or '-':18s} loss {fitted.history[-1]['loss']:.4f}  "
        f"{np.median(rates):8,.0f} examples/s"
    )

# %%
rows = {name: [row for row in fitted.history if "loss" in row] for name, fitted in fits.items()}
first = next(iter(rows.values()))
curves = {name: [row["loss"] for row in of] for name, of in rows.items()}
display(
    Image(
        plots.training_curves(
            [row["step"] for row in first],
            curves,
            RUNS / "loss.png",
            title="A mesh changes where a fit runs, not where it goes",
        )
    )
)

# %% [markdown]
# ## Interrupt and resume
#
# A preemptible machine gets a signal shortly before it shuts down. The fit then saves a checkpoint
# and exits; the same command resumes. (Here in another process, on the CPU: a TPU belongs to one
# process, this notebook.)


# %%
def command(out):
    chosen = {"steps": 150 if SMALL else 1500, **short}
    sets = [word for name, value in chosen.items() for word in ("--set", f"{name}={value}")]
    return [
        sys.executable,
        "-m",
        "zoo",
        "fit",
        "dsi",
        "--data",
        "toy",
        "--size",
        "tiny",
        *sets,
        "--out",
        str(out),
    ]


alone = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": FLAGS}
begun = subprocess.Popen(
    command(RUNS / "stopped"), env=alone, stdout=subprocess.PIPE, stderr=subprocess.PIPE
)
log = RUNS / "stopped" / "log.jsonl"
while begun.poll() is None and not (log.exists() and '"loss"' in log.read_text()):
    time.sleep(0.1)
begun.send_signal(signal.SIGTERM)
told = begun.communicate()[1].decode().strip().splitlines()[-1]
print(told.partition(";")[0])
subprocess.run(command(RUNS / "stopped"), env=alone, check=True, capture_output=True)
subprocess.run(command(RUNS / "whole"), env=alone, check=True, capture_output=True)

# %%
stopped, whole = zoo.load(RUNS / "stopped"), zoo.load(RUNS / "whole")
same = jax.tree.map(np.array_equal, stopped.state["params"], whole.state["params"])
print("parameters equal to those of a fit that nobody stopped:", all(jax.tree.leaves(same)))

# %% [markdown]
# ## On to t5x
#
# `zoo export` writes identifiers, trie, tasks and the parameters as a t5x checkpoint; the files in
# `configs/` then train the same encoder-decoder with t5x: `python -m t5x.train
# --gin_file=configs/dsi_base.gin --gin.D=... --gin.MODEL_DIR=...`.

# %%
subprocess.run(
    [sys.executable, "-m", "zoo", "export", str(RUNS / "whole"), "--out", str(RUNS / "exported")],
    env=alone,
    check=True,
)
for path in sorted((RUNS / "exported").iterdir()):
    print(f"  {path.name}")

# %% [markdown]
# ## A slice that you do not have
#
# `zoo compile` compiles the training step and the answering program for devices that are not here
# and tells whether they fit, and what would limit them: bounds predicted from peak rates. For a TPU
# slice it needs the compiler, `pip install libtpu`, and no TPU; without that this cell compiles
# for the CPU's eight virtual devices.

# %%
there = importlib.util.find_spec("libtpu") is not None
slice_, sets = ("v5e:2x4" if there else "cpu"), ["--set", "dtype=bfloat16"]
for name, value in short.items():
    sets += ["--set", f"{name}={value}"]
size, mesh = ("tiny" if SMALL or not there else "small"), ("data=8" if there else "data=4,fsdp=2")
eight = alone | {"XLA_FLAGS": FLAGS + " --xla_force_host_platform_device_count=8"}
words = ["compile", "dsi", "--size", size, "--topology", slice_, "--mesh", mesh]
print("zoo", *words, *sets)
planned = subprocess.run(
    [sys.executable, "-m", "zoo", *words, *sets, "--json", str(RUNS / "plan.json")],
    env=eight,
    check=True,
    capture_output=True,
    text=True,
)
print(planned.stdout)
plan = json.loads((RUNS / "plan.json").read_text())

# %% [markdown]
# ## What this notebook claims

# %%
ends = {name: fitted.history[-1]["loss"] for name, fitted in fits.items()}
assert max(ends.values()) - min(ends.values()) < 0.05 * max(ends.values()), (
    "every mesh trains the same model, up to bf16 rounding"
)
assert "stopped at step" in told, "it did not come to its end"
assert all(jax.tree.leaves(same)), (
    "a fit that was stopped ends where an uninterrupted one does, bit for bit"
)
assert json.loads((RUNS / "whole" / "fit.json").read_text())["recipe"] == "dsi"
assert (RUNS / "exported").is_dir() and any((RUNS / "exported").iterdir()), (
    "what t5x needs is written"
)
assert plan["fits"] and {one["name"].split(":")[0] for one in plan["programs"]} == {
    "train",
    "answer",
}, "a training step and an answering program compile for eight devices"
print("all claims hold")
