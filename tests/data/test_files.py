"""BEIR folders survive a round trip; errors in broken ones name file and line."""

import gzip
import json
import os
import pathlib
import tempfile

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from zoo import records
from zoo.data import files, trec

CORPUS = '{"_id":"d1","title":"One","text":"first"}\n{"_id":"d2","text":"second"}\n'
QUERIES = '{"_id":"q1","text":"what is first"}\n{"_id":"q2","text":"what is second"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\nq2\td1\t0\n"


def layout(folder, *, corpus=CORPUS, queries=QUERIES, test=QRELS, **splits):
    """A BEIR folder; writes str as UTF-8 and bytes unchanged, skips None."""
    (folder / "qrels").mkdir(parents=True)
    contents = {"corpus.jsonl": corpus, "queries.jsonl": queries, "qrels/test.tsv": test}
    contents |= {f"qrels/{split}.tsv": text for split, text in splits.items()}
    for name, content in contents.items():
        if content is not None:
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def test_a_folder_is_read_unchanged(tmp_path):
    collection = files.read_beir(layout(tmp_path / "tiny", train="q1\td2\t1\n"))
    assert collection.name == "tiny"
    assert collection.corpus == records.Corpus(("d1", "d2"), ("One", ""), ("first", "second"))
    assert collection.queries == records.Queries(("q1", "q2"), ("what is first", "what is second"))
    assert collection.qrels["test"].grades == {"q1": {"d1": 1}, "q2": {"d2": 2, "d1": 0}}
    assert collection.qrels["train"].grades == {"q1": {"d2": 1}}  # no header line


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_byte_order_marks_blank_lines_gzip_and_windows_line_ends_are_accepted(tmp_path, ending):
    folder = layout(tmp_path / "plain")
    expected = files.read_beir(folder)
    other = layout(tmp_path / "other", corpus=None, queries=None, test=None)
    for name, text in {
        "corpus.jsonl": CORPUS,
        "queries.jsonl": QUERIES,
        "qrels/test.tsv": QRELS,
    }.items():
        text = "\ufeff" + text.replace("\n", f"{ending} {ending}").rstrip()
        (other / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    found = files.read_beir(other)
    assert (found.corpus, found.queries, found.qrels) == (
        expected.corpus,
        expected.queries,
        expected.qrels,
    )


def test_a_collection_may_have_documents_without_splits(tmp_path):
    folder = layout(tmp_path / "alone", queries=None, test=None)
    collection = files.read_beir(folder)
    assert len(collection.corpus) == 2 and len(collection.queries) == 0 and collection.qrels == {}
    with pytest.raises(records.DataError, match="no split 'test'"):
        collection.split("test")


BROKEN = {
    "bad JSON": (
        {"corpus": CORPUS + '{"_id":"d3",'},
        "corpus.jsonl:3: expected a JSON object, got bad JSON at column 13",
    ),
    "not an object": (
        {"corpus": "[1]\n"},
        "corpus.jsonl:1: expected a JSON object {...}, got '[1]'",
    ),
    "deep": (
        {"corpus": "[" * 100_000},
        "corpus.jsonl:1: expected a JSON object, got one that cannot be read",
    ),
    "long number": (
        {"corpus": '{"_id":' + "1" * 5000 + "}"},
        "corpus.jsonl:1: expected a JSON object, got one that cannot be read",
    ),
    "missing id": (
        {"corpus": '{"id":"d1","text":"x"}'},
        "corpus.jsonl:1: expected the key \"_id\", found 'id, text'",
    ),
    "number as id": (
        {"corpus": '{"_id":7,"text":"x"}'},
        "corpus.jsonl:1: expected a string in \"_id\", got '7'; write it in quotes",
    ),
    "blank id": (
        {"corpus": '{"_id":" ","text":"x"}'},
        "corpus.jsonl:1: \"_id\" ' ' is empty or has white space",
    ),
    "tab in id": (
        {"corpus": '{"_id":"a\\tb","text":"x"}'},
        "corpus.jsonl:1: \"_id\" 'a\\tb' is empty or has",
    ),
    "duplicate id": (
        {"corpus": CORPUS + CORPUS},
        "corpus.jsonl:3: \"_id\" 'd1' stands already on line 1",
    ),
    "no text": ({"corpus": '{"_id":"d1","title":"x"}'}, 'corpus.jsonl:1: expected the key "text"'),
    "number as text": (
        {"corpus": '{"_id":"d1","text":5}'},
        "corpus.jsonl:1: expected a string in \"text\", got '5'",
    ),
    "list as title": (
        {"corpus": '{"_id":"d1","text":"x","title":[]}'},
        "corpus.jsonl:1: expected a string in \"title\", got '[]'",
    ),
    "half a character": (
        {"corpus": '{"_id":"d1","text":"\\ud800"}'},
        'corpus.jsonl:1: "text" holds half a character, \\ud800',
    ),
    "empty document": (
        {"corpus": CORPUS + '{"_id":"d3","title":" ","text":"\\n"}'},
        'corpus.jsonl:3: expected "title" or "text" with',
    ),
    "empty corpus": (
        {"corpus": ""},
        "corpus.jsonl: expected at least one document, got an empty file",
    ),
    "blank corpus": (
        {"corpus": "\n \n"},
        "corpus.jsonl: expected at least one document, got an empty file",
    ),
    "Latin-1": (
        {"corpus": CORPUS.encode() + b'{"_id":"d3","text":"h\xf6he"}'},
        "corpus.jsonl:3: expected UTF-8, got byte 0xf6 at byte 22 of the line",
    ),
    "UTF-16": ({"corpus": CORPUS.encode("utf-16")}, "corpus.jsonl:1: expected UTF-8, got byte 0x"),
    "missing corpus": (
        {"corpus": None},
        "corpus.jsonl: expected a file of this name or with .gz, found neither",
    ),
    "missing queries": ({"queries": None}, "has qrels/ but no queries.jsonl"),
    "missing qrels": ({"test": None}, "has queries.jsonl but no qrels/SPLIT.tsv"),
    "empty queries": (
        {"queries": ""},
        "queries.jsonl: expected at least one query, got an empty file",
    ),
    "blank query": (
        {"queries": QUERIES + '{"_id":"q3","text":" "}'},
        'queries.jsonl:3: expected a query in "text", got blanks',
    ),
    "duplicate query": (
        {"queries": QUERIES + QUERIES},
        "queries.jsonl:3: \"_id\" 'q1' stands already on line 1",
    ),
    "unknown document": (
        {"test": QRELS + "q1\td9\t1\n"},
        "qrels/test.tsv:5: document 'd9' is not in corpus.jsonl",
    ),
    "unknown query": (
        {"test": QRELS + "q9\td1\t1\n"},
        "qrels/test.tsv:5: query 'q9' is not in queries.jsonl",
    ),
    "word as the first grade": (
        {"test": "q1\td1\tO1\nq2\td2\t1\n"},
        "qrels/test.tsv:1: expected an integer grade, got 'O1'",
    ),
    "words in place of a header": (
        {"test": "a\tb\tc\nq2\td2\t1\n"},
        "qrels/test.tsv:1: expected an integer grade, got 'c'",
    ),
    "fractional grade": (
        {"test": "q1\td1\t0.5\n"},
        "qrels/test.tsv:1: expected an integer grade, got '0.5'",
    ),
    "word as grade": (
        {"test": QRELS + "q1\td1\tgood\n"},
        "qrels/test.tsv:5: expected an integer grade, got 'good'",
    ),
    "huge grade": (
        {"test": QRELS + "q1\td1\t" + "9" * 30},
        "qrels/test.tsv:5: expected an integer grade, got '999",
    ),
    "four columns": (
        {"test": "q1\t0\td1\t1\n"},
        "qrels/test.tsv:1: expected 3 columns separated by tabs (query-id, corpus-id, score), got "
        "4",
    ),
    "spaces for tabs": (
        {"test": "q1 d1 1\n"},
        "qrels/test.tsv:1: expected 3 columns separated by tabs",
    ),
    "two grades": (
        {"test": QRELS + "q1\td1\t2\n"},
        "qrels/test.tsv:5: query 'q1' and document 'd1' have grade 1 above and 2 here",
    ),
    "empty split": (
        {"dev": ""},
        "qrels/dev.tsv: expected at least one query with a grade above 0, got none",
    ),
    "header alone": (
        {"dev": "query-id\tcorpus-id\tscore\n"},
        "qrels/dev.tsv: expected at least one query with a grade above 0",
    ),
    "nothing relevant": (
        {"dev": "q1\td1\t0\n"},
        "qrels/dev.tsv: expected at least one query with a grade above 0",
    ),
}


@pytest.mark.parametrize("change, message", BROKEN.values(), ids=BROKEN.keys())
def test_broken_input_is_refused_in_one_line(tmp_path, change, message):
    folder = layout(tmp_path / "broken", **change)
    with pytest.raises(records.DataError) as caught:
        files.read_beir(folder)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "header",
    (
        "query-id\tcorpus-id\tscore",
        "qid\tpid\trel",
        "Query ID\tDoc_ID\trelevance",
        "topic\tx\tgrade",
    ),
)
def test_common_headers_of_qrels_are_recognised(tmp_path, header):
    folder = layout(tmp_path / "headed", test=f"{header}\nq1\td1\t1\n")
    assert files.read_beir(folder).qrels["test"].grades == {"q1": {"d1": 1}}


def test_few_qrels_of_missing_documents_are_kept_and_reported(tmp_path):
    """BEIR's archives have a few; many of them mean another corpus and raise an error."""
    queries = "".join(f'{{"_id":"q{n}","text":"query {n}"}}\n' for n in range(200))
    judged = "".join(f"q{n}\td{n % 2 + 1}\t1\n" for n in range(199))
    folder = layout(tmp_path / "few", queries=queries, test=judged + "q199\td9\t1\n")
    found = files.read_beir(folder)
    assert found.qrels["test"].grades["q199"] == {"d9": 1}
    assert found.notes == (
        "qrels/test.tsv: 1 judgements name documents that are not in corpus.jsonl (d9); they count "
        "as not found",
    )
    assert len(found.split("test")[0]) == 200
    kept = found.without("dev").qrels["test"].grades  # grades for training
    assert len(kept) == 199 and all("d9" not in grades for grades in kept.values())
    folder = layout(
        tmp_path / "many", queries=queries, test=judged + "q199\td9\t1\nq0\td8\t1\nq1\td8\t1\n"
    )
    with pytest.raises(records.DataError, match=r"test.tsv:200: document 'd9' .* \(3 of 202 lines"):
        files.read_beir(folder)
    assert len(files.read_beir(folder, may_miss=1.0).split("test")[0]) == 200


def test_every_truncation_of_a_gzip_file_is_refused(tmp_path):
    whole = gzip.compress(CORPUS.encode() * 1)
    for length in range(1, len(whole), 7):
        folder = layout(tmp_path / str(length), corpus=None, queries=None, test=None)
        (folder / "corpus.jsonl.gz").write_bytes(whole[:length])
        with pytest.raises(records.DataError, match="gzip"):
            files.read_beir(folder)


def test_two_files_for_the_same_table_are_refused(tmp_path):
    folder = layout(tmp_path / "double")
    (folder / "qrels" / "test.tsv.gz").write_bytes(gzip.compress(QRELS.encode()))
    with pytest.raises(records.DataError, match="both test.tsv and test.tsv.gz"):
        files.read_beir(folder)
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(CORPUS.encode()))
    with pytest.raises(records.DataError, match="both corpus.jsonl and corpus.jsonl.gz"):
        files.read_beir(folder)


def test_a_missing_folder_and_a_file_in_its_place_have_different_errors(tmp_path):
    with pytest.raises(records.DataError, match="found nothing"):
        files.read_beir(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(records.DataError, match="got a file"):
        files.read_beir(tmp_path / "file")


def test_empty_documents_can_be_dropped_with_their_judgements(tmp_path):
    folder = layout(
        tmp_path / "drop",
        corpus=CORPUS + '{"_id":"d3","text":""}\n',
        test=QRELS + "q1\td3\t1\n",
        dev="q1\td3\t1\nq2\td1\t1\n",
    )
    collection = files.read_beir(folder, empty="drop")
    assert collection.corpus.ids == ("d1", "d2")
    assert collection.qrels["test"].grades["q1"] == {"d1": 1}
    assert list(collection.qrels["dev"].grades) == ["q2"]


def test_cranfield_is_refused_for_its_empty_documents_and_read_without_them(shared):
    with pytest.raises(records.DataError, match="document '471' with neither"):
        files.read_beir(shared / "data/search/cranfield")
    collection = files.read_beir(shared / "data/search/cranfield", empty="drop")
    assert len(collection.corpus) == 1398
    assert len(collection.qrels["test"]) == 225


# Any UTF-8 text; ids without characters that tab-separated lines cannot hold.
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
IDS = st.lists(
    TEXT.map(lambda text: "x" + text.replace("\t", "").replace("\n", "").replace("\r", "") + "y"),
    min_size=1,
    max_size=4,
    unique=True,
)


@hypothesis.given(IDS, IDS, st.data())
@hypothesis.settings(max_examples=40)
def test_a_collection_survives_writing_and_reading(document_ids, query_ids, data):
    corpus = records.Corpus(
        tuple(document_ids),
        tuple(data.draw(TEXT) for _ in document_ids),
        tuple(data.draw(TEXT) + "." for _ in document_ids),
    )
    queries = records.Queries(tuple(query_ids), tuple("?" + data.draw(TEXT) for _ in query_ids))
    judged = st.dictionaries(st.sampled_from(document_ids), st.integers(-2, 3), max_size=3)
    grades = {query: data.draw(judged) for query in query_ids}
    grades = {query: some for query, some in grades.items() if some} | {
        query_ids[0]: {document_ids[0]: 1}
    }
    original = records.Collection("out", corpus, queries, {"test": records.Qrels(grades)})
    with tempfile.TemporaryDirectory() as place:
        files.write_beir(original, pathlib.Path(place) / "out")
        found = files.read_beir(pathlib.Path(place) / "out")
        assert os.listdir(place) == ["out"]
    assert found == original


def test_collections_that_would_not_round_trip_are_not_written(tmp_path):
    def collection(name="d", text="t", queries=((), ()), qrels=None):
        return records.Collection(
            "c", records.Corpus((name,), ("",), (text,)), records.Queries(*queries), qrels or {}
        )

    with pytest.raises(records.DataError, match="cannot write the id 'a\\\\tb'"):
        files.write_beir(collection(name="a\tb"), tmp_path / "out")
    with pytest.raises(records.DataError, match="half a character"):
        files.write_beir(collection(text="\ud800"), tmp_path / "out")
    with pytest.raises(records.DataError, match="queries without judgements"):
        files.write_beir(collection(queries=(("q",), ("t",))), tmp_path / "out")
    assert os.listdir(tmp_path) == []
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept").write_text("")
    with pytest.raises(records.DataError, match="found kept in it"):
        files.write_beir(collection(), tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["kept"]


def test_read_queries_reads_a_file_by_itself(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text(QUERIES)
    assert files.read_queries(path).texts == ("what is first", "what is second")
    path.write_text(json.dumps({"_id": "q"}))
    with pytest.raises(records.DataError, match='mine.jsonl:1: expected the key "text"'):
        files.read_queries(path)
    with pytest.raises(records.DataError, match="found nothing"):
        files.read_queries(tmp_path / "absent.jsonl")


def ranking(documents, scores):
    documents = np.array(documents, np.int32)
    return records.Ranking(("q1", "q2"), ("a", "b", "c"), documents, np.array(scores, np.float32))


def test_a_run_is_written_in_trec_form_and_read_back(tmp_path):
    original = ranking([[2, 0], [1, -1]], [[0.75, 0.5], [-3.0, -np.inf]])
    trec.write(original, tmp_path / "run.trec", "zoo")
    assert (
        tmp_path / "run.trec"
    ).read_text() == "q1 Q0 c 1 0.75 zoo\nq1 Q0 a 2 0.5 zoo\nq2 Q0 b 1 -3 zoo\n"
    found = trec.read(tmp_path / "run.trec", original.corpus_ids)
    np.testing.assert_array_equal(found.documents, original.documents)
    np.testing.assert_array_equal(found.scores, original.scores)


def test_ties_are_written_as_strictly_falling_32_bit_scores(tmp_path):
    trec.write(
        ranking([[2, 0, 1], [0, 1, 2]], [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]),
        tmp_path / "run.trec",
        "zoo",
    )
    lines = [line.split() for line in (tmp_path / "run.trec").read_text().splitlines()]
    scores = np.array([line[4] for line in lines], np.float32).reshape(2, 3)
    assert (np.diff(scores) < 0).all()
    # three steps of a 32-bit float at 1
    np.testing.assert_allclose(scores, [[1, 1, 1], [0, 0, 0]], atol=3e-7)
    found = trec.read(tmp_path / "run.trec", ("a", "b", "c"))
    np.testing.assert_array_equal(found.documents, [[2, 0, 1], [0, 1, 2]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q1 Q0 a 1 0.5\n", "run.trec:1: expected `query Q0 document rank score tag`"),
        ("q1 Q0 a 1 high t\n", "run.trec:1: expected `query Q0 document rank score tag`"),
        ("q1 Q0 z 1 0.5 t\n", "run.trec:1: document 'z' is not in the corpus"),
        (
            "q1 Q0 a 1 0.5 t\nq1 Q0 a 2 0.4 t\n",
            "run.trec:2: document 'a' is ranked twice for query 'q1'",
        ),
        ("q1 Q0 a 1 nan t\n", "run.trec:1: expected a finite score"),
        ("", "run.trec: expected at least one line"),
    ],
)
def test_broken_runs_are_refused(tmp_path, text, message):
    (tmp_path / "run.trec").write_text(text)
    with pytest.raises(records.DataError) as caught:
        trec.read(tmp_path / "run.trec", ("a", "b"))
    assert message in str(caught.value)


def test_runs_that_other_tools_would_misread_are_not_written(tmp_path):
    good = ranking([[0], [1]], [[1.0], [1.0]])
    with pytest.raises(records.DataError, match="'my tag'"):
        trec.write(good, tmp_path / "run.trec", "my tag")
    with pytest.raises(records.DataError, match="finite score, got nan"):
        trec.write(ranking([[0], [1]], [[np.nan], [1.0]]), tmp_path / "run.trec", "zoo")
    assert os.listdir(tmp_path) == []
