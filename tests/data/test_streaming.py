"""Batches from a source on disk.

Every example appears once per epoch, shards partition the batch, and resuming changes nothing.
"""

import json

import numpy as np
import pytest

from zoo import records
from zoo.data import streaming, toy


class Source:
    """Numbers as examples; counts reads."""

    def __init__(self, length, first=0):
        self.length, self.first, self.reads = length, first, 0

    def __len__(self):
        return self.length

    def __getitem__(self, row):
        self.reads += 1
        return {"number": self.first + row}


def column(examples):
    return {"number": np.array([example["number"] for example in examples])}


def made(source, **settings):
    return streaming.StreamedBatches(source, column, **{"batch_size": 4, "seed": 3, **settings})


def test_an_epoch_has_every_example_once_in_a_new_order():
    batches = made(Source(10))
    numbers = np.concatenate([batches.batch(number)["number"] for number in range(10)]).reshape(
        4, 10
    )
    assert all(sorted(epoch) == list(range(10)) for epoch in numbers.tolist())
    assert len({tuple(epoch) for epoch in numbers.tolist()}) == 4
    other = made(Source(10), seed=4)
    # control
    assert (
        numbers[0].tolist()
        != np.concatenate([other.batch(number)["number"] for number in range(3)])[:10].tolist()
    )


def test_shards_make_up_the_batch_of_one_process():
    one = made(Source(10))
    two = [made(Source(10), shard=shard, shards=2) for shard in range(2)]
    for number in range(6):
        parts = [batches.batch(number)["number"] for batches in two]
        assert [len(part) for part in parts] == [2, 2]
        assert np.stack(parts, axis=1).ravel().tolist() == one.batch(number)["number"].tolist()


def test_a_resumed_iterator_equals_an_uninterrupted_one():
    first = made(Source(10))
    for _ in range(7):
        next(first)
    position = json.loads(json.dumps(first.position()))
    again = made(Source(10))
    again.seek(position)
    assert [next(again)["number"].tolist() for _ in range(5)] == [
        next(first)["number"].tolist() for _ in range(5)
    ]


@pytest.mark.parametrize(
    "change",
    ({"batch_size": 5}, {"seed": 4}, {"source": Source(11)}, {"source": Source(10, first=1)}),
)
def test_a_position_of_other_batches_is_refused(change):
    source = change.pop("source", Source(10))
    with pytest.raises(records.DataError, match="not those of the run to go on from"):
        made(source, **change).seek(made(Source(10)).position())


def test_a_huge_source_is_read_lazily():
    source = Source(10**12)
    batches = made(source)
    assert len(set(batches.batch(10**9)["number"].tolist())) == 4
    assert source.reads == 3 + 4  # the fingerprint of the source, and the batch


def test_invalid_shards_and_empty_sources_are_refused():
    with pytest.raises(ValueError, match="a batch of 4 cannot be split over 3 processes"):
        made(Source(10), shards=3)
    with pytest.raises(ValueError, match="at least one example"):
        made(Source(0))


def test_a_tfds_dataset_is_streamed(tmp_path):
    pytest.importorskip(
        "tensorflow_datasets", reason="pip install 'generative-retrieval-zoo[tfds]' to run this"
    )
    from zoo.data import tfds, tfds_read

    source = tfds_read.data_source(tfds.prepare("toy-walks", tmp_path), "sequences", "train")
    latest = lambda rows: {
        "target": np.array([row["target"] for row in rows]),
        "user": np.array([int(row["user"][1:]) for row in rows]),
    }
    batch = next(streaming.StreamedBatches(source, latest, batch_size=16, seed=0))
    histories = toy.interactions().histories
    assert batch["target"].tolist() == [histories.history(user)[-3] for user in batch["user"]]
