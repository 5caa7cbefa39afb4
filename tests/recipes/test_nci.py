"""NCI: identifiers, pieces of documents, two dropout passes, and the length penalty."""

import dataclasses

import jax
import numpy as np
import pytest

import zoo
from zoo.data import toy
from zoo.docids import table
from zoo.models import corpus_text, encoder_decoder
from zoo.nets import network
from zoo.recipes import nci
from zoo.text import tokens


def test_a_document_alone_in_its_leaf_has_no_leaf_digit():
    ids = table.build(
        np.array([[1, 1, 0], [1, 2, 0], [2, 1, 0], [3, 1, 1], [3, 1, 2], [3, 2, 1]]), 4
    )
    expected = [[1, 1, 0], [1, 2, 0], [2, 0, 0], [3, 1, 1], [3, 1, 2], [3, 2, 0]]
    np.testing.assert_array_equal(nci.without_lone_leaves(ids).tokens, expected)
    alone = table.build(np.array([[1]]), 2)
    # an identifier keeps at least one token
    np.testing.assert_array_equal(nci.without_lone_leaves(alone).tokens, [[1]])


def test_pieces_are_prefixes_and_spans_of_documents():
    contents = ["a b", " ".join(f"w{n}" for n in range(40))]
    tokenizer = tokens.train(contents, size=400)
    texts = corpus_text.Texts(contents, [], [], [], [], tokenizer, {})
    words, rows = nci.pieces(texts, length=6, number=5, seed=0)
    np.testing.assert_array_equal(rows, [0, 1, 1, 1, 1, 1, 1])
    whole = tokens.whole(tokenizer, contents)
    np.testing.assert_array_equal(words[:2], tokens.encode(tokenizer, contents, length=6))
    runs = {tuple(whole[1][first : first + 6]) for first in range(len(whole[1]) - 5)}
    assert set(map(tuple, words[2:])) <= runs and len(set(map(tuple, words))) > 3
    np.testing.assert_array_equal(nci.pieces(texts, length=6, number=0, seed=0)[0], words[:2])


@pytest.fixture(scope="module")
def fitted():
    options = {
        "steps": 2,
        "batch": 8,
        "branching": 3,
        "leaf_size": 2,
        "decoder_hidden": 16,
        "width": 16,
        "beam": 40,
    }
    return zoo.fit("nci", toy.build(40), size="tiny", options=options, quiet=True)


def test_two_passes_cost_their_divergence(fitted):
    """Without dropout the loss is the likelihood; dropout adds alpha x the logged divergence."""
    config = dataclasses.replace(fitted.config, word_dropout=0.0, dropout=0.0, consistency=0.5)
    net = network.of(fitted.state)
    batch = {
        "source": np.array([[3, 4, 5, 0], [6, 7, 0, 0]], np.int32),
        "target": np.asarray(fitted.state["docids"]["tokens"])[:2],
    }
    key = jax.random.key(3)
    value, metrics = nci.consistent(net, config)(fitted.state["params"], batch, key)
    plain, _ = encoder_decoder.likelihood(net, smoothing=0.0, word_dropout=0.0)(
        fitted.state["params"], batch, key
    )
    np.testing.assert_allclose(value, plain, rtol=1e-5)
    assert abs(float(metrics["divergence"])) < 1e-6
    hiding = dataclasses.replace(config, word_dropout=0.5)
    once = dataclasses.replace(hiding, consistency=1e-9)
    (with_it, metrics), (without, _) = (
        nci.consistent(net, c)(fitted.state["params"], batch, key) for c in (hiding, once)
    )
    assert metrics["divergence"] > 1e-6
    # a difference of float32
    np.testing.assert_allclose(with_it - without, 0.5 * metrics["divergence"], rtol=1e-3, atol=1e-6)


def test_the_length_penalty_divides_scores_and_orders_by_them(fitted):
    lengths = np.count_nonzero(fitted.state["docids"]["tokens"], axis=1)
    assert len(set(lengths)) > 1
    queries = toy.build(40).split("dev")[0].take(range(3))
    plain, penalised = (
        zoo.retrieve(
            dataclasses.replace(
                fitted, config=dataclasses.replace(fitted.config, length_penalty=power)
            ),
            queries,
            40,
        )
        for power in (0.0, 0.8)
    )
    assert (plain.documents >= 0).all() and (np.sort(penalised.documents) == np.arange(40)).all()
    for row in range(3):
        by_document = dict(zip(plain.documents[row], plain.scores[row]))
        expected = [
            by_document[document] / (lengths[document] + 1) ** 0.8
            for document in penalised.documents[row]
        ]
        np.testing.assert_allclose(penalised.scores[row], expected, rtol=1e-5)
        assert (np.diff(penalised.scores[row]) <= 0).all()
    assert (plain.documents != penalised.documents).any()  # control


def test_words_are_masked_at_their_declared_rate():
    source = np.array([[5] * 1000 + [0] * 24] * 20, np.int32)
    hidden = np.asarray(encoder_decoder.drop_words(source, jax.random.key(0), 0.4))
    assert set(np.unique(hidden[:, :1000])) == {1, 5} and (hidden[:, 1000:] == 0).all()
    # five standard deviations
    assert abs((hidden[:, :1000] == 1).mean() - 0.4) < 5 * np.sqrt(0.24 / 20_000)
    np.testing.assert_array_equal(
        encoder_decoder.drop_words(source, jax.random.key(0), 0.0), source
    )
