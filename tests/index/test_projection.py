"""Lazily computed logits against the same logits computed in advance."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.docids import table
from zoo.index import filters, level as levels, projection, trie
from zoo.search import automaton, beam

D, BATCH, WIDTH = 8, 3, 12


def wide(num=4000, alphabet=20_000, skewed=True):
    """Two tokens of a wide alphabet; few first tokens have thousands of children."""
    rng = np.random.default_rng(0)
    first = 1 + (
        rng.zipf(1.3, size=4 * num) if skewed else rng.integers(0, alphabet - 1, 4 * num)
    ) % (alphabet - 1)
    tokens = np.unique(np.stack([first, rng.integers(1, alphabet, 4 * num)], axis=1), axis=0)
    return table.build(rng.permutation(tokens)[:num], alphabet)


@functools.partial(jax.jit, static_argnames=("lazy", "length", "width", "score"))
def find(index, hidden, kernels, *, lazy, length, width=WIDTH, score):
    def step(t, token, cache):
        x = hidden[t] + 0.1 * jax.nn.one_hot(token % D, D)
        logits = projection.Projection(x, kernels[t])
        return logits if lazy else projection.dense(logits), cache

    return beam.beam_search(
        step, jnp.zeros((BATCH, 1)), index, width=width, length=length, score=score
    )


def draw(length, alphabet):
    rng = np.random.default_rng(1)
    return jnp.asarray(rng.normal(size=(length, BATCH, 1, D)), jnp.float32), jnp.asarray(
        rng.normal(size=(length, D, alphabet)), jnp.float32
    )


def assert_same(one, other):
    np.testing.assert_array_equal(one.token, other.token)
    np.testing.assert_array_equal(one.leaf, other.leaf)
    np.testing.assert_allclose(one.score, other.score, rtol=1e-5)  # sums in another order


@pytest.mark.parametrize(
    ("skewed", "scoring"),
    [(False, "model"), (True, "renormalised"), (True, "model"), (True, "logit")],
)
def test_lazy_logits_change_no_answer(skewed, scoring):
    ids = wide(skewed=skewed)
    forms = [
        levels.Form(ids.alphabet - 1, light, light < 4000, 1, -(-(ids.alphabet - 1) // 32), "int32")
        for light in (1, 20)
    ]
    index = trie.build(ids, forms=tuple(forms) if skewed else None)
    assert [level.form.heavy for level in index.levels] == [skewed, skewed]
    assert (
        not skewed
        or len(index.levels[1].rows) < 1000
        and int(np.diff(levels.first_children(index.levels[1], 100)).max()) > 100
    )
    hidden, kernels = draw(2, ids.alphabet)
    lazy, computed = (
        find(index, hidden, kernels, lazy=lazy, length=2, score=scoring) for lazy in (True, False)
    )
    assert_same(lazy, computed)
    assert (np.asarray(lazy.leaf) >= 0).all()


@pytest.mark.parametrize("scoring", ["model", "renormalised"])
@pytest.mark.parametrize("num", [8192, 20_011])
def test_atomic_identifiers_are_the_largest_inner_products(num, scoring):
    index, (hidden, kernels) = trie.build(table.atomic(num)), draw(1, num + 1)
    found = find(index, hidden, kernels, lazy=True, length=1, score=scoring)
    x = np.asarray(hidden[0][:, 0], np.float64) + 0.1 * np.eye(D)[0]
    logits = x @ np.asarray(kernels[0], np.float64)
    for query in range(BATCH):
        best = np.argsort(-logits[query, 1:], kind="stable")[:WIDTH]
        np.testing.assert_array_equal(index.documents_of(found.leaf)[query, :, 0], best)
        norm = np.logaddexp.reduce(
            logits[query, 1:] if scoring == "renormalised" else logits[query]
        )
        # f32 sums over 2e4 tokens
        np.testing.assert_allclose(found.score[query], logits[query, 1:][best] - norm, rtol=1e-4)


def test_filters_hold_over_blocks():
    index = trie.build(table.atomic(20_011))
    allowed = np.random.default_rng(2).random((BATCH, 20_011)) < 0.3
    hidden, kernels = draw(1, 20_012)
    lazy, computed = (
        find(
            filters.keep(index, allowed), hidden, kernels, lazy=lazy, length=1, score="renormalised"
        )
        for lazy in (True, False)
    )
    assert_same(lazy, computed)
    rows = np.asarray(index.documents_of(lazy.leaf))[..., 0]
    assert all(allowed[query, rows[query]].all() for query in range(BATCH))


def test_an_unconstrained_search_may_be_lazy_too():
    hidden, kernels = draw(2, 9000)
    lazy, computed = (
        find(automaton.Free(), hidden, kernels, lazy=lazy, length=2, score="model")
        for lazy in (True, False)
    )
    assert_same(lazy, computed)


def test_nothing_of_the_size_of_the_alphabet_is_written():
    """The logits of a batch would be 3 x 2e5 floats; the program only holds blocks."""
    num = 200_000
    index, (hidden, kernels) = trie.build(table.atomic(num)), draw(1, num + 1)
    size = {}
    for lazy in (True, False):
        program = find.lower(index, hidden, kernels, lazy=lazy, length=1, score="model").compile()
        size[lazy] = program.memory_analysis().temp_size_in_bytes
    assert size[False] > BATCH * num * 4  # control
    assert size[True] < BATCH * num * 4 / 2


def test_levels_with_few_children_compute_only_their_logits():
    logits = projection.Projection(jnp.ones((1, 2, D)), jnp.arange(D * 50.0).reshape(D, 50) / 100)
    token = jnp.array([[[3, 4, 0], [49, 0, 1]]])
    np.testing.assert_allclose(
        logits.read(token), jnp.take_along_axis(projection.dense(logits), token, axis=2), rtol=1e-6
    )
    np.testing.assert_allclose(
        logits.normaliser(), jax.nn.logsumexp(projection.dense(logits), axis=2), rtol=1e-6
    )
    assert levels.BLOCK * 2 < projection.BLOCK
