"""The law of a fitted system, and its losses when the corpus is cut."""

import numpy as np
import pytest
from scipy import special

import zoo
from theory import cuts, enumeration, fitted as fits, worlds
from zoo.api import answer
from zoo.data import toy

QUERIES = ["a lock for threads", "rivers of the north"]


@pytest.fixture(scope="module")
def system(fitted):
    return fits.open(fitted)


def test_the_law_is_that_of_the_exact_decoder(fitted, system):
    log, mass = fits.log_relevance(system, fits.sources(system, QUERIES))
    np.testing.assert_allclose(np.exp(log).sum(1), 1, rtol=1e-12)
    model = answer.with_options(zoo.load(fitted), {"decoding": "max-marginal", "beam": 60})
    found = zoo.open(model)(QUERIES, 60)  # every document with its log-probability
    scores = np.take_along_axis(found.scores, np.argsort(found.documents, axis=1), axis=1)
    np.testing.assert_allclose(log, special.log_softmax(scores.astype(float), axis=1), atol=1e-4)
    np.testing.assert_allclose(mass, np.exp(scores.astype(float)).sum(1), rtol=1e-4)


def test_the_masked_law_of_a_cut_corpus_is_that_of_the_tree(system):
    """The trie search on the new corpus against products of node masses of the whole one."""
    source = fits.sources(system, QUERIES[:1])
    log, mass = fits.log_relevance(system, source)
    kept = cuts.draw(60, 0.5, 1, seed=1)
    measured = np.exp(fits.kept_law(system, source, kept[0], "renormalised")[0])
    np.testing.assert_allclose(measured[kept[0]].sum(), 1, rtol=1e-5)
    assert not measured[~kept[0]].any()
    tree, order = fits.trees(system, log)[0], system.ids.order
    path = np.ones((1, 1))
    for parent, (law, _) in zip(tree.parents, enumeration.laws_of_corpora(tree, kept[:, order])):
        path = path[:, parent] * law
    # equal up to the mass on identifiers that do not exist, which differs between branches
    wrong = np.exp(log[0, order]) * kept[0, order]  # look-ahead
    assert (
        np.abs(path[0] - measured[order]).max()
        < 0.5 * np.abs(wrong / wrong.sum() - measured[order]).max() + 1e-3
    )


def test_a_beam_as_wide_as_the_corpus_finds_the_most_probable_leaf():
    tree = worlds.full(3, 3, worlds.dirichlet(3, 3, concentration=0.5, seed=2))
    corpora = cuts.draw(27, 0.4, 50, seed=3)
    path = np.ones((50, 1))
    for parent, (law, _) in zip(tree.parents, enumeration.laws_of_corpora(tree, corpora)):
        path = path[:, parent] * law
    found = cuts.answers(tree, corpora, "masked", width=27)
    np.testing.assert_array_equal(found[:, 0], path.argmax(1))
    best = (corpora * tree.relevance).argmax(1)
    assert cuts.losses(tree, corpora).flips == np.mean(path.argmax(1) != best) > 0


def test_look_ahead_finds_what_a_decoy_hides():
    """Two branches: .5 + .1 against .3 + .1; without the .5 masking still enters the first."""
    tree = worlds.full(2, 2, np.array([0.5, 0.1, 0.3, 0.1]))
    corpus = np.array([[False, True, True, True]])
    assert cuts.answers(tree, corpus, "masked", width=1).tolist() == [[1]]
    assert cuts.answers(tree, corpus, "exact", width=1).tolist() == [[2]]
    assert cuts.top1(tree, corpus, width=1) == {"masked": 0, "counted": 1, "exact": 1}


def test_a_system_without_identifiers_is_refused():
    with pytest.raises(ValueError, match="generates no identifiers"):
        fits.open(zoo.fit("bm25", toy.build(20), size="tiny", quiet=True))
