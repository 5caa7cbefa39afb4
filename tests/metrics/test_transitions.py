"""Kinds of transitions, by hand, and recall in each."""

import numpy as np
import pytest

from zoo import records
from zoo.metrics import recommend, transitions

# training: 0 -> 1 -> 2, and 2 -> 3 of another user; the users' ends are no transition
LEARNED = records.Histories(
    ("a", "b", "c"), np.array([0, 1, 2, 2, 3, 4], np.int32), np.array([0, 3, 5, 6])
)
#          seen  reversed  0 1 2  1 2 3  3 4 is a border of users  itself  unseen
LAST = np.array([0, 1, 0, 1, 3, 4, 5], np.int32)
TARGET = np.array([1, 0, 2, 3, 4, 4, 1], np.int32)


def test_kinds_by_hand():
    found = transitions.kinds(LEARNED, LAST, TARGET)
    assert [transitions.KINDS[kind] for kind in found] == [
        "memorised",
        "symmetric",
        "transitive",
        "transitive",
        "other",
        "other",
        "other",
    ]


def test_users_of_all_kinds_add_up_and_recall_is_that_of_the_whole():
    ranks = np.array([0, 30, 2, 30, 30, 5, 30])
    places = recommend.Places(ranks, np.ones(7, np.int64), 40)
    values = transitions.summary(LEARNED, LAST, TARGET, places)
    assert [values[f"R@10 {name}"] for name in transitions.KINDS] == [
        1.0,
        0.0,
        0.5,
        pytest.approx(1 / 3),
    ]
    users = [values[f"users {name}"] for name in transitions.KINDS]
    assert users == [1, 1, 2, 3]
    assert values["R@10 generalised"] == pytest.approx(2 / 6)
    whole = recommend.per_query(places, ("R@10",))["R@10"].mean()
    assert sum(
        values[f"R@10 {name}"] * values[f"users {name}"] for name in transitions.KINDS
    ) / 7 == (pytest.approx(whole))


def test_a_history_without_transitions_memorises_nothing():
    none = records.Histories(("a",), np.array([3], np.int32), np.array([0, 1]))
    assert (transitions.kinds(none, LAST, TARGET) == transitions.KINDS.index("other")).all()
