"""GENRE: equal titles, documents without a title, the shared table, and the length penalty."""

import dataclasses

import numpy as np
import pytest
from contract import quick

import zoo
from zoo import records
from zoo.data import toy
from zoo.nets import network


@pytest.fixture(scope="module")
def collection():
    """Documents 0 and 1 have the same title, document 2 has none."""
    found = toy.build(60)
    titles = (found.corpus.titles[0], *found.corpus.titles[:1], "", *found.corpus.titles[3:])
    return dataclasses.replace(found, corpus=dataclasses.replace(found.corpus, titles=titles))


@pytest.fixture(scope="module")
def fitted(collection):
    return quick("genre", collection)


def test_equal_titles_are_told_apart_or_refused(collection, fitted):
    named = np.asarray(fitted.state["docids"]["tokens"])
    one, other = (row[row > 0] for row in named[:2])
    assert len(one) == len(other) and (one[:-1] == other[:-1]).all() and one[-1] + 1 == other[-1]
    with pytest.raises(records.DataError, match="rows 0 and 1 are both"):
        quick("genre", collection, duplicates="refuse")


def test_a_document_without_a_title_is_called_by_the_beginning_of_its_text(collection, fitted):
    """The identifier is as long as allowed: the text is longer than a title."""
    named = np.asarray(fitted.state["docids"]["tokens"])
    assert (named[2] > 0).sum() == named.shape[1] > (named[0] > 0).sum()


def test_one_more_equal_title_widens_the_shared_table(collection, fitted):
    new = records.Corpus(("new",), collection.corpus.titles[:1], ("gedago",))
    grown = zoo.add(fitted, new)
    before, after = (network.of(system.state).spec for system in (fitted, grown))
    assert after.shared and after.source_vocab == after.target_vocab == before.target_vocab + 1
    table = grown.state["params"]["params"]["source_embedding"]["embedding"]
    assert table.shape[0] == after.source_vocab
    last = [row[row > 0][-1] for row in np.asarray(grown.state["docids"]["tokens"])[[0, 1, -1]]]
    assert len(set(map(int, last))) == 3
    assert len(zoo.retrieve(grown, "gedago", 61).answers(0)) == 61


def test_the_length_penalty_divides_by_a_power_of_the_length(collection, fitted):
    query = collection.queries.texts[0]
    plain = zoo.retrieve(fitted, query, 60)
    fair = zoo.retrieve(zoo.with_options(fitted, {"length_penalty": 1.0}), query, 60)
    named = np.asarray(fitted.state["docids"]["tokens"])
    lengths = dict(zip(fitted.documents.ids, (named > 0).sum(axis=1)))
    scores = dict(plain.answers(0))
    for document, score in fair.answers(0):
        assert score == pytest.approx(scores[document] / (lengths[document] + 1), rel=1e-5)
