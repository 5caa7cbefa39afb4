"""Beam's local runner and one process build the same dataset from a corpus in many pieces."""

import dataclasses
import json
import os

import pytest

from zoo import records
from zoo.data import files, load, ranges, toy

pytest.importorskip(
    "tensorflow_datasets", reason="pip install 'generative-retrieval-zoo[tfds]' to run these"
)
pytest.importorskip(
    "apache_beam", reason="pip install 'generative-retrieval-zoo[beam]' to run these"
)
tfds = pytest.importorskip("zoo.data.tfds")

pytestmark = pytest.mark.filterwarnings("ignore")  # of Beam and its imports


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Thirty documents out of order; the corpus is split into pieces of 300 bytes."""
    monkeypatch.setattr(ranges.pieces, "__defaults__", (300,))
    collection = toy.build(30)
    shuffled = records.Corpus(
        *(
            column[::-1]
            for column in (collection.corpus.ids, collection.corpus.titles, collection.corpus.texts)
        )
    )
    files.write_beir(dataclasses.replace(collection, corpus=shuffled), tmp_path / "large")
    return tmp_path / "large"


@pytest.mark.slow
def test_beam_builds_the_dataset_of_one_process(folder, tmp_path):
    assert len(ranges.pieces([folder / "corpus.jsonl"])) > 5
    written = tfds.prepare(folder, tmp_path / "beam", beam="")
    assert load.load(written) == load.load(folder)
    one = tfds.prepare(folder, tmp_path / "one")
    for table, split in (("corpus", "train"), ("queries", "train"), ("qrels", "test")):
        sources = [tfds.data_source(path, table, split) for path in (written, one)]
        assert list(sources[0]) == list(sources[1])


def _absent(*_):
    raise RuntimeError("no network in tests")


@pytest.mark.slow
def test_the_direct_runner_builds_a_corpus_of_many_files(folder, tmp_path, monkeypatch):
    from apache_beam.runners.portability import prism_runner

    # DirectRunner tries it first, and downloads it
    monkeypatch.setattr(prism_runner.PrismRunner, "run_pipeline", _absent)
    expected = load.load(folder)
    lines = (folder / "corpus.jsonl").read_text().splitlines(keepends=True)
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus").mkdir()
    for part in range(3):
        (folder / "corpus" / f"{part}.jsonl").write_text("".join(lines[10 * part : 10 * part + 10]))
    assert (
        load.load(tfds.prepare(folder, tmp_path / "beam", beam="--runner=DirectRunner")) == expected
    )


def repeated(folder):
    with open(folder / "corpus.jsonl", "a") as out:
        out.write(json.dumps({"_id": "d7", "text": "again"}) + "\n")


def unknown(folder):
    with open(folder / "qrels" / "test.tsv", "a") as out:
        out.write("q1.0\td99\t1\n")


def broken(folder):
    with open(folder / "corpus.jsonl", "a") as out:
        out.write('{"_id": "x"}\n')


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    (
        (
            repeated,
            r"""^\S*corpus.jsonl:31: "_id" 'd7' stands already at \S*corpus.jsonl:23; """
            r"""ids must be unique, rename or remove one$""",
        ),
        (
            unknown,
            r"^\S*qrels/test.tsv: document 'd99' is not in the corpus; add it there or remove the "
            r"line$",
        ),
        (broken, r"""^\S*corpus.jsonl:31: expected the key "text", found '_id'$"""),
        (
            lambda folder: (folder / "queries.jsonl").unlink(),
            r"expected queries.jsonl and qrels/SPLIT.tsv together or neither",
        ),
        (
            lambda folder: (folder / "corpus.jsonl").unlink(),
            r"corpus.jsonl: expected a file of this name or with .gz, found neither",
        ),
    ),
)
def test_broken_folders_are_refused_in_one_line_and_leave_nothing(
    change, message, folder, tmp_path
):
    change(folder)
    with pytest.raises(records.DataError, match=message):
        tfds.prepare(folder, tmp_path / "beam", beam="")
    assert os.listdir(tmp_path / "beam") == []


def test_beam_accepts_only_search_folders(tmp_path):
    for source in ("toy", str(tmp_path / "absent")):
        with pytest.raises(records.DataError, match="Beam builds a folder in the BEIR layout"):
            tfds.prepare(source, tmp_path / "beam", beam="")
