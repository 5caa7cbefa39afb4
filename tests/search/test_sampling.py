"""Samples against their enumerated distribution; every statistic rejects a control."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from zoo.docids import table
from zoo.index import filters, fm, ngrams, trie
from zoo.search import beam, diverse, sampling

IDS = table.build(np.array([[1, 1, 2], [1, 2, 0], [2, 1, 1], [2, 1, 3], [2, 3, 1], [3, 0, 0]]), 4)
LENGTH, ALPHABET, MANY = 3, 4, 20_000
INDEX = trie.build(IDS)
# of the last token
TABLES = np.random.default_rng(0).normal(size=(LENGTH, ALPHABET, ALPHABET)).astype(np.float32)


def step(t, token, cache):
    return jnp.asarray(TABLES[t])[token], cache


def cache_of(batch):
    return jnp.zeros((batch, 1))


def log_probabilities(temperature=1.0, score="renormalised", alive=range(len(IDS))):
    """f64[N] log-probabilities of the identifiers: renormalised at each step, or the model's."""
    rows = [tuple(row) for row in IDS.tokens.tolist()]
    found = []
    for row in rows:
        total, before = 0.0, 0
        for t, token in enumerate(row):
            over = sorted({rows[a][t] for a in alive if rows[a][:t] == row[:t]})
            if over == [0] or not over:
                break
            logits = TABLES[t, before].astype(np.float64) / temperature
            total += logits[token] - np.logaddexp.reduce(
                logits[over] if score == "renormalised" else logits
            )
            before = token
        found.append(total)
    return np.array(found)


def rows_of(beams):
    return np.asarray(INDEX.documents_of(beams.leaf))[..., 0]


def chi_square(counts, expected):
    """Excess of a chi-square statistic over its mean, in standard deviations."""
    statistic = ((counts - expected) ** 2 / expected).sum()
    return (statistic - (len(counts) - 1)) / np.sqrt(2 * (len(counts) - 1))


# standard deviations; a correct sampler exceeds it once in many millions, and the keys are fixed
FAR = 6.0


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_draws_have_the_distribution_of_the_decoder(temperature):
    draw = jax.jit(functools.partial(sampling.sample, step, length=LENGTH, score="model"))
    beams = draw(
        cache_of(MANY // 4), INDEX, jax.random.key(0), temperature=jnp.full(4, temperature)
    )
    counts = np.bincount(rows_of(beams).ravel(), minlength=len(IDS))
    assert abs(chi_square(counts, MANY * np.exp(log_probabilities(temperature)))) < FAR
    # the control
    assert chi_square(counts, MANY * np.exp(log_probabilities(temperature * 1.2))) > FAR
    # f32 sums
    np.testing.assert_allclose(
        beams.score, log_probabilities(score="model")[rows_of(beams)], rtol=1e-5
    )


def test_temperature_zero_is_greedy():
    beams = sampling.sample(
        step,
        cache_of(2),
        INDEX,
        jax.random.key(0),
        temperature=jnp.zeros(3),
        length=LENGTH,
        score="renormalised",
    )
    greedy = beam.beam_search(
        step, cache_of(2), INDEX, width=1, length=LENGTH, score="renormalised"
    )
    assert (beams.token == greedy.token).all() and (beams.leaf == greedy.leaf).all()


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_draws_without_replacement_have_the_law_of_an_urn(temperature):
    draw = jax.jit(
        functools.partial(
            sampling.sample_distinct,
            step,
            width=3,
            length=LENGTH,
            temperature=temperature,
            score="model",
        )
    )
    beams, perturbed = draw(cache_of(MANY), INDEX, jax.random.key(1))
    rows, p = rows_of(beams), np.exp(log_probabilities(temperature))
    triples = list(itertools.permutations(range(len(IDS)), 3))
    urn = np.array([p[a] * p[b] / (1 - p[a]) * p[c] / (1 - p[a] - p[b]) for a, b, c in triples])
    where = {triple: i for i, triple in enumerate(triples)}
    counts = np.bincount([where[tuple(row)] for row in rows.tolist()], minlength=len(triples))
    assert abs(chi_square(counts, MANY * urn)) < FAR
    independent = np.array([p[a] * p[b] * p[c] for a, b, c in triples])
    # control: three draws with replacement, if distinct
    assert chi_square(counts, MANY * independent / independent.sum()) > FAR
    assert (np.diff(perturbed, axis=1) <= 0).all()
    # f32 sums
    np.testing.assert_allclose(beams.score, log_probabilities(score="model")[rows], rtol=1e-5)


def test_drawing_everything_without_replacement_draws_each_once():
    beams, perturbed = sampling.sample_distinct(
        step, cache_of(50), INDEX, jax.random.key(2), width=9, length=LENGTH, score="renormalised"
    )
    assert (np.sort(rows_of(beams)[:, :6], axis=1) == np.arange(6)).all()
    assert (
        (beams.leaf[:, 6:] == beam.NO_LEAF).all()
        and (perturbed[:, 6:] == -np.inf).all()
        and (beams.token[:, 6:] == 0).all()
    )


def test_annealed_draws_have_the_law_of_deletion():
    """After a draw, the decoder renormalises over the rest; an urn would keep the marginals."""
    temperature = jnp.array([1.0, 1.5])
    draw = jax.jit(functools.partial(sampling.reverse_anneal, step, length=LENGTH, score="model"))
    rows = rows_of(draw(cache_of(MANY), INDEX, jax.random.key(3), temperature=temperature))
    first = np.exp(log_probabilities(1.0))
    pairs = list(itertools.permutations(range(len(IDS)), 2))
    law = []
    for a, b in pairs:
        alive = [row for row in range(len(IDS)) if row != a]
        law.append(first[a] * np.exp(log_probabilities(1.5, alive=alive))[b])
    where = {pair: i for i, pair in enumerate(pairs)}
    counts = np.bincount([where[tuple(row)] for row in rows.tolist()], minlength=len(pairs))
    assert abs(chi_square(counts, MANY * np.array(law))) < FAR
    urn = np.array([first[a] * first[b] / (1 - first[a]) for a, b in pairs])
    assert chi_square(counts, MANY * urn) > FAR  # the control


def test_annealing_finds_every_identifier_once_and_the_greedy_one_first():
    schedule = sampling.rising(8)
    beams = sampling.reverse_anneal(
        step,
        cache_of(20),
        INDEX,
        jax.random.key(4),
        temperature=schedule,
        length=LENGTH,
        score="model",
    )
    rows = rows_of(beams)
    assert (np.sort(rows[:, :6], axis=1) == np.arange(6)).all() and (
        beams.leaf[:, 6:] == beam.NO_LEAF
    ).all()
    greedy = beam.beam_search(
        step, cache_of(1), INDEX, width=1, length=LENGTH, score="renormalised"
    )
    assert (rows[:, 0] == rows_of(greedy)[0, 0]).all()


def test_annealing_draws_only_allowed_documents_and_loses_no_draw():
    # two documents each on the third and the fifth
    shared = table.Docids(IDS.tokens[[0, 1, 2, 3, 4, 5, 2, 4]], ALPHABET)
    index = filters.keep(
        trie.build(shared), np.array([True, False, True, True, True, True, False, True])
    )
    # both documents of one identifier; one of them, and all below another prefix
    rows = jnp.array([[4, 7, -1], [0, 4, 3]])
    index = filters.without(index, jnp.asarray(shared.tokens)[rows], rows)
    draw = jax.jit(functools.partial(sampling.reverse_anneal, step, length=LENGTH, score="model"))
    found = draw(cache_of(2), index, jax.random.key(5), temperature=jnp.full(6, 1.5))
    names = [[tuple(row) for row in query if any(row)] for query in found.token.tolist()]
    left = [tuple(row) for row in IDS.tokens.tolist()]
    assert sorted(names[0]) == sorted(left[i] for i in (0, 2, 3, 5)) and sorted(names[1]) == sorted(
        left[i] for i in (2, 4, 5)
    )
    for query, many in enumerate((4, 3)):
        assert (np.asarray(found.score[query]) > -np.inf).tolist() == [True] * many + [False] * (
            6 - many
        )


def test_ngrams_of_an_fm_index_are_drawn_with_their_scores_and_rows():
    corpus = [[1, 2, 3, 1], [2, 2, 1, 2], [3, 3, 1]]
    names = sorted({tuple(row[i : i + 3]) for row in corpus for i in range(len(row) - 2)})
    index = fm.build(*ngrams.join(corpus), alphabet=ALPHABET)

    @jax.jit
    def draw(index):
        given = cache_of(3), index
        apart = sampling.sample(
            step, *given, jax.random.key(6), temperature=jnp.ones(4), length=LENGTH, score="model"
        )
        distinct, _ = sampling.sample_distinct(
            step, *given, jax.random.key(6), width=7, length=LENGTH, score="model"
        )
        groups = [
            diverse.diverse_beam_search(
                step, *given, width=4, groups=n, penalty=0.5, length=LENGTH, score="model"
            )
            for n in (1, 2)
        ]
        return (
            apart,
            distinct,
            *groups,
            beam.beam_search(step, *given, width=4, length=LENGTH, score="model"),
        )

    apart, distinct, single, groups, plain = draw(index)
    whole = TABLES.astype(np.float64) - np.logaddexp.reduce(
        TABLES.astype(np.float64), axis=2, keepdims=True
    )
    rows = np.asarray(index.find(np.array(names)))[:, 0]
    expected = {
        name: (sum(whole[t, (0, *name)[t], name[t]] for t in range(3)), row)
        for name, row in zip(names, rows)
    }
    expected[0, 0, 0] = -np.inf, beam.NO_LEAF  # a draw that reaches the end of a document
    for found in (apart, distinct, single, groups):
        for name, score, row in zip(
            found.token.reshape(-1, 3).tolist(), found.score.reshape(-1), found.leaf.reshape(-1)
        ):
            # f32 sums
            assert (
                score == pytest.approx(expected[tuple(name)][0], rel=1e-5)
                and row == expected[tuple(name)][1]
            )
    assert [
        sorted(tuple(row) for row in query if any(row)) for query in distinct.token.tolist()
    ] == [names] * 3
    np.testing.assert_array_equal(single.token, plain.token)


def test_temperatures_rise_as_published():
    published = {0: 0, 1: 0.0413, 5: 0.2229, 10: 0.4742, 20: 0.9483, 50: 1.4633}
    schedule = np.asarray(sampling.rising(100))
    # four digits
    np.testing.assert_allclose(schedule[list(published)], list(published.values()), atol=5e-5)


def test_draws_repeat_with_their_key_and_trace_once():
    traced = []

    @jax.jit
    def draw(index, key):
        traced.append(None)
        return sampling.sample_distinct(
            step, cache_of(3), index, key, width=4, length=LENGTH, score="renormalised"
        )

    one, same, other = (draw(INDEX, jax.random.key(seed)) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    assert not np.array_equal(one[1], other[1]) and len(traced) == 1


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_a_single_group_is_the_beam_search(seed):
    tables = jnp.asarray(np.random.default_rng(seed).normal(size=TABLES.shape), jnp.float32)
    ours, plain = _diverse(tables, groups=1, penalty=3.0), _plain(tables)
    np.testing.assert_array_equal(ours.leaf, plain.leaf)
    np.testing.assert_allclose(ours.score, plain.score, rtol=1e-6)  # f32 sums in another order


@functools.partial(jax.jit, static_argnames=("groups", "penalty"))
def _diverse(tables, *, groups, penalty):
    read = lambda t, token, cache: (tables[t][token], cache)
    return diverse.diverse_beam_search(
        read,
        cache_of(1),
        INDEX,
        width=4,
        groups=groups,
        penalty=penalty,
        length=LENGTH,
        score="model",
    )


@jax.jit
def _plain(tables):
    read = lambda t, token, cache: (tables[t][token], cache)
    return beam.beam_search(read, cache_of(1), INDEX, width=4, length=LENGTH, score="model")


def test_groups_move_apart_as_the_penalty_grows():
    firsts = []
    for penalty in (0.0, 100.0):
        beams = _diverse(jnp.asarray(TABLES), groups=4, penalty=penalty)
        alive = np.asarray(beams.score[0]) > -np.inf
        rows = rows_of(beams)[0][alive]
        assert len(set(rows)) == len(rows)  # identifiers are distinct
        # scores exclude the penalty
        np.testing.assert_allclose(
            beams.score[0][alive], log_probabilities(score="model")[rows], rtol=1e-5
        )
        firsts.append(len(set(np.asarray(beams.token[0, :, 0])[alive])))
    # four greedy beams agree; apart they take all three first tokens, the fourth meets one of them
    assert firsts == [1, 3]


def test_groups_that_do_not_divide_the_beam_are_refused():
    with pytest.raises(ValueError, match="groups that divide width 4 .* got 3 and 1.0"):
        diverse.diverse_beam_search(
            step, cache_of(1), INDEX, width=4, groups=3, penalty=1.0, length=LENGTH, score="model"
        )


def test_prefixes_are_the_beam_of_each_depth():
    found = beam.beam_prefixes(step, cache_of(1), INDEX, width=3, length=LENGTH, score="model")
    assert [prefixes.token.shape for prefixes in found] == [(1, 3, 1), (1, 3, 2), (1, 3, 3)]
    for t, prefixes in enumerate(found):
        cut = table.Docids(np.unique(IDS.tokens[:, : t + 1], axis=0), ALPHABET)
        shorter = beam.beam_search(
            step, cache_of(1), trie.build(cut), width=3, length=t + 1, score="model"
        )
        np.testing.assert_array_equal(prefixes.token, shorter.token)
        np.testing.assert_array_equal(prefixes.score, shorter.score)
    np.testing.assert_array_equal(
        found[-1].node,
        beam.beam_search(step, cache_of(1), INDEX, width=3, length=LENGTH, score="model").leaf,
    )
