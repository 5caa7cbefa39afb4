"""Adding and removing documents through the public verbs and the command line."""

import dataclasses

import numpy as np
import pytest

import zoo
from zoo import recipes, records
from zoo.api import add
from zoo.cli import main
from zoo.data import toy


@pytest.fixture(scope="module")
def bm25():
    return zoo.fit("bm25", toy.build(30), quiet=True)


@pytest.fixture(scope="module")
def markov():
    return zoo.fit("markov", toy.interactions(), quiet=True)


def corpus_of(rows, *, of):
    return records.Corpus(
        *(tuple(column[row] for row in rows) for column in (of.ids, of.titles, of.texts))
    )


def test_evaluate_takes_the_changed_collection_and_refuses_the_old_one(bm25):
    whole = toy.build(30)
    less = zoo.remove(bm25, ["d4", "d9"])
    left = [row for row in range(30) if row not in (4, 9)]
    # another order is the same corpus
    now = dataclasses.replace(whole, corpus=corpus_of(left[::-1], of=whole.corpus))
    assert zoo.evaluate(less, now).ranking.corpus_ids == less.documents.ids
    with pytest.raises(records.DataError, match="30 documents are not the 28 of this system"):
        zoo.evaluate(less, whole)
    back = zoo.add(less, corpus_of([9, 4], of=whole.corpus))
    assert zoo.evaluate(back, whole).measures == pytest.approx(zoo.evaluate(bm25, whole).measures)
    assert back.about["changes"] == [{"removed": 2}, {"added": 2}]


def test_items_in_another_order_are_the_same_items(markov):
    walks = toy.interactions()
    order = np.random.default_rng(0).permutation(40)
    corpus = corpus_of(order, of=walks.corpus)
    items = np.argsort(order).astype(np.int32)[walks.histories.items]
    shuffled = dataclasses.replace(
        walks, corpus=corpus, histories=dataclasses.replace(walks.histories, items=items)
    )
    expected, found = (zoo.evaluate(markov, data) for data in (walks, shuffled))
    np.testing.assert_array_equal(found.ranking.documents, expected.ranking.documents)
    assert found.measures == expected.measures


def test_a_removed_item_returns_unchanged_or_is_refused(markov):
    corpus = toy.interactions().corpus
    less = zoo.remove(markov, ["d3"])
    again = zoo.add(less, corpus_of([3], of=corpus))
    assert "removed" not in again.state and again.documents == markov.documents
    other = records.Corpus(("d3",), ("other",), ("words",))
    with pytest.raises(records.DataError, match="item 'd3' was removed and had another text"):
        zoo.add(less, other)


def test_commands_remove_documents_listed_as_arguments_and_in_a_file(bm25, tmp_path, capsys):
    zoo.save(bm25, tmp_path / "bm25")
    (tmp_path / "ids.txt").write_text("d1\n\nd2\n", encoding="utf-8")
    folder, out = str(tmp_path / "bm25"), str(tmp_path / "less")
    ids = ["--ids", str(tmp_path / "ids.txt")]
    assert main.main(["remove", folder, "d0", *ids, "--out", out]) == 0
    assert "without 3 documents" in capsys.readouterr().out
    assert zoo.load(out).documents.ids == tuple(f"d{row}" for row in range(3, 30))
    for wrong in (["d77"], []):
        none = tmp_path / "none"
        assert main.main(["remove", folder, *wrong, "--out", str(none)]) == main.BAD_INPUT
        error = capsys.readouterr().err
        assert error.startswith("zoo: ") and error.count("\n") == 1 and not none.exists()


def test_a_system_with_fixed_documents_refuses_changes(bm25, monkeypatch):
    fixed = recipes.get("bm25")._replace(add=None)
    monkeypatch.setattr(add.recipes, "get", lambda name: fixed)
    with pytest.raises(records.DataError, match="bm25: its documents cannot change"):
        zoo.remove(bm25, "d0")
