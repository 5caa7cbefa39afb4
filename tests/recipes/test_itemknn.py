"""Nearest neighbours by hand, and against dense matrices."""

import numpy as np
import pytest

import zoo
from zoo import recipes, records
from zoo.data import toy
from zoo.recipes import itemknn, markov, popularity


def dense(histories, num_items):
    """Counts: users by items."""
    table = np.zeros((len(histories), num_items))
    np.add.at(table, (histories.users, histories.items), 1)
    return table


def test_similarities_are_cosines_of_columns():
    walks = toy.interactions(12, 30).histories
    table = (dense(walks, 12) > 0).astype(float)  # each item once per user, so events count users
    rows, items = np.nonzero(table)
    once = records.Histories(
        walks.ids, items.astype(np.int32), np.searchsorted(rows, np.arange(31))
    )
    found = itemknn.similarities(
        itemknn.together(once, 12), popularity.counts(once, 12), 0.0
    ).toarray()
    norms = np.linalg.norm(table, axis=0)
    wanted = table.T @ table / np.outer(norms, norms) * (1 - np.eye(12))
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    shrunk = itemknn.similarities(
        itemknn.together(once, 12), popularity.counts(once, 12), 3.0
    ).toarray()
    assert (shrunk <= found).all() and shrunk.sum() < found.sum()


def test_only_the_nearest_are_kept_ties_by_column():
    from scipy import sparse

    table = np.array([[0, 3, 1, 3], [2, 0, 0, 0], [1, 1, 0, 1], [0, 0, 0, 0]], float)
    found = itemknn.nearest(sparse.csr_array(table), 2).toarray()
    np.testing.assert_array_equal(found, [[0, 3, 0, 3], [2, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    "options",
    (
        {},
        {"window": 0, "decay": 1.0, "last": 1000},
        {"window": 2, "neighbours": 3, "last": 2, "shrinkage": 1.0},
    ),
)
def test_scores_equal_those_of_a_loop(options):
    walks = toy.interactions(15, 40)
    fitted = zoo.fit("itemknn", walks, options=options | {"filter": False}, quiet=True)
    config, seen = fitted.config, walks.without("dev").histories
    pairs = np.zeros((15, 15))
    for row in range(len(seen)):
        events = seen.history(row)
        for one in range(len(events)):
            for two in range(len(events)):
                gap = abs(one - two)
                pairs[events[one], events[two]] += (
                    (0 < gap <= config.window) / max(gap, 1) if config.window else 1
                )
    counts = np.bincount(seen.items, minlength=15)
    similar = pairs / (np.sqrt(np.outer(counts, counts)) + config.shrinkage) * (1 - np.eye(15))
    for row in similar:
        row[np.argsort(-row, kind="stable")[config.neighbours :]] = 0
    asked, _ = walks.split("test")
    for row, found in enumerate(fitted.opened.score(asked)):
        wanted = sum(
            config.decay**age * similar[item]
            for age, item in enumerate(asked.history(row)[::-1][: config.last])
        )
        # similarities are float32
        np.testing.assert_allclose(np.where(np.isneginf(found), 0, found), wanted, rtol=1e-5)


def test_seen_items_are_excluded_by_default():
    walks = toy.interactions()
    asked, _ = walks.split("test")
    for filter in (True, False):
        answers = zoo.retrieve(
            zoo.fit("itemknn", walks, options={"filter": filter}, quiet=True), asked, 10
        )
        again = [
            bool(set(asked.history(row)) & set(answers.documents[row])) for row in range(len(asked))
        ]
        assert any(again) != filter


@pytest.mark.parametrize(
    "option",
    (
        {"window": -1},
        {"neighbours": 0},
        {"shrinkage": -1.0},
        {"last": 0},
        {"decay": 1.5},
        {"decay": -0.1},
    ),
)
def test_meaningless_options_are_refused(option):
    (name,) = option
    with pytest.raises(records.DataError, match=f"itemknn: option {name} expects"):
        recipes.configure(recipes.get("itemknn"), "tiny", option)


def test_pairs_by_distance_weigh_less():
    history = records.Histories(("u",), np.array([0, 1, 2], np.int32), np.array([0, 3]))
    pairs = markov.pair_counts(history, 3, 2, True, lambda gap: 1 / gap).toarray()
    np.testing.assert_array_equal(pairs, [[0, 1, 0.5], [1, 0, 1], [0.5, 1, 0]])
