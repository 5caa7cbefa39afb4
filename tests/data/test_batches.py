import json

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from zoo.data import batches
from zoo.records import DataError


def source(lengths, weight, *, first=0, width=None):
    """A source whose targets count its rows from `first`."""
    lengths = np.asarray(lengths)
    width = width or int(lengths.max())
    rows = np.where(np.arange(width)[None] < lengths[:, None], 7, 0).astype(np.int32)
    return batches.Source(
        {"source": rows, "target": np.arange(first, first + len(lengths))[:, None]}, weight
    )


def targets(stream, count):
    return [next(stream)["target"][:, 0] for _ in range(count)]


def test_every_epoch_is_another_permutation_of_all_rows():
    stream = batches.Batches([source([4] * 30, 1.0)], batch_size=7, seed=0)
    drawn = np.concatenate(targets(stream, 30)).reshape(7, 30)  # 7 epochs
    assert (np.sort(drawn, axis=1) == np.arange(30)).all()
    assert len({tuple(epoch) for epoch in drawn}) == 7


def test_the_same_seed_gives_the_same_batches_and_another_seed_others():
    first, again, other = (
        batches.Batches([source([4] * 90, 1.0)], batch_size=8, seed=seed) for seed in (3, 3, 4)
    )
    one, two, three = (np.stack(targets(stream, 9)) for stream in (first, again, other))
    np.testing.assert_array_equal(one, two)
    assert (one != three).any()


@pytest.mark.parametrize("stopped", [0, 1, 13])
def test_seek_continues_with_the_next_batch(stopped):
    make = lambda: batches.Batches(
        [source(np.arange(1, 60), 1.0), source([9] * 20, 0.5, first=100)], batch_size=8, seed=1
    )
    whole, part, resumed = make(), make(), make()
    expected = targets(whole, stopped + 12)[stopped:]
    targets(part, stopped)
    resumed.seek(json.loads(json.dumps(part.position())))
    np.testing.assert_array_equal(targets(resumed, 12), expected)
    np.testing.assert_array_equal(targets(part, 12), expected)


@pytest.mark.parametrize("change", ["rows", "weight", "seed", "batch_size"])
def test_a_position_of_other_batches_is_refused(change):
    lengths = np.arange(1, 60)
    settings = {"batch_size": 8, "seed": 1}
    position = batches.Batches([source(lengths, 1.0), source(lengths, 1.0)], **settings).position()
    batches.Batches([source(lengths, 1.0), source(lengths, 1.0)], **settings).seek(position)
    second = source(
        lengths[::-1] if change == "rows" else lengths, 2.0 if change == "weight" else 1.0
    )
    settings |= {change: 4} if change in settings else {}
    with pytest.raises(DataError, match="not those of the run to go on from"):
        batches.Batches([source(lengths, 1.0), second], **settings).seek(position)


def test_sources_are_mixed_in_the_ratio_of_their_weights():
    parts = [
        source([4] * 50, 3.0),
        source([4] * 400, 1.0, first=1000),
        source([4] * 10, 0.0, first=5000),
    ]
    stream = batches.Batches(parts, batch_size=16, seed=0)
    drawn = targets(stream, 40)
    assert all((rows < 1000).sum() == 12 for rows in drawn)  # 3 of 4, in every batch
    assert all((rows < 5000).all() for rows in drawn)


def test_a_rare_source_is_drawn_with_its_weight():
    parts = [source([4] * 50, 1.0), source([4] * 50, 0.01, first=1000)]
    stream = batches.Batches(parts, batch_size=8, seed=0)
    rare = sum((rows >= 1000).sum() for rows in targets(stream, 505))
    assert abs(rare - 505 * 8 / 101) < 2


def test_every_batch_is_of_one_length_class_and_loses_no_token():
    lengths = np.random.default_rng(0).integers(1, 61, 600)
    stream = batches.Batches([source(lengths, 1.0)], batch_size=16, seed=0)
    assert stream.lengths == (8, 16, 32, 60)
    seen = np.zeros(len(lengths), int)
    widths = []
    for _ in range(300):
        batch = next(stream)
        rows = batch["target"][:, 0]
        np.testing.assert_array_equal((batch["source"] != 0).sum(axis=1), lengths[rows])
        widths.append(batch["source"].shape[1])
        seen[rows] += 1
    assert set(widths) == set(stream.lengths)
    shortest = lengths > np.array([0, 8, 16, 32])[np.searchsorted(stream.lengths, lengths)]
    assert shortest.all()  # no row could be in a shorter class
    # 300 batches of 16 are 8 epochs of all classes together
    assert 7 <= seen.min() <= seen.max() <= 9


def test_sources_of_different_widths_are_padded_to_the_same_width():
    stream = batches.Batches(
        [source([3] * 5, 1.0), source([30] * 5, 1.0, first=100)], batch_size=4, seed=0
    )
    for _ in range(10):
        batch = next(stream)
        expected = np.where(batch["target"][:, 0] < 100, 3, 30)
        np.testing.assert_array_equal((batch["source"] != 0).sum(axis=1), expected)


def test_shards_of_processes_concatenate_to_the_whole_batch():
    make = lambda: batches.Batches([source(np.arange(1, 60), 1.0)], batch_size=12, seed=2)
    whole, parts = make(), [make() for _ in range(3)]
    for number, part in enumerate(parts):
        part.share(number, 3)
        part.seek(whole.position())  # all parts share one position
    for number in range(20):
        batch, split = next(whole), [next(part) for part in parts]
        for name in batch:
            np.testing.assert_array_equal(
                np.concatenate([part[name] for part in split]), batch[name]
            )
        np.testing.assert_array_equal(whole.rows["target"][whole.examples(number)], batch["target"])


def test_a_source_smaller_than_a_batch_is_repeated():
    stream = batches.Batches([source([4] * 3, 1.0)], batch_size=10, seed=0)
    counts = np.bincount(np.concatenate(targets(stream, 3)))
    np.testing.assert_array_equal(counts, [10, 10, 10])


@hypothesis.given(
    st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=6),
    st.integers(0, 10_000),
    st.integers(1, 50),
)
def test_quotas_grow_with_the_count_and_follow_the_shares(weights, count, more):
    shares = batches._shares(weights)
    before, after = batches.quotas(count, shares), batches.quotas(count + more, shares)
    assert sum(before) == count and sum(after) == count + more
    assert all(0 <= first <= last for first, last in zip(before, after))
    exact = count * np.array(weights) / sum(weights)
    # shares are rounded to 2^-30
    assert np.abs(np.array(before) - exact).max() < len(weights) + 1e-3


def test_incompatible_sources_are_refused():
    ragged = batches.Source({"source": np.ones((3, 4), int), "target": np.ones((2, 1), int)}, 1.0)
    with pytest.raises(ValueError, match=r"source 1 has arrays \{'source': 3, 'target': 2\}"):
        batches.Batches([source([4], 1.0), ragged], batch_size=2, seed=0)
    wide = batches.Source({"source": np.ones((3, 4), int), "target": np.ones((3, 2), int)}, 1.0)
    with pytest.raises(
        ValueError, match=r"'target' of source 1 has rows \(2,\), the first has \(1,\)"
    ):
        batches.Batches([source([4], 1.0), wide], batch_size=2, seed=0)
    with pytest.raises(ValueError, match="at least one source"):
        batches.Batches([source([4], 0.0)], batch_size=2, seed=0)
    with pytest.raises(DataError, match="batch of 10 cannot be split over 4"):
        batches.Batches([source([4], 1.0)], batch_size=10, seed=0).share(0, 4)
