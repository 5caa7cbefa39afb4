"""TFDS's own builder tests, and tfrecord datasets read by tf.data and SeqIO.

Skips if TensorFlow is not installed.
"""

import gzip
import hashlib
import json
import os
import pathlib
import tempfile
import zipfile
from unittest import mock

import pytest

from zoo.data import amazon, files, load, movielens, tables, toy

tensorflow = pytest.importorskip(
    "tensorflow", reason="pip install tensorflow-cpu dill to run these"
)
tensorflow_datasets = pytest.importorskip(
    "tensorflow_datasets", reason="pip install 'generative-retrieval-zoo[tfds]' to run these"
)
pytest.importorskip("dill", reason="pip install dill to run TFDS's own tests")
tfds = pytest.importorskip("zoo.data.tfds")

pytestmark = pytest.mark.filterwarnings("ignore")  # of TensorFlow and its imports

# user, item, time
RATINGS = [
    ("u1", "1", 1),
    ("u1", "2", 2),
    ("u1", "3", 3),
    ("u1", "1", 4),
    ("u2", "2", 5),
    ("u2", "3", 6),
    ("u2", "1", 7),
]
# the classes name their folders on creation
TEMPORARY = tempfile.TemporaryDirectory(prefix="zoo-tfds-")
ROOM = pathlib.Path(TEMPORARY.name)


def made(name):
    folder = ROOM / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def own_interactions():
    folder = made("own_interactions")
    (folder / "interactions.csv").write_text(
        "user,item,time\n" + "".join(f"{user},{item},{time}\n" for user, item, time in RATINGS)
    )
    return folder


def own_search():
    folder = ROOM / "own_search"
    if not folder.exists():
        files.write_beir(toy.build(3), folder)
    return folder


def films(cache, name):
    """Puts an archive in MovieLens' format and its checksum into the cache."""
    archive = movielens.ARCHIVES[name]
    first, second = archive.separators
    rest = ["01-Jan-1995", "", "http://x", *["0"] * 19] if name == "ml-100k" else ["Comedy"]
    with zipfile.ZipFile(cache / f"{name}.zip", "w") as members:
        members.writestr(
            f"{name}/{archive.ratings}",
            "".join(
                first.join([user[1:], item, "5", str(time)]) + "\n" for user, item, time in RATINGS
            ),
        )
        members.writestr(
            f"{name}/{archive.films}",
            "".join(
                second.join([str(item), f"Film {item} (1995)", *rest]) + "\n" for item in (1, 2, 3)
            ),
        )
    md5 = hashlib.md5((cache / f"{name}.zip").read_bytes()).hexdigest()
    return mock.patch.dict(movielens.ARCHIVES, {name: archive._replace(md5=md5)})


def products(cache, name):
    """Puts reviews and products in Amazon's format into the cache."""
    lines = [
        json.dumps({"reviewerID": user, "asin": f"B{item}", "unixReviewTime": time})
        for user, item, time in RATINGS
    ]
    (cache / f"reviews_{amazon.CATEGORIES[name]}_5.json.gz").write_bytes(
        gzip.compress("\n".join(lines).encode(), mtime=0)
    )
    (cache / f"meta_{amazon.CATEGORIES[name]}.json.gz").write_bytes(
        gzip.compress(b"{'asin': 'B1', 'title': 'Soap'}\n", mtime=0)
    )
    return mock.patch.dict(amazon.SIZES, {name: (2, 3, 7)})


def of_table(name, table, splits, builder, folder, cached=None):
    """A TFDS test class for one table of a builder, with generated data."""

    def setup(self):
        if cached:
            cache = made(f"cache/{name}")
            patches = [mock.patch.dict(os.environ, ZOO_CACHE=os.fspath(cache)), cached(cache, name)]
            for patch in patches:
                patch.start()
                self.addCleanup(patch.stop)
        tensorflow_datasets.testing.DatasetBuilderTestCase.setUp(self)

    about = {
        "DATASET_CLASS": builder,
        "BUILDER_CONFIG_NAMES_TO_TEST": [table],
        "SPLITS": splits,
        "EXAMPLE_DIR": os.fspath(folder),
    }
    return type(
        f"Test{name}_{table}",
        (tensorflow_datasets.testing.DatasetBuilderTestCase,),
        {**about, "SKIP_CHECKSUMS": True, "OVERLAPPING_SPLITS": list(splits), "setUp": setup},
    )


ITEMS, SEQUENCES = {"train": 3}, {"train": 2, "dev": 2, "test": 2}
QRELS = {"train": 9, "dev": 3, "test": 3}
TestOwnItems = of_table("own", "items", ITEMS, tfds.OwnInteractions, own_interactions())
TestOwnSequences = of_table("own", "sequences", SEQUENCES, tfds.OwnInteractions, own_interactions())
TestOwnCorpus = of_table("own", "corpus", {"train": 3}, tfds.OwnSearch, own_search())
TestOwnQueries = of_table("own", "queries", {"train": 15}, tfds.OwnSearch, own_search())
TestOwnQrels = of_table("own", "qrels", QRELS, tfds.OwnSearch, own_search())
TestToy = of_table(
    "toy", "qrels", {"train": 600, "dev": 200, "test": 200}, tfds.BUILDERS["toy"], ROOM
)
TestMl100kItems = of_table("ml-100k", "items", ITEMS, tfds.BUILDERS["ml-100k"], ROOM, films)
TestMl100kSequences = of_table(
    "ml-100k", "sequences", SEQUENCES, tfds.BUILDERS["ml-100k"], ROOM, films
)
TestMl1mSequences = of_table("ml-1m", "sequences", SEQUENCES, tfds.BUILDERS["ml-1m"], ROOM, films)
TestBeautyItems = of_table(
    "amazon-beauty", "items", ITEMS, tfds.BUILDERS["amazon-beauty"], ROOM, products
)
TestBeautySequences = of_table(
    "amazon-beauty", "sequences", SEQUENCES, tfds.BUILDERS["amazon-beauty"], ROOM, products
)
TestSportsSequences = of_table(
    "amazon-sports", "sequences", SEQUENCES, tfds.BUILDERS["amazon-sports"], ROOM, products
)
TestToysSequences = of_table(
    "amazon-toys", "sequences", SEQUENCES, tfds.BUILDERS["amazon-toys"], ROOM, products
)


@pytest.fixture(scope="module")
def walks(tmp_path_factory):
    """toy-walks in tfrecord."""
    return tfds.prepare("toy-walks", tmp_path_factory.mktemp("tfds"), file_format="tfrecord")


def test_tfrecord_survives_a_round_trip_bit_for_bit(walks, tmp_path):
    read, expected = load.load(walks), load.load("toy-walks")
    assert (
        read.corpus == expected.corpus
        and read.histories.fingerprint() == expected.histories.fingerprint()
    )
    assert load.load(tfds.prepare("toy", tmp_path, file_format="tfrecord")) == load.load("toy")


def test_tf_data_reads_it_in_order(walks):
    dataset = tensorflow_datasets.load("toy_walks/sequences", split="train", data_dir=walks.parent)
    rows = [
        (row["user"].decode(), row["history"].tolist(), int(row["target"]))
        for row in dataset.as_numpy_iterator()
    ]
    expected = tables.of(toy.interactions())["sequences"]["train"]()
    assert rows == [(row["user"], row["history"].tolist(), int(row["target"])) for row in expected]


def test_a_seqio_task_reads_it(walks):
    seqio = pytest.importorskip("seqio")
    words = seqio.PassThroughVocabulary(64, eos_id=1)
    as_features = lambda dataset: dataset.map(
        lambda row: {"inputs": row["history"] + 2, "targets": row["target"][None] + 2}
    )
    task = seqio.Task(
        "walks",
        source=tfds.seqio_source(walks, "sequences"),
        preprocessors=[as_features, seqio.preprocessors.append_eos],
        output_features={
            name: seqio.Feature(words, add_eos=True, dtype=tensorflow.int32)
            for name in ("inputs", "targets")
        },
    )
    assert set(task.splits) == {"train", "validation", "test"}
    (first,) = (
        task.get_dataset({"inputs": 16, "targets": 4}, "validation", shuffle=False)
        .take(1)
        .as_numpy_iterator()
    )
    history = toy.interactions().histories.history(0)
    assert first["inputs"].tolist() == [*(history[:-2] + 2).tolist(), 1] and first[
        "targets"
    ].tolist() == [history[-2] + 2, 1]
