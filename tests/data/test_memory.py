"""Collections from Python objects: accepted types, and errors for all others."""

import datetime
import re

import numpy as np
import pytest

import zoo
from zoo import records
from zoo.data import memory

TEXTS = ["bread and salt", "green tea", "a cup of coffee"]


class Frame:
    """The used part of the pandas DataFrame interface."""

    def __init__(self, rows):
        self.rows, self.columns = rows, list(rows[0])

    def to_dict(self, kind):
        assert kind == "records"
        return self.rows


class Polars:
    def __init__(self, rows):
        self.to_dicts = lambda: rows


def test_texts_are_called_by_their_position():
    found = memory.collect(TEXTS)
    assert found.corpus == records.Corpus(("0", "1", "2"), ("",) * 3, tuple(TEXTS))
    assert memory.collect(iter(TEXTS)) == found
    assert memory.collect(np.array(TEXTS, object)) == found


@pytest.mark.parametrize("frame", (list, Frame, Polars))
def test_rows_are_read_by_their_usual_columns(frame):
    rows = [
        {"doc_id": 7, "Title": "Tea", "body": "green"},
        {"doc_id": np.int64(9), "Title": float("nan"), "body": "black"},
    ]
    found = memory.collect(frame(rows))
    assert found.corpus == records.Corpus(("7", "9"), ("Tea", ""), ("green", "black"))


def test_a_dict_has_texts_by_id():
    found = memory.collect({"a": "bread", "b": "tea"}).corpus
    assert (found.ids, found.texts) == (("a", "b"), ("bread", "tea"))


def test_documents_without_text_are_dropped_and_the_others_keep_their_position():
    found = memory.collect(["bread", " ", "tea"])
    assert found.corpus.ids == ("0", "2")
    assert any("1 documents without text" in note for note in found.notes)


def test_events_are_ordered_by_their_time():
    day = datetime.datetime(2024, 5, 1)
    rows = [
        {"userId": user, "movieId": item, "timestamp": day + datetime.timedelta(days=when)}
        for user in "uv"
        for item, when in ((1, 3), (2, 1), (3, 2))
    ]
    found = memory.collect(Frame(rows))
    assert isinstance(found, records.Interactions)
    assert [found.corpus.ids[row] for row in found.histories.history(0)] == ["2", "3", "1"]


@pytest.mark.parametrize(
    ("data", "message"),
    (
        (7, "data: expected a name of `zoo data list`, .* got int"),
        (b"text", "got bytes"),
        (None, "got NoneType"),
        ([1, 2], "got int at 0"),
        (["text", None], "got NoneType at 1"),
    ),
)
def test_other_types_are_refused_with_the_accepted_ones(data, message):
    with pytest.raises(TypeError, match=message):
        zoo.fit("bm25", data)


@pytest.mark.parametrize(
    ("data", "message"),
    (
        ([], "at least one document"),
        (["", " "], "at least one document with text, found 2 without"),
        ([{"_id": "a", "text": "x"}, {"_id": "a", "text": "y"}], "2 documents have the id 'a'"),
        ([{"user": "u", "item": None}], "data: row 0: expected a user and an item"),
    ),
)
def test_bad_rows_are_refused(data, message):
    with pytest.raises(records.DataError, match=re.escape(message)):
        zoo.fit("bm25", data)


def test_texts_in_memory_are_searched():
    fitted = zoo.fit("bm25", TEXTS, quiet=True)
    assert zoo.retrieve(fitted, "coffee cups")[0][0].document == "2"
    assert repr(fitted) == "<Fitted bm25 (small, seed 0): 3 documents of memory>"


def test_events_in_memory_are_recommended_from():
    rows = [{"user": user, "item": item} for user in "uvw" for item in ("a", "b", "c", "d")]
    fitted = zoo.fit("markov", rows, quiet=True)
    assert zoo.retrieve(fitted, ["a"])[0][0].document == "b"
    assert zoo.retrieve(fitted, {"me": ["a"], "you": ["b"]}).query_ids == ("me", "you")


@pytest.mark.parametrize("queries", (3, None, b"tea", ["tea", 3], [["tea"]]))
def test_queries_of_another_type_are_refused(queries):
    fitted = zoo.fit("bm25", TEXTS, quiet=True)
    with pytest.raises(TypeError, match="retrieve: expected a text, a list of them or a dict"):
        zoo.retrieve(fitted, queries)


def test_arguments_in_the_wrong_place_are_refused():
    with pytest.raises(TypeError, match="expected the name of a recipe, one of bm25.* got list"):
        zoo.fit(TEXTS, "bm25")
    with pytest.raises(TypeError, match="expected options as a dict"):
        zoo.fit("bm25", TEXTS, options=["k1=1"])
