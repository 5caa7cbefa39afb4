"""Histories become tokens: every prefix, without gaps, behind the token of the user."""

import numpy as np

from zoo import records
from zoo.docids import table
from zoo.models import item_tokens

HISTORIES = records.Histories(
    ("a", "b", "c"), np.array([5, 6, 7, 8, 1, 2], np.int32), np.array([0, 4, 5, 6])
)


def test_every_event_but_the_first_is_a_target_of_its_prefix():
    before, following, users = item_tokens.prefixes(HISTORIES, 2)
    np.testing.assert_array_equal(users, [0, 0, 0, 1][: len(users)])
    np.testing.assert_array_equal(following, [6, 7, 8])
    np.testing.assert_array_equal(before, [[-1, 5], [5, 6], [6, 7]])
    before, _, _ = item_tokens.prefixes(HISTORIES, 9)
    np.testing.assert_array_equal(before[-1], [-1] * 6 + [5, 6, 7])  # no event of another user


def test_a_history_becomes_tokens_without_gaps_and_pads_at_the_end():
    ids = table.build(np.array([[1, 3, 0], [1, 4, 5], [2, 3, 0]], np.int32))
    found = item_tokens.to_tokens(ids, np.array([[-1, 2, 1], [0, 1, 0], [-1, -1, -1]], np.int32))
    np.testing.assert_array_equal(
        found, [[2, 3, 1, 4, 5, 0, 0, 0, 0], [1, 3, 1, 4, 5, 1, 3, 0, 0], [0] * 9]
    )


def test_a_user_token_is_a_hash_of_the_name():
    blank = np.zeros((2, 3), np.int32)
    sources = item_tokens.after_users(blank, ("a", "b"), 9, 50)
    assert sources.shape == (2, 4) and ((sources[:, 0] >= 9) & (sources[:, 0] < 59)).all()
    assert sources[0, 0] != sources[1, 0]
    assert item_tokens.after_users(blank, ("a", "b"), 9, 0) is blank


def test_an_item_repeats_only_within_one_user():
    assert not item_tokens.repeats(HISTORIES)
    # twice, by two users
    again = records.Histories(("a", "b"), np.array([5, 6, 1, 5, 1], np.int32), np.array([0, 3, 5]))
    assert not item_tokens.repeats(again)
    assert item_tokens.repeats(
        records.Histories(("a",), np.array([5, 6, 5], np.int32), np.array([0, 3]))
    )
