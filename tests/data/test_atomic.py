"""Files and folders appear whole or not at all."""

import os

import pytest

from zoo import records
from zoo.data import atomic


def test_a_file_appears_only_when_the_block_ends(tmp_path):
    path = tmp_path / "run.txt"
    with atomic.file(path) as out:
        out.write("höhe\n")
        assert not path.exists()
    assert path.read_bytes() == "höhe\n".encode()
    assert os.listdir(tmp_path) == ["run.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "run.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic.file(path, "wb") as out:
        out.write(b"half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["run.txt"]


def test_a_folder_appears_only_when_the_block_ends_and_replaces_an_empty_one(tmp_path):
    path = tmp_path / "deep" / "out"
    path.mkdir(parents=True)
    with atomic.folder(path) as part:
        (part / "a").write_text("1")
        assert list(path.iterdir()) == []
    assert (path / "a").read_text() == "1"
    assert os.listdir(tmp_path / "deep") == ["out"]
    # not the 0700 of a temporary folder
    assert path.stat().st_mode & 0o777 == 0o777 & ~atomic._umask()


def test_an_error_leaves_no_folder(tmp_path):
    with pytest.raises(RuntimeError), atomic.folder(tmp_path / "out") as part:
        (part / "a").write_text("1")
        raise RuntimeError
    assert os.listdir(tmp_path) == []


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("1")
    (tmp_path / "file").write_text("1")
    with (
        pytest.raises(records.DataError, match="found precious in it"),
        atomic.folder(tmp_path / "full"),
    ):
        pass
    with pytest.raises(records.DataError, match="got a file"), atomic.folder(tmp_path / "file"):
        pass
    with pytest.raises(records.DataError, match="got a folder"), atomic.file(tmp_path / "full"):
        pass
    with (
        pytest.raises(records.DataError, match="to exist"),
        atomic.file(tmp_path / "nowhere" / "x"),
    ):
        pass
    assert sorted(os.listdir(tmp_path)) == ["file", "full"]
