"""Runs hold arbitrary ids; ids with blanks need JSON lines."""

import numpy as np
import pytest

from zoo import records
from zoo.data import trec

IDS = ("Paris (city)", "a,b", "東京\u3000都", "x\u00a0y\u2028z")


def ranking(ids):
    documents = np.array([[2, 0], [1, -1]], np.int32)
    scores = np.array([[0.75, 0.75], [-3.0, -np.inf]], np.float32)
    return records.Ranking(("q 1", "q2") if " " in ids[0] else ("q1", "q2"), ids, documents, scores)


def test_ids_with_blanks_go_into_json_lines(tmp_path):
    original = ranking(IDS)
    trec.write(original, tmp_path / "run.jsonl", "my tag")
    found = trec.read(tmp_path / "run.jsonl", IDS)
    assert found.query_ids == original.query_ids
    np.testing.assert_array_equal(found.documents, original.documents)
    assert found.scores[0, 0] > found.scores[0, 1]  # ties become strictly falling for TREC's tools
    with pytest.raises(records.DataError, match="cannot hold 'Paris .city.'.* ends in .jsonl"):
        trec.refuse_ids(tmp_path / "run.trec", "zoo", ("q",), IDS)
    with pytest.raises(records.DataError, match="cannot hold 'my tag'"):
        trec.write(original, tmp_path / "run.trec", "my tag")


def test_blanks_outside_ascii_are_letters_to_trec(tmp_path):
    ids = IDS[1:] + ("d",)
    original = ranking(ids)
    trec.write(original, tmp_path / "run.trec", "zoo")
    np.testing.assert_array_equal(
        trec.read(tmp_path / "run.trec", ids).documents, original.documents
    )


@pytest.mark.parametrize(
    ("line", "message"),
    (
        ("[]", "run.jsonl:1: expected a JSON object"),
        ("{}", 'run.jsonl:1: expected a word or a whole number in "query"'),
        ('{"query": "q", "document": "d", "rank": "1", "score": 1}', 'whole number in "rank"'),
        ('{"query": "q", "document": "d", "rank": 1, "score": true}', 'whole number in "rank"'),
        ('{"query": "q", "document": "d", "rank": 1, "score": 1e999}', "expected a finite score"),
        ('{"query": "q", "document": "d", "rank": 1, "score": NaN}', "expected a finite score"),
        ('{"query": "q", "document": "x", "rank": 1, "score": 1}', "document 'x' is not in"),
    ),
)
def test_broken_json_runs_are_refused(tmp_path, line, message):
    (tmp_path / "run.jsonl").write_text(line + "\n")
    with pytest.raises(records.DataError, match=message):
        trec.read(tmp_path / "run.jsonl", ("d",))
