"""The CSR trie against a trie of Python dictionaries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st

from zoo.docids import table
from zoo.index import level as levels, trie

ROWS, LENGTH, ALPHABET = 8, 3, 4

FORMS = {  # by the maximum of children of a light node, out of 3: no, some, and only heavy nodes
    "light": levels.Form(ALPHABET, ALPHABET, False, 0, 1, "uint8"),
    "split": levels.Form(ALPHABET, 2, True, 0, 1, "uint8"),
    "heavy": levels.Form(ALPHABET, 1, True, 0, 1, "uint8"),
}
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@st.composite
def prefix_free_docids(draw):
    """At most ROWS identifiers of unequal length."""
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
    return table.build(np.array([[*name, *[0] * (LENGTH - len(name))] for name in kept]), ALPHABET)


def nested(ids):
    """{token: {token: ... {token: {}}}} of the padded identifiers."""
    root = {}
    for row in ids.tokens.tolist():
        node = root
        for token in row:
            node = node.setdefault(token, {})
    return root


def build(ids, form=FORMS["light"]):
    """A trie with this form at every level, so that all hypothesis examples share one program."""
    return trie.build(ids, forms=(form,) * LENGTH, documents_per_leaf=ROWS)


expand = jax.jit(trie.Trie.expand, static_argnums=1)
documents_of = jax.jit(trie.Trie.documents_of)
LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(1, 1, ALPHABET)), jnp.float32)


def children(index, t, node):
    """[(token, score, child)] of one node."""
    score, token, child = (
        np.asarray(x)[0, 0].tolist() for x in expand(index, t, jnp.array([[node]]), LOGITS)
    )
    return [row for row in zip(token, score, child) if row[1] > -np.inf]


@every_form
@given(prefix_free_docids())
def test_children_of_every_node_equal_those_of_a_dictionary_trie(form, ids):
    index = build(ids, form)
    level = [(trie.ROOT, nested(ids))]
    for t in range(LENGTH):
        below = []
        for node, expected in level:
            found = children(index, t, node)
            assert [token for token, _, _ in found] == sorted(expected)
            for token, score, child in found:
                assert score == (float(LOGITS[0, 0, token]) if token else 0.0)
                below.append((child, expected[token]))
        # lexicographic numbers, distinct nodes
        assert [node for node, _ in below] == list(range(len(below)))
        level = below


@every_form
@given(prefix_free_docids())
def test_paths_from_root_to_leaf_are_the_identifiers_and_nothing_else(form, ids):
    index = build(ids, form)
    paths = {trie.ROOT: ()}
    for t in range(LENGTH):
        paths = {
            child: (*path, token)
            for node, path in paths.items()
            for token, _, child in children(index, t, node)
        }
    assert sorted(paths.values()) == sorted(map(tuple, ids.tokens.tolist()))
    leaves = jnp.array([*sorted(paths), *[-1] * (ROWS - len(paths))])
    documents = np.asarray(documents_of(index, leaves))
    assert (documents[len(paths) :] == -1).all()
    for leaf, path in paths.items():
        assert tuple(ids.tokens[documents[leaf, 0]].tolist()) == path


@given(prefix_free_docids())
def test_fanout_is_the_largest_number_of_children_of_a_level(ids):
    level, index = [nested(ids)], trie.build(ids)
    for t in range(LENGTH):
        assert index.fanout[t] == max(map(len, level))  # up to 3 children: each number is a class
        level = [below for node in level for below in node.values()]
        assert np.asarray(index.levels[t].token)[len(level) :].tolist() == [0] * (64 - len(level))


def test_a_leaf_keeps_every_document_that_shares_its_identifier():
    # not built: not unique
    shared = table.Docids(np.array([[2, 1], [1, 3], [2, 1], [1, 3], [1, 1], [2, 1]], np.int32), 4)
    index = trie.build(shared)
    assert index.documents_per_leaf == 3
    expected = [[4, -1, -1], [1, 3, -1], [0, 2, 5], [-1, -1, -1]]
    assert index.documents_of(jnp.array([0, 1, 2, -1])).tolist() == expected
    assert index.documents_of(jnp.array([[2], [0]])).tolist() == [[expected[2]], [expected[0]]]


counts = jax.jit(trie.Trie.counts, static_argnums=1)


@every_form
@given(prefix_free_docids(), st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=ROWS))
def test_counts_are_of_documents_below_a_node_not_of_identifiers(form, ids, rows):
    # not built: several documents on a leaf
    shared = table.Docids(ids.tokens[np.array(rows) % len(ids)], ALPHABET)
    index = build(shared, form)
    for t in range(LENGTH + 1):
        prefixes, expected = np.unique(shared.tokens[:, :t], axis=0, return_counts=True)
        # rows after the last node: any value
        found = counts(index, t, jnp.arange(ROWS, dtype=jnp.int32))
        assert found[: len(prefixes)].tolist() == expected.tolist()


def test_an_atomic_trie_of_many_documents_is_one_level():
    index = trie.build(table.atomic(100_000))
    assert index.fanout == (100_000,) and index.levels[0].first(jnp.arange(2)).tolist() == [
        0,
        100_000,
    ]
    assert index.documents[:100_000].tolist() == list(range(100_000))
    assert index.counts(0, jnp.array([0])).item() == 100_000


def test_expand_refuses_logits_narrower_than_the_alphabet():
    index = trie.build(table.build(np.array([[5]])))
    with pytest.raises(ValueError, match="expected logits over 6 tokens or more, got 5"):
        index.expand(0, jnp.zeros((1, 1), jnp.int32), jnp.zeros((1, 1, 5)))
    with pytest.raises(ValueError, match="expected length 1, .* got 2"):
        index.leaf(2, jnp.zeros((1, 1), jnp.int32))


def test_tries_of_one_shape_trace_once():
    traces = []

    @jax.jit
    def first_level(index):
        traces.append(None)
        return index.expand(0, index.start(1), LOGITS)

    for token in (1, 2, 3):
        assert (
            first_level(trie.build(table.build(np.array([[token]]), ALPHABET)))[1].item() == token
        )
    assert len(traces) == 1
