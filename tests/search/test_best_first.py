"""Best-first search and its optimality proofs against brute force over all identifiers.

The model is a table of logits with one row per prefix; the step reads the prefix of a hypothesis
from its cache only.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from zoo.docids import table as docids
from zoo.index import level as levels, trie
from zoo.search import automaton, beam, best_first

ROWS, LENGTH, ALPHABET, BATCH = 8, 3, 4, 2
PREFIXES = sum(ALPHABET**t for t in range(LENGTH))
CLOSE = 1e-5  # f32 sums of three logits of size 1 differ from f64 by less


# The model.


def row_of(prefix):
    """Index of a prefix among all prefixes, short ones first."""
    return sum(ALPHABET**t for t in range(len(prefix))) + sum(
        token * ALPHABET**i for i, token in enumerate(prefix[::-1])
    )


def tabled_step(tables):
    """A step that reads tables f32[B, PREFIXES, V] at the prefix in the cache."""

    def step(t, token, cache):
        code, history = cache  # i32[B, K], i32[B, K, LENGTH]: two leaves of unequal rank
        if t > 0:
            code = code * ALPHABET + token
            history = history.at[:, :, t - 1].set(token)
        again = sum(
            (history[:, :, i] * ALPHABET ** (t - 1 - i) for i in range(t)), jnp.zeros_like(code)
        )
        row = (code + again) // 2 + sum(ALPHABET**i for i in range(t))
        return jnp.take_along_axis(tables, row[..., None], axis=1), (code, history)

    return step


def empty_cache(batch):
    return jnp.zeros((batch, 1), jnp.int32), jnp.zeros((batch, 1, LENGTH), jnp.int32)


@functools.partial(jax.jit, static_argnames=("k", "width", "score", "sweeps", "frontier"))
def search(tables, legal, *, k, width, score, sweeps=64, frontier=64):
    return best_first.best_first(
        tabled_step(tables),
        empty_cache(len(tables)),
        legal,
        k=k,
        width=width,
        length=LENGTH,
        score=score,
        limits=best_first.Limits(sweeps, frontier),
    )


def draw_tables(seed, dead_share=0.0):
    """Normal logits f32[B, PREFIXES, V]; a share of them is -inf."""
    rng = np.random.default_rng(seed)
    tables = rng.normal(size=(BATCH, PREFIXES, ALPHABET)).astype(np.float32)
    return np.where(rng.random(tables.shape) < dead_share, -np.inf, tables)


# The oracle. `children(prefix)` lists the tokens that may follow, or None after the end of an
# identifier.


def children_of(ids):
    rows = ids.tokens.tolist()

    def children(prefix):
        tokens = sorted({row[len(prefix)] for row in rows if row[: len(prefix)] == list(prefix)})
        return None if tokens == [0] else tokens

    return children


def free_children(prefix):
    return None if 0 in prefix else list(range(ALPHABET))


def brute_force(table, children, scoring):
    """{prefix of any length: f64 score} of all legal prefixes with a finite score."""
    scores, level = {(): 0.0}, [()]
    for _ in range(LENGTH):
        below = []
        for prefix in level:
            tokens = children(prefix)
            if tokens is None:
                gains = {0: 0.0}
            else:
                logits = np.asarray(table, np.float64)[row_of(prefix)]
                mass = np.exp(logits[tokens] if scoring == "renormalised" else logits).sum()
                gains = {
                    token: logits[token] - math.log(mass)
                    for token in tokens
                    if logits[token] > -np.inf
                }
            scores |= {(*prefix, token): scores[prefix] + gain for token, gain in gains.items()}
            below += [(*prefix, token) for token in gains]
        level = below
    return scores


def whole(scores):
    return {name: score for name, score in scores.items() if len(name) == LENGTH}


def answers(found, query):
    """[(identifier, score)] of a query; checks the invariants of every result."""
    token, score, leaf = (np.asarray(field[query]) for field in found.beams)
    alive = score > -np.inf
    assert not np.isnan(score).any() and (np.diff(score[alive]) <= 0).all()
    assert alive.tolist() == sorted(alive.tolist(), reverse=True)
    assert (token[~alive] == docids.PAD).all() and (leaf[~alive] == beam.NO_LEAF).all()
    names = [tuple(row) for row in token[alive].tolist()]
    assert len(set(names)) == len(names)
    return list(zip(names, score[alive].tolist()))


def check_top(found, expected, k):
    """Checks the k best of {identifier: score}, up to scores that f32 may confuse."""
    best = sorted(expected.values(), reverse=True)[:k]
    np.testing.assert_allclose([score for _, score in found], best, atol=CLOSE)
    np.testing.assert_allclose([expected[name] for name, _ in found], best, atol=2 * CLOSE)


# Strategies.


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
    return docids.build(np.array([[*name, *[0] * (LENGTH - len(name))] for name in kept]), ALPHABET)


# of all levels: one compilation
FORM = levels.Form(widest=ALPHABET, light=ALPHABET, heavy=False, low=0, words=1, offset="uint8")


def build(ids):
    return trie.build(ids, forms=(FORM,) * LENGTH)


seeds, dead_shares = st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.2, 0.6, 1.0])
both = pytest.mark.parametrize("scoring", ["model", "renormalised"])


@both
@pytest.mark.parametrize(("k", "width"), [(1, 1), (3, 2), (12, 5)])
@given(ids=prefix_free_docids(), seed=seeds, dead_share=dead_shares)
@settings(max_examples=50)
def test_the_top_k_equal_those_of_brute_force_and_are_proven(
    k, width, scoring, ids, seed, dead_share
):
    tables = draw_tables(seed, dead_share)
    found = search(tables, build(ids), k=k, width=width, score=scoring)
    assert found.proven.all()
    ordered = sorted(map(tuple, ids.tokens.tolist()))
    for query in range(BATCH):
        scores = brute_force(tables[query], children_of(ids), scoring)
        names = answers(found, query)
        check_top(names, whole(scores), k)
        assert [ordered[leaf] for leaf in np.asarray(found.beams.leaf[query]) if leaf >= 0] == [
            name for name, _ in names
        ]
        inner = [score for name, score in scores.items() if len(name) < LENGTH]
        must = (
            sum(score > names[-1][1] + CLOSE for score in inner) if len(names) == k else len(inner)
        )
        assert must <= found.expanded[query] <= len(inner)


@pytest.mark.parametrize(("k", "width"), [(4, 3), (90, 5)])
@given(seed=seeds, dead_share=dead_shares)
@settings(max_examples=25)
def test_the_top_k_of_a_free_search_equal_those_of_brute_force(k, width, seed, dead_share):
    tables = draw_tables(seed, dead_share)
    found = search(tables, automaton.Free(), k=k, width=width, score="model")
    assert found.proven.all() and (found.beams.leaf == beam.NO_LEAF).all()
    for query in range(BATCH):
        check_top(
            answers(found, query), whole(brute_force(tables[query], free_children, "model")), k
        )


@pytest.mark.parametrize(("sweeps", "frontier"), [(1, 64), (2, 64), (64, 1), (64, 3), (2, 3)])
@given(ids=prefix_free_docids(), seed=seeds, dead_share=dead_shares)
@settings(max_examples=40)
def test_answers_above_the_bound_are_exact_however_early_the_search_stops(
    sweeps, frontier, ids, seed, dead_share
):
    tables, k = draw_tables(seed, dead_share), 3
    legal = build(ids)
    found = search(tables, legal, k=k, width=1, score="model", sweeps=sweeps, frontier=frontier)
    for query in range(BATCH):
        expected = whole(brute_force(tables[query], children_of(ids), "model"))
        names, bound = answers(found, query), float(found.bound[query])
        sure = [row for row in names if row[1] > bound]
        check_top(sure, expected, len(sure))
        missing = sorted(expected[name] for name in expected.keys() - {name for name, _ in names})
        # at least one is in the top k
        if len(names) < k and missing or missing and missing[-1] > names[-1][1] + CLOSE:
            assert missing[-1] <= bound + CLOSE


def test_a_search_that_stops_early_proves_nothing():
    """Control of the tests above: one sweep or a small frontier misses the top 3, unproven."""
    ids = docids.build(
        np.array([[a, b, c] for a in (1, 2, 3) for b in (1, 2, 3) for c in (1, 2)]), ALPHABET
    )
    for limits in ({"sweeps": 1}, {"frontier": 1}):
        wrong = 0
        for seed in range(20):
            tables = draw_tables(seed)
            found = search(tables, trie.build(ids), k=3, width=1, score="model", **limits)
            for query in range(BATCH):
                best = sorted(
                    whole(brute_force(tables[query], children_of(ids), "model")).values()
                )[-3:]
                missed = (
                    len(answers(found, query)) < 3 or answers(found, query)[-1][1] < best[0] - CLOSE
                )
                assert not (missed and found.proven[query])
                wrong += missed
        assert wrong >= 20


@given(ids=prefix_free_docids(), seed=seeds)
@settings(max_examples=30)
def test_the_first_sweep_equals_a_beam_search(ids, seed):
    tables, legal = draw_tables(seed), build(ids)
    one = search(tables, legal, k=2, width=2, score="model", sweeps=1).beams
    other = narrow_beam(tables, legal)
    assert (one.token == other.token).all() and (one.leaf == other.leaf).all()
    # `choose` subtracts in another order: one unit in the last place
    np.testing.assert_allclose(one.score, other.score, rtol=1e-6)


@jax.jit
def narrow_beam(tables, legal):
    return beam.beam_search(
        tabled_step(tables), empty_cache(BATCH), legal, width=2, length=LENGTH, score="model"
    )


@pytest.mark.parametrize(("k", "width"), [(1, 1), (3, 2), (5, 5)])
@given(ids=prefix_free_docids())
@example(docids.build(np.array([[3, 1, 1], [1, 2, 1], [1, 1, 2], [2, 3, 3], [2, 1, 0]]), ALPHABET))
@settings(max_examples=30)
def test_ties_go_to_the_identifier_that_is_lower_in_lexicographic_order(k, width, ids):
    tables = np.zeros((BATCH, PREFIXES, ALPHABET), np.float32)  # each step costs exactly log V
    found = search(tables, build(ids), k=k, width=width, score="model")
    by_length = sorted((np.count_nonzero(row), *row) for row in ids.tokens.tolist())
    assert found.proven.all()
    assert [name for name, _ in answers(found, 0)] == [row[1:] for row in by_length[:k]]


def test_a_late_tie_goes_to_the_lower_identifier():
    """The search expands the likelier branch [2, ...] first; [1, 1, 1] ties with its result."""
    tables = np.full((1, PREFIXES, ALPHABET), -np.inf, np.float32)
    with np.errstate(divide="ignore"):
        tables[0, row_of(())] = np.log([0.25, 0.25, 0.5, 0])
        tables[0, row_of((1,))] = np.log([0, 1, 0, 0])
        tables[0, row_of((2,))] = np.log([0, 0.5, 0.5, 0])
        for prefix in ((1, 1), (2, 1), (2, 2)):
            tables[0, row_of(prefix)] = np.log([0, 1, 0, 0])
    ids = docids.build(np.array([[2, 1, 1], [2, 2, 1], [1, 1, 1]]), ALPHABET)
    for k, expected in ((1, [0]), (2, [0, 1]), (3, [0, 1, 2])):
        found = search(tables, trie.build(ids), k=k, width=1, score="model")
        assert found.beams.leaf[0].tolist() == expected and found.proven.all()


def test_a_tie_between_children_of_unequally_good_prefixes_goes_to_the_lower_identifier():
    """[1, 1, 1] = .25 * .5 and [2, 1, 1] = .5 * .25 tie; the better prefix is the higher one."""
    tables = np.full((1, PREFIXES, ALPHABET), -np.inf, np.float32)
    with np.errstate(divide="ignore"):
        tables[0, row_of(())] = np.log([0.25, 0.25, 0.5, 0])
        for prefix in ((1,), (2,)):
            tables[0, row_of(prefix)] = np.log([0, 1, 0, 0])
        tables[0, row_of((1, 1))] = np.log([0.5, 0.5, 0, 0])
        tables[0, row_of((2, 1))] = np.log([0.75, 0.25, 0, 0])
    ids = docids.build(np.array([[2, 1, 1], [1, 1, 1]]), ALPHABET)
    for k, expected in ((1, [0]), (2, [0, 1])):
        found = search(tables, trie.build(ids), k=k, width=2, score="model")
        assert (
            found.beams.leaf[0].tolist() == expected
            and len(set(found.beams.score[0].tolist())) == 1
        )


@both
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_logit_that_is_nan_or_infinite_gives_no_answer(poison, scoring):
    ids = docids.build(np.array([[1, 1, 0], [1, 2, 0], [2, 0, 0], [3, 1, 1]]), ALPHABET)
    tables = draw_tables(0)
    tables[0, row_of((1,)), 1] = poison
    tables[1, row_of(())] = poison
    found = search(tables, trie.build(ids), k=4, width=2, score=scoring)
    assert {name for name, _ in answers(found, 0)} == {(2, 0, 0), (3, 1, 1)}
    assert answers(found, 1) == [] and found.proven.all()


def test_an_atomic_search_ranks_the_logits():
    logits = np.random.default_rng(0).normal(size=(BATCH, 1, 5001)).astype(np.float32)
    index = trie.build(docids.atomic(5000))
    step = lambda t, token, cache: (jnp.asarray(logits), cache)
    find = jax.jit(
        functools.partial(
            best_first.best_first, step, k=100, width=7, length=1, score="renormalised"
        )
    )
    found = find(jnp.zeros((BATCH, 1)), index)
    assert (found.beams.leaf == np.argsort(-logits[:, 0, 1:], axis=1)[:, :100]).all()
    assert found.proven.all() and found.expanded.tolist() == [1, 1]


def test_search_traces_twice_a_level_for_tries_of_one_shape():
    traced = []

    @functools.partial(jax.jit, static_argnames="width")
    def find(tables, index, *, width):
        def step(t, token, cache):
            traced.append((t, token.shape))
            return tabled_step(tables)(t, token, cache)

        return best_first.best_first(
            step, empty_cache(BATCH), index, k=2, width=width, length=LENGTH, score="model"
        )

    for seed, names in enumerate(
        [[[1, 1, 1], [1, 2, 1]], [[2, 1, 3], [2, 3, 1]], [[3, 1, 2], [3, 2, 2]]]
    ):
        found = find(
            draw_tables(seed), trie.build(docids.build(np.array(names), ALPHABET)), width=5
        )
        assert len(answers(found, 0)) == 2
    # shapes, then values
    assert sorted(traced) == [
        (t, (BATCH, w)) for t, w in ((0, 1), (0, 1), (1, 1), (1, 1), (2, 2), (2, 2))
    ]


def test_bad_arguments_are_refused_before_tracing():
    index, cache = trie.build(docids.build(np.array([[1, 1, 1]]), ALPHABET)), empty_cache(1)
    step = tabled_step(draw_tables(0)[:1])
    good = dict(k=1, width=1, length=LENGTH, score="model")
    limits = best_first.Limits
    for change in ({"k": 0}, {"limits": limits(sweeps=0)}, {"limits": limits(frontier=0)}):
        with pytest.raises(ValueError, match="expected k, sweeps and frontier of at least 1"):
            best_first.best_first(step, cache, index, **good | change)
    with pytest.raises(ValueError, match="expected width and length of at least 1"):
        best_first.best_first(step, cache, index, **good | {"width": 0})
    with pytest.raises(ValueError, match=r"expected a cache with leaves \[B, 1, ...\]"):
        best_first.best_first(step, (), index, **good)
