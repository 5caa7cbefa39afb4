"""Folders of interactions load by the documented rules; errors name file and line."""

import gzip
import json

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import zoo
from zoo import records
from zoo.data import events, histories, load, toy


def folder(tmp_path, **files):
    """A folder of text files; `__` in a name stands for the dot."""
    for name, text in files.items():
        (tmp_path / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return tmp_path


def sequences(interactions):
    """User -> item ids."""
    found = interactions.histories
    return {
        user: [interactions.corpus.ids[item] for item in found.history(row)]
        for row, user in enumerate(found.ids)
    }


EVENTS = "user,item,time\nu,a,30\nv,c,1\nu,b,10\nu,c,10\nv,b,2\nw,a,5\nv,a,2\nu,a,2e1\n"


def test_events_are_sorted_by_time_then_file_order_and_short_users_dropped(tmp_path):
    read = histories.read(folder(tmp_path, interactions__csv=EVENTS))
    assert sequences(read) == {"u": ["b", "c", "a", "a"], "v": ["c", "b", "a"]}
    assert read.left_out == 1
    assert read.corpus.ids == ("a", "c", "b") and read.corpus.titles == ("", "", "")
    assert read.name == tmp_path.name


def test_without_times_events_keep_file_order(tmp_path):
    read = histories.read(
        folder(tmp_path, interactions__csv='item,user,note\nb,u,"x, y"\na,u,\nb,u,\n')
    )
    assert sequences(read) == {"u": ["b", "a", "b"]}


def test_the_three_layouts_give_the_same_interactions(tmp_path):
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    for path in (one, two, three):
        path.mkdir()
    folder(one, interactions__csv=EVENTS, items__csv="item,title,genres\na,A,x\nb,B,\nc,,z\n")
    inter = EVENTS.replace(",", "\t").replace(
        "user\titem\ttime", "user_id:token\titem_id:token\ttimestamp:float"
    )
    folder(
        two,
        ml__inter=inter,
        ml__item="item_id:token\tmovie_title:token_seq\tgenres:token_seq\n"
        "a\tA\tx\nb\tB\t\nc\t\tz\n",
    )
    items = [
        {"_id": "a", "title": "A", "genres": ["x"]},
        {"id": "b", "title": "B"},
        {"_id": "c", "genres": [["z"]]},
    ]
    folder(three, items__jsonl="".join(json.dumps(item) + "\n" for item in items))
    (three / "sequences.txt.gz").write_bytes(gzip.compress(b"u b c a a\nv c b a\nw a\n"))
    read = [histories.read(path) for path in (one, two, three)]
    assert len({one.corpus.fingerprint() for one in read}) == 1
    assert len({one.histories.fingerprint() for one in read}) == 1
    assert read[0].corpus.texts == ("genres: x", "", "genres: z")
    assert [one.left_out for one in read] == [1, 1, 1]


def test_every_column_of_text_describes_an_item_and_no_other_does(tmp_path):
    row = {
        "item_id": "a",
        "title": "A",
        "colour": "deep red",
        "price": 3.5,
        "sku": "00-17",
        "url": "https://shop/a",
        "seen": "1e3",
    }
    row |= {
        "brand": "B",
        "tags": ["x", "y"],
        "sizes": [1, 2],
        "box": {"w": 1},
        "gone": None,
        "note": " ",
        "mixed": ["x", 2],
    }
    text = "brand: B; colour: deep red; tags: x, y"
    for name, lines in (
        ("jsonl", [row]),
        (
            "csv",
            [
                ["item_id", "title", "colour", "price", "url", "brand"],
                ["a", "A", "deep red", "3.5", "www.x", "B"],
            ],
        ),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sequences.txt").write_text("u a a a\n")
        as_text = "".join(
            json.dumps(line) + "\n" if name == "jsonl" else ",".join(line) + "\n" for line in lines
        )
        (tmp_path / name / f"items.{name}").write_text(as_text)
        assert histories.read(tmp_path / name).corpus.texts == (
            text if name == "jsonl" else "brand: B; colour: deep red",
        )


@hypothesis.given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 3)), min_size=12, max_size=12
    )
)
def test_tied_and_repeated_events_are_counted(drawn):
    users, items = events.Ids(), events.Ids()
    kept = [
        event for event in drawn if sum(event[0] == other[0] for other in drawn) >= histories.FEWEST
    ]
    hypothesis.assume(kept)
    for line, (user, item, _) in enumerate(drawn):
        users.add(str(user), line)
        items.add(str(item), line)
    corpus = records.Corpus(("0", "1", "2"), ("", "", ""), ("", "", ""))
    times = np.array([time for *_, time in drawn], np.int64)
    read = histories.build("name", corpus, events.Events(users, items, times), "path")
    assert read.repeated == len(kept) - len({event[:2] for event in kept})
    assert read.tied == sum(
        sum((user, time) == (other, when) for other, _, when in kept) > 1 for user, _, time in kept
    )


def test_interactions_survive_writing_and_reading(tmp_path):
    walks = toy.interactions()
    histories.write(walks, tmp_path / "walks")
    read = load.load(tmp_path / "walks")
    assert (
        read.corpus == walks.corpus
        and read.histories.fingerprint() == walks.histories.fingerprint()
    )
    with pytest.raises(records.DataError):
        histories.write(walks, tmp_path / "walks")


@pytest.mark.parametrize(
    ("files", "message"),
    (
        ({}, "expected one of interactions.csv, NAME.inter and sequences.txt"),
        (
            {"interactions__csv": "user,item\n", "sequences__txt": "u a b c\n"},
            "found interactions.csv, sequences.txt",
        ),
        (
            {"interactions__csv": "user,thing\nu,a\n"},
            r"interactions.csv:1: expected a header with the column item or item_id",
        ),
        (
            {"interactions__csv": "user,item,item\nu,a,b\n"},
            r"interactions.csv:1: the header names a column twice",
        ),
        ({"interactions__csv": "user,item\nu,a\nu\n"}, r"interactions.csv:3: expected 2 cells"),
        (
            {"interactions__csv": "user,item\nu,a\nu, \n"},
            r"interactions.csv:3: expected a user and an item",
        ),
        ({"interactions__csv": 'user,item\nu,"a\n'}, r"interactions.csv:2: expected cells"),
        (
            {"interactions__csv": "user,item,time\nu,a,1\nu,b,noon\n"},
            r"interactions.csv:3: expected a number or an ISO date .* as time, got 'noon'",
        ),
        (
            {"interactions__csv": "user,item,time\nu,a,nan\n"},
            r"interactions.csv:2: expected a number or an ISO date",
        ),
        ({"interactions__csv": "user,item\n"}, "expected at least one event"),
        (
            {"interactions__csv": "user,item\nu,a\nu,b\n"},
            "expected a user with at least 3 events, found none among 1",
        ),
        (
            {"sequences__txt": "u a b c\nu a\n"},
            r"sequences.txt:2: user 'u' stands already on line 1",
        ),
        ({"sequences__txt": "u a b c\nv\n"}, r"sequences.txt:2: expected `user item item ...`"),
        (
            {"sequences__txt": "u a b c\nv a d\n", "items__csv": "id\na\nb\nc\n"},
            r"sequences.txt:2: item 'd' is not among the items",
        ),
        (
            {"sequences__txt": "u a b c\n", "items__csv": "id\na\nb\na\n"},
            r"items.csv:4: item 'a' stands already on line 2",
        ),
        (
            {"sequences__txt": "u a b c\n", "items__csv": "name\na\n"},
            r"items.csv:1: expected a header with the column _id or id",
        ),
        (
            {"sequences__txt": "u a b c\n", "items__jsonl": '{"title": "A"}\n'},
            r'items.jsonl:1: expected the key "_id", found \'title\'',
        ),
        (
            {"sequences__txt": "u a b c\n", "items__jsonl": '{"id": true}\n'},
            r'items.jsonl:1: expected a word or a whole number in "id"',
        ),
        (
            {"sequences__txt": "u a b c\n", "items__jsonl": "[1]\n"},
            r"items.jsonl:1: expected a JSON object",
        ),
        (
            {"sequences__txt": "u a b c\n", "items__jsonl": "", "items__csv": "id\n"},
            "has items.csv and items.jsonl",
        ),
    ),
)
def test_broken_folders_are_refused_in_one_line(files, message, tmp_path):
    with pytest.raises(records.DataError, match=message) as refused:
        histories.read(folder(tmp_path, **files))
    assert "\n" not in str(refused.value)


def test_leave_one_out_by_hand(tmp_path):
    read = histories.read(folder(tmp_path, sequences__txt="u a b c d\nv d c b\n"))
    history, qrels = read.split("test")
    assert qrels.grades == {"u": {"d": 1}, "v": {"b": 1}}
    np.testing.assert_array_equal(history.latest(4), [[-1, 0, 1, 2], [-1, -1, 3, 2]])
    history, qrels = read.split("dev")
    assert qrels.grades == {"u": {"c": 1}, "v": {"c": 1}}
    np.testing.assert_array_equal(history.latest(2), [[0, 1], [-1, 3]])
    fit = read.without("test")
    assert sequences(fit) == {"u": ["a", "b", "c"], "v": ["d", "c"]} and dict(fit.held) == {
        "dev": 1
    }
    assert fit.split("dev")[1].grades == qrels.grades
    for train in (fit.without("dev"), read.without("dev"), read.without("dev", "test")):
        assert sequences(train) == {"u": ["a", "b"], "v": ["d"]} and not train.held
    assert read.without("other").histories.fingerprint() == read.histories.fingerprint()
    with pytest.raises(records.DataError, match="no split 'train'; it has: dev, test"):
        read.split("train")


def test_histories_that_cannot_be_split_or_name_no_item_are_refused():
    corpus = toy.build(3).corpus
    with pytest.raises(records.DataError, match="user '1' has 2 events; expected at least 3"):
        records.Interactions("x", corpus, records.Histories.of(corpus, [["d0"] * 3, ["d0"] * 2]))
    with pytest.raises(records.DataError, match="history 1: item 'd9' is not in the corpus"):
        records.Histories.of(corpus, [["d0"], ["d9"]])
    with pytest.raises(records.DataError, match="got some of both"):
        records.Histories.of(corpus, ["d0", ["d1"]])
    with pytest.raises(records.DataError, match="rows from 0 to 2, got 0 to 7"):
        records.Interactions(
            "x", corpus, records.Histories(("u",), np.array([0, 7, 1], np.int32), np.array([0, 3]))
        )
    with pytest.raises(records.DataError, match="expected 2 starts from 0 to 3"):
        records.Histories(("u",), np.zeros(3, np.int32), np.array([0, 2]))


def test_selecting_rows_selects_their_events():
    corpus = toy.build(5).corpus
    all_of_them = records.Histories.of(corpus, [["d1"], ["d2", "d3"], [], ["d4"]])
    taken = all_of_them.take([3, 1, 2])
    assert (
        taken.ids == ("3", "1", "2")
        and taken.items.tolist() == [4, 2, 3]
        and taken.starts.tolist() == [0, 1, 3, 3]
    )
    np.testing.assert_array_equal(all_of_them.users, [0, 1, 1, 3])
    assert all_of_them.earlier(1).items.tolist() == [2]
    assert records.Histories.of(corpus, ["d1", "d2"]).history(0).tolist() == [1, 2]


def test_markov_gives_its_known_numbers_on_amazon_beauty(shared):
    """Recall and nDCG at 5 and 10 equal those of two other programs on the same files.

    Seconds: 22,363 users.
    """
    place = shared / "data" / "rec" / "amazon2014_beauty"
    if not place.is_dir():
        pytest.skip(
            f"no interactions at {place}; set ZOO_SHARED to the folder that holds data/rec to run "
            "this test"
        )
    beauty = load.load(place)
    assert (len(beauty.histories), len(beauty.corpus), len(beauty.histories.items)) == (
        22_363,
        12_101,
        198_502,
    )
    found = zoo.evaluate(zoo.fit("markov", beauty, quiet=True), beauty).measures
    assert [round(found[name], 4) for name in ("R@5", "nDCG@5", "R@10", "nDCG@10")] == [
        0.0507,
        0.0378,
        0.0661,
        0.0428,
    ]
    found = zoo.evaluate(zoo.fit("popularity", beauty, quiet=True), beauty).measures
    assert [round(found[name], 4) for name in ("R@5", "nDCG@5", "R@10", "nDCG@10")] == [
        0.0081,
        0.0043,
        0.0120,
        0.0055,
    ]
