"""Markov chains against counts by hand and a loop over pairs."""

import numpy as np
import pytest

import zoo
from zoo import recipes, records
from zoo.data import toy
from zoo.recipes import markov

CORPUS = records.Corpus(tuple("abcd"), ("",) * 4, ("",) * 4)


def interactions(*sequences):
    return records.Interactions(
        "x", CORPUS, records.Histories.of(CORPUS, [list(sequence) for sequence in sequences])
    )


def test_counts_by_hand_exclude_dev_and_test_targets():
    """Train part a b c a, b c, a b: b -> c twice, c -> a, a -> b twice; d only in dev, test."""
    fitted = zoo.fit("markov", interactions("abcadd", "bcdd", "abdd"), quiet=True)
    share = np.array([3, 3, 2, 0]) / 8 * markov.SHARE_WEIGHT
    score = lambda text: fitted.opened.score(records.Histories.of(CORPUS, [list(text)]))[0]
    np.testing.assert_allclose(score("db"), [0, 0, 2, 0] + share, rtol=1e-12)
    np.testing.assert_allclose(score("ba"), [0, 2, 0, 0] + share, rtol=1e-12)
    np.testing.assert_allclose(score("c"), [1, 0, 0, 0] + share, rtol=1e-12)
    np.testing.assert_allclose(score("d"), share, rtol=1e-12)
    ranking = zoo.retrieve(fitted, [["b"], ["d"]], 4)
    np.testing.assert_array_equal(ranking.documents, [[2, 0, 1, 3], [0, 1, 2, 3]])


@pytest.mark.parametrize("window", (1, 2, 3, 100))
@pytest.mark.parametrize("symmetric", (False, True))
def test_pairs_equal_those_of_a_loop(window, symmetric):
    walks = toy.interactions(12, 30).histories
    counted = np.zeros((12, 12))
    for row in range(len(walks)):
        events = walks.history(row)
        for late in range(len(events)):
            for early in range(max(0, late - window), late):
                counted[events[early], events[late]] += 1
                counted[events[late], events[early]] += symmetric
    np.testing.assert_array_equal(
        markov.pair_counts(walks, 12, window, symmetric).toarray(), counted
    )


def test_the_last_items_vote_and_seen_items_can_be_excluded():
    seen = interactions("abcadd", "bcdd", "abdd")
    fitted = zoo.fit("markov", seen, options={"order": 2, "filter": True}, quiet=True)
    (scores,) = fitted.opened.score(records.Histories.of(CORPUS, [["d", "a", "b"]]))
    assert np.isneginf(scores[[0, 1, 3]]).all() and scores[2] == pytest.approx(
        2 + 2 / 8 * markov.SHARE_WEIGHT
    )
    np.testing.assert_array_equal(zoo.retrieve(fitted, ["d", "a", "b"], 3).documents, [[2, -1, -1]])


@pytest.mark.parametrize("option", ("order", "window"))
def test_meaningless_options_are_refused(option):
    with pytest.raises(
        records.DataError, match=f"markov: option {option} expects 1 or more, got 0"
    ):
        recipes.configure(recipes.get("markov"), "tiny", {option: 0})
