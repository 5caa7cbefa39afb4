"""A growing corpus through the public verbs and the command line."""

import json

import numpy as np
import pytest

import zoo
from zoo import records
from zoo.api import dynamic as api
from zoo.cli import main
from zoo.data import toy


def test_each_step_asks_the_corpus_so_far(tmp_path, monkeypatch):
    growing = zoo.divide(toy.build(40), steps=2, seed=3)
    found = zoo.grow("bm25", growing, out=tmp_path / "bm25", quiet=True)
    # the words of a toy document are its own: BM25 finds all of them, old and new
    np.testing.assert_array_equal(found.old(), [1, 1, 1])
    np.testing.assert_array_equal(found.new(), [1, 1])
    assert found.forgetting()[0] == 0 and found.generalisation() == (1, 0)
    (tmp_path / "bm25" / "step-2.json").unlink()  # interrupted before the last step
    calls = []
    hits = api._hits
    monkeypatch.setattr(api, "_hits", lambda *a: calls.append(len(a[0].documents)) or hits(*a))
    again = zoo.grow("bm25", growing, out=tmp_path / "bm25", quiet=True)
    assert calls == [40, 40] and again.new().tolist() == found.new().tolist()
    with pytest.raises(records.DataError, match="belongs to another fit, division or split"):
        zoo.grow("bm25", zoo.divide(toy.build(40), steps=2, seed=4), out=tmp_path / "bm25")


def test_what_is_fitted_never_sees_later_documents():
    growing = zoo.divide(toy.build(40), "cluster", steps=2)
    initial = growing.initial()
    later = {word for row in growing.parts[1] for word in growing.collection.corpus.titles[row]}
    assert later and not {*growing.corpus(1).ids} & {*initial.corpus.ids}
    asked = {name for judged in initial.qrels.values() for name in judged.grades}
    assert set(initial.queries.ids) == asked


def test_command_writes_table_figure_and_cells(tmp_path, capsys):
    arguments = ["bm25", "dense-max", "--data", "toy", "--steps", "2", "--out", str(tmp_path / "g")]
    assert main.main(["dynamic", *arguments, "--size", "tiny"]) == 0
    out = capsys.readouterr().out
    assert "D0 100, D1 50, D2 50 documents; 0 queries of test belong to no single part" in out
    assert "F_n (-BWT)" in out and "0.051" in out  # the published F_n of BM25
    assert (tmp_path / "g" / "table.txt").read_text() in out
    assert (tmp_path / "g" / "curves.png").read_bytes()[:4] == b"\x89PNG"
    cell = json.loads((tmp_path / "g" / "bm25" / "step-1.json").read_text())
    assert len(cell["new"]["Success@10"]) == 50
    assert main.main(["dynamic", "tiger", *arguments[2:]]) == 2
    assert "tiger: takes no documents later" in capsys.readouterr().err
