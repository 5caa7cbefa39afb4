"""Beam search against brute force over all identifiers and a slow beam search in plain Python.

The model is a table of logits with one row per prefix. The step reads the prefix of a hypothesis
from its cache only, so a cache that is not reordered with the hypotheses changes the scores.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, reject, settings, strategies as st

from zoo.docids import table as docids
from zoo.index import level, trie
from zoo.search import automaton, beam

ROWS, LENGTH, ALPHABET, BATCH = 8, 3, 4, 2
PREFIXES = sum(ALPHABET**t for t in range(LENGTH))
WIDTHS = [1, 2, 3, 7, 12]  # the last two may exceed the number of identifiers
SCHEDULES = [(4, 2), (1, 3, 2)]  # widths of the levels
# f32 sums of three logits of size 1 differ from f64 by less than 1e-5; hypothesis rejects closer
# scores
MARGIN = 1e-4


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


@functools.partial(jax.jit, static_argnames=("width", "score"))
def search(tables, legal, *, width, score):
    cache = empty_cache(len(tables))
    return beam.beam_search(
        tabled_step(tables), cache, legal, width=width, length=LENGTH, score=score
    )


def draw_tables(seed, dead_share=0.0):
    """Normal logits f32[B, PREFIXES, V]; a share of them is -inf."""
    rng = np.random.default_rng(seed)
    tables = rng.normal(size=(BATCH, PREFIXES, ALPHABET)).astype(np.float32)
    return np.where(rng.random(tables.shape) < dead_share, -np.inf, tables)


# The oracles. `children(prefix)` lists the tokens that may follow, or None after the end of an
# identifier.


def children_of(ids):
    rows = ids.tokens.tolist()

    def children(prefix):
        tokens = sorted({row[len(prefix)] for row in rows if row[: len(prefix)] == list(prefix)})
        return None if tokens == [0] else tokens

    return children


def free_children(prefix):
    return None if 0 in prefix else list(range(ALPHABET))


def continuations(table, children, prefix, scoring):
    """[(token, log-probability)] of every legal step after a prefix."""
    tokens = children(prefix)
    if tokens is None:
        return [(0, 0.0)]
    logits = np.asarray(table, np.float64)[row_of(prefix)]
    if scoring == "logit":
        return [(token, logits[token]) for token in tokens]
    mass = np.exp(logits[tokens] if scoring == "renormalised" else logits).sum()
    return [(token, logits[token] - math.log(mass) if mass > 0 else -math.inf) for token in tokens]


def brute_force(table, children, scoring):
    """{identifier: score} of all legal identifiers with a finite score."""
    scores = {(): 0.0}
    for _ in range(LENGTH):
        scores = {
            (*prefix, token): score + gain
            for prefix, score in scores.items()
            for token, gain in continuations(table, children, prefix, scoring)
            if gain > -math.inf
        }
    return scores


def slow_beam(table, children, scoring, width, *, margin):
    """[(identifier, score)] of a beam search over Python lists; the lower identifier wins ties.

    width: one width, or one per level.
    """
    hypotheses, widths = [((), 0.0)], width if isinstance(width, tuple) else (width,)
    for t in range(LENGTH):
        width = widths[min(t, len(widths) - 1)]
        grown = [
            ((*prefix, token), score + gain)
            for prefix, score in hypotheses
            for token, gain in continuations(table, children, prefix, scoring)
            if gain > -math.inf
        ]
        grown.sort(key=lambda hypothesis: (-hypothesis[1], hypothesis[0]))
        if len(grown) > width and grown[width - 1][1] - grown[width][1] < margin:
            reject()
        hypotheses = grown[:width]
    if any(a[1] - b[1] < margin for a, b in zip(hypotheses, hypotheses[1:])):
        reject()
    return hypotheses


def answers(beams, query):
    """[(identifier, score)] of a query; checks the invariants of every result."""
    token, score, leaf = (np.asarray(field[query]) for field in beams)
    alive = score > -np.inf
    assert not np.isnan(score).any() and (np.diff(score[alive]) <= 0).all()
    assert alive.tolist() == sorted(alive.tolist(), reverse=True)
    assert (token[~alive] == docids.PAD).all() and (leaf[~alive] == beam.NO_LEAF).all()
    found = [tuple(row) for row in token[alive].tolist()]
    assert len(set(found)) == len(found)
    return list(zip(found, score[alive].tolist()))


def agree(found, expected, tolerance=1e-5):
    assert [name for name, _ in found] == [name for name, _ in expected]
    np.testing.assert_allclose(
        [score for _, score in found], [score for _, score in expected], atol=tolerance
    )


# Strategies.

FORMS = {  # by the maximum of children of a light node, out of 3: no, some, and only heavy nodes
    "light": level.Form(ALPHABET, ALPHABET, False, 0, 1, "uint8"),
    "split": level.Form(ALPHABET, 2, True, 0, 1, "uint8"),
    "heavy": level.Form(ALPHABET, 1, True, 0, 1, "uint8"),
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
    return docids.build(np.array([[*name, *[0] * (LENGTH - len(name))] for name in kept]), ALPHABET)


def build(ids, form=FORMS["light"]):
    """A trie with this form at every level, so that all hypothesis examples share one program."""
    return trie.build(ids, forms=(form,) * LENGTH)


seeds, dead_shares = st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.2, 0.6, 1.0])
both = pytest.mark.parametrize("scoring", ["model", "renormalised"])


@every_form
@both
@given(ids=prefix_free_docids(), seed=seeds, dead_share=dead_shares)
def test_a_beam_as_wide_as_the_trie_equals_brute_force(form, scoring, ids, seed, dead_share):
    tables = draw_tables(seed, dead_share)
    beams = search(tables, build(ids, form), width=WIDTHS[-1], score=scoring)
    for query in range(BATCH):
        expected = brute_force(tables[query], children_of(ids), scoring)
        found = answers(beams, query)
        assert {name for name, _ in found} == set(expected)
        np.testing.assert_allclose(
            [score for _, score in found], [expected[name] for name, _ in found], atol=1e-5
        )
        ordered = sorted(map(tuple, ids.tokens.tolist()))
        assert [ordered[leaf] for leaf in np.asarray(beams.leaf[query]) if leaf >= 0] == [
            name for name, _ in found
        ]


@every_form
@both
@pytest.mark.parametrize("width", [*WIDTHS, *SCHEDULES])
@given(ids=prefix_free_docids(), seed=seeds, dead_share=dead_shares)
@settings(max_examples=50)
def test_a_narrow_beam_equals_a_slow_beam_search(form, width, scoring, ids, seed, dead_share):
    tables = draw_tables(seed, dead_share)
    expected = [
        slow_beam(table, children_of(ids), scoring, width, margin=MARGIN) for table in tables
    ]
    beams = search(tables, build(ids, form), width=width, score=scoring)
    assert beams.token.shape == (BATCH, width[-1] if isinstance(width, tuple) else width, LENGTH)
    for query in range(BATCH):
        agree(answers(beams, query), expected[query])


@every_form
@pytest.mark.parametrize("width", [3, (4, 2)])
@given(ids=prefix_free_docids(), seed=seeds, dead_share=dead_shares)
@settings(max_examples=50)
def test_a_narrow_beam_sums_raw_logits(form, width, ids, seed, dead_share):
    tables = draw_tables(seed, dead_share)
    expected = [
        slow_beam(table, children_of(ids), "logit", width, margin=MARGIN) for table in tables
    ]
    beams = search(tables, build(ids, form), width=width, score="logit")
    for query in range(BATCH):
        agree(answers(beams, query), expected[query])


@pytest.mark.parametrize("scoring", ["model", "renormalised", "logit"])
@pytest.mark.parametrize("width", [1, 5, 100])
@given(seed=seeds, dead_share=dead_shares)
@settings(max_examples=25)
def test_a_free_beam_equals_a_slow_beam_search_in_which_zero_ends(width, scoring, seed, dead_share):
    tables = draw_tables(seed, dead_share)
    expected = [slow_beam(table, free_children, scoring, width, margin=MARGIN) for table in tables]
    beams = search(tables, automaton.Free(), width=width, score=scoring)
    assert (beams.leaf == beam.NO_LEAF).all()
    for query in range(BATCH):
        agree(answers(beams, query), expected[query])


@every_form
@given(ids=prefix_free_docids(), width=st.sampled_from(WIDTHS))
def test_ties_go_to_the_identifier_that_is_lower_in_lexicographic_order(form, ids, width):
    tables = np.zeros((BATCH, PREFIXES, ALPHABET), np.float32)  # each step costs exactly log V
    beams = search(tables, build(ids, form), width=width, score="model")
    agree(answers(beams, 0), slow_beam(tables[0], children_of(ids), "model", width, margin=0.0))


def test_a_tie_between_children_of_unequally_good_prefixes_goes_to_the_lower_identifier():
    # [1, 1] = .25 * .5 and [2, 1] = .5 * .25 tie, also in f32: all are powers of two
    tables = np.full((1, PREFIXES, ALPHABET), -np.inf, np.float32)
    with np.errstate(divide="ignore"):
        tables[0, row_of(())] = np.log([0.25, 0.25, 0.5, 0])
        tables[0, row_of((1,))] = np.log([0.5, 0.5, 0, 0])
        tables[0, row_of((2,))] = np.log([0.75, 0.25, 0, 0])
    ids = docids.build(np.array([[2, 1, 0], [1, 1, 0]]), ALPHABET)
    for width in (2, 3):
        found = search(tables, trie.build(ids), width=width, score="model")
        assert found.score[0, 0] == found.score[0, 1]
        assert found.leaf[0, :2].tolist() == [0, 1]


def test_a_cache_that_is_not_reordered_fails_the_comparison(monkeypatch):
    ids = docids.build(
        np.array([[a, b, c] for a in (1, 2, 3) for b in (1, 2, 3) for c in (1, 2)]), ALPHABET
    )
    tables = draw_tables(5)

    def find():
        compiled = jax.jit(
            functools.partial(
                beam.beam_search, tabled_step(tables), width=4, length=LENGTH, score="model"
            )
        )
        return compiled(empty_cache(BATCH), trie.build(ids))

    expected = [slow_beam(table, children_of(ids), "model", 4, margin=MARGIN) for table in tables]
    for query in range(BATCH):
        agree(answers(find(), query), expected[query])

    gather = beam.gather

    def stale(tree, index):
        # (cache, history): does not reorder the cache
        if len(tree) == 2 and isinstance(tree[0], tuple):
            where = jnp.broadcast_to(
                jnp.minimum(jnp.arange(index.shape[1]), tree[1].shape[1] - 1), index.shape
            )
            return gather(tree[0], where), gather(tree[1], index)
        return gather(tree, index)

    monkeypatch.setattr(beam, "gather", stale)
    for query in range(BATCH):
        with pytest.raises(AssertionError):
            agree(answers(find(), query), expected[query])


# Spec: P(11) = .1, P(12) = .4, P(21) = .3, P(22) = .2 over pairs, of which 12 is not in the corpus.
PAIRS = docids.build(np.array([[1, 1], [2, 1], [2, 2]]))


def pair_step(t, token, cache):
    steps = jnp.log(jnp.array([[1e-38, 0.5, 0.5], [1e-38, 0.2, 0.8], [1e-38, 0.6, 0.4]]))
    return steps[token], cache


def find_pairs(scoring):
    find = jax.jit(functools.partial(beam.beam_search, pair_step, width=3, length=2, score=scoring))
    beams = find(jnp.zeros((1, 1)), trie.build(PAIRS))
    return {
        tuple(token): math.exp(score)
        for token, score in zip(beams.token[0].tolist(), beams.score[0].tolist())
    }


def test_renormalising_changes_the_winner():
    masked, renormalised = find_pairs("model"), find_pairs("renormalised")
    assert masked == pytest.approx({(2, 1): 0.3, (2, 2): 0.2, (1, 1): 0.1}, rel=1e-5)
    assert renormalised == pytest.approx({(1, 1): 0.5, (2, 1): 0.3, (2, 2): 0.2}, rel=1e-5)
    assert next(iter(masked)) == (2, 1) and next(iter(renormalised)) == (1, 1)


def test_renormalising_shifts_the_first_step_by_the_divergence_worked_by_hand():
    def first_step(found):
        mass = [sum(p for name, p in found.items() if name[0] == token) for token in (1, 2)]
        return np.array(mass) / sum(mass)

    constrained, posterior = first_step(find_pairs("renormalised")), first_step(find_pairs("model"))
    np.testing.assert_allclose(constrained, [1 / 2, 1 / 2], rtol=1e-5)
    np.testing.assert_allclose(posterior, [1 / 6, 5 / 6], rtol=1e-5)
    divergence = (constrained * np.log(constrained / posterior)).sum()  # (ln 3 + ln .6) / 2
    assert divergence == pytest.approx(0.29389, abs=1e-5)


@both
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_logit_that_is_nan_or_infinite_gives_no_answer(poison, scoring):
    ids = docids.build(np.array([[1, 1, 0], [1, 2, 0], [2, 0, 0], [3, 1, 1]]), ALPHABET)
    tables = draw_tables(0)
    tables[0, row_of((1,)), 1] = poison
    tables[1, row_of(())] = poison
    beams = search(tables, trie.build(ids), width=4, score=scoring)
    assert {name for name, _ in answers(beams, 0)} == {(2, 0, 0), (3, 1, 1)}
    assert answers(beams, 1) == []


@every_form
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_only_invalid_raw_logits_are_dead(form, poison):
    ids = docids.build(np.array([[1, 1, 0], [1, 2, 0], [2, 0, 0], [3, 1, 1]]), ALPHABET)
    clean, poisoned = draw_tables(0), draw_tables(0)
    for token in (1, 3):  # the second is illegal
        poisoned[:, row_of((1,)), token] = poison
    expected = [
        (name, score)
        for name, score in slow_beam(clean[0], children_of(ids), "logit", 4, margin=MARGIN)
        if name != (1, 1, 0)
    ]
    agree(answers(search(poisoned, build(ids, form), width=4, score="logit"), 0), expected)


@both
def test_logits_after_the_end_of_an_identifier_are_not_read(scoring):
    ids = docids.build(np.array([[1, 0, 0], [2, 1, 0], [2, 2, 2]]), ALPHABET)
    clean, poisoned = draw_tables(1), draw_tables(1)
    for prefix in [(1,), (1, 0), (2, 1)]:
        poisoned[:, row_of(prefix)] = np.nan
    first, second = (
        search(tables, trie.build(ids), width=3, score=scoring) for tables in (clean, poisoned)
    )
    assert len(answers(first, 0)) == 3
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_an_atomic_search_ranks_the_logits():
    logits = np.random.default_rng(0).normal(size=(BATCH, 1, 5001)).astype(np.float32)

    def step(t, token, cache):
        assert (t, token.shape) == (0, (BATCH, 1))
        return jnp.asarray(logits), cache

    index = trie.build(docids.atomic(5000))
    find = jax.jit(
        functools.partial(beam.beam_search, step, width=100, length=1, score="renormalised")
    )
    beams = find(jnp.zeros((BATCH, 1)), index)
    assert (beams.leaf == np.argsort(-logits[:, 0, 1:], axis=1)[:, :100]).all()
    assert (index.documents_of(beams.leaf)[..., 0] == beams.leaf).all()


def test_search_traces_once_for_tries_of_one_shape():
    traced = []

    @functools.partial(jax.jit, static_argnames="width")
    def find(tables, index, *, width):
        def step(t, token, cache):
            traced.append((t, token.shape))
            return tabled_step(tables)(t, token, cache)

        return beam.beam_search(
            step, empty_cache(BATCH), index, width=width, length=LENGTH, score="model"
        )

    for seed, names in enumerate(
        [[[1, 1, 1], [1, 2, 1]], [[2, 1, 3], [2, 3, 1]], [[3, 1, 2], [3, 2, 2]]]
    ):
        index = trie.build(docids.build(np.array(names), ALPHABET))
        assert len(answers(find(draw_tables(seed), index, width=5), 0)) == 2
    # never more hypotheses than identifiers
    assert traced == [(0, (BATCH, 1)), (1, (BATCH, 1)), (2, (BATCH, 2))]


@both
def test_a_level_with_one_child_per_node_is_cut_to_its_width(scoring):
    index = trie.build(docids.build(np.array([[1, 1], [2, 1], [3, 1]]), ALPHABET))
    logits = jnp.array([0.0, 1.0, 3.0, 2.0])
    step = lambda t, token, cache: (jnp.broadcast_to(logits, (*token.shape, ALPHABET)), cache)
    find = functools.partial(
        beam.beam_search, step, jnp.zeros((1, 1)), index, length=2, score=scoring
    )
    wide, cut = find(width=3), find(width=(3, 1))
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[:, :1], y), wide, cut)
    assert cut.leaf.tolist() == [[1]]


def test_half_precision_logits_are_summed_in_single_precision():
    def step(t, token, cache):
        return jnp.zeros((1, token.shape[1], 4), jnp.bfloat16), cache

    index = trie.build(docids.build(np.array([[1, 2, 3]])))
    find = jax.jit(functools.partial(beam.beam_search, step, width=1, length=3, score="model"))
    beams = find(jnp.zeros((1, 1)), index)
    assert beams.score.dtype == jnp.float32 and beams.score.item() == pytest.approx(
        -3 * math.log(4), rel=1e-6
    )


def test_bad_arguments_are_refused_before_tracing():
    index = trie.build(PAIRS)
    good = dict(width=2, length=2, score="model")
    for cache in ((), jnp.zeros((1, 2)), jnp.zeros(1)):
        with pytest.raises(ValueError, match=r"expected a cache with leaves \[B, 1, ...\]"):
            beam.beam_search(pair_step, cache, index, **good)
    for change in ({"width": 0}, {"length": 0}, {"width": (2, 0)}, {"width": ()}):
        with pytest.raises(ValueError, match="expected width and length of at least 1"):
            beam.beam_search(pair_step, jnp.zeros((1, 1)), index, **good | change)
    with pytest.raises(ValueError, match="expected length 2, the depth of the leaves, got 1"):
        beam.beam_search(pair_step, jnp.zeros((1, 1)), index, **good | {"length": 1})
    with pytest.raises(TypeError, match="score"):
        beam.beam_search(pair_step, jnp.zeros((1, 1)), index, width=2, length=2)
    with pytest.raises(
        ValueError, match="score to be one of model, renormalised, logit, got 'logits'"
    ):
        beam.beam_search(pair_step, jnp.zeros((1, 1)), index, **good | {"score": "logits"})
