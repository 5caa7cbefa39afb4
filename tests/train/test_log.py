import contextlib
import errno
import json
import os

import pytest

from zoo import records
from zoo.train import log as logs


def rows(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_scalars_are_in_memory_in_the_file_and_in_tensorboard(tmp_path):
    with contextlib.closing(logs.Log(tmp_path, quiet=True)) as log:
        log.phase("train")
        log.scalars(3, loss=0.5, rate=2)
    expected = [{"phase": "train", "step": 3, "loss": 0.5, "rate": 2.0}]
    assert log.history == rows(tmp_path) == expected
    events = b"".join(path.read_bytes() for path in tmp_path.glob("events.out.tfevents.*"))
    assert b"train/loss" in events and b"train/rate" in events


def test_evaluations_are_printed_and_logged(capsys):
    for quiet in (False, True):
        log = logs.Log(quiet=quiet)
        log.phase("identifiers")
        log.evaluated(1500, usage_1=0.98765, relative_error=0.25)
        assert log.history == [
            {"phase": "identifiers", "step": 1500, "usage_1": 0.98765, "relative_error": 0.25}
        ]
        said = capsys.readouterr().err.splitlines()
        assert said == (
            [] if quiet else ["- identifiers", "  step 1,500: usage 1 0.9877, relative error 0.25"]
        )


def test_a_log_without_a_folder_is_kept_in_memory_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = logs.Log(quiet=True)
    log.scalars(1, loss=1.0)
    log.close()
    assert log.checkpoints is None and len(log.history) == 1 and not list(tmp_path.iterdir())


def test_a_log_continues_that_of_a_killed_process(tmp_path):
    with contextlib.closing(logs.Log(tmp_path, quiet=True)) as log:
        log.phase("identifiers")
        log.scalars(9, error=1.0)
        log.phase("train")
        for step in (1, 2, 3):
            log.scalars(step, loss=step)
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"phase": "train", "st')  # cut off
    with contextlib.closing(logs.Log(tmp_path, quiet=True)) as log:
        log.phase("train")
        log.rewind(2)
        log.scalars(3, loss=33)
    assert [row["step"] for row in log.history] == [9, 1, 2, 3]
    assert log.history == rows(tmp_path) and log.history[-1]["loss"] == 33


def test_a_progress_bar_in_a_file_prints_few_lines_and_a_quiet_one_none(capsys):
    with logs.Log().progress(10_000, "train", "steps") as bar:
        for _ in range(10_000):
            bar.update()
    written = capsys.readouterr().err
    assert "10000/10000" in written and len(written) < 500
    assert "\r" not in written and written.endswith("\n") and all(written.splitlines())
    with logs.Log(quiet=True).progress(10, "train", "steps") as bar:
        bar.update(10)
    assert capsys.readouterr().err == ""


def test_a_row_that_an_interrupted_run_logged_is_not_logged_twice(tmp_path):
    """Phases without checkpoints, for example mining, run again after an interruption."""
    for _ in range(2):
        with contextlib.closing(logs.Log(tmp_path, quiet=True)) as log:
            log.phase("mine")
            log.scalars(0, negatives=7)
            log.scalars(0, known=3)
    assert log.history == rows(tmp_path)
    assert [sorted(row.keys() - {"phase", "step"}) for row in log.history] == [
        ["negatives"],
        ["known"],
    ]


def test_a_full_disk_raises_in_the_thread_that_logs(tmp_path, monkeypatch):
    """A dead writer thread would leave training waiting for its queue."""
    log = logs.Log(tmp_path, quiet=True)

    def full(event):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(log._board._writer, "write_event", full)
    log.phase("train")
    with pytest.raises(records.DataError, match="no space left .* free some space and repeat"):
        log.scalars(1, loss=1.0)
    log.close()
