"""Minimal data: each baseline answers, also after save and load, or raises one line."""

import numpy as np
import pytest

import zoo
from zoo import recipes, records

BASELINES = ("popularity", "markov", "itemknn", "semanticknn")


def log(*histories, texts=()):
    names = tuple(dict.fromkeys(item for items in histories for item in items))
    texts = texts or tuple(f"item {name}" for name in names)
    corpus = records.Corpus(names, ("",) * len(names), texts)
    found = records.Histories.of(corpus, [list(items) for items in histories])
    return records.Interactions("small", corpus, found)


def first(fitted, history, k=3):
    return [name for name, _ in zoo.retrieve(fitted, [list(history)], k).answers(0)]


def saved(tmp_path, recipe, data, **options):
    zoo.fit(recipe, data, options=options, quiet=True, out=tmp_path / "run")
    return zoo.load(tmp_path / "run")


def test_three_events_a_user_leave_markov_with_popularity(tmp_path):
    """No transitions before dev and test: a occurs twice, b and c never."""
    fitted = saved(tmp_path, "markov", log("abc", "abc"))
    assert first(fitted, "a") == ["a", "b", "c"] == first(fitted, "c")


@pytest.mark.parametrize("histories", [("abc", "abc"), ("aaaabc", "ddbc"), ("aaa",)])
@pytest.mark.parametrize("window", [0, 5])
def test_items_without_neighbours_are_refused_and_leave_no_folder(tmp_path, histories, window):
    with pytest.raises(
        records.DataError, match="itemknn: no user of small has two different items"
    ):
        saved(tmp_path, "itemknn", log(*histories), window=window)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("recipe", BASELINES)
@pytest.mark.parametrize("histories", [("aaa",), ("abcab",), ("aaa", "bbb"), ("ab" * 9,)])
def test_one_item_and_one_user_are_answered_or_refused(tmp_path, recipe, histories):
    data = log(*histories)
    try:
        fitted = saved(tmp_path, recipe, data)
    except records.DataError as error:
        assert "\n" not in str(error) and not (tmp_path / "run").exists()
        assert recipe in ("itemknn", "semanticknn")
        return
    answers = first(fitted, histories[0][:1])
    assert set(answers) <= set(data.corpus.ids) and len(answers) == len(set(answers))
    assert np.isfinite(zoo.evaluate(fitted, data).measures["RR"])


@pytest.mark.parametrize("recipe", ("markov", "itemknn", "semanticknn"))
def test_huge_windows_mean_the_whole_history(recipe):
    """An order of a billion allocates nothing of that size and equals an order of 9."""
    data = log("abcabcabc", "bcabcabca")
    option = {"markov": "order"}.get(recipe, "last")
    few, huge = (zoo.fit(recipe, data, options={option: value}, quiet=True) for value in (9, 10**9))
    asked = [["a", "b", "c"]]
    np.testing.assert_array_equal(
        zoo.retrieve(few, asked, 3).scores, zoo.retrieve(huge, asked, 3).scores
    )


@pytest.mark.parametrize(
    ("recipe", "options"),
    (
        ("itemknn", {"shrinkage": 1e300}),
        ("itemknn", {"shrinkage": float("inf")}),
        ("itemknn", {"decay": 1.5}),
        ("semanticknn", {"last": 0}),
        ("semanticknn", {"decay": -0.1}),
        ("semanticknn", {"vectors": "words"}),
    ),
)
def test_meaningless_options_are_refused(recipe, options):
    (name,) = options
    with pytest.raises(records.DataError, match=f"{recipe}: option {name} expects"):
        recipes.configure(recipes.get(recipe), "tiny", options)


def test_the_largest_shrinkage_still_answers():
    fitted = zoo.fit("itemknn", log("ababcab", "bababca"), options={"shrinkage": 1e6}, quiet=True)
    assert first(fitted, "a")


def test_vectors_that_are_not_finite_are_refused(tmp_path):
    vectors = np.eye(3)
    vectors[1, 1] = np.nan
    np.save(tmp_path / "v.npy", vectors)
    with pytest.raises(records.DataError, match="expected finite numbers, row 1 holds NaN"):
        saved(tmp_path, "semanticknn", log("abcab"), vectors=str(tmp_path / "v.npy"))
    assert not (tmp_path / "run").exists()


def test_one_document_is_found(tmp_path):
    corpus = records.Corpus(("d",), ("",), ("the only text",))
    alone = records.Collection("one", corpus, records.Queries((), ()), {})
    ranking = zoo.retrieve(saved(tmp_path, "bm25", alone), "only", 5)
    assert [name for name, _ in ranking.answers(0)] == ["d"]
