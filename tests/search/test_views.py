"""Partial hypotheses of views against the beam search and against lists of n-grams."""

import jax
import jax.numpy as jnp
import numpy as np

from zoo.index import fm, ngrams
from zoo.search import beam, views

ALPHABET, WIDTH, LENGTH = 7, 4, 3
OPEN, CLOSE = 5, 6
CORPUS = [[OPEN, 1, 2, CLOSE, 3, 1, 2], [OPEN, 2, CLOSE, 1, 2, 3, 1], [OPEN, 1, 2, 3, CLOSE, 4]]


def searched(opening, closing, width=WIDTH, length=LENGTH):
    """(tokens, scores) of two queries with random tables of logits by position and last token."""
    index = fm.build(*ngrams.join(CORPUS), alphabet=ALPHABET)
    table = jax.random.normal(jax.random.key(0), (2, length, ALPHABET, ALPHABET))

    def step(t, token, cache):
        return jnp.stack([table[b, t][token[b]] for b in range(2)]), cache

    both = lambda token: jnp.full(2, token, jnp.int32)
    view = views.View(index, both(opening), both(closing), jnp.array([OPEN, CLOSE]))
    cache = {"none": jnp.zeros((2, 1, 1))}
    found = views.partial_hypotheses(step, cache, view, width=width, length=length)
    prefixes = beam.beam_prefixes(step, cache, index, width=width, length=length, score="model")
    return *map(np.asarray, found), prefixes, step, cache


def alive(tokens, scores):
    return {
        tuple(int(t) for t in row if t): float(score)
        for row, score in zip(tokens, scores)
        if score > -np.inf
    }


def test_without_markers_in_reach_they_are_the_prefixes_of_the_beam_search():
    """No token is a marker here: the markers of `View` are moved out of the alphabet."""
    *_, prefixes, step, cache = searched(views.NONE, views.NONE)
    index = fm.build(*ngrams.join(CORPUS), alphabet=ALPHABET)
    none = jnp.zeros(2, jnp.int32)
    free = views.View(index, none, none, jnp.array([ALPHABET + 1]))
    tokens, scores = views.partial_hypotheses(step, cache, free, width=WIDTH, length=LENGTH)
    for query in range(2):
        expected = {}
        for each in prefixes:
            expected |= alive(np.asarray(each.token[query]), np.asarray(each.score[query]))
        found = alive(np.asarray(tokens[query]), np.asarray(scores[query]))
        assert found.keys() == expected.keys() and len(found) > WIDTH
        for name, score in found.items():
            np.testing.assert_allclose(score, expected[name], rtol=1e-5)


def test_bodies_hold_no_marker():
    tokens, scores, *_ = searched(views.NONE, views.NONE, width=7)
    found = set(alive(tokens[0], scores[0]))
    texts = [row[i : i + n] for row in CORPUS for n in (1, 2, 3) for i in range(len(row) - n + 1)]
    assert found <= {tuple(text) for text in texts if not {OPEN, CLOSE} & set(text)}
    assert {(1,), (1, 2), (1, 2, 3)} <= found


def test_titles_follow_their_opening_and_end_with_their_closing_token():
    tokens, scores, *_ = searched(OPEN, CLOSE, width=7, length=4)
    found = alive(tokens[1], scores[1])
    ended = {name for name in found if CLOSE in name}
    assert ended == {(1, 2, CLOSE), (2, CLOSE), (1, 2, 3, CLOSE)}
    assert all(name[-1] == CLOSE and name.count(CLOSE) == 1 for name in ended)


def test_log_probabilities_of_ngrams_are_those_of_the_search():
    tokens, scores, _, step, cache = searched(views.NONE, views.NONE, width=7)
    again = views.log_probs(step, cache, jnp.asarray(tokens))
    live = scores > -np.inf
    np.testing.assert_allclose(np.asarray(again)[live], scores[live], rtol=1e-5)
    first = np.exp(np.asarray(views.first_log_probs(step, cache)))
    np.testing.assert_allclose(first.sum(axis=1), 1, rtol=1e-5)
