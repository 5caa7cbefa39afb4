"""The FM-index against Python lists, its beam search against all n-grams of the corpus."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from zoo import records
from zoo.index import fm, ngrams as texts, suffixes, wavelet
from zoo.search import beam

ALPHABET, LENGTH, BATCH = 6, 3, 2  # few tokens, so n-grams repeat
PREFIXES = sum(ALPHABET**t for t in range(LENGTH))

documents = st.lists(st.lists(st.integers(1, ALPHABET - 1), max_size=12), min_size=1, max_size=6)
ODD = [
    [[1] * 12, [], [1]],
    [[]],
    [[2]],
    [[], [], [3, 3]],
    [[1, 2, 1, 2, 1, 2], [1, 2, 1, 2], [1, 2, 1, 2, 1, 2]],
]


def for_every_corpus(test):
    """Random corpora, and corpora of empty, one-token or repeated documents."""
    for corpus in ODD:
        test = example(corpus=corpus)(test)
    return given(corpus=documents)(test)


def build(corpus, **options):
    return fm.build(*texts.join(corpus), **{"alphabet": ALPHABET} | options)


def occurrences(corpus, ngram):
    """[(document, place after the n-gram)]."""
    n = len(ngram)
    return [
        (d, i + n)
        for d, row in enumerate(corpus)
        for i in range(len(row) - n + 1)
        if list(row[i : i + n]) == list(ngram)
    ]


def ngrams(corpus, length):
    return sorted(
        {tuple(row[i : i + length]) for row in corpus for i in range(len(row) - length + 1)}
    )


def padded(names, length=LENGTH):
    return np.array([[*name, *[0] * (length - len(name))] for name in names], np.int32).reshape(
        -1, length
    )


# The parts.


@for_every_corpus
def test_the_suffix_array_equals_sorted_lists_with_increasing_separators(corpus):
    text = np.array([token for row in corpus for token in [*row, 0]])
    keys = [(0, i) if token == 0 else (token, 0) for i, token in enumerate(text.tolist())]
    expected = sorted(range(len(text)), key=lambda i: keys[i:])
    for alphabet in (ALPHABET, 2**31):  # the first sort covers 16 tokens or 2, with ties
        assert suffixes.suffix_array(text, alphabet).tolist() == expected


def test_the_suffix_array_of_long_repeats_is_right():
    row = np.random.default_rng(0).integers(1, 1000, 1000)
    for corpus in ([np.ones(1000, int)], [row, row, row[300:]]):
        text = np.concatenate([np.append(one, 0) for one in corpus])
        ends = np.flatnonzero(text == 0)
        suffix = lambda i: (*text[i : ends[np.searchsorted(ends, i)]].tolist(), 0, i)
        assert suffixes.suffix_array(text, 1000).tolist() == sorted(range(len(text)), key=suffix)


@given(st.lists(st.integers(0, 10), min_size=1, max_size=600), st.sampled_from([11, 16, 17]))
def test_a_wavelet_matrix_reads_counts_and_sorts(sequence, alphabet):
    matrix = jax.tree.map(jnp.asarray, wavelet.build(np.array(sequence), alphabet))
    rows = np.arange(640) % len(sequence)  # one size, one compilation
    symbol, place = READ(matrix, jnp.asarray(rows))
    assert symbol.tolist() == [sequence[row] for row in rows]
    ordered = sorted(range(len(sequence)), key=lambda i: sequence[i])
    assert [ordered[i] for i in place.tolist()] == rows.tolist()  # stable
    where = np.array([0, len(sequence) // 2, len(sequence)])
    expected = [
        [sum(s < c for s in sequence) + sequence[:p].count(c) for c in range(2 ** len(matrix.bits))]
        for p in where
    ]
    assert FOLLOW_ALL(matrix, where).tolist() == expected
    ends = jnp.broadcast_to(where[:, None], (3, 11))
    assert FOLLOW(matrix, jnp.broadcast_to(jnp.arange(11), (3, 11)), ends).tolist() == [
        row[:11] for row in expected
    ]


READ, FOLLOW, FOLLOW_ALL = (
    jax.jit(f) for f in (wavelet.Wavelet.read, wavelet.Wavelet.follow, wavelet.Wavelet.follow_all)
)


# The index.


@for_every_corpus
def test_count_and_locate_equal_a_search_through_lists(corpus):
    every = [name for n in (1, 2, 3) for name in ngrams(corpus, n)]
    absent = [(1, 1, 1), (1, 2, 3), (ALPHABET - 1,), (ALPHABET,), (2**30,), (-1, 1)]
    asked = padded(([*absent, *every] * 128)[:128])  # at most 6 x 12 of each length
    index = build(corpus)
    node = index.find(asked)
    counts, found = index.count(asked), index.locate(node, most=80)
    for i, row in enumerate(asked.tolist()):
        expected = occurrences(corpus, [token for token in row if token])
        pairs = list(zip(found.document[i].tolist(), found.end[i].tolist()))
        assert counts[i] == len(expected)
        assert sorted(pairs[: len(expected)]) == expected
        assert set(pairs[len(expected) :]) <= {(-1, -1)}


@for_every_corpus
def test_children_are_the_tokens_that_follow_in_some_document(corpus):
    index = build(corpus)
    asked = ([(), *ngrams(corpus, 1), *ngrams(corpus, 2), (ALPHABET,)] * 64)[:64]
    children = CHILDREN(index, index.find(padded(asked)))
    width = np.asarray(children[..., 1] - children[..., 0])
    for name, found in zip(asked, width.tolist()):
        assert found == [
            len(occurrences(corpus, [*name, token])) if token else 0 for token in range(ALPHABET)
        ]


CHILDREN = jax.jit(fm.FMIndex.children)


def test_no_ngram_crosses_from_one_document_to_another():
    index = build([[1, 2], [3, 4], [], [5]])
    assert index.count(
        np.array([[1, 2], [3, 4], [2, 3], [4, 5], [3, 2], [2, 1], [5, 1]])
    ).tolist() == [1, 1, 0, 0, 0, 0, 0]


def test_no_tokens_are_all_rows_and_pad_ends_an_ngram():
    index = build([[1, 2, 1], [1]])
    assert index.find(np.zeros((1, 2), int)).tolist() == [[0, 6]] == index.start(1)[0].tolist()
    assert index.count(np.array([[1, 0], [1, 2], [2, 0]])).tolist() == [3, 1, 1]


def test_a_corpus_over_many_rows_of_every_array_is_searched_through():
    rng = np.random.default_rng(0)
    corpus = [(1 + rng.geometric(0.01, size) % 2999).tolist() for size in rng.integers(0, 400, 40)]
    index = build(corpus, alphabet=3000)
    asked = [tuple(row[i : i + 3]) for row in corpus for i in range(0, len(row) - 3, 100)]
    found = index.locate(index.find(padded(asked)), most=4)
    for name, count, document, end in zip(
        asked, index.count(padded(asked)).tolist(), found.document.tolist(), found.end.tolist()
    ):
        expected = occurrences(corpus, name)
        assert count == len(expected)
        assert set(zip(document[:count], end[:count])) <= set(expected)


@pytest.mark.parametrize(
    ("tokens", "starts", "message"),
    [
        (
            [1, 2, 0],
            [0, 1, 3],
            "document 1 has the token 0 at place 1; expected tokens from 1 to 5",
        ),
        (
            [1, 2, 6],
            [0, 1, 1, 3],
            "document 2 has the token 6 at place 1; expected tokens from 1 to 5",
        ),
        ([1.0, 2.0], [0, 2], "expected integer tokens"),
        ([1, 2], [0, 1], "expected starts of one document or more that rise from 0 to 2"),
        ([1, 2], [0, 2, 1, 2], "rise from 0 to 2"),
        ([], [0], "one document or more"),
    ],
)
def test_build_errors_name_the_problem_and_the_document(tokens, starts, message):
    with pytest.raises(records.DataError, match=message):
        fm.build(
            np.array(tokens, int if not tokens or isinstance(tokens[0], int) else float),
            np.array(starts),
            alphabet=ALPHABET,
        )


# The search.


def row_of(prefix):
    return sum(ALPHABET**t for t in range(len(prefix))) + sum(
        token * ALPHABET**i for i, token in enumerate(prefix[::-1])
    )


@functools.partial(jax.jit, static_argnames=("width", "length", "score"))
def search(tables, index, *, width, score, length=LENGTH):
    """Beams for logits f32[B, PREFIXES, V] of every prefix.

    The step reads the prefix from its cache only.
    """

    def step(t, token, cache):
        code = cache * ALPHABET + token if t else cache
        row = code + sum(ALPHABET**i for i in range(t))
        return jnp.take_along_axis(tables, row[..., None], axis=1), code

    return beam.beam_search(
        step, jnp.zeros((len(tables), 1), jnp.int32), index, width=width, length=length, score=score
    )


def brute_force(table, corpus, scoring):
    """{n-gram: score} of all n-grams of LENGTH with a finite score, and of their prefixes."""
    scores = {(): 0.0}
    for n in range(1, LENGTH + 1):
        for name in ngrams(corpus, n):
            logits = np.asarray(table[row_of(name[:-1])], np.float64)
            among = (
                [other[-1] for other in ngrams(corpus, n) if other[:-1] == name[:-1]]
                if scoring == "renormalised"
                else slice(None)
            )
            mass = 1.0 if scoring == "logit" else np.exp(logits[among]).sum()
            if name[:-1] in scores and mass > 0 and logits[name[-1]] > -math.inf:
                scores[name] = scores[name[:-1]] + logits[name[-1]] - math.log(mass)
    return {name: score for name, score in scores.items() if len(name) == LENGTH}


@pytest.mark.parametrize(
    ("scoring", "tested"), [("model", 2), ("renormalised", 2), ("model", fm.TESTED), ("logit", 2)]
)
@settings(max_examples=25)
@given(
    corpus=documents, seed=st.integers(0, 2**32 - 1), dead_share=st.sampled_from([0.0, 0.3, 1.0])
)
@example(corpus=[[1, 2], [3]], seed=0, dead_share=0.0)  # no n-gram has this length
@example(corpus=[[1] * 12, []], seed=0, dead_share=0.0)
def test_a_wide_beam_equals_brute_force_over_all_ngrams(scoring, tested, corpus, seed, dead_share):
    rng = np.random.default_rng(seed)
    tables = rng.normal(size=(BATCH, PREFIXES, ALPHABET)).astype(np.float32)
    tables = np.where(rng.random(tables.shape) < dead_share, -np.inf, tables)
    index = build(corpus, tested=tested)
    beams = search(tables, index, width=72, score=scoring)
    for query in range(BATCH):
        expected = brute_force(tables[query], corpus, scoring)
        alive = np.asarray(beams.score[query]) > -np.inf
        found = [tuple(row) for row in beams.token[query, alive].tolist()]
        assert sorted(found) == sorted(expected)
        # f32 sums of 3 terms
        np.testing.assert_allclose(
            beams.score[query, alive], [expected[name] for name in found], atol=1e-5
        )
        assert (np.diff(np.asarray(beams.score[query, alive])) <= 0).all()
        lo = index.find(beams.token[query])[:, 0]
        assert (np.asarray(beams.leaf[query]) == np.where(alive, lo, beam.NO_LEAF)).all()


@pytest.mark.parametrize(
    ("tested", "width", "scoring"),
    [
        (1, 1, "model"),
        (4, 3, "model"),
        (16, 20, "model"),
        (64, 3, "model"),
        (2, 3, "renormalised"),
        (4, 3, "logit"),
    ],
)
@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.sampled_from([None, 2.0, 0.0]),
    dead_share=st.sampled_from([0.0, 0.9]),
)
def test_the_tokens_tried_first_do_not_change_the_answer_nor_its_ties(
    tested, width, scoring, seed, levels, dead_share
):
    alphabet, places = 40, 43  # more logits than tokens
    rng = np.random.default_rng(seed)
    corpus = [
        (1 + rng.geometric(0.1, size) % (alphabet - 1)).tolist() for size in rng.integers(0, 60, 8)
    ]
    index = build(corpus, alphabet=alphabet, tested=tested)
    names = [
        (),
        *sorted(ngrams(corpus, 1) + ngrams(corpus, 2), key=lambda name: rng.random()),
        (),
        (),
    ][:5]
    names += [()] * (5 - len(names))
    node = index.find(padded(names, 2))[None].repeat(BATCH, axis=0)
    logits = rng.normal(size=(BATCH, len(names), places))
    logits = np.round(logits * levels) if levels is not None else logits  # ties: many, or all
    logits = np.where(rng.random(logits.shape) < dead_share, -np.inf, logits).astype(np.float32)
    score = np.where(
        rng.random((BATCH, len(names))) < 0.2, -np.inf, rng.integers(-3, 1, (BATCH, len(names)))
    ).astype(np.float32)
    found, expected, gain = both(index, node, score, logits, width=width, score=scoring)
    for query in range(BATCH):
        rows, wanted = (alive_rows(answer, query) for answer in (found, expected))
        if scoring != "renormalised":  # equal sums
            np.testing.assert_array_equal(rows, wanted)
            continue
        # another order of the sum over legal tokens changes the last bit and the order of ties
        np.testing.assert_allclose(np.sort(rows[:, 0]), np.sort(wanted[:, 0]), atol=1e-5)
        for total, token, lo, hi, parent in rows:
            assert total == pytest.approx(
                score[query, int(parent)] + float(gain[query, int(parent), int(token)]), abs=1e-5
            )
            assert index.extend(node[query, int(parent)], jnp.int32(token)).tolist() == [lo, hi]


@functools.partial(jax.jit, static_argnames=("width", "score"))
def both(index, node, before, logits, *, width, score):
    """(children of `choose`, children selected from `expand`, log-probabilities of the latter)."""
    arguments = (0, node, before, logits)
    return (
        index.choose(*arguments, width=width, score=score),
        beam.best_children(index, *arguments, width=width, score=score),
        beam.score_children(index, 0, node, logits, score=score)[0],
    )


def alive_rows(answer, query):
    """f64[W', 5] score, token, node and parent of the children that exist."""
    columns = [
        np.asarray(field[query], np.float64).reshape(len(answer.score[query]), -1)
        for field in answer
    ]
    return np.concatenate(columns, axis=1)[np.asarray(answer.score[query]) > -np.inf]


def test_search_traces_once_for_corpora_of_one_size_class():
    traced = []

    @jax.jit
    def find(index):
        traced.append(len(traced))
        step = lambda t, token, cache: (jnp.zeros((1, token.shape[1], ALPHABET)), cache)
        return beam.beam_search(step, jnp.zeros((1, 1)), index, width=4, length=2, score="model")

    for corpus in ([[1, 2], [3, 4]], [[5, 1, 2, 5]], [[2, 3], [], [4, 4, 4]]):
        found = find(build(corpus))
        names = [tuple(row) for row in found.token[0].tolist() if any(row)]
        assert sorted(names) == ngrams(corpus, 2)
    assert traced == [0]


def test_too_few_logits_are_refused():
    index = build([[1, 2]])
    for method in (
        index.expand,
        functools.partial(index.choose, before=jnp.zeros((1, 1)), width=1, score="model"),
    ):
        with pytest.raises(ValueError, match="expected logits over 6 tokens or more, got 5"):
            method(0, index.start(1), logits=jnp.zeros((1, 1, 5)))


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_logit_of_a_token_that_cannot_follow_does_not_matter_among_legal_ones(poison):
    """Like in a trie; only the model's log-softmax reads the logits of all tokens."""
    index = build([[1, 2]], alphabet=4)
    arguments = 0, index.start(1), jnp.zeros((1, 1)), jnp.array([[[0.0, 1.0, 0.5, poison]]])
    for score, expected in (
        ("renormalised", np.log(1 / (1 + np.exp([-0.5, 0.5])))),
        ("logit", np.array([1.0, 0.5])),
        ("model", np.array([-np.inf, -np.inf])),
    ):
        for found in (
            index.choose(*arguments, width=2, score=score),
            beam.best_children(index, *arguments, width=2, score=score),
        ):
            np.testing.assert_allclose(found.score[0], expected, rtol=1e-6)
