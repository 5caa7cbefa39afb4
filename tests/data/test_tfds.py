"""Collections survive a round trip through TFDS array_record datasets, without TensorFlow."""

import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from zoo import records
from zoo.cli import main
from zoo.data import catalog, files, load, movielens, tables, toy

tensorflow_datasets = pytest.importorskip(
    "tensorflow_datasets", reason="pip install 'generative-retrieval-zoo[tfds]' to run these"
)
tfds = pytest.importorskip("zoo.data.tfds")
tfds_read = pytest.importorskip("zoo.data.tfds_read")

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def walks(tmp_path_factory):
    """The dataset of toy-walks; tests must not change it."""
    return tfds.prepare("toy-walks", tmp_path_factory.mktemp("tfds"))


def same(first, second):
    """True if two collections are equal in every field, dtype and order."""
    if isinstance(first, records.Interactions):
        arrays = [(one.histories.items, one.histories.starts) for one in (first, second)]
        equal = all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(*arrays))
        fields = [
            (one.name, one.corpus, one.histories.ids, dict(one.held), one.left_out, one.tied)
            for one in (first, second)
        ]
        return equal and fields[0] == fields[1]
    order = [
        [(split, list(qrels.grades.items())) for split, qrels in one.qrels.items()]
        for one in (first, second)
    ]
    return first == second and order[0] == order[1]


def odd_interactions(folder):
    """Events with ties, a short history, an unused item, empty texts and multi-byte characters."""
    folder.mkdir()
    (folder / "interactions.csv").write_text(
        "user_id,item_id,timestamp\nu é,1,5\nu é,東,5\nv,1,1\nu é,1,4\nw,3,9\nw,3,8\nw,1,7\n",
        encoding="utf-8",
    )
    lines = [
        {"item_id": "1", "title": ""},
        {"item_id": "東", "title": "寿司\u2028\t", "text": "a\nb\x00c"},
        {"item_id": "3"},
        {"item_id": "4", "title": "unseen"},
    ]
    (folder / "items.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8"
    )
    return folder


def odd_search(folder):
    """Splits with names invalid in TFDS, all kinds of grades, and a query without qrels."""
    collection = toy.build(4)
    (first, second, *_) = collection.queries.ids
    qrels = {
        "test-small": records.Qrels(
            {second: {"d3": -1, "d0": 2}, first: {"d1": 0, "d2": 999_999_999}}
        )
    }
    files.write_beir(dataclasses.replace(collection, qrels=qrels), folder)
    return folder


def test_interactions_survive_a_round_trip_bit_for_bit(walks):
    assert walks.name == "toy_walks" and same(load.load(walks), load.load("toy-walks"))


@pytest.mark.parametrize("odd", (odd_interactions, odd_search))
def test_a_user_folder_survives_a_round_trip_bit_for_bit(odd, tmp_path):
    folder = odd(tmp_path / "My Shop-2")
    written = tfds.prepare(folder, tmp_path / "tfds")
    read = load.load(written)
    assert written == tmp_path / "tfds" / "my_shop_2" and same(read, load.load(folder))
    assert (
        read.left_out == 1 and read.tied == 2
        if isinstance(read, records.Interactions)
        else len(read.queries) == 20
    )


@pytest.mark.parametrize("path", ("data/rec/ml100k", "data/search/med"))
def test_public_collections_survive_a_round_trip_bit_for_bit(path, shared, tmp_path):
    folder = shared / path
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    assert same(load.load(tfds.prepare(folder, tmp_path)), load.load(folder))


def test_these_datasets_need_no_tensorflow(tmp_path):
    program = f"""
import sys
import zoo
from zoo.data import load
assert "tensorflow_datasets" not in sys.modules and "zoo.data.tfds" not in sys.modules
from zoo.data import tfds, tfds_read
path = tfds.prepare("toy", {os.fspath(tmp_path)!r})
assert load.load(path) == load.load("toy")
assert tfds_read.data_source(path, "qrels", "dev")[0]["grade"] == 1
assert "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_every_collection_of_the_catalog_has_a_builder():
    assert list(tfds.BUILDERS) == list(catalog.CATALOG)
    known = tensorflow_datasets.list_builders(with_community_datasets=False)
    assert {builder.name for builder in tfds.BUILDERS.values()} | {
        "own_interactions",
        "own_search",
        "large_search",
    } <= set(known)


def test_a_dataset_records_source_and_licence(walks):
    for name in ("ml-1m", "amazon-beauty", "scifact"):
        entry, builder = catalog.CATALOG[name], tfds.BUILDERS[name]
        (first, *_) = builder.BUILDER_CONFIGS
        info = builder(config=first.name, data_dir="absent").info
        assert (
            info.homepage == entry.homepage and entry.citation in info.citation and entry.citation
        )
        assert (
            info.redistribution_info.license == entry.licence and entry.address in info.description
        )
    assert (walks / "items" / "1.0.0" / "LICENSE").read_text() == catalog.CATALOG[
        "toy-walks"
    ].licence


def test_tfds_itself_builds_and_reads_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = tensorflow_datasets.data_source(
        "toy_walks/sequences",
        split="test",
        data_dir=tmp_path,
        builder_kwargs={"file_format": "array_record"},
    )
    interactions = toy.interactions()
    assert (
        len(source) == 200
        and source[7]["user"] == b"u7"
        and source[7]["target"] == interactions.histories.history(7)[-1]
    )


def test_tfds_builds_user_folders_from_the_manual_dir(tmp_path):
    folder = odd_interactions(tmp_path / "shop")
    for table in tables.INTERACTIONS:
        builder = tfds.OwnInteractions(
            config=table, data_dir=tmp_path / "tfds", file_format="array_record"
        )
        builder.download_and_prepare(
            download_config=tensorflow_datasets.download.DownloadConfig(manual_dir=folder)
        )
    assert same(load.load(tmp_path / "tfds" / "own_interactions"), load.load(folder))


def test_a_data_source_feeds_grain_and_resumes(walks):
    import grain

    source = tfds_read.data_source(walks, "sequences", "train")
    rows = (
        grain.MapDataset.source(source)
        .shuffle(seed=3)
        .map(lambda row: (row["user"].decode(), int(row["target"])))
    )
    made = lambda: iter(
        rows.repeat()
        .batch(4)
        .to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=1))
    )
    first = made()
    skipped = [next(first) for _ in range(9)]
    state = first.get_state()
    after = [next(first) for _ in range(3)]
    again = made()
    again.set_state(state)
    flat = lambda batches: [np.asarray(part).tolist() for batch in batches for part in batch]
    assert flat(after) == flat(next(again) for _ in range(3)) != flat(skipped[:3])
    truth = {
        user: int(toy.interactions().histories.history(row)[-3])
        for row, user in enumerate(toy.interactions().histories.ids)
    }
    assert all(
        truth[user] == target for users, targets in skipped for user, target in zip(users, targets)
    )


def test_an_existing_folder_is_refused_before_reading(walks, monkeypatch):
    monkeypatch.setattr(load, "load", lambda *_: pytest.fail("read"))
    with pytest.raises(
        records.DataError,
        match=r"toy_walks: expected no folder or an empty one, found .* in it; remove it or name "
        r"another",
    ):
        tfds.prepare("toy-walks", walks.parent)


def test_an_error_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def breaks(histories, place):
        yield {"user": "u", "history": np.zeros(1, np.int32), "target": 1}
        raise KeyboardInterrupt

    monkeypatch.setattr(tables, "_sequences", breaks)
    with pytest.raises(KeyboardInterrupt):
        tfds.prepare("toy-walks", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unreachable_site_or_another_file_raises_the_error_of_load(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    absent = movielens.ARCHIVES["ml-1m"]._replace(address=(tmp_path / "ml-1m.zip").as_uri())
    monkeypatch.setitem(
        catalog.CATALOG,
        "ml-1m",
        catalog.CATALOG["ml-1m"]._replace(load=functools.partial(movielens.load, "ml-1m", absent)),
    )
    with pytest.raises(records.DataError, match="cannot download file://.*place it at"):
        tfds.prepare("ml-1m", tmp_path / "out")
    (tmp_path / "cache" / "ml-1m.zip").write_bytes(b"another")
    with pytest.raises(records.DataError, match=f"expected md5 {absent.md5}, got"):
        tfds.prepare("ml-1m", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_tfrecord_without_tensorflow_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        records.DataError,
        match="tfrecord is written by TensorFlow; pip install tensorflow-cpu, or write "
        "array_record",
    ):
        tfds.prepare("toy", tmp_path / "out", file_format="tfrecord")
    with pytest.raises(
        records.DataError, match="expected a format of array_record, tfrecord, got 'parquet'"
    ):
        tfds.prepare("toy", tmp_path / "out", file_format="parquet")


def damaged(walks, tmp_path, change):
    """A copy of a dataset with `change` applied to the folder of its sequences."""
    copy = tmp_path / "copy"
    for path in walks.rglob("*"):
        if path.is_file():
            (copy / path.relative_to(walks)).parent.mkdir(parents=True, exist_ok=True)
            (copy / path.relative_to(walks)).write_bytes(path.read_bytes())
    change(copy / "sequences" / "1.0.0")
    return copy


def truncated(folder):
    (path,) = folder.glob("*-test.array_record*")
    path.write_bytes(path.read_bytes()[:-200])


def swapped(folder):
    (dev,), (test,) = folder.glob("*-dev.array_record*"), folder.glob("*-test.array_record*")
    test.write_bytes(dev.read_bytes())


@pytest.mark.parametrize(
    ("change", "message"),
    (
        (truncated, "cannot be read"),
        (swapped, "expected sequences of fingerprint"),
        (lambda folder: next(folder.glob("*-test.array_record*")).unlink(), "cannot be read"),
        (
            lambda folder: (folder / "metadata.json").write_text("{}"),
            "got another; it says nothing of zoo",
        ),
        (lambda folder: (folder / "features.json").unlink(), "cannot be read"),
        (
            lambda folder: (
                folder.rename(folder.with_name("gone")).joinpath("dataset_info.json").unlink()
            ),
            "found no sequences",
        ),
    ),
)
def test_a_damaged_dataset_is_refused_in_one_line(change, message, walks, tmp_path):
    with pytest.raises(records.DataError, match=message) as refused:
        load.load(damaged(walks, tmp_path, change))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ("metadata.json", "features.json", "dataset_info.json"))
def test_half_a_file_of_metadata_is_refused_in_one_line(name, walks, tmp_path):
    copy = damaged(walks, tmp_path, lambda folder: None)
    path = copy / "items" / "1.0.0" / name
    whole = path.read_text()
    for text in (whole[: len(whole) // 2], "", "[]", "7", "[" * 5000):
        path.write_text(text)
        with pytest.raises(records.DataError) as refused:
            load.load(copy)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "change",
    (
        {"held": 3},
        {"held": {}},
        {"held": {"dev": 2}},
        {"held": {"test": 1, "dev": "2"}},
        {"held": {"test": 1, "dev": -2}},
        {"name": None},
        {"corpus": 5},
        {"histories": None},
        {"left_out": "none"},
    ),
)
def test_invalid_metadata_is_refused_in_one_line(change, walks, tmp_path):
    copy = damaged(walks, tmp_path, lambda folder: None)
    path = copy / "items" / "1.0.0" / "metadata.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps({"zoo": known["zoo"] | change}))
    with pytest.raises(records.DataError, match="its metadata are not what") as refused:
        load.load(copy)
    assert "\n" not in str(refused.value)


def test_tables_and_splits_that_are_absent_are_named(walks, tmp_path):
    with pytest.raises(records.DataError, match="found no table 'corpus', but: items, sequences"):
        tfds_read.data_source(walks, "corpus", "train")
    with pytest.raises(records.DataError, match="sequences has no split 'all'; it has: .*train"):
        tfds_read.data_source(walks, "sequences", "all")


@pytest.mark.parametrize(
    ("name", "expected"),
    (
        ("ml-100k", "ml_100k"),
        ("My Shop-2", "my_shop_2"),
        ("2019", "data_2019"),
        ("東京", "data"),
        ("a.b", "a_b"),
    ),
)
def test_names_equal_those_of_tfds(name, expected):
    assert tfds.dataset_name(name) == expected


def test_fit_reads_the_output_of_the_command(tmp_path, capsys):
    assert main.main(["data", "prepare", "toy-walks", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert (
        f"{tmp_path}/toy_walks: items, sequences; zoo fit ... --data "
        f"{tmp_path}/toy_walks\nlicence: Apache-2.0\n" == said.out
    )
    assert (
        main.main(
            [
                "fit",
                "popularity",
                "--data",
                str(tmp_path / "toy_walks"),
                "--out",
                str(tmp_path / "run"),
            ]
        )
        == 0
    )
    assert "200 users" in capsys.readouterr().out
    assert main.main(["data", "prepare", "toy-walks", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("zoo: ")
