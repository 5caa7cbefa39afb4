"""Coverage, Gini, entropy and popularity buckets, by hand and by other formulas."""

import numpy as np
import pytest

from zoo import records
from zoo.metrics import exposure, recommend


def ranking(*rows, num_items=4):
    documents = np.array(rows, np.int32)
    scores = np.where(documents >= 0, -np.arange(documents.shape[1], dtype=np.float32), -np.inf)
    return records.Ranking(
        tuple(map(str, range(len(rows)))), tuple("abcdefghijkl"[:num_items]), documents, scores
    )


def test_coverage_and_gini_by_hand():
    everyone_the_same = ranking([0, 1], [0, 2], [0, -1])
    assert exposure.shown(everyone_the_same, 1).tolist() == [3, 0, 0, 0]
    assert (
        exposure.coverage(everyone_the_same, 1) == 1 / 4
        and exposure.coverage(everyone_the_same, 2) == 3 / 4
    )
    # all to one of four: (N - 1) / N
    assert exposure.gini(everyone_the_same, 1) == pytest.approx(3 / 4)
    assert exposure.gini(ranking([0], [1], [2], [3]), 1) == 0
    assert exposure.gini(ranking([-1]), 1) == exposure.coverage(ranking([-1]), 1) == 0


def test_gini_is_half_the_mean_difference_over_the_mean():
    answers = ranking(*np.random.default_rng(0).integers(0, 7, (30, 1)), num_items=12)
    counts = exposure.shown(answers, 1)
    differences = np.abs(counts[:, None] - counts).mean()
    assert exposure.gini(answers, 1) == pytest.approx(differences / (2 * counts.mean()))


def test_buckets_hold_a_third_of_the_events_each():
    counts = np.array([1, 6, 0, 2, 1, 2])  # 12 events: the first third ends within item 1
    assert [exposure.BUCKETS[bucket] for bucket in exposure.buckets(counts)] == [
        "tail",
        "head",
        "new",
        "middle",
        "tail",
        "tail",
    ]
    assert exposure.buckets(np.zeros(2, int)).tolist() == [3, 3]


def test_recall_by_popularity_averages_to_recall():
    rng = np.random.default_rng(0)
    targets, counts = rng.integers(0, 30, 50), rng.integers(0, 9, 30)
    counts[targets[0]] = 0
    places = recommend.places(rng.random((50, 30)), targets)
    found = exposure.by_popularity(places, targets, counts)
    assert sum(users for _, users in found.values()) == 50 and found["new"][1] > 0
    total = sum(recall * users for recall, users in found.values()) / 50
    assert total == pytest.approx(recommend.per_query(places, ("R@10",))["R@10"].mean())
    values = exposure.summary(ranking(*[[0, 1]] * 50, num_items=12), places, targets, counts)
    assert f"new {found['new'][0]:.4f} ({found['new'][1]} users)" in exposure.sentence(values)


def test_entropy_of_categories_by_hand():
    documents = np.array([[0, 1, 2, 3], [0, 1, 0, 1], [4, -1, -1, -1], [-1, -1, -1, -1]], np.int32)
    found = records.Ranking(
        ("a", "b", "c", "d"), tuple("vwxyz"), documents, np.zeros((4, 4), np.float32)
    )
    categories = ["soap", "soap", "comb", "oil", "oil"]
    first = 0.5 * np.log(2) + 2 * 0.25 * np.log(4)
    assert exposure.entropy(found, categories, 4) == pytest.approx(first / 4)
    assert exposure.entropy(found, categories, 2) == 0
    assert exposure.entropy(found, list("abcde"), 2) == pytest.approx((np.log(2) + np.log(2)) / 4)
