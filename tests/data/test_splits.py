"""Splits of interactions have the documented targets, and training sees nothing later."""

import dataclasses

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import zoo
from zoo import records
from zoo.data import histories, splits, toy


def log(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "interactions.csv").write_text("user,item,time\n" + text)
    return histories.read(folder)


# ten events; the cuts at .2 and .2 are at times 7 and 9
EVENTS = "u,a,1\nu,b,2\nu,c,7\nu,d,9\nv,a,3\nv,b,4\nv,c,10\nw,a,5\nw,b,6\nw,c,8\n"


def asked(interactions, split):
    """User -> (items before the cut, target item)."""
    found, qrels = interactions.split(split)
    names = interactions.corpus.ids
    assert list(found.ids) == list(qrels.grades)
    return {
        user: ("".join(names[i] for i in found.history(row)), *qrels.grades[user])
        for row, user in enumerate(found.ids)
    }


def test_a_split_by_time_by_hand(tmp_path):
    found = splits.split(log(tmp_path, EVENTS), "time", dev=0.2, test=0.2)
    assert asked(found, "dev") == {"u": ("ab", "c"), "w": ("ab", "c")}
    assert asked(found, "test") == {"u": ("abc", "d"), "v": ("ab", "c")}
    seen = found.without("test")
    assert asked(seen, "dev") == asked(found, "dev")
    learned = seen.without("dev").histories
    assert [learned.history(row).tolist() for row in range(3)] == [[0, 1]] * 3
    assert not seen.without("dev").held
    np.testing.assert_array_equal(found.without("dev").histories.items, learned.items)


def test_a_split_by_ratio_by_hand(tmp_path):
    text = "".join(f"u,{name},{n}\n" for n, name in enumerate("abcdefghij"))
    found = splits.split(log(tmp_path, text + "v,a,1\nv,b,2\nv,c,3\n"), "ratio", dev=0.2, test=0.3)
    assert asked(found, "dev") == {"u": ("abcde", "f"), "v": ("a", "b")}
    assert asked(found, "test") == {"u": ("abcdefg", "h"), "v": ("ab", "c")}
    assert "".join(found.corpus.ids[i] for i in found.without("dev").histories.items) == "abcdea"


def test_users_after_the_cut_are_neither_trained_on_nor_evaluated(tmp_path):
    late = EVENTS + "z,a,9\nz,b,9\nz,c,9\n"
    found = splits.split(log(tmp_path, late), "time", dev=0.2, test=0.3)
    assert "z" not in asked(found, "dev") and "z" not in asked(found, "test")
    assert "z" not in found.without("test").histories.ids


@hypothesis.given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=12, max_size=30),
    st.sampled_from(["time", "ratio"]),
)
def test_no_target_is_trained_on(pairs, by):
    users = np.sort([user for user, _ in pairs])
    ids, lengths = np.unique(users, return_counts=True)
    hypothesis.assume((lengths >= 3).all())
    times = np.concatenate([np.sort([time for user, time in pairs if user == one]) for one in ids])
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    corpus = toy.build(len(users)).corpus  # every event has a unique item
    made = records.Interactions(
        "drawn",
        corpus,
        records.Histories(tuple(map(str, ids)), np.arange(len(users), dtype=np.int32), starts),
        times=times.astype(np.int64),
    )
    try:
        found = splits.split(made, by, dev=0.2, test=0.3)
    except records.DataError as error:
        assert "asks no user" in str(error) or "nothing is left" in str(error)
        return
    learned = set(found.without("dev").histories.items.tolist())
    tuned = set(found.without("test").histories.items.tolist())
    rows = corpus.rows()
    for split, seen in (("dev", learned), ("test", tuned)):
        targets = {rows[item] for grades in found.qrels[split].grades.values() for item in grades}
        assert targets and not targets & seen
        before = found.split(split)[0]
        assert all(len(before.history(row)) for row in range(len(before)))
        if by == "time":
            latest = max(times[list(seen)])
            assert all(times[target] > latest for target in targets)
    dev_targets = {rows[i] for grades in found.qrels["dev"].grades.values() for i in grades}
    assert dev_targets <= tuned  # no dev target is an event of test


def test_ties_are_shuffled_by_the_seed_within_a_user_and_a_time(tmp_path):
    text = "".join(f"u,{name},1\n" for name in "abcdefgh") + "u,x,2\nv,a,1\nv,b,2\nv,c,3\n"
    made = log(tmp_path, text)
    assert made.tied == 8
    orders = {
        tuple(splits.split(made, "leave-one-out", ties="shuffled", seed=seed).histories.history(0))
        for seed in range(5)
    }
    assert len(orders) == 5
    for order in orders:
        assert sorted(order[:8]) == list(range(8)) and made.corpus.ids[order[8]] == "x"
    again = splits.split(made, "leave-one-out", ties="shuffled", seed=3).histories.items
    np.testing.assert_array_equal(splits.shuffle_ties(made, 3).histories.items, again)
    np.testing.assert_array_equal(again[9:], made.histories.items[9:])  # v has no ties
    assert "66.7% of the events share their time" in splits.describe(made)


@pytest.mark.parametrize("by", splits.KINDS)
def test_a_split_is_written_and_read_back(tmp_path, by):
    found = splits.split(log(tmp_path / "in", EVENTS), by, dev=0.2, test=0.2)
    histories.write(found, tmp_path / "out")
    read = histories.read(tmp_path / "out")
    for split in ("dev", "test"):
        assert asked(read, split) == asked(found, split)
    assert read.histories.fingerprint() == found.histories.fingerprint()
    np.testing.assert_array_equal(read.times, found.times)


def test_a_recommender_is_fitted_and_measured_on_a_split_by_time(tmp_path):
    """The cycle a b c a b c: a Markov chain fitted on it predicts every target."""
    text = "".join(
        f"u{user},{'abc'[(user + place) % 3]},{10 * place + user}\n"
        for user in range(6)
        for place in range(9)
    )
    found = splits.split(log(tmp_path, text), "time", dev=0.2, test=0.2)
    result = zoo.evaluate(zoo.fit("markov", found, quiet=True), found)
    assert len(result.ranking) == len(found.split("test")[0]) > 3
    assert result.per_query["R@5"].mean() == 1.0 and result.measures["RR"] == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"by": "day"}, "expected one of leave-one-out, time, ratio"),
        ({"by": "time", "ties": "random"}, "expected one of"),
        ({"by": "time", "dev": 0.0}, "expected shares above 0"),
        ({"by": "ratio", "dev": 0.5, "test": 0.5}, "expected shares above 0"),
        ({"by": "ratio", "ties": "shuffled", "seed": -1}, "expected a seed of 0 or more"),
        ({"by": "time", "dev": float("nan")}, "expected shares above 0"),
        ({"by": "time", "dev": 1e-9, "test": 1e-9}, "asks no user"),
    ),
)
def test_meaningless_splits_are_refused(tmp_path, options, message):
    with pytest.raises(records.DataError, match=message):
        splits.split(log(tmp_path, EVENTS), **options)


def test_splits_by_time_without_times_are_refused(tmp_path):
    made = dataclasses.replace(log(tmp_path, EVENTS), times=None)
    for options in ({"by": "time"}, {"by": "ratio", "ties": "shuffled"}):
        with pytest.raises(records.DataError, match="has no times; name data with a time column"):
            splits.split(made, **options)
