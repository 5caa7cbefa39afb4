"""Every verb opens a system once and reuses it."""

import pickle

import numpy as np
import pytest

import zoo
from zoo import recipes, records
from zoo.data import toy
from zoo.index import trie
from zoo.text import tokens


@pytest.fixture(scope="module")
def fitted():
    options = {"steps": 3}
    return zoo.fit("dsi", toy.build(40), size="tiny", options=options, quiet=True)


@pytest.fixture
def prepared(monkeypatch):
    """Preparations since the start of the test."""
    done = []

    def noted(name, function):
        def call(*arguments, **options):
            done.append(name)
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(trie, "build", noted("trie", trie.build))
    monkeypatch.setattr(tokens, "_loaded", noted("tokenizer", tokens._loaded))
    return done


def test_opening_prepares_a_system_once(fitted, prepared):
    fresh = zoo.with_options(fitted, {"beam": 8})
    ask = zoo.open(fresh)
    assert sorted(prepared) == ["tokenizer", "trie"]
    for _ in range(2):
        ask("bab", k=3)
        zoo.retrieve(fresh, "bab", k=3)
    zoo.evaluate(fresh, toy.build(40), split="dev")
    zoo.path(fresh, "bab")
    assert sorted(prepared) == ["tokenizer", "trie"]


def test_changed_options_open_another_system(fitted, prepared):
    one, other = (zoo.with_options(fitted, {"beam": beam}) for beam in (1, 40))
    assert (zoo.retrieve(one, "bab", k=1).scores <= zoo.retrieve(other, "bab", k=1).scores).all()
    assert sorted(prepared) == ["tokenizer"] * 2 + ["trie"] * 2
    assert one.opened.beam == 1 and other.opened.beam == 40


def test_a_folder_gives_the_answers_of_the_system(fitted, tmp_path):
    zoo.save(fitted, tmp_path / "dsi")
    expected = zoo.retrieve(fitted, ["bab", "cec"], k=5)
    for found in (
        zoo.open(tmp_path / "dsi")(["bab", "cec"], k=5),
        zoo.retrieve(str(tmp_path / "dsi"), ["bab", "cec"], k=5),
    ):
        np.testing.assert_array_equal(found.documents, expected.documents)
        np.testing.assert_array_equal(found.scores, expected.scores)
        assert found.titles == expected.titles


def test_an_opened_system_refuses_bad_queries(fitted):
    ask = zoo.open(fitted)
    with pytest.raises(records.DataError, match="expected k of at least 1, got 0"):
        ask("bab", k=0)
    with pytest.raises(records.DataError, match="the query is empty"):
        ask(" ")


def test_an_opened_system_can_be_pickled_and_opens_again(fitted):
    before = zoo.retrieve(fitted, "bab", k=3)
    copy = pickle.loads(pickle.dumps(fitted))
    assert "opened" not in vars(copy)
    np.testing.assert_array_equal(zoo.retrieve(copy, "bab", k=3).documents, before.documents)


def test_a_folder_with_a_removed_option_asks_for_a_new_fit(fitted, tmp_path, monkeypatch):
    zoo.save(fitted, tmp_path / "dsi")
    configure = recipes.configure
    monkeypatch.setattr(
        recipes, "configure", lambda *given: configure(*given[:2], {**given[2], "gone": 1})
    )
    with pytest.raises(
        records.DataError, match="not those of this version .*no option 'gone'.*fit again"
    ):
        zoo.load(tmp_path / "dsi")
