"""Metrics of recommenders against loops over all orders of the ties."""

import itertools
import json
import math

import numpy as np
import pytest

from zoo import records
from zoo.metrics import recommend
from zoo.ranking import scores as scoring

NAMES = ("R@1", "R@2", "R@3", "nDCG@2", "nDCG@5", "RR", "RR@2", "Success@2")


def tied_scores(num_users=60, num_items=6, seed=0):
    """Scores with many ties, and some items without an answer."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 3, (num_users, num_items)).astype(float)
    scores[rng.random(scores.shape) < 0.2] = -np.inf
    return scores, rng.integers(0, num_items, num_users).astype(np.int32)


def measured(name, rank):
    """One metric of a rank, counted from 0."""
    kind, _, depth = name.partition("@")
    if rank >= (int(depth) if depth else math.inf):
        return 0.0
    return {"R": 1.0, "Success": 1.0, "nDCG": 1 / math.log2(rank + 2), "RR": 1 / (rank + 1)}[kind]


def ranks_of(scores, target):
    """Ranks of the target in every order sorted by score; empty if it is not ranked."""
    if scores[target] == -np.inf:
        return []
    orders = itertools.permutations(range(len(scores)))
    sorted_ones = (
        order
        for order in orders
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    )
    return [order.index(target) for order in sorted_ones]


@pytest.mark.parametrize("name", NAMES)
def test_measures_equal_those_over_all_orders_of_the_ties(name):
    """720 orders of six items: metric of the mean rank, and mean of the metric."""
    scores, targets = tied_scores()
    places = recommend.places(scores, targets)
    ranks = [ranks_of(row, target) for row, target in zip(scores, targets)]
    at_mean = [measured(name, np.mean(found)) if found else 0.0 for found in ranks]
    mean = [np.mean([measured(name, rank) for rank in found]) if found else 0.0 for found in ranks]
    np.testing.assert_allclose(recommend.per_query(places, (name,))[name], at_mean, rtol=1e-12)
    np.testing.assert_allclose(recommend.expected(places, (name,))[name], mean, rtol=1e-12)
    assert not np.allclose(at_mean, mean)  # control: the two rules differ


def test_without_ties_the_rules_agree():
    scores = np.random.default_rng(0).permuted(np.tile(np.arange(9.0), (20, 1)), axis=1)
    places = recommend.places(scores, np.zeros(20, np.int32))
    for name in NAMES:
        np.testing.assert_allclose(
            recommend.per_query(places, (name,))[name], recommend.expected(places, (name,))[name]
        )


def test_a_system_with_equal_scores_finds_nothing():
    places = recommend.places(np.zeros((4, 100)), np.arange(4))
    assert recommend.per_query(places, ("R@10",))["R@10"].max() == 0
    np.testing.assert_allclose(recommend.expected(places, ("R@10",))["R@10"], 0.1)


def test_places_in_a_deep_ranking_equal_those_among_all_scores():
    scores, targets = tied_scores(num_items=12)
    users = tuple(map(str, range(len(scores))))
    histories = records.Histories(
        users, np.zeros(len(scores), np.int32), np.arange(len(scores) + 1)
    )
    ask = scoring.Scored(
        lambda block: scores[[int(user) for user in block.ids]], json.dumps(list("abcdefghijkl"))
    )
    ranking, places = ask.places(histories, targets, 15)
    found = recommend.places_in(ranking, targets)
    np.testing.assert_array_equal(found.ranks(), places.ranks())


def test_top_is_a_stable_sort_for_any_block(monkeypatch):
    scores, _ = tied_scores(num_users=50, num_items=30)
    order = np.argsort(-scores, axis=1, kind="stable")
    for k in (1, 4, 30, 33):
        documents, best = scoring.top(scores, k)
        wanted = np.take_along_axis(scores, order, axis=1)[:, :k]
        np.testing.assert_array_equal(best[:, :30], wanted)
        np.testing.assert_array_equal(
            documents[:, :30], np.where(np.isneginf(wanted), -1, order[:, :k])
        )
        assert (documents[:, 30:] == -1).all() and np.isneginf(best[:, 30:]).all()
    histories = records.Histories(tuple(map(str, range(50))), np.zeros(50, np.int32), np.arange(51))
    score = lambda block: scores[[int(user) for user in block.ids]]
    ask = scoring.Scored(score, json.dumps(list(map(str, range(30)))))
    whole = ask(histories, 5)
    monkeypatch.setattr(scoring, "_BLOCK", 100)
    parts = ask(histories, 5)
    np.testing.assert_array_equal(whole.documents, parts.documents)
    assert whole.query_ids == parts.query_ids == histories.ids


def test_bad_inputs_are_refused():
    places = recommend.places(np.zeros((1, 3)), np.zeros(1, int))
    for name in ("P@5", "R@0", "R@x", "Recall@5"):
        with pytest.raises(records.DataError, match="recommendation has R@k"):
            recommend.per_query(places, (name,))
    with pytest.raises(ValueError, match="hold NaN"):
        recommend.places(np.full((1, 3), np.nan), np.zeros(1, int))
    corpus = records.Corpus(("a", "b"), ("", ""), ("", ""))
    with pytest.raises(records.DataError, match="user 'u': expected one target item, got 2"):
        recommend.targets(records.Qrels({"u": {"a": 1, "b": 1}}), ("u",), corpus)


def shared_identifiers(num_users=80, num_items=12, num_codes=5, seed=1):
    """(ranking where items of an identifier are adjacent with equal scores, identifiers)."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, num_codes, (num_items, 1))
    by_code = rng.random((num_users, num_codes))
    by_code[rng.random(by_code.shape) < 0.2] = -np.inf  # identifiers that were not generated
    documents, scores = scoring.top(by_code[:, codes[:, 0]], num_items)
    ranking = records.Ranking(
        tuple(map(str, range(num_users))), tuple(map(str, range(num_items))), documents, scores
    )
    return ranking, codes, by_code, rng.integers(0, num_items, num_users)


def test_identifiers_compete_with_identifiers():
    ranking, codes, by_code, targets = shared_identifiers()
    places = recommend.identifier_places(ranking, codes, targets)
    used = np.isin(np.arange(by_code.shape[1]), codes)
    wanted = [
        ranks_of(
            np.where(used, row, -np.inf)[used], np.flatnonzero(used).searchsorted(codes[target, 0])
        )
        for row, target in zip(by_code, targets)
    ]
    np.testing.assert_allclose(
        places.ranks(), [np.mean(ranks) if ranks else np.inf for ranks in wanted]
    )


def test_an_identifier_ranks_at_least_as_high_as_its_item():
    for seed in range(20):
        ranking, codes, _, targets = shared_identifiers(seed=seed)
        identifiers, items = (
            recommend.identifier_places(ranking, codes, targets),
            recommend.places_in(ranking, targets),
        )
        assert (identifiers.ranks() <= items.ranks()).all() and (
            identifiers.ranks() < items.ranks()
        ).any()
        unique = recommend.identifier_places(ranking, np.arange(12)[:, None], targets)
        np.testing.assert_array_equal(unique.ranks(), items.ranks())


def test_one_identifier_for_all_is_always_found_and_recommends_nothing():
    documents = np.tile(np.arange(100, dtype=np.int32), (3, 1))
    ranking = records.Ranking(
        tuple("uvw"), tuple(map(str, range(100))), documents, np.zeros((3, 100), np.float32)
    )
    codes, targets = np.ones((100, 3), int), np.array([0, 5, 99])
    assert recommend.identifier_places(ranking, codes, targets).ranks().tolist() == [0, 0, 0]
    assert recommend.per_query(recommend.places_in(ranking, targets), ("R@10",))["R@10"].max() == 0
    with pytest.raises(ValueError, match="a row for each of 100 items, got 4"):
        recommend.identifier_places(ranking, codes[:4], targets)
