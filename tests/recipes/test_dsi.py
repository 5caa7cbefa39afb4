"""DSI: kinds of identifiers, every decoder, and collections with little training data."""

import dataclasses

import numpy as np
import pytest
from contract import check_ranking, quick

import zoo
from zoo import recipes, records
from zoo.data import toy


@pytest.fixture(scope="module")
def collection():
    return toy.build(200)


@pytest.fixture(scope="module")
def hurried(collection):
    return quick("dsi", collection)


@pytest.mark.parametrize(
    "options",
    (
        {"identifiers": "roman"},
        {"vectors": "bert"},
        {"decoding": "greedy"},
        {"dtype": "int8"},
        {"decay": "sudden"},
        {"batch": 0},
        {"beam": -1},
        {"width": -1},
        {"word_dropout": 1.0},
        {"rate": -1.0},
        {"document_length": 1},
        {"branching": 1},
    ),
)
def test_dsi_refuses_meaningless_values(options):
    (option,) = options
    with pytest.raises(records.DataError, match=f"dsi: option {option} expects"):
        recipes.configure(recipes.get("dsi"), "tiny", options)


def test_dsi_without_training_data_is_refused(collection):
    alone = dataclasses.replace(collection, queries=records.Queries((), ()), qrels={})
    with pytest.raises(records.DataError, match="nothing to learn from"):
        quick("dsi", alone, generated=0, index_ratio=0.0)


@pytest.fixture(scope="module")
def atomic(collection):
    return quick("dsi", collection, identifiers="atomic")


def test_dsi_answers_with_each_kind_of_identifier(collection, hurried, atomic):
    queries, _ = collection.split("dev")
    kinds = {
        "semantic": hurried,
        "atomic": atomic,
        "naive": quick("dsi", collection, identifiers="naive"),
    }
    for identifiers, fitted in kinds.items():
        assert fitted.name == f"dsi-{identifiers}"
        named = np.asarray(fitted.state["docids"]["tokens"])
        assert len(named) == 200 and (named.shape[1] == 1) == (identifiers == "atomic")
        check_ranking(zoo.retrieve(fitted, queries, 10), queries, collection.corpus, 10)


def test_free_decoding_counts_invalid_identifiers(collection, hurried):
    """So little training generates mostly invalid identifiers; the trie allows none of them."""
    fitted = hurried
    free = dataclasses.replace(fitted, config=dataclasses.replace(fitted.config, decoding="free"))
    queries, _ = collection.split("dev")
    found = zoo.retrieve(free, queries, 10)
    check_ranking(found, queries, collection.corpus, 10)
    assert 0 < found.invalid_share <= 1
    assert zoo.retrieve(fitted, queries, 10).invalid_share == 0


def test_free_decoding_with_all_beams_finds_the_trie_s_answers(collection, atomic):
    """Atomic identifiers, a beam as wide as the alphabet: the constraint only removes PAD."""
    fitted, free = (
        dataclasses.replace(
            atomic, config=dataclasses.replace(atomic.config, beam=201, decoding=decoding)
        )
        for decoding in ("trie", "free")
    )
    queries, _ = collection.split("dev")
    one, other = zoo.retrieve(fitted, queries, 200), zoo.retrieve(free, queries, 200)
    np.testing.assert_array_equal(one.documents, other.documents)
    np.testing.assert_array_equal(one.scores, other.scores)
    assert other.invalid_share == pytest.approx(1 / 201)  # only PAD is invalid


def decoded(fitted, decoding, queries, k):
    """(ranking, probabilities of its answers) of another decoder."""
    other = dataclasses.replace(
        fitted, config=dataclasses.replace(fitted.config, decoding=decoding)
    )
    ranking = zoo.retrieve(other, queries, k)
    check_ranking(ranking, queries, fitted.documents, k)
    return ranking, np.exp(ranking.scores)


def test_every_decoder_answers_by_name(collection, hurried):
    """Exact decoders agree; renormalising decoders move all mass to documents.

    Seconds: four programs compile.
    """
    queries, _ = collection.split("dev")
    asked = records.Queries(queries.ids[:5], queries.texts[:5])
    one, other = (
        decoded(hurried, decoding, asked, 5)[0] for decoding in ("best-first", "max-marginal")
    )
    assert one.proven_share == other.proven_share == 1 and one.invalid_share == 0
    np.testing.assert_array_equal(one.documents, other.documents)
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5)
    for decoding in ("counted", "lookahead"):
        ranking, probability = decoded(hurried, decoding, asked, 200)
        np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-4)  # of 200 float32 numbers
        assert ranking.proven_share == ranking.invalid_share == 0


def test_renormalising_moves_all_mass_to_documents(collection, hurried):
    """Probabilities of all 200 documents sum to 1 only if every step renormalises."""
    fitted = hurried
    renormalised = dataclasses.replace(
        fitted, config=dataclasses.replace(fitted.config, decoding="renormalised")
    )
    queries, _ = collection.split("dev")
    asked = records.Queries(queries.ids[:5], queries.texts[:5])
    after, before = zoo.retrieve(renormalised, asked, 200), zoo.retrieve(fitted, asked, 200)
    check_ranking(after, asked, collection.corpus, 200)
    assert (after.documents >= 0).all()
    # of 200 float32 numbers
    np.testing.assert_allclose(np.exp(after.scores).sum(axis=1), 1, rtol=1e-4)
    assert (np.exp(before.scores).sum(axis=1) < 0.99).all()


def test_dsi_learns_documents_without_any_query(collection):
    alone = records.Collection(
        "alone", dataclasses.replace(collection.corpus), records.Queries((), ()), {}
    )
    check_ranking(
        zoo.retrieve(quick("dsi", alone), "bab", 3), records.Queries.of("bab"), alone.corpus, 3
    )


def test_dsi_with_a_single_document_answers_with_it():
    ranking = zoo.retrieve(quick("dsi", toy.build(1)), "anything", 3)
    np.testing.assert_array_equal(ranking.documents, [[0]])
