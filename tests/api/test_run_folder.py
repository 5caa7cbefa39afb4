"""The folder of a fit after every kind of exit."""

import errno
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import zoo
from zoo import records
from zoo.api import run_folder
from zoo.data import atomic, toy
from zoo.index import lexical
from zoo.train import checkpoint, loop

GRU = {"steps": 40, "batch": 16}


def files_of(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_finished_fit_returns_and_does_not_repeat(tmp_path, monkeypatch):
    first = zoo.fit("bm25", toy.build(20), out=tmp_path / "system", quiet=True)
    (tmp_path / "system" / "training" / "train").mkdir(parents=True)  # killed before the removal
    before = files_of(tmp_path / "system")
    monkeypatch.setattr(lexical, "build", lambda *_, **__: pytest.fail("fitted again"))
    again = zoo.fit("bm25", toy.build(20), out=tmp_path / "system", quiet=True)
    assert again.about == first.about and files_of(tmp_path / "system") == before
    assert not (tmp_path / "system" / "training").exists()
    with pytest.raises(records.DataError, match="holds a fitted system already"):
        zoo.fit("bm25", toy.build(21), out=tmp_path / "system", quiet=True)


@pytest.mark.parametrize("error", (OSError("gone"), records.DataError("bad"), ValueError("bug")))
def test_any_error_before_the_first_checkpoint_leaves_the_folder_unchanged(
    error, tmp_path, monkeypatch
):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(lexical, "build", fail)
    (tmp_path / "empty").mkdir()
    for name in ("absent", "empty"):
        with pytest.raises(type(error)):
            zoo.fit("bm25", toy.build(5), out=tmp_path / name, quiet=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]
    monkeypatch.undo()
    zoo.fit("bm25", toy.build(5), options={"b": 0.5}, out=tmp_path / "absent", quiet=True)


def test_a_full_disk_after_the_first_checkpoint_keeps_it_and_the_fit_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)  # a checkpoint at once, instead of after minutes
    calls, refuse_full = [], checkpoint.refuse_full

    def full(folder, size):
        calls.append(folder)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        refuse_full(folder, size)

    out, walks = tmp_path / "system", toy.interactions()
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "refuse_full", full)
        with pytest.raises(records.DataError, match="no space left .* free some space and repeat"):
            zoo.fit("gru4rec", walks, size="tiny", options=GRU, out=out, quiet=True)
    kept = [path.name for path in (out / "training" / "train").iterdir() if path.name.isdecimal()]
    assert kept
    fitted = zoo.fit("gru4rec", walks, size="tiny", options=GRU, out=out, quiet=True)
    whole = zoo.fit("gru4rec", walks, size="tiny", options=GRU, quiet=True)
    for path in ("embedding", "kernel"):
        leaves = [
            {k: v for k, v in _flat(system.state["params"]).items() if path in k}
            for system in (fitted, whole)
        ]
        assert leaves[0] and all(np.array_equal(leaves[0][k], leaves[1][k]) for k in leaves[0])


def _flat(tree, prefix=""):
    if not isinstance(tree, dict):
        return {prefix: np.asarray(tree)}
    return {k: v for name in tree for k, v in _flat(tree[name], f"{prefix}/{name}").items()}


def test_a_full_disk_when_the_result_is_saved_is_one_line(tmp_path, monkeypatch):
    def full(folder, size):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "refuse_full", full)
    with pytest.raises(records.DataError, match="no space left .* repeat the command") as raised:
        zoo.fit("bm25", toy.build(5), out=tmp_path / "system", quiet=True)
    assert "\n" not in str(raised.value) and not list(tmp_path.iterdir())
    fitted = zoo.fit("bm25", toy.build(5), quiet=True)
    with pytest.raises(records.DataError, match="no space left"):
        zoo.save(fitted, tmp_path / "system")
    assert not list(tmp_path.iterdir())


def test_two_fits_do_not_share_a_folder(tmp_path):
    out = tmp_path / "system"
    out.mkdir()
    program = f"""
import pathlib, sys
from zoo.api import run_folder
with run_folder.locked(pathlib.Path({os.fspath(out)!r})):
    print("held", flush=True)
    sys.stdin.readline()
"""
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(zoo.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(records.DataError, match="another process is fitting here"):
            zoo.fit("bm25", toy.build(5), out=out, quiet=True)
        other.communicate("\n")
    zoo.fit("bm25", toy.build(5), out=out, quiet=True)


def test_changed_contents_of_a_file_option_make_another_fit(tmp_path, monkeypatch):
    walks, path = toy.interactions(), tmp_path / "vectors.npy"
    vectors = np.random.default_rng(0).normal(size=(len(walks.corpus), 8)).astype(np.float32)
    np.save(path, vectors)
    fit = lambda: zoo.fit(
        "semanticknn", walks, options={"vectors": str(path)}, out=tmp_path / "system", quiet=True
    )
    fit()
    before = files_of(tmp_path / "system")
    fit()
    np.save(path, -vectors)
    with pytest.raises(records.DataError, match="holds a fitted system already"):
        fit()
    assert files_of(tmp_path / "system") == before


def test_a_fit_resumed_under_another_jax_records_both_versions(tmp_path):
    out, run = tmp_path / "system", {"recipe": "bm25"}
    for version in ("0.10.2", "0.10.2", "0.12.0"):
        with pytest.raises(KeyboardInterrupt), run_folder.opened(out, run, version):
            raise KeyboardInterrupt
    assert run_folder.versions(out, "0.12.0") == ["0.10.2", "0.12.0"]
    assert json.loads((out / "run.json").read_text()) == run | {"jax": ["0.10.2", "0.12.0"]}


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    old = [tmp_path / ".a.xyz.part", tmp_path / ".out.xyz.part"]
    old[0].write_text("half a file")
    old[1].mkdir()
    for path in old:
        os.utime(path, (0, 0))
    fresh = tmp_path / ".a.new.part"
    fresh.write_text("of a process that has just begun")
    with atomic.file(tmp_path / "a") as file, atomic.folder(tmp_path / "out"):
        file.write("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.new.part", "a", "out"]
