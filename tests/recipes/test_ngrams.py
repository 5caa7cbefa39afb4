"""SEAL: training targets, the index of a state, candidates and evidence."""

import numpy as np
import pytest
from contract import quick

import zoo
from zoo import records
from zoo.cli import main
from zoo.data import toy
from zoo.models import key_search, ngram_corpus, spans
from zoo.text import tokens


@pytest.fixture(scope="module")
def collection():
    return toy.build(200)


@pytest.fixture(scope="module")
def seal(collection):
    return quick("seal", collection)


@pytest.fixture(scope="module")
def tokenizer():
    return tokens.train(["numpy array shapes", "the array of numbers"] * 9, size=200)


def test_similar_words_share_letters(tokenizer):
    likeness = spans.similar(tokenizer).toarray()
    name = lambda word: int(tokens.encode(tokenizer, [word], length=1)[0, 0])
    array, number, shapes = name("array"), name("numbers"), name("shapes")
    assert likeness[array, array] == 1 and likeness[array, shapes] == 0
    np.testing.assert_array_equal(likeness, likeness.T)
    assert likeness[number, number] == 1


def test_spans_are_drawn_in_proportion_to_the_exponential_of_their_similarity():
    import scipy.sparse

    likeness = scipy.sparse.identity(9, format="csr", dtype=np.float32)
    document, query = np.array([1, 2, 3, 4, 5]), np.array([3, 4])
    drawn = spans.draw(
        [query], [document], likeness, count=20_000, length=2, temperature=1.0, seed=0
    )[0]
    share = [(drawn == document[i : i + 2]).all(axis=1).mean() for i in range(4)]
    expected = np.exp([0, 1, 2, 1]) / np.exp([0, 1, 2, 1]).sum()
    np.testing.assert_allclose(share, expected, atol=4 * 0.5 / 20_000**0.5)  # four deviations
    (short,) = spans.draw(
        [query], [document[:1]], likeness, count=2, length=3, temperature=1.0, seed=0
    )
    assert short.tolist() == [[1, 0, 0]] * 2


def test_the_index_of_a_state_holds_every_part_of_a_document(collection, seal):
    tokenizer = seal.state["tokenizer"]
    marks = ngram_corpus.marks(tokenizer)
    rows = seal.state["text"]
    first = rows["tokens"][: rows["starts"][1]]
    assert first[0] == marks.title and (first == marks.text).sum() == 1
    indexed = ngram_corpus.index(seal.state, alphabet=tokens.count(tokenizer))
    node = np.asarray(indexed.index.find(first[None, :2].astype(np.int32)))
    key, document, place = indexed.occurrences(node.astype(np.int64), np.array([2]))
    expected = [
        (row, int(start))
        for row, start in enumerate(rows["starts"][:-1])
        if (rows["tokens"][start : start + 2] == first[:2]).all()
    ]
    assert sorted(zip(document.tolist(), place.tolist())) == expected and not key.any()
    single = indexed.heads[first[1]], indexed.heads[first[1] + 1]
    assert single == tuple(np.asarray(indexed.index.find(first[None, 1:2].astype(np.int32)))[0])


def test_few_candidates_find_the_same_best_documents(collection, seal):
    """The first stage keeps the documents that the second scores best, toy words being rare."""
    queries, _ = collection.split("train")
    asked = queries.take(range(8))
    few = zoo.with_options(seal, {"candidates": 20})
    one, other = (zoo.retrieve(system, asked, 1) for system in (seal, few))
    assert (one.documents == other.documents).mean() >= 0.75
    some = next(few.opened.totals(asked))
    assert len(some.documents) <= 20 and (np.diff(some.documents) > 0).all()


def test_evidence_adds_up_to_the_score_and_lies_where_it_says(collection, seal):
    queries, _ = collection.split("train")
    ranking = zoo.retrieve(seal, queries.texts[:1], 3)
    found = zoo.explain(seal, queries.texts[0], 3)
    assert [each.document for each in found] == [name for name, _ in ranking.answers(0)]
    for each, score in zip(found, ranking.scores[0]):
        assert each.score == pytest.approx(score, rel=1e-5) and each.evidence
        assert {one.part for one in each.evidence} <= {"title", "text"}
        values = [one.value for one in each.evidence]
        assert values == sorted(values, reverse=True) and values[-1] >= 0


def test_explain_prints_ngrams_and_refuses_other_systems(collection, seal, tmp_path, capsys):
    zoo.save(seal, tmp_path / "seal")
    query = collection.queries.texts[0]
    assert main.main(["explain", str(tmp_path / "seal"), "--query", query, "-k", "1"]) in (0, None)
    out = capsys.readouterr().out
    assert "in its" in out and "token" in out
    with pytest.raises(records.DataError, match="bm25 does not score documents by n-grams"):
        zoo.explain(zoo.fit("bm25", collection, quiet=True), query)


def test_ngrams_of_queries_hold_two_tokens_or_more_and_no_marker():
    rows = np.array([[5, 6, 7, 8], [5, 9, 0, 0]])
    one, other = key_search.query_ngrams(rows, 3, without=(8,)).tolist()
    assert [row for row in one if any(row)] == [[5, 6, 0], [6, 7, 0], [5, 6, 7]]
    assert [row for row in other if any(row)] == [[5, 9, 0]]
    assert not key_search.query_ngrams(rows, 0).any()
