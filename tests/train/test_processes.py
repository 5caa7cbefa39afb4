"""Training in two processes on one machine, which talk over loopback."""

import importlib.util
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from zoo.records import DataError
from zoo.train import execution, log as logs, processes

HERE = pathlib.Path(__file__).parent
spec = importlib.util.spec_from_file_location("resumed_run", HERE / "resumed_run.py")
run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run)


def started(folder, steps):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    settings = {
        "PYTHONPATH": str(HERE.parents[1]),
        "XLA_FLAGS": os.environ["XLA_FLAGS"].replace("count=8", "count=2"),
    }
    command = [sys.executable, str(HERE / "paired_run.py"), str(folder)]
    return [
        subprocess.Popen(
            [*command, f"localhost:{port},{number},2", str(steps)],
            env=os.environ | settings,
            text=True,
            stderr=subprocess.PIPE,
        )
        for number in range(2)
    ]


def saved_step(folder):
    return max(
        (int(path.name) for path in folder.glob("training/*") if path.name.isdigit()), default=0
    )


@pytest.mark.slow  # starts four processes that start JAX
def test_two_processes_equal_one_and_resume_after_one_was_killed(tmp_path):
    expected = run.train(
        logs.Log(quiet=True, execution=execution.Execution(accumulate=2, average=0.9))
    )
    pair = started(tmp_path, run.STEPS)
    while saved_step(tmp_path) < 10 and all(process.poll() is None for process in pair):
        time.sleep(0.01)
    assert saved_step(tmp_path) >= 10 and pair[1].poll() is None, [
        process.communicate() for process in pair if process.poll() is not None
    ]
    pair[1].kill()
    pair[0].kill()  # it would wait for the heartbeat timeout of the other
    for process in pair:
        process.communicate()
    reached = saved_step(tmp_path)
    assert 10 <= reached < run.STEPS
    for process in started(tmp_path, run.STEPS):
        _, err = process.communicate()
        assert process.returncode == 0, err
    found = np.load(tmp_path / "params.npz")
    assert set(found) == set(expected)
    for name, leaf in expected.items():
        np.testing.assert_allclose(found[name], leaf, atol=1e-5)  # sums in another order
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, run.STEPS + 1))  # each once


@pytest.mark.parametrize(
    "text", ["localhost,0,2", "localhost:1,2,2", "localhost:1,0", "here", "localhost:1,a,2"]
)
def test_invalid_processes_are_refused(text):
    with pytest.raises(DataError, match="expected auto, or ADDRESS:PORT,NUMBER,COUNT"):
        processes.start(text)


def test_one_process_decides_alone():
    wish = processes.Decision(3.0, True, False)
    assert (
        processes.agree(7, wish, processes.Decision(1.0, False, False)) == wish
        and processes.first()
        and processes.same(0.1) == 0.1
    )
