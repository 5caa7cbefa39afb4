"""Kill a training run at random moments: it loses only the steps since the last checkpoint.

    python benchmarks/train_kills.py --kills 20

The script kills (SIGKILL) a small training run (tests/train/resumed_run.py) that checkpoints as
often as it can, while it starts, trains or writes: at moments drawn uniformly from a third of its
whole duration. It restarts the run after each kill. The final parameters must equal those of an
uninterrupted run bit for bit, and the log must contain every step once.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
SCRIPT = ROOT / "tests" / "train" / "resumed_run.py"


def saved(folder: pathlib.Path) -> int:
    """The last step on disk."""
    return max(
        (int(path.name) for path in folder.glob("training/*") if path.name.isdigit()), default=0
    )


def start(folder: pathlib.Path, steps: int) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    return subprocess.Popen([sys.executable, str(SCRIPT), str(folder), str(steps)], env=environment)


def parameters(folder: pathlib.Path) -> dict[str, bytes]:
    with np.load(folder / "params.npz") as found:
        return {name: found[name].tobytes() for name in found}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        whole, cut = pathlib.Path(name) / "whole", pathlib.Path(name) / "cut"
        began = time.monotonic()
        assert start(whole, options.steps).wait() == 0
        longest = time.monotonic() - began
        kills = lost = 0
        while kills < options.kills:
            process = start(cut, options.steps)
            until = time.monotonic() + draw.uniform(0, longest / 3)
            while time.monotonic() < until and process.poll() is None:
                time.sleep(0.001)
            ended = process.poll() is not None
            process.kill()
            process.wait()
            # it finished before the kill; start over with the remaining kills
            if ended:
                check(whole, cut, options.steps)
                cut = cut.with_name(f"cut-{kills}")
                continue
            kills += 1
            rows = (
                (cut / "log.jsonl").read_text().splitlines(keepends=True)
                if (cut / "log.jsonl").exists()
                else []
            )
            reached = max(
                (json.loads(row)["step"] for row in rows if row.endswith("\n")), default=0
            )
            lost += max(reached - saved(cut), 0)
            print(f"kill {kills:2d}: logged to step {reached}, saved to {saved(cut)}", flush=True)
        assert start(cut, options.steps).wait() == 0
        check(whole, cut, options.steps)
    print(
        f"{kills} kills: the same parameters bit for bit, each of {options.steps} steps logged "
        f"once; {lost / kills:.1f} steps repeated a kill"
    )


def check(whole: pathlib.Path, cut: pathlib.Path, steps: int) -> None:
    """Raises if the killed run differs from the uninterrupted one."""
    assert parameters(whole) == parameters(cut), "other parameters"
    found = [json.loads(row)["step"] for row in (cut / "log.jsonl").read_text().splitlines()]
    expected = [json.loads(row)["step"] for row in (whole / "log.jsonl").read_text().splitlines()]
    assert found == expected and expected[-1] == steps, "steps lost or logged twice"


if __name__ == "__main__":
    main()
