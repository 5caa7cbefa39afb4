"""A filtered trie against a trie of the allowed documents only."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from zoo.docids import table as docids
from zoo.index import filters, level, trie
from zoo.search import beam

BATCH, LENGTH, ALPHABET, WIDTH, EXCLUDED = 3, 3, 70, 12, 9
FORMS = {
    "light": level.Form(69, 69, False, 0, 3, "uint16"),
    "split": level.Form(69, 2, True, 0, 3, "uint16"),
    "heavy": level.Form(69, 1, True, 0, 3, "uint16"),
}
NUM = 200


def draw(seed, per_leaf):
    """NUM documents, Zipf codes, some short identifiers, up to per_leaf documents per leaf."""
    rng = np.random.default_rng(seed)
    weight = 1 / np.arange(1, ALPHABET)
    tokens = 1 + rng.choice(ALPHABET - 1, size=(8 * NUM, LENGTH), p=weight / weight.sum())
    tokens[tokens[:, 0] % 7 == 3, 2] = 0
    tokens = rng.permutation(np.unique(tokens, axis=0))[:NUM]
    if per_leaf > 1:
        tokens[NUM // 2 : NUM // 2 + NUM // 4] = tokens[: NUM // 4]
        tokens[-NUM // 8 :] = tokens[: NUM // 8]
    return docids.Docids(np.ascontiguousarray(tokens, np.int32), ALPHABET)


@functools.partial(jax.jit, static_argnames="score")
def find(index, logits, *, score):
    """(documents i32[B, K D] of the beams, scores) for logits that depend on the last token."""
    step = lambda t, token, cache: (
        jax.vmap(lambda table, token: table[token])(logits[t], token),
        cache,
    )
    beams = beam.beam_search(
        step, jnp.zeros((BATCH, 1)), index, width=WIDTH, length=LENGTH, score=score
    )
    return beams, index.documents_of(beams.leaf)


def brute(ids, logits, allowed, query, scoring):
    """{document: summed log-probability of its tokens} of the allowed documents."""
    scores, next_tokens = {}, collections.defaultdict(set)
    legal = [(row, tuple(ids.tokens[row].tolist())) for row in np.flatnonzero(allowed)]
    for _, name in legal:
        for t, token in enumerate(name):
            next_tokens[name[:t]].add(token)
    for row, name in legal:
        total, before = 0.0, 0
        for t, token in enumerate(name):
            if token == 0 and t:
                break
            table = logits[t, query, before].astype(np.float64)
            over = sorted(next_tokens[name[:t]]) if scoring == "renormalised" else slice(None)
            total += table[token] - np.logaddexp.reduce(table[over])
            before = token
        scores[row] = total
    return scores


@pytest.mark.parametrize(
    ("kind", "form", "per_leaf", "scoring"),
    [  # every kind in two forms; each compiles its own search
        ("shared", "light", 1, "renormalised"),
        ("shared", "split", 3, "model"),
        ("each", "heavy", 1, "model"),
        ("each", "split", 3, "renormalised"),
        ("without", "light", 3, "model"),
        ("without", "heavy", 1, "renormalised"),
        ("both", "split", 3, "renormalised"),
    ],
)
def test_a_filter_keeps_the_best_allowed_documents(kind, form, per_leaf, scoring):
    for seed in range(2):
        ids = draw(seed, per_leaf)
        rng = np.random.default_rng(seed + 100)
        logits = rng.normal(size=(LENGTH, BATCH, ALPHABET, ALPHABET)).astype(np.float32)
        index = trie.build(ids, forms=(FORMS[form],) * LENGTH, documents_per_leaf=per_leaf)
        allowed = np.ones((BATCH, NUM), bool)
        if kind in ("shared", "both"):
            allowed[:] = rng.random(NUM) < 0.05
            index = filters.keep(index, allowed[0])
        if kind == "each":
            allowed = rng.random((BATCH, NUM)) < np.array([[0.05], [0.02], [0.0]])
            index = filters.keep(index, allowed)
        if kind in ("without", "both"):
            rows = rng.integers(-1, NUM, (BATCH, EXCLUDED))
            rows[:, 0] = rows[:, 1]
            if kind == "both":
                rows[:, :4] = np.stack(
                    [rng.permutation(np.flatnonzero(allowed[0]))[:4] for _ in range(BATCH)]
                )
            index = jax.jit(filters.without)(index, ids.tokens[np.maximum(rows, 0)], rows)
            for query in range(BATCH):
                allowed[query, rows[query][rows[query] >= 0]] = False
        beams, documents = jax.tree.map(np.asarray, find(index, logits, score=scoring))
        for query in range(BATCH):
            found = {
                int(d): float(s)
                for row, s in zip(documents[query], beams.score[query])
                for d in row
                if d >= 0
            }
            expected = brute(ids, logits, allowed[query], query, scoring)
            assert set(found) <= set(expected)
            for document, score in found.items():
                np.testing.assert_allclose(score, expected[document], rtol=1e-5)  # f32 sums
            if len({tuple(ids.tokens[row]) for row in expected}) <= WIDTH:
                # no hypothesis has a prefix without an allowed document
                assert set(found) == set(expected)
            assert (beams.leaf[query] >= 0).sum() <= max(len(expected), 0)


def test_filters_of_few_documents_find_all_of_them():
    """Control of the test above: few allowed documents fit in the beam, so it tested equality."""
    draw(0, 1)
    allowed = np.random.default_rng(100).random(NUM) < 0.05
    assert 1 < allowed.sum() <= WIDTH


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_excluding_is_keeping_the_rest(seed):
    rng = np.random.default_rng(seed)
    ids = draw(0, 3)
    index = trie.build(ids, documents_per_leaf=3)
    rows = np.where(
        rng.random((BATCH, EXCLUDED)) < 0.2, -1, rng.choice(NUM // 4, (BATCH, EXCLUDED))
    )
    allowed = np.ones((BATCH, NUM), bool)
    for query in range(BATCH):
        allowed[query, rows[query][rows[query] >= 0]] = False
    logits = rng.normal(size=(LENGTH, BATCH, ALPHABET, ALPHABET)).astype(np.float32)
    one = find(_without(index, ids.tokens[np.maximum(rows, 0)], rows), logits, score="renormalised")
    other = find(filters.keep(index, allowed), logits, score="renormalised")
    # f32 sums in another order
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), one, other)


_without = jax.jit(filters.without)


@pytest.mark.parametrize(
    ("shared", "excluding"), [(True, False), (False, True), (None, True), (None, False)]
)
def test_counts_cover_allowed_documents_only(shared, excluding):
    rng = np.random.default_rng(5)
    ids = draw(0, 3)
    index, allowed = trie.build(ids), np.ones((BATCH, NUM), bool)
    if shared is not None:
        allowed = np.tile(
            rng.random((1 if shared else BATCH, NUM)) < 0.5, (BATCH if shared else 1, 1)
        )
        index = filters.keep(index, allowed[0] if shared else allowed)
    if excluding:
        rows = rng.integers(-1, NUM, (BATCH, 40))
        rows[:, 0] = rows[:, 1]  # counted once
        index = _without(index, ids.tokens[np.maximum(rows, 0)], rows)
        for query in range(BATCH):
            allowed[query, rows[query][rows[query] >= 0]] = False
    for t in range(LENGTH + 1):
        _, node = np.unique(ids.tokens[:, :t], axis=0, return_inverse=True)
        nodes = np.tile(np.arange(node.max() + 1, dtype=np.int32), (BATCH, 1))
        expected = [np.bincount(node.reshape(-1)[row], minlength=nodes.shape[1]) for row in allowed]
        assert index.counts(t, jnp.asarray(nodes)).tolist() == np.array(expected).tolist()


def test_nodes_of_tokens_are_found_by_walking():
    ids = draw(1, 1)
    for form in FORMS.values():
        index = trie.build(ids, forms=(form,) * LENGTH)
        nodes = np.asarray(jax.jit(trie.Trie.walk)(index, ids.tokens))
        assert (
            np.asarray(index.documents_of(jnp.asarray(nodes[:, -1])))[:, 0] == np.arange(NUM)
        ).all()
        for t in range(LENGTH):
            _, expected = np.unique(ids.tokens[:, : t + 1], axis=0, return_inverse=True)
            assert (nodes[:, t] == expected.reshape(-1)).all()
        paths = nodes
        tokens = np.random.default_rng(2).integers(0, ALPHABET, (500, LENGTH))
        nodes = np.asarray(index.walk(jnp.asarray(tokens)))
        known = {
            tuple(row[: t + 1]): node
            for row, path in zip(ids.tokens.tolist(), paths)
            for t, node in enumerate(path)
        }
        assert nodes.tolist() == [
            [known.get(tuple(row[: t + 1]), -1) for t in range(LENGTH)] for row in tokens.tolist()
        ]
        assert (nodes[:, 0] >= 0).any() and (nodes[:, 0] < 0).any()


def test_filters_of_another_catalogue_are_refused():
    index = trie.build(draw(0, 1))
    with pytest.raises(ValueError, match=r"expected bool .* N above the largest row, 199"):
        filters.keep(index, np.ones(100, bool))
    with pytest.raises(ValueError, match="got int64"):
        filters.keep(index, np.ones(NUM, int))
    with pytest.raises(ValueError, match=r"expected tokens \[B, E, 3\]"):
        filters.without(index, jnp.zeros((2, 3, 2), jnp.int32), jnp.zeros((2, 3), jnp.int32))
    once = filters.without(index, jnp.zeros((2, 1, 3), jnp.int32), jnp.zeros((2, 1), jnp.int32))
    with pytest.raises(ValueError, match="this trie excludes documents already"):
        filters.without(once, jnp.zeros((2, 1, 3), jnp.int32), jnp.zeros((2, 1), jnp.int32))
