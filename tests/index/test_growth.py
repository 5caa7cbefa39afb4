"""Adding and removing documents against building a new trie."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from zoo.docids import table
from zoo.index import filters, growth, trie
from zoo.search import beam

LENGTH, ALPHABET = 3, 5


def draw(rng, num):
    """Distinct prefix-free identifiers; some end early."""
    tokens = rng.integers(1, ALPHABET, (4 * num, LENGTH))
    tokens[tokens[:, 0] == 2, 1:] = 0
    tokens[tokens[:, 1] == 3, 2] = 0
    tokens = np.unique(tokens, axis=0)
    return rng.permutation(tokens)[:num]


def named(tokens):
    return table.Docids(np.ascontiguousarray(tokens, np.int32), ALPHABET)


def assert_same(found, tokens, rows, per_leaf):
    """Checks that a trie equals a build of the documents `rows` with the same forms and sizes."""
    expected = trie.build(named(tokens), like=found, documents_per_leaf=per_leaf)
    jax.tree.map(np.testing.assert_array_equal, found.levels, expected.levels)
    np.testing.assert_array_equal(found.document_start, expected.document_start)
    start = np.asarray(found.document_start) if per_leaf > 1 else np.arange(len(tokens) + 1)
    documents, places = np.asarray(found.documents), np.asarray(expected.documents)
    for first, end in zip(start[:-1], start[1:]):
        assert sorted(documents[first:end]) == sorted(rows[places[first:end]])


@given(
    seed=st.integers(0, 2**32 - 1),
    num=st.integers(1, 20),
    new=st.integers(1, 10),
    per_leaf=st.sampled_from([1, 3]),
)
@settings(max_examples=25)
def test_adding_equals_building_with_the_new_documents(seed, num, new, per_leaf):
    rng = np.random.default_rng(seed)
    tokens = draw(rng, num + new)
    if per_leaf > 1:  # at most three documents share an identifier
        tokens = rng.permutation(np.concatenate([tokens, tokens[::2], tokens[::3]]))
    old = rng.permutation(len(tokens)) < max(len(tokens) - new, 1)
    if old.all():
        return
    rows = np.flatnonzero(old)
    index = renumbered(trie.build(named(tokens[old]), documents_per_leaf=per_leaf), rows)
    grown = growth.add(index, named(tokens[~old]), np.flatnonzero(~old))
    assert_same(grown, tokens, np.arange(len(tokens)), per_leaf)


def renumbered(index, rows):
    """The trie with document n renumbered to rows[n]."""
    documents = np.asarray(index.documents)
    real = np.arange(len(documents)) < len(rows)
    return dataclasses.replace(
        index,
        documents=jnp.asarray(np.where(real, rows[np.where(real, documents, 0)], 0), jnp.int32),
    )


@given(
    seed=st.integers(0, 2**32 - 1),
    num=st.integers(2, 20),
    gone=st.integers(1, 19),
    per_leaf=st.sampled_from([1, 3]),
)
@settings(max_examples=25)
def test_removing_equals_building_without_the_removed_documents(seed, num, gone, per_leaf):
    rng = np.random.default_rng(seed)
    tokens = draw(rng, num)
    if per_leaf > 1:
        tokens = rng.permutation(np.concatenate([tokens, tokens[::2], tokens[::3]]))
    gone = rng.permutation(len(tokens))[: min(gone, len(tokens) - 1)]
    left = np.setdiff1d(np.arange(len(tokens)), gone)
    if not len(left) or not len(gone):
        return
    index = trie.build(named(tokens), documents_per_leaf=per_leaf)
    assert_same(growth.remove(index, gone), tokens[left], left, per_leaf)


def large(seed, num=3000, alphabet=300):
    rng = np.random.default_rng(seed)
    return table.build(
        rng.permutation(np.unique(rng.integers(1, alphabet, (num, LENGTH)), axis=0)), alphabet
    )


def test_a_day_of_changes_reuses_the_compiled_program():
    traced = []

    @jax.jit
    def find(index, logits):
        traced.append(None)
        step = lambda t, token, cache: (logits[t][:, : token.shape[1]], cache)
        return beam.beam_search(
            step, jnp.zeros((1, 1)), index, width=8, length=LENGTH, score="model"
        )

    logits = jnp.asarray(np.random.default_rng(0).normal(size=(LENGTH, 1, 8, 300)), jnp.float32)
    ids = large(0)
    index = trie.build(table.Docids(ids.tokens[:2900], 300))
    find(index, logits)
    changed = growth.add(
        growth.remove(index, np.arange(50)),
        table.Docids(ids.tokens[2900:2950], 300),
        np.arange(2900, 2950),
    )
    found = find(changed, logits)
    assert len(traced) == 1
    same = find(
        renumbered(
            trie.build(table.Docids(ids.tokens[50:2950], 300), like=index), np.arange(50, 2950)
        ),
        logits,
    )
    jax.tree.map(np.testing.assert_array_equal, found, same)


def test_invalid_additions_and_removals_are_refused():
    index = trie.build(table.build(np.array([[1, 2, 0], [1, 3, 1], [2, 0, 0]]), 5))
    add = lambda tokens, rows: growth.add(index, table.build(np.array(tokens), 5), np.array(rows))
    for tokens, rows, match in [
        ([[1, 2, 0]], [3], r"document 3 is called \[1, 2, 0\], which is taken"),
        (
            [[3, 1, 1], [1, 2, 4]],
            [3, 4],
            r"identifier 1, \[1, 2, 4\], begins one of the trie or is begun by it",
        ),
        ([[1, 3, 0]], [3], "begins one of the trie"),
        ([[1, 0, 0]], [3], "begins one of the trie"),
        ([[3, 1, 1]], [0], "document 0 is in the trie already"),
        ([[3, 1, 1], [3, 1, 2]], [4, 4], "2 different rows"),
        ([[3, 1]], [4], "identifiers of length 3"),
    ]:
        with pytest.raises(ValueError, match=match):
            add(tokens, rows)
    with pytest.raises(ValueError, match="document 7 is not in the trie"):
        growth.remove(index, np.array([0, 7]))
    with pytest.raises(ValueError, match="leaves none"):
        growth.remove(index, np.arange(3))
    with pytest.raises(ValueError, match="without a filter"):
        growth.remove(filters.keep(index, np.ones(3, bool)), np.array([0]))
