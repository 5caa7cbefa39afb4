"""TIGER reads histories as codes, oldest first, and trains on every prefix before dev and test."""

import dataclasses

import numpy as np
import pytest

import zoo
from zoo import recipes, records
from zoo.data import toy
from zoo.docids import table
from zoo.schemes import codes, rqvae
from zoo.train import loop


def test_histories_longer_than_in_training_are_truncated():
    """All users have 5 events, 3 of them for training.

    So training covers positions up to 2 items back, while test histories have 4 items.
    """
    walks = toy.interactions()
    five = walks.histories.items[walks.histories.starts[:-1, None] + np.arange(5)]
    short = records.Interactions(
        "five",
        walks.corpus,
        records.Histories(walks.histories.ids, five.reshape(-1), np.arange(0, 1001, 5)),
    )
    fitted = zoo.fit("tiger", short, size="tiny", options={"steps": 2, "history": 20}, quiet=True)
    length = fitted.state["docids"]["tokens"].shape[1]
    assert len(fitted.state["params"]["params"]["recency"]["embedding"]) == 2 * length
    asked, _ = short.split("test")
    sources, ids = fitted.opened.read(asked), table.unpack(fitted.state["docids"])
    np.testing.assert_array_equal(sources, ids.tokens[five[:, 2:4]].reshape(200, -1))


def chain(num_items=64, num_users=1000, length=10, seed=0):
    """(walks, best possible Recall@1 and @10) of a random chain.

    One of 8 successors follows an item in 9 of 10 cases, otherwise any item.
    """
    rng, share = (
        np.random.default_rng(seed),
        np.array([0.35, 0.2, 0.13, 0.1, 0.08, 0.06, 0.05, 0.03]),
    )
    successors = np.stack([rng.choice(num_items, 8, replace=False) for _ in range(num_items)])
    walks = rng.integers(0, num_items, (num_users, length))
    for t in range(1, length):
        follows = successors[walks[:, t - 1], rng.choice(8, num_users, p=share)]
        walks[:, t] = np.where(rng.random(num_users) < 0.9, follows, walks[:, t])
    names = tuple(f"i{row}" for row in range(num_items))
    corpus = records.Corpus(
        names, names, tuple(f"group{row // 8} kind{row // 8} own{row}" for row in range(num_items))
    )
    histories = records.Histories(
        tuple(map(str, range(num_users))),
        walks.reshape(-1).astype(np.int32),
        np.arange(0, num_users * length + 1, length),
    )
    return (
        records.Interactions("chain", corpus, histories),
        0.9 * share[0] + 0.1 / num_items,
        0.9 + 0.1 * 10 / num_items,
    )


@pytest.mark.slow  # trains two networks for 600 steps
def test_positions_from_the_end_learn_a_chain_almost_optimally():
    walks, best_first, best_ten = chain()
    asked, qrels = walks.split("test")
    right = np.array([int(next(iter(qrels.grades[user]))[1:]) for user in asked.ids])[:, None]
    reached = {}
    for recency in (True, False):
        fitted = zoo.fit(
            "tiger",
            walks,
            size="tiny",
            options={"history": 3, "recency": recency, "filter": "no"},
            quiet=True,
        )
        hits = zoo.retrieve(fitted, asked, 10).documents == right
        reached[recency] = hits[:, 0].mean() / best_first, hits.any(axis=1).mean() / best_ten
    assert reached[True][0] >= 0.85 and reached[True][1] >= 0.9, reached
    assert reached[False][1] < 0.85, reached  # control: only distances between tokens


@pytest.fixture(scope="module")
def fitted():
    return zoo.fit("tiger", toy.interactions(), size="tiny", options={"steps": 3}, quiet=True)


def test_a_filter_drops_seen_items_and_nothing_else(fitted):
    import dataclasses

    history = [f"d{row}" for row in range(0, 40, 2)]
    plain = zoo.retrieve(fitted, history, 40).answers(0)
    assert len(plain) == 40
    for decoding in ("trie", "max-marginal"):  # one filters during the search, the other afterwards
        filtered = dataclasses.replace(
            fitted,
            config=dataclasses.replace(fitted.config, filter="yes", decoding=decoding, beam=100),
        )
        found = zoo.retrieve(filtered, history, 40).answers(0)
        assert [name for name, _ in found] == [name for name, _ in plain if name not in history]
        assert zoo.retrieve(filtered, history, 3).documents.shape == (1, 3)


def test_keeping_all_first_codes_finds_answers_that_a_beam_loses(fitted):
    users, _ = toy.interactions().split("test")
    best = lambda **options: zoo.retrieve(zoo.with_options(fitted, options), users, 1).scores[:, 0]
    exact, kept, cut = best(decoding="max-marginal"), best(beam=2), best(beam=2, first_beam=0)
    lost = lambda scores: float((scores < exact - 1e-4).mean())
    assert (kept < exact + 1e-4).all() and (cut < exact + 1e-4).all()
    assert lost(cut) > 0.05 and lost(kept) < lost(cut) / 2, (lost(cut), lost(kept))


def test_a_filter_drops_the_seen_items_of_each_user(fitted):
    import dataclasses

    walks = toy.interactions()
    asked, _ = walks.split("test")
    filtered = dataclasses.replace(fitted, config=dataclasses.replace(fitted.config, filter="yes"))
    plain, found = (zoo.retrieve(system, asked, 40) for system in (fitted, filtered))
    for row in range(0, len(asked), 17):
        seen = {walks.corpus.ids[item] for item in asked.history(row)}
        assert [name for name, _ in found.answers(row)] == [
            name for name, _ in plain.answers(row) if name not in seen
        ]


def test_the_events_of_dev_are_not_learned_from():
    walks = toy.interactions()
    other = walks.histories.items.copy()
    last = walks.histories.starts[1:] - 2  # dev
    other[last] = (other[last] + 7) % 40
    changed = records.Interactions(
        walks.name,
        walks.corpus,
        records.Histories(walks.histories.ids, other, walks.histories.starts),
    )
    one, two = (
        zoo.fit("tiger", data, size="tiny", options={"steps": 3}, quiet=True)
        for data in (walks, changed)
    )
    for left, right in zip(_leaves(one), _leaves(two)):
        np.testing.assert_array_equal(left, right)


def _leaves(fitted):
    import jax

    return jax.tree.leaves(fitted.state["params"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"identifiers": "semantic"}, "expects one of rqvae"),
        ({"decoding": "nope"}, "option decoding expects one of trie, .*, got 'nope'"),
        ({"codes": 1}, "codes expects 2"),
        (
            {"identifiers": "lsh", "collisions": "sinkhorn"},
            "lsh has no distances .* set collisions=counter",
        ),
        ({"identifiers": "atomic", "new_items": 0.1}, "atomic say nothing of new items"),
        ({"vectors": "bert"}, "vectors expects one of tfidf, minilm, the folder of an encoder"),
    ],
)
def test_bad_options_are_refused_by_name(options, message):
    with pytest.raises(records.DataError, match=message):
        recipes.configure(recipes.get("tiger"), "tiny", options)


def test_the_parameters_of_best_validation_are_kept():
    options = {"dev_users": 60, "evaluate_every": 40, "steps": 200, "patience": 0}
    found = zoo.fit("tiger", toy.interactions(), size="tiny", options=options, quiet=True)
    scores = {row["step"]: row["validation"] for row in found.history if "validation" in row}
    assert list(scores) == [40, 80, 120, 160, 200]
    best = max(scores, key=scores.get)  # the first maximum
    shorter = zoo.fit(
        "tiger", toy.interactions(), size="tiny", options=options | {"patience": 1}, quiet=True
    )
    stopped = [row["step"] for row in shorter.history if "validation" in row][-1]
    falls = [
        step
        for step in scores
        if step > 40 and scores[step] <= max(scores[s] for s in scores if s < step)
    ]
    assert stopped == (falls[0] if falls else 200)
    if best == 200:
        last = zoo.fit("tiger", toy.interactions(), size="tiny", options={"steps": 200}, quiet=True)
        for left, right in zip(_leaves(found), _leaves(last)):
            np.testing.assert_array_equal(left, right)


def test_neighbours_in_histories_change_identifiers_and_exclude_dev(fitted):
    walks = toy.interactions()
    near = zoo.fit("tiger", walks, size="tiny", options={"steps": 3, "neighbours": 1.0}, quiet=True)
    assert not np.array_equal(near.state["docids"]["tokens"], fitted.state["docids"]["tokens"])
    other = walks.histories.items.copy()
    last = walks.histories.starts[1:] - 2  # dev
    other[last] = (other[last] + 7) % 40
    changed = records.Interactions(
        walks.name,
        walks.corpus,
        records.Histories(walks.histories.ids, other, walks.histories.starts),
    )
    again = zoo.fit(
        "tiger", changed, size="tiny", options={"steps": 3, "neighbours": 1.0}, quiet=True
    )
    np.testing.assert_array_equal(near.state["docids"]["tokens"], again.state["docids"]["tokens"])


def test_draws_at_a_temperature_are_different_items_and_more_of_them(fitted):

    walks = toy.interactions()
    asked, _ = walks.split("test")
    at = lambda decoding: zoo.with_options(
        fitted, {"decoding": decoding, "filter": "yes", "beam": 1, "first_beam": 0}
    )
    seen = {}
    for temperature in (0.01, 1.0, 100.0):
        found = zoo.retrieve(at(f"sampled,temperature={temperature}"), asked, 5)
        assert all(len({name for name, _ in found.answers(row)}) == 5 for row in range(len(asked)))
        assert not any(
            set(found.documents[row]) & set(asked.history(row)) for row in range(len(asked))
        )
        assert (np.diff(found.scores, axis=1) <= 0).all()
        seen[temperature] = found.documents
    greedy = zoo.retrieve(at("trie"), asked, 1).documents[:, 0]
    agree = {
        temperature: (documents[:, 0] == greedy).mean() for temperature, documents in seen.items()
    }
    # at temperature 100 all of about 36 items are equally likely
    assert agree[0.01] > 0.8 > 0.3 > agree[100.0]
    np.testing.assert_array_equal(
        seen[1.0], zoo.retrieve(at("sampled,temperature=1"), asked, 5).documents
    )


def test_a_user_token_comes_first_and_depends_on_the_name():
    walks = toy.interactions()
    fitted = zoo.fit(
        "tiger", walks, size="tiny", options={"steps": 3, "user_tokens": 50}, quiet=True
    )
    plain = int(fitted.state["docids"]["alphabet"])
    assert fitted.state["params"]["params"]["source_embedding"]["embedding"].shape[0] == plain + 50
    asked, _ = walks.split("test")
    found = zoo.retrieve(fitted, asked, 5)
    renamed = records.Histories(tuple(f"{name}!" for name in asked.ids), asked.items, asked.starts)
    other = zoo.retrieve(fitted, renamed, 5)
    assert (found.scores != other.scores).any(axis=1).mean() > 0.8  # one in fifty keeps its token


def test_seen_items_are_excluded_if_no_user_repeats_an_item():
    once = np.concatenate(
        [np.random.default_rng(user).permutation(40)[:8] for user in range(60)]
    ).astype(np.int32)
    walks = toy.interactions()
    unique = records.Interactions(
        "once",
        walks.corpus,
        records.Histories(tuple(map(str, range(60))), once, np.arange(0, 481, 8)),
    )
    for data, left_out in ((unique, True), (walks, False)):
        fitted = zoo.fit("tiger", data, size="tiny", options={"steps": 3}, quiet=True)
        asked, _ = data.split("test")
        found = zoo.retrieve(fitted, asked, 40)
        answered = [
            set(found.documents[row]) & set(asked.history(row)) for row in range(len(asked))
        ]
        assert not any(answered) if left_out else all(answered)


def test_items_without_text_are_named_by_their_neighbours_or_refused():
    import dataclasses

    walks = toy.interactions()
    blank = ("",) * 40
    nameless = dataclasses.replace(walks, corpus=records.Corpus(walks.corpus.ids, blank, blank))
    with pytest.raises(
        records.DataError,
        match=r"the texts of the 40 items tell nothing apart; set neighbours=1 .* or "
        r"identifiers=random",
    ):
        zoo.fit("tiger", nameless, size="tiny", options={"steps": 3}, quiet=True)
    for options in ({"neighbours": 1.0}, {"identifiers": "atomic"}):
        fitted = zoo.fit("tiger", nameless, size="tiny", options={"steps": 3} | options, quiet=True)
        assert len(zoo.retrieve(fitted, ["d3"], 5).answers(0)) == 5


def test_a_small_catalogue_has_fewer_codes():
    fitted = zoo.fit(
        "tiger",
        toy.interactions(),
        size="small",
        options={"steps": 3, "dev_users": 0, "levels": 2},
        quiet=True,
    )
    assert (
        np.asarray(fitted.state["docids"]["tokens"])[:, 0].max()
        <= 40 // codes.FEWEST_OF
        == codes.num_codes_of(fitted.config, fitted.state)
    )
    assert (
        "codes=256 is more than 40 documents fill, 4 to a code; each level has 10"
        in fitted.about["warnings"]
    )
    hashed = zoo.fit(
        "tiger",
        toy.interactions(),
        size="tiny",
        options={"steps": 3, "codes": 256, "identifiers": "lsh"},
        quiet=True,
    )
    assert codes.num_codes_of(hashed.config, hashed.state) == 8 and "each level has 8" in "".join(
        hashed.about["warnings"]
    )
    with pytest.raises(records.DataError, match="power of two"):
        zoo.fit(
            "tiger",
            toy.interactions(),
            size="tiny",
            options={"codes": 6, "identifiers": "lsh"},
            quiet=True,
        )


def test_trained_identifiers_do_not_change_the_following_training(tmp_path, monkeypatch):
    small = {"hidden": (8,), "code_width": 8, "batch": 32, "steps": 4}
    small |= {"restart_every": 0, "evaluate_every": 9}
    fit = rqvae.fit
    quick = lambda vectors, config, *rest: fit(vectors, dataclasses.replace(config, **small), *rest)
    monkeypatch.setattr(rqvae, "fit", quick)
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)  # both runs save checkpoints
    fitted = zoo.fit(
        "tiger",
        toy.interactions(),
        size="tiny",
        options={"identifiers": "rqvae", "steps": 3},
        out=tmp_path / "run",
        quiet=True,
    )
    assert [row["step"] for row in fitted.history if "loss" in row] == [1, 2, 3, 4, 1, 2, 3]
    assert {row["phase"] for row in fitted.history} == {"rqvae", "train"}
    assert not (tmp_path / "run" / "training").exists()
