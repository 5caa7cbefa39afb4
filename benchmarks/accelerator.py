"""Checks and benchmarks of the GPU or TPU of this machine: `make accelerator`.

    python benchmarks/accelerator.py --out results

Runs the tests of search, networks and indexes on the device, times beam search over tries and a
training step of DSI at T5-base's size (bar: 40 % of the bfloat16 peak), and both theory benchmarks.
Writes the output of each to accelerator_DEVICE.json in the folder. Without an accelerator it says
so, runs nothing and exits with 0; otherwise with 1 if a check failed.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import jax

ROOT = pathlib.Path(__file__).parents[1]
LIMIT = 1800  # seconds of a check
TESTS = "tests/search", "tests/nets", "tests/index"


def checks(folder: pathlib.Path, device: str) -> dict[str, list[str]]:
    """Name -> arguments for Python."""
    kept = folder / f"decode_trie_{device}.jsonl"
    cells = ["--items", "1e5", "1e6", "--batch", "8", "32", "--keep", str(kept)]
    return {
        "tests": ["-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS],
        "decode": ["benchmarks/decode_trie.py", *cells],
        "step": ["benchmarks/train_peak.py"],
        "exact": ["benchmarks/theory_exact.py"],
        "monte_carlo": ["benchmarks/theory_monte_carlo.py", "--corpora", "10000"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "results")
    parser.add_argument("--only", nargs="+", choices=checks(ROOT, ""))
    options = parser.parse_args()
    platform, kind = accelerator()
    if platform == "cpu":
        print("no GPU or TPU here (JAX sees only a CPU): nothing was run")
        return 0
    device = re.sub(r"[^a-z0-9]+", "_", kind.lower()).strip("_")
    options.out.mkdir(parents=True, exist_ok=True)
    found = {"device": kind, "platform": platform, "jax": jax.__version__, "checks": {}}
    for name, arguments in checks(options.out.resolve(), device).items():
        if options.only and name not in options.only:
            continue
        found["checks"][name] = run(arguments)
        print(f"{name}: exit {found['checks'][name]['exit']}", flush=True)
        path = options.out / f"accelerator_{device}.json"
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(any(one["exit"] for one in found["checks"].values()))


def accelerator() -> tuple[str, str]:
    """Platform and name of the default device, asked in a process that then frees it."""
    code = "import jax; d = jax.devices()[0]; print(d.platform); print(d.device_kind)"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if asked.returncode:
        raise SystemExit(f"accelerator: JAX finds no device: {asked.stderr.strip()[-300:]}")
    platform, kind = asked.stdout.splitlines()[-2:]
    return platform, kind


def run(arguments: list[str]) -> dict:
    """Exit code, seconds and last lines of one check."""
    # empty: the default device, which tests/conftest.py replaces with CPUs if nothing is set
    environment = {"JAX_PLATFORMS": ""} | os.environ | {"PYTHONPATH": str(ROOT)}
    start = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
        )
        code, text = done.returncode, done.stdout
    except subprocess.TimeoutExpired:
        code, text = 124, f"no end after {LIMIT} s"
    lines = text.splitlines()[-40:]
    print("\n".join(lines), flush=True)
    return {"exit": code, "seconds": round(time.monotonic() - start, 1), "output": lines}


if __name__ == "__main__":
    sys.exit(main())
