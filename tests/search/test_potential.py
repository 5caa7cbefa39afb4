"""Beam search with a potential: bounds on the rest steer the beam, scores exclude them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.docids import table
from zoo.index import fm, ngrams, trie
from zoo.search import beam, guided

BATCH, LENGTH, ALPHABET, NUM = 6, 3, 7, 40

rng = np.random.default_rng(0)
ALL = np.stack(np.meshgrid(*[np.arange(1, ALPHABET)] * LENGTH), axis=-1).reshape(-1, LENGTH)
IDS = table.build(rng.permutation(ALL)[:NUM], ALPHABET)
INDEX = trie.build(IDS)
LOGITS = rng.normal(size=(BATCH, LENGTH, ALPHABET)).astype(np.float32)
LEXICAL = 3 * rng.normal(size=(BATCH, NUM)).astype(np.float32)  # of documents


@functools.partial(jax.jit, static_argnames=("width", "score"))
def find(potential, *, width=NUM, score="logit", index=INDEX):
    step = lambda t, token, cache: (
        jnp.broadcast_to(LOGITS[:, t, None], (*token.shape, ALPHABET)),
        cache,
    )
    return beam.beam_search(
        step,
        jnp.zeros((BATCH, 1)),
        index,
        width=width,
        length=LENGTH,
        score=score,
        potential=potential,
    )


def sequence_scores():
    """f64[B, N] sums of raw logits of all identifiers."""
    rows = np.arange(LENGTH)
    return np.array([[query[rows, name].sum() for name in IDS.tokens] for query in LOGITS])


def bounds(lexical=LEXICAL):
    return guided.upper_bounds(guided.nodes(IDS), jnp.asarray(lexical))


def documents(beams):
    return np.asarray(INDEX.documents_of(beams.leaf))[..., 0]


def test_a_full_beam_with_exact_bounds_ranks_by_the_sum():
    beams, sums = find(bounds()), sequence_scores() + LEXICAL
    rows = documents(beams)
    np.testing.assert_array_equal(rows, np.argsort(-sums, axis=1))
    # the score is the sequence's alone
    expected = np.take_along_axis(sequence_scores(), rows, axis=1)
    np.testing.assert_allclose(beams.score, expected, atol=1e-5)


def test_a_narrow_beam_that_plans_ahead_finds_more_of_the_best_sums():
    sums = sequence_scores() + LEXICAL
    best = np.argsort(-sums, axis=1)[:, :5]

    def recall(beams):
        found = documents(beams)
        return np.mean([len(set(a) & set(b)) / 5 for a, b in zip(found.tolist(), best.tolist())])

    assert recall(find(bounds(), width=5)) > recall(find(None, width=5)) + 0.3


@pytest.mark.parametrize("score", ["model", "renormalised", "logit"])
def test_without_a_potential_or_with_zeros_it_equals_the_plain_beam(score):
    plain = find(None, width=5, score=score)
    zeros = find(bounds(np.zeros_like(LEXICAL)), width=5, score=score)
    np.testing.assert_array_equal(plain.leaf, zeros.leaf)
    # another order of the sum over legal tokens may change the last bit
    np.testing.assert_allclose(plain.score, zeros.score, rtol=1e-6)


def test_a_document_whose_bound_is_minus_infinity_is_no_answer():
    planned = np.where(np.arange(NUM) % 4 == 0, LEXICAL, -np.inf)
    beams = find(bounds(planned))
    left = trie.build(table.Docids(IDS.tokens[::4], ALPHABET))
    restricted = find(
        guided.upper_bounds(
            guided.nodes(table.Docids(IDS.tokens[::4], ALPHABET)), jnp.asarray(LEXICAL[:, ::4])
        ),
        index=left,
    )
    np.testing.assert_array_equal(beams.token, restricted.token)
    assert (np.asarray(beams.score) > -np.inf).sum(axis=1).tolist() == [10] * BATCH


def test_a_function_of_nodes_serves_ranges_of_an_fm_index():
    """Rare n-grams first: the potential is minus the occurrences below a node."""
    index = fm.build(*ngrams.join([[1, 1, 1], [1, 2], [2, 1, 1]]), alphabet=3)
    step = lambda t, token, cache: (jnp.zeros((*token.shape, 3)), cache)
    find = functools.partial(
        beam.beam_search, step, jnp.zeros((1, 1)), index, width=4, length=2, score="model"
    )
    rare = find(potential=lambda t, node: -1.0 * (node[..., 1] - node[..., 0]))
    assert rare.token.tolist() == [[[1, 2], [2, 1], [1, 1], [0, 0]]]
    assert find().token.tolist() == [[[1, 1], [1, 2], [2, 1], [0, 0]]]
