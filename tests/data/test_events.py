"""Logs in common formats load; ambiguous ones raise an error."""

import gzip
import json
import sys

import numpy as np
import pytest

from zoo import records
from zoo.data import columns, events, histories

# newest first: u goes a, b, c, d in time
ROWS = [("u", "d", 4), ("u", "c", 3), ("u", "b", 2), ("u", "a", 1)]
DAY = "2024-05-0"


def write(folder, text, name="interactions.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def table(header, separator=",", time=str, rows=ROWS):
    lines = [separator.join((user, item, time(when))) for user, item, when in rows]
    return "\n".join([separator.join(header), *lines]) + "\n"


def history(found):
    """The items of the first user, oldest first."""
    return "".join(found.corpus.ids[item] for item in found.histories.history(0))


@pytest.mark.parametrize(
    "time",
    "time timestamp Timestamp datetime unixReviewTime ts date DATE event_time created_at".split(),
)
def test_a_time_column_is_recognised_by_common_names(tmp_path, time):
    found = histories.read(write(tmp_path, table(["user_id", "item_id", time])))
    assert history(found) == "abcd"
    assert found.notes == (
        () if time in ("time", "timestamp") else (f"read column '{time}' as the time",)
    )


@pytest.mark.parametrize(
    "header",
    (
        "userId,movieId,timestamp",
        "reviewerID,asin,unixReviewTime",
        "visitorid,itemid,timestamp",
        "CustomerID,StockCode,InvoiceDate",
        "User-ID,ISBN,Date",
        "session_id,product_id,event_time",
    ),
)
def test_common_headers_are_recognised(tmp_path, header):
    found = histories.read(write(tmp_path, table(header.split(","))))
    assert history(found) == "abcd" and len(found.notes) == 1


def test_an_ambiguous_time_is_refused_until_the_user_names_it(tmp_path):
    write(tmp_path, table(["user", "item", "watch_time"]))
    with pytest.raises(
        records.DataError, match=r"is 'watch_time' the time .* --columns time=watch_time"
    ):
        histories.read(tmp_path)
    assert history(histories.read(tmp_path, {"time": "watch_time"})) == "abcd"
    without = histories.read(tmp_path, {"time": ""})
    assert history(without) == "dcba" and without.times is None


def test_a_log_without_times_reports_that_file_order_counts(tmp_path):
    found = histories.read(write(tmp_path, table(["user", "item", "stars"])))
    assert history(found) == "dcba"
    assert found.notes == ("no time column among 'stars'; events keep the order of the file",)


def test_several_columns_for_one_role_are_reported_or_refused(tmp_path):
    rows = "user,item,timestamp,date\nu,b,2,x\nu,a,1,x\nu,c,3,x\n"
    found = histories.read(write(tmp_path, rows))
    assert history(found) == "abc" and found.notes == (
        "column 'timestamp' is the time, not 'date'",
    )
    write(tmp_path, "user_id,userId,item,time\nu,v,a,1\n")
    with pytest.raises(records.DataError, match="'user_id' and 'userId' may both be the user"):
        histories.read(tmp_path)


@pytest.mark.parametrize("separator", ["\t", ";", "::", "|"])
def test_separators_are_detected(tmp_path, separator):
    found = histories.read(write(tmp_path, table(["user", "item", "time"], separator)))
    assert history(found) == "abcd"
    assert found.notes == (f"cells of interactions.csv are separated by {separator!r}",)


def test_the_separator_is_the_one_that_gives_a_known_header(tmp_path):
    write(tmp_path, "a, b, c, d|user|item\nx, y, z, w|u|a\n,|u|b\n,|u|c\n")
    assert history(histories.read(tmp_path)) == "abc"


def test_ratings_without_a_header_use_the_movielens_columns(tmp_path):
    lines = "".join(f"1::{item}::5::{978300760 + when}\n" for _, item, when in ROWS)
    (tmp_path / "ratings.dat").write_text(lines)
    found = histories.read(tmp_path)
    assert history(found) == "abcd" and "has no header" in " ".join(found.notes)
    lines = "".join(f"5,{item},u,{when}\n" for _, item, when in ROWS)
    (tmp_path / "ratings.dat").write_text(lines)
    with pytest.raises(records.DataError, match="found none"):  # ambiguous columns
        histories.read(tmp_path)
    named = {"user": "3", "item": "2", "time": "4"}
    assert history(histories.read(tmp_path / "ratings.dat", named)) == "abcd"


def test_quoted_cells_hold_separators_quotes_and_line_breaks(tmp_path):
    """RFC 4180; an error names the first line of its record."""
    text = 'user,item,note\r\nu,"a,1","two\r\n\r\nlines"\r\nu,b,"say ""hi"""\r\nu,c,\r\n'
    assert histories.read(write(tmp_path, text)).corpus.ids == ("a,1", "b", "c")
    with pytest.raises(records.DataError, match=r"interactions.csv:7: expected 3 cells"):
        histories.read(write(tmp_path, text + "u\r\n"))
    with pytest.raises(records.DataError, match=r"interactions.csv:7: expected cells .* RFC 4180"):
        histories.read(write(tmp_path, text + 'u,"never closed,\r\nv,a,\r\n'))


def test_a_header_in_the_middle_is_refused(tmp_path):
    write(tmp_path, "user,item\nu,a\nu,b\nuser,item\nu,c\n")
    with pytest.raises(records.DataError, match="interactions.csv:4: the header stands here again"):
        histories.read(tmp_path)


def test_nanoseconds_and_dates_order_events(tmp_path):
    nano = table(["user", "item", "time"], time=lambda when: f"17000000000000000{when:02}")
    found = histories.read(write(tmp_path, nano))
    assert history(found) == "abcd" and found.tied == 0 and found.times.dtype == np.int64
    found = histories.read(
        write(tmp_path, table(["user", "item", "time"], time=lambda n: f"{DAY}{n}"))
    )
    assert history(found) == "abcd"
    assert np.diff(found.times).tolist() == [86_400 * 10**9] * 3


def test_json_lines_and_parquet_equal_a_table(tmp_path):
    pyarrow, parquet = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))

    for kind in ("csv", "jsonl", "parquet"):
        (tmp_path / kind).mkdir()
    header = ["userId", "movieId", "timestamp"]
    write(tmp_path / "csv", table(header))
    rows = [dict(zip(header, row)) for row in ROWS]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "jsonl" / "interactions.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    made = pyarrow.table(
        {
            "userId": pyarrow.array([row[0] for row in ROWS]).dictionary_encode(),
            "movieId": [row[1] for row in ROWS],
            "timestamp": pyarrow.array([row[2] for row in ROWS], pyarrow.timestamp("ns")),
        }
    )
    parquet.write_table(made, tmp_path / "parquet" / "interactions.parquet")
    found = [histories.read(tmp_path / kind) for kind in ("csv", "jsonl", "parquet")]
    assert {history(one) for one in found} == {"abcd"}
    assert all(one.times.tolist() == [1, 2, 3, 4] for one in found)
    path = tmp_path / "parquet" / "interactions.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(records.DataError, match="expected a Parquet file") as refused:
        histories.read(tmp_path / "parquet")
    assert "\n" not in str(refused.value)
    parquet.write_table(pyarrow.table({"user": ["u", None], "item": [1, 2]}), path)
    with pytest.raises(records.DataError, match="parquet: row 2: expected a user and an item"):
        histories.read(tmp_path / "parquet")


def test_parquet_names_its_missing_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "interactions.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        records.DataError, match=r"pip install 'generative-retrieval-zoo\[parquet\]'"
    ):
        histories.read(tmp_path)


def test_a_log_is_found_by_its_header_beside_other_tables(tmp_path):
    """The layout of MovieLens: ratings, films, and two other tables."""
    write(tmp_path, table(["userId", "movieId", "timestamp"]), "ratings.csv")
    write(tmp_path, "userId,movieId,tag,timestamp\nu,a,dark,1\n", "tags.csv")
    write(tmp_path, "movieId,imdbId,tmdbId\na,1,2\n", "links.csv")
    films = "movieId,title,genres\na,A (1994),Drama\nb,B,\nc,C,\nd,D,\n"
    write(tmp_path, films, "movies.csv")
    found = histories.read(tmp_path)
    assert history(found) == "abcd" and found.corpus.titles == ("A (1994)", "B", "C", "D")
    assert found.corpus.texts[0] == "genres: Drama"
    assert "items are those of movies.csv" in found.notes
    (tmp_path / "ratings.csv").rename(tmp_path / "mine.csv")
    with pytest.raises(
        records.DataError, match="expected one log of events, found mine.csv, tags.csv"
    ):
        histories.read(tmp_path)
    assert history(histories.read(tmp_path / "mine.csv")) == "abcd"


def test_ids_with_blanks_and_any_letters_survive_writing(tmp_path):
    rows = [
        ("Ann Lee", "a b"),
        ("Ann Lee", "x,y"),
        ("Ann Lee", "東京\u3000都"),
        ("Ann Lee", "\u200b"),
    ]
    text = "user,item\n" + "".join(f'"{user}","{item}"\n' for user, item in rows)
    found = histories.read(write(tmp_path, text))
    histories.write(found, tmp_path / "out")
    read = histories.read(tmp_path / "out")
    assert read.corpus.ids == ("a b", "x,y", "東京\u3000都", "\u200b")
    assert read.histories.ids == ("Ann Lee",) and read.histories.items.tolist() == [0, 1, 2, 3]
    write(tmp_path / "out", "u東\u3000 a\u00a0b c\u2028d e\n", "sequences.txt")
    (tmp_path / "out" / "sequences.jsonl").unlink()
    (tmp_path / "out" / "items.jsonl").unlink()
    assert histories.read(tmp_path / "out").corpus.ids == ("a\u00a0b", "c\u2028d", "e")


@pytest.mark.parametrize(
    ("line", "message"),
    (
        ('{"items": ["a"]}', 'jsonl:1: expected a word or a whole number in "user"'),
        ('{"user": "u", "items": []}', "jsonl:1: expected a list of items"),
        ('{"user": "u", "items": "abc"}', "jsonl:1: expected a list of items"),
        ('{"user": "u", "items": ["a", 1.5, "b"]}', "jsonl:1: expected a word or a whole number"),
        ('{"user": "u", "items": ["\\ud800"]}', 'jsonl:1: "items" holds half a character'),
        ('{"user": "\\udfff", "items": ["a"]}', 'jsonl:1: "user" holds half a character'),
        ('{"user": "u", "items": ["a"], "times": [1, 2]}', 'expected "times" on every line'),
        ('{"user": "u", "items": ["a"], "held": {"test": 2}}', 'jsonl:1: expected in "held"'),
        ('{"user": "u", "items": ["a"], "held": {"test": true}}', 'jsonl:1: expected in "held"'),
        ('{"user": "u", "items": ' + "[" * 60 + "]" * 60 + "}", "nested more than 50 deep"),
    ),
)
def test_broken_sequences_are_refused(tmp_path, line, message):
    write(tmp_path, line + "\n", "sequences.jsonl")
    with pytest.raises(records.DataError, match=message) as refused:
        histories.read(tmp_path)
    assert "\n" not in str(refused.value)


def test_broken_items_are_refused(tmp_path):
    write(tmp_path, "u i0 i1 i0\n", "sequences.txt")
    for line, message in (
        ('{"_id": "\\ud800"}', 'items.jsonl:2: "_id" holds half a character'),
        ('{"_id": "i1", "title": ' + "[" * 900 + "]" * 900 + "}", "items.jsonl:2: .* 50 deep"),
        ('{"_id": 1.5}', 'items.jsonl:2: expected a word or a whole number in "_id"'),
    ):
        write(tmp_path, '{"_id": "i0"}\n' + line + "\n", "items.jsonl")
        with pytest.raises(records.DataError, match=message):
            histories.read(tmp_path)


def test_columns_are_named_by_role():
    assert columns.parse("user=uid, item=sku,time=") == {"user": "uid", "item": "sku", "time": ""}
    for text in ("", "user", "who=uid", "user=a,user=b"):
        with pytest.raises(records.DataError, match="--columns expects user=NAME,item=NAME"):
            columns.parse(text)
    with pytest.raises(
        records.DataError, match="names 'sku' as the item, but the columns are 'a, b'"
    ):
        columns.choose_events(["a", "b"], {"user": "a", "item": "sku"}, "log.csv:1")


def test_ids_on_one_line_are_quoted_as_in_csv():
    assert histories.parse_ids('a,"b,1", c d ,"say ""hi"""') == ["a", "b,1", "c d", 'say "hi"']
    for text in ("", "a,,b", '"a', 'a,"b"c', "a\nb"):
        with pytest.raises(records.DataError, match="expected item ids separated by commas"):
            histories.parse_ids(text)


def test_histories_to_continue_are_read_from_json_lines(tmp_path):
    corpus = records.Corpus(("a,1", "b c"), ("", ""), ("", ""))
    path = tmp_path / "asked.jsonl"
    path.write_text('["a,1", "b c"]\n\n{"user": "u 7", "items": ["b c"]}\n')
    found, named = histories.read_asked(path, corpus)
    assert found.ids == ("0", "u 7")
    assert [found.history(row).tolist() for row in (0, 1)] == [[0, 1], [1]]
    for line, message in (
        ('["x"]', "jsonl:1: item 'x' is not in the corpus; expected ids like a,1, b c"),
        ("[]", "jsonl:1: expected a list of item ids"),
        ('"a,1"', "jsonl:1: expected a list of item ids"),
        ('{"items": ["a,1"]}', 'jsonl:1: expected a word or a whole number in "user"'),
        ('{"user": "u", "items": ["b c"]}\n{"user": "u", "items": ["b c"]}', "jsonl:2: user 'u'"),
        ("", "expected at least one history"),
    ):
        path.write_text(line + "\n")
        with pytest.raises(records.DataError, match=message):
            histories.read_asked(path, corpus)


def test_reading_twice_gives_the_same(tmp_path):
    write(tmp_path, table(["user", "item", "time"]))
    first, second = (events.read(tmp_path / "interactions.csv") for _ in range(2))
    assert first.users.where == second.users.where and first.items.where == second.items.where
