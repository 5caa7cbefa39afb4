"""Collections whose queries are documents, and qrels of missing documents."""

import pytest

import zoo
from zoo import records

CORPUS = records.Corpus(
    ("a1", "a2", "c"),
    ("", "", ""),
    (
        "uniforms cost families money and help nobody learn",
        "uniforms save families money over years",
        "ideas",
    ),
)


def collection(*queries, **grades):
    return records.Collection(
        "own",
        CORPUS,
        records.Queries(*map(tuple, zip(*queries))),
        {"test": records.Qrels({query: judged for query, judged in grades.items()})},
    )


@pytest.fixture(scope="module")
def fitted():
    return zoo.fit("bm25", collection(("q", "ideas"), q={"c": 1}), quiet=True)


def test_a_query_that_is_a_document_does_not_retrieve_itself(fitted):
    """By hand: the counter-argument ranks second, 1 / log2(3), and first without the query."""
    asked = collection(("a1", CORPUS.texts[0]), a1={"a2": 1})
    measured = {
        choice: zoo.evaluate(fitted, asked, leave_out_self=choice) for choice in (None, True, False)
    }
    assert [one.measures["nDCG@10"] for one in measured.values()] == pytest.approx([1, 1, 0.63093])
    assert [one.self_left_out for one in measured.values()] == [True, True, False]
    assert measured[None].ranking.answers(0)[0][0] == "a2"
    assert measured[None].ranking.documents.shape == (1, len(CORPUS))


def test_equal_ids_of_other_texts_are_answers(fitted):
    asked = collection(("a1", "what do families pay"), a1={"a1": 1})
    result = zoo.evaluate(fitted, asked)
    assert not result.self_left_out and result.measures["R@100"] == 1
    assert zoo.evaluate(fitted, asked, leave_out_self=True).measures["R@100"] == 0


def test_qrels_of_missing_documents_count_as_not_found(fitted, tmp_path):
    """By hand: one of two relevant documents exists and ranks first: recall 1/2."""
    asked = collection(("q", "ideas"), ("r", "years"), q={"c": 1, "gone": 1}, r={"lost": 1})
    result = zoo.evaluate(fitted, asked)
    assert result.measures["R@100"] == pytest.approx((1 / 2 + 0) / 2)
    zoo.save(zoo.fit("bm25", asked, quiet=True), tmp_path / "run")
    page = zoo.write_report(tmp_path / "run", asked, split="test", quiet=True)
    assert "gone (not in the corpus)" in page.read_text()
