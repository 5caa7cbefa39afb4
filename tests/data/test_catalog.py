"""Names and folders load; archives download once; a bad checksum raises one line."""

import hashlib
import importlib
import os
import re
import sys
import zipfile

import pytest

from zoo import data, records
from zoo.data import catalog, download, files, load, toy


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """(address, md5) of a local archive `tiny.zip` in BEIR's format, with an empty cache."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    files.write_beir(toy.build(5), tmp_path / "site" / "tiny")
    path = tmp_path / "site" / "tiny.zip"
    with zipfile.ZipFile(path, "w") as members:
        for file in sorted((tmp_path / "site" / "tiny").rglob("*")):
            members.write(file, file.relative_to(tmp_path / "site"))
        members.writestr("__MACOSX/._tiny", "left out")
    return path.as_uri(), hashlib.md5(path.read_bytes()).hexdigest()


def test_an_archive_is_downloaded_unpacked_and_read(archive, tmp_path):
    address, md5 = archive
    collection = catalog.beir("tiny", md5, address)
    assert (collection.corpus, collection.queries, collection.qrels) == (
        toy.build(5).corpus,
        toy.build(5).queries,
        toy.build(5).qrels,
    )
    assert collection.name == "tiny"
    assert sorted(os.listdir(tmp_path / "cache")) == ["tiny", "tiny.zip"]


def test_the_second_call_needs_no_download(archive, tmp_path):
    address, md5 = archive
    first = catalog.beir("tiny", md5, address)
    (tmp_path / "site" / "tiny.zip").unlink()
    assert catalog.beir("tiny", md5, address) == first


def test_a_file_placed_by_hand_is_accepted_after_its_checksum(archive, tmp_path):
    address, md5 = archive
    (tmp_path / "cache").mkdir()
    (tmp_path / "site" / "tiny.zip").rename(tmp_path / "cache" / "tiny.zip")
    assert len(catalog.beir("tiny", md5, address).corpus) == 5
    with pytest.raises(records.DataError, match=f"expected md5 {'0' * 32}, got {md5}; remove it"):
        catalog.beir("tiny", "0" * 32, address)


def test_without_a_published_checksum_the_first_download_sets_it(archive, tmp_path):
    address, md5 = archive
    path = download.archive(address, None)
    assert (tmp_path / "cache" / "tiny.zip.md5").read_text().strip() == md5
    assert download.archive(address, None) == path
    path.write_bytes(b"changed")
    with pytest.raises(records.DataError, match=f"expected md5 {md5}"):
        download.archive(address, None)


def test_an_unreachable_site_names_the_path_for_a_manual_download(archive, tmp_path):
    address, md5 = archive
    (tmp_path / "site" / "tiny.zip").unlink()
    with pytest.raises(records.DataError) as caught:
        catalog.beir("tiny", md5, address)
    assert address in str(caught.value) and str(tmp_path / "cache" / "tiny.zip") in str(
        caught.value
    )
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path / "cache") == []


def test_a_failed_download_leaves_nothing(archive, tmp_path, monkeypatch):
    address, md5 = archive

    class Short:
        headers = {"Content-Length": "1000"}
        blocks = [b"x" * 10, b""]

        def read(self, _):
            return self.blocks.pop(0)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(download.urllib.request, "urlopen", lambda *_, **__: Short())
    with pytest.raises(records.DataError, match="cannot download"):
        catalog.beir("tiny", md5, address)
    assert os.listdir(tmp_path / "cache") == []


def test_broken_archives_are_refused_and_leave_no_folder(tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"PK nonsense")
    with pytest.raises(records.DataError, match="whole zip archive"):
        download.unzipped(tmp_path / "bad.zip", "bad")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as members:
        members.writestr("elsewhere/corpus.jsonl", "{}")
    with pytest.raises(records.DataError, match="expected a folder other/"):
        download.unzipped(tmp_path / "other.zip", "other")
    with zipfile.ZipFile(tmp_path / "slip.zip", "w") as members:
        members.writestr("slip/../../evil", "x")
    with pytest.raises(records.DataError, match="points outside"):
        download.unzipped(tmp_path / "slip.zip", "slip")
    assert sorted(os.listdir(tmp_path)) == ["bad.zip", "other.zip", "slip.zip"]


def test_names_folders_and_mistakes_are_distinguished(tmp_path, monkeypatch):
    assert load.load("toy") == toy.build()
    files.write_beir(toy.build(3), tmp_path / "toy")
    monkeypatch.chdir(tmp_path)
    assert len(load.load("./toy").corpus) == 3 and len(load.load("toy").corpus) == 200
    assert len(load.load(tmp_path / "toy").corpus) == 3
    with pytest.raises(records.DataError, match="did you mean scifact?") as caught:
        load.load("sci-fact")
    assert "\n" not in str(caught.value) and "pydocs" in str(caught.value)


def test_every_entry_has_a_description():
    for name, entry in catalog.CATALOG.items():
        assert entry.description and entry.licence and "\n" not in entry.description
        assert entry.address == "" or entry.address.startswith("https://")
        assert entry.address == "" or name.rpartition("-")[2] in entry.address.lower()


def test_the_licence_is_printed_before_a_download(monkeypatch, capsys):
    def fails():
        raise download.Unreachable("cannot download")

    monkeypatch.setitem(catalog.CATALOG, "scifact", catalog.CATALOG["scifact"]._replace(load=fails))
    with pytest.raises(download.Unreachable):
        load.load("scifact")
    assert re.fullmatch(
        r"scifact: licence CC BY-SA 4.0 .*; from https://.*/scifact.zip\n", capsys.readouterr().err
    )
    load.load("toy")
    assert capsys.readouterr().err == ""  # no download


def test_the_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("ZOO_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert download.cache() == tmp_path / "generative-retrieval-zoo"
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "mine"))
    assert download.cache() == tmp_path / "mine"


def test_without_tfds_its_datasets_name_the_package_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    for name in ("tfds", "tfds_read"):
        monkeypatch.delitem(sys.modules, f"zoo.data.{name}", raising=False)
        monkeypatch.delattr(data, name, raising=False)
    (tmp_path / "items" / "1.0.0").mkdir(parents=True)
    (tmp_path / "items" / "1.0.0" / "dataset_info.json").write_text("{}")
    for asked in (lambda: load.load(tmp_path), lambda: importlib.import_module("zoo.data.tfds")):
        with pytest.raises(
            records.DataError,
            match=r"need the package tensorflow_datasets; pip install "
            r"'generative-retrieval-zoo\[tfds\]'",
        ):
            asked()
