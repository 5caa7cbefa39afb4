"""Using a ranking: iterate, index, print, convert."""

import sys
import types

import numpy as np
import pytest

from zoo import records
from zoo.data import trec


@pytest.fixture
def ranking():
    return records.Ranking(
        ("q1", "q2", "q3"),
        ("a", "b", "c"),
        np.array([[2, 0], [1, -1], [-1, -1]], np.int32),
        np.array([[2.5, 2.5], [1.0, -np.inf], [-np.inf, -np.inf]], np.float32),
        titles=("Ape", "", "<b>Cat</b>\x1b[0m"),
    )


def test_it_is_indexed_by_position_and_by_query(ranking):
    assert ranking[0] == [("c", 2.5, "<b>Cat</b>\x1b[0m"), ("a", 2.5, "Ape")]
    assert ranking["q2"] == ranking[1] == ranking[-2] == [records.Answer("b", 1.0, "")]
    assert ranking[np.int64(2)] == []
    assert ranking[1:].query_ids == ("q2", "q3") and ranking[1:][0] == ranking[1]


@pytest.mark.parametrize(("which", "error"), ((3, IndexError), (-4, IndexError), ("q4", KeyError)))
def test_an_unknown_query_is_refused(which, error, ranking):
    with pytest.raises(error, match="this ranking has 3 queries: 'q1', 'q2', 'q3'"):
        ranking[which]


def test_it_iterates_over_the_answers_to_each_query(ranking):
    assert [[answer.document for answer in answers] for answers in ranking] == [
        ["c", "a"],
        ["b"],
        [],
    ]


def test_it_prints_as_a_table_without_control_characters(ranking):
    assert repr(ranking).splitlines() == [
        "query  rank  document  score  title",
        "q1     1     c         2.5    <b>Cat</b>\\x1b[0m",
        "q1     2     a         2.5    Ape",
        "q2     1     b         1",
    ]
    assert repr(ranking[2:]) == "no answers to 1 queries"


def test_a_long_table_reports_its_omitted_rows():
    documents = np.tile(np.arange(20, dtype=np.int32), (30, 1))
    ids = tuple(map(str, range(30)))
    long = records.Ranking(ids, ids[:20], documents, -documents.astype(np.float32))
    *rows, more = repr(long).splitlines()
    assert len(rows) == 101 and more == "100 of 600 answers to 30 queries"
    assert more in long._repr_html_()


def test_a_notebook_shows_an_escaped_table(ranking):
    shown = ranking._repr_html_()
    assert shown.count("<tr>") == 4 and "&lt;b&gt;Cat&lt;/b&gt;\\x1b[0m" in shown
    assert "<b>" not in shown and "\x1b" not in shown


def test_it_converts_to_rows_and_a_data_frame(ranking, monkeypatch):
    rows = ranking.to_dicts()
    assert rows[1] == {"query": "q1", "rank": 2, "document": "a", "score": 2.5, "title": "Ape"}
    assert [row["query"] for row in rows] == ["q1", "q1", "q2"]
    pandas = types.ModuleType("pandas")
    pandas.DataFrame = lambda rows, columns: (rows, columns)
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    assert ranking.to_dataframe() == (rows, ["query", "rank", "document", "score", "title"])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        ranking.to_dataframe()


def test_it_converts_to_the_written_trec_run(ranking, tmp_path):
    trec.write(ranking, tmp_path / "a.trec", tag="mine")
    assert ranking.to_trec("mine") == (tmp_path / "a.trec").read_text()
    assert ranking.to_trec().startswith("q1 Q0 c 1 2.5 zoo\nq1 Q0 a 2 2.4999")
    with pytest.raises(records.DataError, match="cannot hold 'my system'"):
        ranking.to_trec("my system")
