"""Beam search at realistic sizes.

Ten thousands of identifiers, uniform and skewed, beams up to 1,000, logits in either precision.
Every level of these tries has the form that `trie.build` chooses; the oracle keeps prefixes in
numpy, in float64.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.docids import table as docids
from zoo.index import trie
from zoo.search import beam

BATCH, LENGTH, ALPHABET, ITEMS = 3, 4, 97, 20_000
CLOSE = 3e-5  # sums of four float32 log-probabilities stay below 40, where rounding is 2e-6


@functools.cache
def names(law):
    draw = np.random.default_rng(5)
    weight = 1 / np.arange(1, ALPHABET) if law == "zipf" else np.ones(ALPHABET - 1)
    rows = 1 + draw.choice(ALPHABET - 1, size=(8 * ITEMS, LENGTH), p=weight / weight.sum())
    return docids.build(
        np.unique(rows, axis=0)[draw.permutation(len(np.unique(rows, axis=0)))[:ITEMS]].astype(
            np.int32
        ),
        ALPHABET,
    )


@functools.cache
def tables():
    """f32[B, L, V, V] logits after each token of the level before."""
    return 2 * np.random.default_rng(6).normal(size=(BATCH, LENGTH, ALPHABET, ALPHABET)).astype(
        np.float32
    )


@functools.partial(jax.jit, static_argnames=("width", "score", "dtype"))
def search(table, index, *, width, score, dtype):
    def step(t, token, cache):
        return jnp.take_along_axis(table[:, t], token[..., None], axis=1).astype(dtype), cache

    return beam.beam_search(
        step, jnp.zeros((len(table), 1)), index, width=width, length=LENGTH, score=score
    )


def oracle(table, ids, width, scoring):
    """(rows of the sorted identifiers, scores, smallest margin of a cut) of one query's beam."""
    tokens = ids.tokens[ids.order]
    alive, closest = np.zeros(1, np.int64), np.inf
    # of prefixes; prefix of each identifier
    score, group = np.zeros(1), np.zeros(len(tokens), np.int64)
    for t in range(LENGTH):
        opened = np.r_[True, (np.diff(group) != 0) | (np.diff(tokens[:, t]) != 0)]
        child, first = np.cumsum(opened) - 1, np.flatnonzero(opened)
        parent, token = group[first], tokens[first, t]
        before = tokens[first, t - 1] if t else np.zeros(len(first), np.int64)
        logits = table[t].astype(np.float64)
        total = np.full(len(first), -np.inf)
        kept = np.isin(parent, alive)
        if scoring == "renormalised":
            mass = np.bincount(parent, np.exp(logits[before, token]), minlength=parent.max() + 1)[
                parent
            ]
        else:
            mass = np.exp(logits).sum(axis=1)[before]
        total[kept] = (score[parent] + logits[before, token] - np.log(mass))[kept]
        order = np.argsort(-total, kind="stable")
        if len(first) > width:
            closest = min(closest, total[order[width - 1]] - total[order[width]])
        alive, score, group = order[:width][np.isfinite(total[order[:width]])], total, child
    return alive, score[alive], closest


@pytest.mark.parametrize(
    "width, law, scoring, dtype",
    [
        (10, "uniform", "renormalised", "float32"),
        (10, "zipf", "model", "bfloat16"),
        (1000, "uniform", "model", "float32"),
        (1000, "zipf", "model", "float32"),
        (1000, "zipf", "renormalised", "float32"),
    ],
)
def test_a_beam_equals_the_numpy_oracle(width, law, scoring, dtype):
    ids = names(law)
    index = trie.build(ids)
    found = search(tables(), index, width=width, score=scoring, dtype=dtype)
    assert found.score.dtype == jnp.float32
    for query, table in enumerate(np.asarray(jnp.asarray(tables()).astype(dtype), np.float32)):
        leaves, scores, closest = oracle(table, ids, width, scoring)
        got, value = np.asarray(found.leaf[query]), np.asarray(found.score[query])
        assert len(set(got.tolist())) == width and (np.diff(value) <= 0).all()
        np.testing.assert_array_equal(np.asarray(found.token[query]), ids.tokens[ids.order][got])
        assert closest > CLOSE  # rounding cannot change a cut
        assert set(got.tolist()) == set(leaves.tolist())
        np.testing.assert_allclose(value, np.sort(scores)[::-1], atol=CLOSE)


def test_the_even_and_the_skewed_trie_have_levels_of_different_forms():
    forms = {
        law: [(level.form.heavy, level.form.light) for level in trie.build(names(law)).levels]
        for law in ("uniform", "zipf")
    }
    assert any(heavy for heavy, _ in forms["zipf"]) and any(
        not heavy for heavy, _ in forms["uniform"]
    )
    assert forms["uniform"] != forms["zipf"]
