"""Guided automata against enumerated probabilities and the theory's reference values."""

import dataclasses
import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from zoo.docids import table as docids
from zoo.index import level, trie
from zoo.search import automaton, beam, best_first, guided

ROWS, LENGTH, ALPHABET = 8, 3, 4


# A model without memory: the logits of a step depend on its position alone, f32[L, V].


@functools.partial(jax.jit, static_argnames=("width", "score"))
def search(logits, legal, *, width=ROWS, score="model"):
    step = lambda t, token, cache: (jnp.broadcast_to(logits[t], (*token.shape, ALPHABET)), cache)
    return beam.beam_search(step, jnp.zeros((1, 1)), legal, width=width, length=LENGTH, score=score)


@functools.partial(jax.jit, static_argnames=("k", "width"))
def exact_search(logits, legal, *, k, width):
    step = lambda t, token, cache: (jnp.broadcast_to(logits[t], (*token.shape, ALPHABET)), cache)
    return best_first.best_first(
        step, jnp.zeros((1, 1)), legal, k=k, width=width, length=LENGTH, score="model"
    )


# a search that reads it loses most identifiers
NO_MODEL = jnp.full((LENGTH, ALPHABET), -jnp.inf).at[:, 1].set(0.0)


def probabilities(beams):
    """{identifier: probability} of one query."""
    alive = np.asarray(beams.score[0]) > -np.inf
    return {
        tuple(name): math.exp(score)
        for name, score in zip(beams.token[0][alive].tolist(), beams.score[0][alive].tolist())
    }


def walk(rows, weigh):
    """{distinct row: product of weigh(prefix, rows below it), normalised over siblings}."""
    found = {(): 1.0}
    for t in range(LENGTH):
        below = {}
        for prefix, probability in found.items():
            children = {row[: t + 1] for row in rows if row[:t] == prefix}
            weights = {
                child: weigh(child, [row for row in rows if row[: t + 1] == child])
                for child in children
            }
            below |= {
                child: probability * weight / sum(weights.values())
                for child, weight in weights.items()
                if weight > 0
            }
        found = below
    return found


# Strategies: prefix-free identifiers of unequal length, several documents on some.


@st.composite
def shared_docids(draw):
    """(prefix-free identifiers, their documents): at most ROWS, several per leaf."""
    drawn = draw(
        st.lists(
            st.lists(st.integers(1, ALPHABET - 1), min_size=1, max_size=LENGTH),
            min_size=1,
            max_size=ROWS,
        )
    )
    kept = []
    for name in map(tuple, drawn):
        if not any(a == b[: len(a)] for other in kept for a, b in ((name, other), (other, name))):
            kept.append(name)
    names = np.array([[*name, *[0] * (LENGTH - len(name))] for name in kept], np.int32)
    rows = draw(st.lists(st.integers(0, len(names) - 1), min_size=1, max_size=ROWS))
    # not built: not unique
    return docids.Docids(names, ALPHABET), docids.Docids(names[rows], ALPHABET)


def tuples(ids):
    return [tuple(row) for row in ids.tokens.tolist()]


# of all levels: one compilation
FORM = level.Form(widest=ALPHABET, light=ALPHABET, heavy=False, low=0, words=1, offset="uint8")


def build(ids):
    return trie.build(ids, forms=(FORM,) * LENGTH, documents_per_leaf=ROWS)


def filled(tables):
    """Tables of nodes f32[B, M], padded to one size."""
    return tuple(jnp.pad(table, ((0, 0), (0, ROWS + 1 - table.shape[1]))) for table in tables)


def draw_logits(seed, dead_share=0.0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(LENGTH, ALPHABET)).astype(np.float32)
    return np.where(rng.random(logits.shape) < dead_share, -np.inf, logits)


seeds, dead_shares = st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 1.0])
both = pytest.mark.parametrize("scoring", ["model", "renormalised"])


@both
@given(drawn=shared_docids(), seed=seeds, dead_share=dead_shares)
@settings(max_examples=50)
def test_counted_probabilities_are_the_model_s_times_documents_over_siblings(
    scoring, drawn, seed, dead_share
):
    _, ids = drawn
    logits = draw_logits(seed, dead_share)
    found = search(logits, guided.counted(build(ids)), score=scoring)
    weigh = lambda child, below: (
        (1.0 if child[-1] == 0 else math.exp(logits[len(child) - 1, child[-1]])) * len(below)
    )
    expected = walk(tuples(ids), weigh)
    # of products of three f32 softmaxes
    assert probabilities(found) == pytest.approx(expected, rel=1e-4)
    top = exact_search(logits, guided.counted(build(ids)), k=3, width=2)
    assert top.proven.all()
    best = sorted(expected.values(), reverse=True)[:3]
    assert sorted(probabilities(top.beams).values(), reverse=True) == pytest.approx(best, rel=1e-4)


@given(drawn=shared_docids(), seed=seeds, gone=st.integers(0, ROWS - 1))
@settings(max_examples=50)
def test_counts_over_capacities_only_correct_for_removed_documents(drawn, seed, gone):
    _, trained = drawn
    kept = docids.Docids(
        np.delete(trained.tokens, gone, axis=0) if 0 < gone < len(trained) else trained.tokens,
        ALPHABET,
    )
    capacity = guided.capacities(kept, trained)
    legal = guided.counted(build(kept), tuple(jnp.pad(c, (0, ROWS + 1 - len(c))) for c in capacity))
    logits = draw_logits(seed)
    found = probabilities(search(logits, legal))

    def weigh(child, below):
        was = sum(row[: len(child)] == child for row in tuples(trained))
        return (
            (1.0 if child[-1] == 0 else math.exp(logits[len(child) - 1, child[-1]]))
            * len(below)
            / was
        )

    assert found == pytest.approx(walk(tuples(kept), weigh), rel=1e-4)
    if len(kept) == len(trained):  # no document is gone: the renormalised model
        assert found == pytest.approx(
            probabilities(search(logits, build(kept), score="renormalised")), rel=1e-4
        )


def test_a_document_that_was_not_trained_on_has_no_capacity():
    trained = docids.build(np.array([[1, 1, 1], [1, 2, 0]]), ALPHABET)
    with pytest.raises(ValueError, match=r"document 1, \[1, 3, 0\], is not in `trained`"):
        guided.capacities(docids.build(np.array([[1, 1, 1], [1, 3, 0]]), ALPHABET), trained)
    with pytest.raises(ValueError, match="expected identifiers of one length, got 1 and 3"):
        guided.capacities(docids.atomic(2), trained)
    with pytest.raises(ValueError, match="Free cannot count documents"):
        guided.counted(automaton.Free())


def tables(drawn, seed, gone_share):
    """Scores f32[1, N] of the documents (a share is -inf), their trie and nodes."""
    _, ids = drawn
    rng = np.random.default_rng(seed)
    # exp would underflow; no two are close
    scores = rng.permutation(ROWS)[None, : len(ids)].astype(np.float32) / 2 - 500
    return (
        np.where(rng.random(scores.shape) < gone_share, -np.inf, scores),
        build(ids),
        guided.nodes(ids),
        ids,
    )


def sums(scores, ids, reduce):
    """{identifier: reduced score of its documents}, for identifiers with live documents."""
    found = {}
    for name in set(tuples(ids)):
        mine = [
            score
            for row, score in zip(tuples(ids), scores[0].astype(float))
            if row == name and score > -np.inf
        ]
        if mine:
            found[name] = reduce(mine)
    return found


@both
@given(drawn=shared_docids(), seed=seeds, gone_share=dead_shares)
@settings(max_examples=50)
def test_lookahead_gives_every_identifier_its_share_of_the_relevance(
    scoring, drawn, seed, gone_share
):
    scores, index, where, ids = tables(drawn, seed, gone_share)
    legal = guided.lookahead(index, where, jnp.asarray(scores))
    found = probabilities(
        search(NO_MODEL, dataclasses.replace(legal, mass=filled(legal.mass)), score=scoring)
    )
    mass = sums(scores, ids, lambda mine: sum(math.exp(score + 500) for score in mine))
    # logs of 500
    assert found == pytest.approx(
        {name: value / sum(mass.values()) for name, value in mass.items()}, rel=1e-3
    )


@pytest.mark.parametrize("width", [1, 3])
@given(drawn=shared_docids(), seed=seeds, gone_share=dead_shares)
@settings(max_examples=50)
def test_a_max_marginal_beam_of_width_k_finds_the_exact_top_k(width, drawn, seed, gone_share):
    scores, index, where, ids = tables(drawn, seed, gone_share)
    legal = guided.max_marginal(index, where, jnp.asarray(scores))
    found = search(NO_MODEL, dataclasses.replace(legal, best=filled(legal.best)), width=width)
    best = sums(scores, ids, max)
    top = sorted(best, key=best.get, reverse=True)[:width]
    alive = np.asarray(found.score[0]) > -np.inf
    assert [tuple(name) for name in found.token[0][alive].tolist()] == top
    # three sums near 500
    np.testing.assert_allclose(found.score[0][alive], [best[name] for name in top], rtol=1e-6)


def test_a_beam_of_exact_sums_misses_an_answer_of_a_beam_of_maxima():
    """Exact marginals do not fix recall: the best leaf [2, 1] is in the lighter branch."""
    ids = docids.build(np.array([[1, 1, 0], [1, 2, 0], [1, 3, 0], [2, 1, 0], [2, 2, 0]]), ALPHABET)
    relevance = jnp.log(jnp.array([[0.2, 0.2, 0.2, 0.3, 0.1]]))
    index, where = trie.build(ids), guided.nodes(ids)
    summed, largest = (
        guided.lookahead(index, where, relevance),
        guided.max_marginal(index, where, relevance),
    )
    assert search(NO_MODEL, summed, width=1).token.tolist() == [[[1, 1, 0]]]
    assert search(NO_MODEL, largest, width=1).token.tolist() == [[[2, 1, 0]]]
    found = exact_search(NO_MODEL, summed, k=1, width=1)
    assert found.beams.token.tolist() == [[[2, 1, 0]]] and found.proven.all()
    assert math.exp(found.beams.score[0, 0]) == pytest.approx(0.3, rel=1e-5)


# The theory's constants: E[KL[P||Q] of the sequence | C is not empty], worked out over all corpora
# of a tree of 8 leaves.

LEAVES = np.array(list(itertools.product((1, 2), repeat=3)), np.int32)


def expected_divergence(relevance, keep, guide):
    """Expected KL of the decoder from the posterior over all 255 corpora."""
    relevance = np.asarray(relevance) / np.sum(relevance)
    logits = jnp.asarray(tree_logits(relevance))
    total = weight = 0.0
    for kept in itertools.product((False, True), repeat=8):
        kept = np.array(kept)
        if not kept.any():
            continue
        ids = docids.Docids(LEAVES[kept], ALPHABET)
        found = tree_search(logits, guide(ids, np.log(relevance[kept])))
        decoded = np.asarray(found.score[0, : kept.sum()], float)
        true = (relevance[kept] / relevance[kept].sum())[np.asarray(found.leaf[0, : kept.sum()])]
        chance = keep ** kept.sum() * (1 - keep) ** (8 - kept.sum())
        total += chance * (np.exp(decoded) * (decoded - np.log(true))).sum()
        weight += chance
    return total / weight


def tree_logits(relevance):
    """f32[7, V] conditional log-probabilities after the 1 + 2 + 4 prefixes of the full tree."""
    table = np.full((7, ALPHABET), -np.inf)
    for t in range(3):
        mass = relevance.reshape(2**t, 2, -1).sum(axis=2)
        table[2**t - 1 : 2 ** (t + 1) - 1, 1:3] = np.log(mass / mass.sum(axis=1, keepdims=True))
    return table.astype(np.float32)


@jax.jit
def tree_search(logits, legal):
    def step(t, token, cache):
        row = 2 * cache + token - 1 if t else cache
        return logits[row + 2**t - 1], row

    return beam.beam_search(
        step, jnp.zeros((1, 1), jnp.int32), legal, width=8, length=3, score="renormalised"
    )


def masked(ids, _):
    return build(ids)


def corrected(ids, _):
    return guided.counted(build(ids))


def looked_ahead(ids, log_relevance):
    legal = guided.lookahead(
        build(ids), guided.nodes(ids), jnp.asarray(log_relevance[None], jnp.float32)
    )
    return dataclasses.replace(legal, mass=filled(legal.mass))


@pytest.mark.parametrize(
    ("relevance", "keep", "guide", "expected"),
    [
        (np.ones(8), 0.5, masked, 0.0430735594 + 0.0157044048),
        (np.ones(8), 0.5, corrected, 0.0),
        (1 / np.arange(1.0, 9), 0.1, masked, 0.00858753103 + 0.00146452489),
        (1 / np.arange(1.0, 9), 0.1, corrected, 0.00557659769 + 0.00091539886),
        (1 / np.arange(1.0, 9), 0.1, looked_ahead, 0.0),
    ],
)
def test_the_expected_divergence_equals_the_theory(relevance, keep, guide, expected):
    found = expected_divergence(relevance, keep, guide)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)  # f32 log-probabilities


def test_guided_searches_trace_once():
    traced = []

    @jax.jit
    def find(legal):
        traced.append(type(legal))
        step = lambda t, token, cache: (jnp.zeros((*token.shape, ALPHABET)), cache)
        return beam.beam_search(step, jnp.zeros((1, 1)), legal, width=2, length=1, score="model")

    for token in (1, 2):
        ids = docids.build(np.array([[token]]), ALPHABET)
        index, where, table = trie.build(ids), guided.nodes(ids), jnp.zeros((1, 1))
        for legal in (
            guided.counted(index),
            guided.lookahead(index, where, table),
            guided.max_marginal(index, where, table),
        ):
            assert find(legal).token[0].tolist() == [[token], [0]]
    assert traced == [guided.Counted, guided.Lookahead, guided.MaxMarginal]


def test_a_table_of_other_documents_is_refused():
    ids = docids.atomic(3)
    for guide, table in itertools.product(
        (guided.lookahead, guided.max_marginal), (jnp.zeros(3), jnp.zeros((1, 4)))
    ):
        with pytest.raises(
            ValueError, match=r"expected a table \[B, 3\], one column per document, got"
        ):
            guide(trie.build(ids), guided.nodes(ids), table)
