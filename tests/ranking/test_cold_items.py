"""Cold items: hidden from the log, found by their codes, limited to their share of answers."""

import dataclasses

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import zoo
from zoo import records
from zoo.data import cold, toy
from zoo.metrics import exposure, recommend
from zoo.ranking import cold_items

CLUSTERS, EACH = 8, 6


def clustered(num_users=300, length=8, seed=0):
    """A log where an item's cluster determines the next cluster, and its words its cluster."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, CLUSTERS, (num_users, 1))
    walks = (first + np.arange(length)) % CLUSTERS * EACH + rng.integers(
        0, EACH, (num_users, length)
    )
    names = tuple(f"i{row}" for row in range(CLUSTERS * EACH))
    texts = tuple(
        f"theme{row // EACH} subject{row // EACH} matter{row // EACH} own{row}"
        for row in range(len(names))
    )
    histories = records.Histories(
        tuple(map(str, range(num_users))),
        walks.reshape(-1).astype(np.int32),
        np.arange(0, num_users * length + 1, length),
    )
    return records.Interactions("clustered", records.Corpus(names, names, texts), histories)


def test_hidden_items_are_targets_and_never_trained_on():
    whole = clustered()
    hidden = cold.hide(whole, 0.2, seed=3)
    learned = set(hidden.without("test").histories.items.tolist())
    asked = set(hidden.histories.items[hidden.histories.starts[1:] - 1].tolist())
    assert len(asked - learned) == round(
        0.2 * len(set(whole.histories.items[whole.histories.starts[1:] - 1].tolist()))
    )
    kept = dict(zip(whole.histories.ids, map(whole.histories.history, range(len(whole.histories)))))
    for row, user in enumerate(hidden.histories.ids):
        before, after = kept[user].tolist(), hidden.histories.history(row).tolist()
        assert (
            after == [item for item in before[:-1] if item in learned] + before[-1:]
            and len(after) >= 3
        )
    assert hidden.left_out == len(whole.histories) - len(hidden.histories)
    assert cold.hide(whole, 0.2, seed=4).histories.fingerprint() != hidden.histories.fingerprint()


@pytest.mark.parametrize(
    ("share", "message"),
    (
        (0.0, "share above 0"),
        (1.0, "below 1"),
        (0.001, "is none; take a larger"),
        (0.999, "take a smaller"),
    ),
)
def test_an_unusable_share_is_refused(share, message):
    walks = toy.interactions()
    short = records.Histories(
        walks.histories.ids[:2], np.array([0, 3, 2, 1, 2, 3], np.int32), np.array([0, 3, 6])
    )
    few = dataclasses.replace(walks, histories=short) if share > 0.5 else walks
    with pytest.raises(records.DataError, match=message):
        cold.hide(few, share)


@hypothesis.given(st.data())
def test_new_items_keep_to_their_share_at_every_cut(data):
    num_items, k = 12, data.draw(st.integers(1, 10))
    share = data.draw(st.sampled_from((0.0, 0.1, 0.2, 0.5, 0.9, 1.0)))
    tokens = np.array(
        data.draw(
            st.lists(
                st.tuples(st.integers(1, 3), st.integers(1, 2)),
                min_size=num_items,
                max_size=num_items,
            )
        )
    )
    unseen = np.array(data.draw(st.lists(st.booleans(), min_size=num_items, max_size=num_items)))
    order = np.array(data.draw(st.permutations(range(num_items))))
    refused = np.array(
        [data.draw(st.lists(st.integers(-1, num_items - 1), min_size=3, max_size=3))]
    )
    seen = order[~unseen[order] & ~np.isin(order, refused)][:k]
    scores = np.sort(
        np.array(
            data.draw(st.lists(st.floats(-9, 0, width=32), min_size=k, max_size=k)), np.float32
        )
    )[::-1]
    documents = np.full((1, k), -1, np.int32)
    documents[0, : len(seen)] = seen
    values = np.where(documents >= 0, scores, -np.inf).astype(np.float32)
    given = records.Ranking(("q",), tuple(map(str, range(num_items))), documents, values)
    found = cold_items.mixed(given, tokens, unseen, share, k, excluded=refused)
    items = found.documents[0][found.documents[0] >= 0]
    assert len(set(items)) == len(items) and not set(items) & set(refused[0])
    assert (np.diff(found.scores[0][: len(items)]) <= 0).all() and np.isneginf(
        found.scores[0][len(items) :]
    ).all()
    assert [item for item in items if not unseen[item]] == seen[: (~unseen[items]).sum()].tolist()
    for count in range(1, len(items) + 1):
        assert unseen[items[:count]].sum() <= share * count + 1e-6
    for place, item in enumerate(items):
        if unseen[item]:
            assert any(
                (tokens[other, :-1] == tokens[item, :-1]).all() and not unseen[other]
                for other in items[:place]
            )
    if share == 1.0 and len(seen):  # all generated items of a group directly follow it
        first = [
            item
            for item in np.flatnonzero(unseen)
            if (tokens[item, :-1] == tokens[seen[0], :-1]).all() and item not in refused
        ]
        assert items[1 : 1 + len(first)].tolist() == first[: k - 1]
    shorter = cold_items.mixed(given, tokens, unseen, share, max(k - 1, 1), excluded=refused)
    np.testing.assert_array_equal(shorter.documents[0], found.documents[0][: max(k - 1, 1)])


@pytest.fixture(scope="module")
def fitted():
    """(log, TIGER trained on it): 15 s."""
    log = cold.hide(clustered(), 0.2)
    return log, zoo.fit(
        "tiger", log, size="tiny", options={"filter": "no", "history": 3}, quiet=True
    )


def recall_of_new(log, found):
    histories, qrels = log.split("test")
    targets = recommend.targets(qrels, histories.ids, log.corpus)
    counts = np.bincount(log.without("test").histories.items, minlength=len(log.corpus))
    return exposure.by_popularity(recommend.places_in(found, targets), targets, counts)["new"][0]


def reachable(log, system, unseen):
    """Share of new targets with the codes of a known item: codes cannot find the others."""
    histories, qrels = log.split("test")
    targets = recommend.targets(qrels, histories.ids, log.corpus)
    # without the counter
    codes = [tuple(row) for row in np.asarray(system.state["docids"]["tokens"])[:, :-1].tolist()]
    known = {code for code, new in zip(codes, unseen) if not new}
    return np.mean([codes[target] in known for target in np.ravel(targets) if unseen[target]])


@pytest.mark.slow  # trains the tiny preset
def test_new_items_are_found_by_their_codes_and_not_without(fitted):
    log, system = fitted
    histories, _ = log.split("test")
    unseen = np.bincount(log.without("test").histories.items, minlength=len(log.corpus)) == 0
    plain, mixed = (
        zoo.retrieve(zoo.with_options(system, {"new_items": share}), histories, 10)
        for share in (0.0, 0.1)
    )
    assert recall_of_new(log, plain) == 0 and not unseen[plain.documents].any()
    assert (unseen[mixed.documents].sum(axis=1) <= 1).all() and recall_of_new(log, mixed) > 0.2
    np.testing.assert_array_equal(mixed.documents[:, :9], plain.documents[:, :9])
    more = zoo.retrieve(zoo.with_options(system, {"new_items": 0.5}), histories, 10)
    found, most = recall_of_new(log, more), reachable(log, system, unseen)
    assert recall_of_new(log, mixed) <= found <= most and found > 0.7 * most > 0.2


@pytest.mark.slow  # trains the tiny preset
def test_categories_spread_with_the_temperature(fitted):
    log, system = fitted
    histories, _ = log.split("test")
    categories = [text.split()[0] for text in log.corpus.texts]
    at = lambda t: zoo.evaluate(
        zoo.with_options(system, {"decoding": f"sampled,temperature={t}"}),
        log,
        categories=categories,
    ).measures["entropy@10"]
    assert at(1.0) + 0.1 < at(2.0) + 0.05 < at(4.0)
    with pytest.raises(records.DataError, match="expected one for each of 48 items, got 1"):
        zoo.evaluate(system, log, categories=["all"])


def test_similar_texts_are_near():
    log = cold.hide(clustered(), 0.2)
    system = zoo.fit("semanticknn", log, quiet=True)
    found = zoo.retrieve(system, [["i0"], ["i7", "i13"]], 5)
    assert {name for name, _ in found.answers(0)} == {f"i{row}" for row in range(1, 6)}
    assert {name for name, _ in found.answers(1)} == {f"i{row}" for row in range(12, 18)} - {"i13"}
    both = zoo.retrieve(zoo.with_options(system, {"last": 2, "decay": 1.0}), ["i7", "i13"], 10)
    assert {name for name, _ in both.answers(0)} == {f"i{row}" for row in range(6, 18)} - {
        "i7",
        "i13",
    }


def test_only_options_of_answering_may_be_adjusted(fitted):
    _, system = fitted
    assert zoo.with_options(system, {"beam": "7"}).config.beam == 7 and system.config.beam == 50
    assert zoo.with_options(system, {}).config == system.config
    for options, message in (
        (
            {"width": 8},
            "option width was settled when.*expected one of: beam, first_beam, decoding",
        ),
        ({"bem": 8}, "no option 'bem'"),
    ):
        with pytest.raises(records.DataError, match=message):
            zoo.with_options(system, options)


@pytest.mark.slow  # two trainings of 100 steps
def test_codes_of_content_are_learned_sooner_than_random_ones():
    log, reached = clustered(), {}
    for kind in ("rqkmeans", "random"):
        system = zoo.fit(
            "tiger", log, size="tiny", options={"identifiers": kind, "steps": 100}, quiet=True
        )
        reached[kind] = np.mean([row["loss"] for row in system.history if "loss" in row][-20:])
    assert reached["rqkmeans"] < 0.92 * reached["random"], reached
