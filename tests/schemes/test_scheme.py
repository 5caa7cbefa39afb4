"""Schemes by name: fitted schemes name new documents and never rename old ones."""

import itertools

import jax
import numpy as np
import pytest

from zoo import records
from zoo.docids import table, text
from zoo.schemes import scheme as schemes
from zoo.train import log as logs

LOG = logs.Log(quiet=True)
NUM, NEW = 90, 20
WORDS = "apple pear plum fig bread rice corn oats milk salt".split()
TITLES = [" ".join(pair) for pair in itertools.permutations(WORDS, 2)]
OPTIONS = {
    "clusters": {"branching": 4, "leaf_size": 8},
    "rq": {"levels": 2, "codes": 8},
    "pq": {"levels": 2, "codes": 8},
    "lsh": {"levels": 2, "codes": 8},
    "random": {"levels": 2, "codes": 8},
    "title": {"length": 6, "vocabulary": 200},
    "naive": {},
    "atomic": {},
}  # rqvae trains; tests/schemes/test_codes.py has it
VECTORS = np.random.default_rng(0).normal(size=(NUM + NEW, 6)).astype(np.float32)
every_scheme = pytest.mark.parametrize("name", OPTIONS)


def corpus(rows, titles=TITLES):
    return records.Corpus(
        tuple(f"d{row}" for row in rows),
        tuple(titles[row % len(titles)] for row in rows),
        ("",) * len(rows),
    )


@pytest.fixture(scope="module")
def fitted():
    """name -> (scheme with tokens of each position, state, identifiers of NUM documents)."""
    kept = {}

    def get(name):
        if name not in kept:
            naming = schemes.position_specific(schemes.scheme(name, **OPTIONS[name]))
            kept[name] = (
                naming,
                *naming.fit(corpus(range(NUM)), VECTORS[:NUM], jax.random.key(0), LOG),
            )
        return kept[name]

    return get


def new(naming, state, rows, taken):
    return naming.assign(state, corpus(rows), VECTORS[rows], taken)


@every_scheme
def test_new_identifiers_are_unique_prefix_free_and_as_long_as_the_old(name, fitted):
    naming, state, ids = fitted(name)
    fresh = new(naming, state, np.arange(NUM, NUM + NEW), ids)
    assert fresh.tokens.shape == (NEW, ids.tokens.shape[1]) and fresh.alphabet >= ids.alphabet
    both = table.join(ids, fresh)  # checks them
    np.testing.assert_array_equal(both.tokens[:NUM], ids.tokens)
    # new tokens occur only at the last position
    grown = (fresh.tokens >= ids.alphabet).any(axis=0)
    assert not grown[:-1].any() or name == "title"


@every_scheme
def test_naming_in_parts_equals_naming_at_once(name, fitted):
    naming, state, ids = fitted(name)
    together = new(naming, state, np.arange(NUM, NUM + NEW), ids)
    parts = ids
    for rows in np.array_split(np.arange(NUM, NUM + NEW), 3):
        parts = table.join(parts, new(naming, state, rows, parts))
    np.testing.assert_array_equal(parts.tokens[NUM:], together.tokens)


@every_scheme
def test_used_identifiers_are_not_assigned_again(name, fitted):
    naming, state, ids = fitted(name)
    rows = np.arange(NUM, NUM + 5)
    first = new(naming, state, rows, ids)
    again = new(naming, state, rows, table.join(ids, first))  # the same documents, removed since
    assert not {*map(tuple, first.tokens.tolist())} & {*map(tuple, again.tokens.tolist())}


@pytest.mark.parametrize("name", ["clusters", "rq", "pq", "lsh"])
def test_a_new_document_with_an_old_vector_shares_the_beginning_of_its_identifier(name, fitted):
    naming, state, ids = fitted(name)
    fresh = naming.assign(state, corpus(range(20)), VECTORS[:20], ids)
    np.testing.assert_array_equal(fresh.tokens[:, 0], ids.tokens[:20, 0])
    # control: other vectors get other first tokens
    other = naming.assign(state, corpus(range(20)), VECTORS[20:40], ids)
    assert (other.tokens[:, 0] == ids.tokens[:20, 0]).mean() < 0.6


def test_new_documents_go_to_the_nearest_cluster_of_each_level_while_it_has_room(fitted):
    naming = schemes.scheme("clusters", branching=4, leaf_size=40)
    blobs = 100 * np.eye(4, 6)[np.arange(NUM) % 4].astype(np.float32)
    vectors = blobs + VECTORS[:NUM]
    state, ids = naming.fit(corpus(range(NUM)), vectors, jax.random.key(0), LOG)
    fresh = naming.assign(state, corpus(range(NUM)), blobs, ids)
    fits = np.arange(NUM) < 4 * (40 - NUM // 4 - 1)  # leaves of 22 or 23 take 40
    np.testing.assert_array_equal(fresh.tokens[fits, 0], ids.tokens[fits, 0])
    last = int(state["sizes"][-1])
    assert ids.tokens[:, 1].max() == last < fresh.tokens[:, 1].max()  # the last position grows


def test_a_corpus_of_one_leaf_continues_its_counter():
    naming = schemes.scheme("clusters", branching=4, leaf_size=100)
    state, ids = naming.fit(corpus(range(5)), VECTORS[:5], jax.random.key(0), LOG)
    fresh = naming.assign(state, corpus(range(200)), VECTORS[np.zeros(200, int)], ids)
    assert fresh.tokens[:, 0].tolist() == list(range(6, 206))  # past leaf_size, as no leaf has room


def test_a_shortened_cluster_takes_no_other_document():
    alone = lambda ids: table.Docids(np.where(np.arange(2) < 1, ids.tokens, 0), ids.alphabet)
    naming = schemes.scheme("clusters", branching=2, leaf_size=1, shorten=alone)
    state, ids = naming.fit(corpus(range(2)), VECTORS[:2] * 9, jax.random.key(0), LOG)
    with pytest.raises(records.DataError, match="no cluster takes another document"):
        naming.assign(state, corpus(range(1)), VECTORS[:1], ids)


def test_new_strings_are_the_next_integers_then_leading_zeros():
    ids = text.naive_string(100, jax.random.key(0))  # all of two digits
    assert [text.next_naive(ids.tokens, 10).tolist()] == [[[1, digit] for digit in range(1, 11)]]
    table.build(np.concatenate([ids.tokens, text.next_naive(ids.tokens, 10)]), ids.alphabet)
    with pytest.raises(ValueError, match="expected 11 strings of at most 2 digits"):
        text.next_naive(ids.tokens, 11)
    ids = text.naive_string(98, jax.random.key(0))
    assert text.next_naive(ids.tokens, 2).tolist() == [[10, 9], [10, 10]]  # 98 and 99


def test_counters_of_equal_titles_continue(fitted):
    _, state, ids = fitted("title")
    naming = schemes.position_specific(schemes.scheme("title"))
    twins = naming.assign(state, corpus(range(NUM)), None, ids)
    np.testing.assert_array_equal(twins.lengths, ids.lengths)
    last = np.arange(NUM), ids.lengths - 1
    assert (twins.tokens[last] > ids.tokens[last]).all()


def test_unknown_schemes_and_options_are_refused():
    with pytest.raises(
        records.DataError, match="no scheme 'vq'; expected one of: clusters, cells, rq, "
    ):
        schemes.scheme("vq")
    with pytest.raises(TypeError, match="width"):
        schemes.scheme("rq", width=3)
    with pytest.raises(records.DataError, match="option collisions expects one of"):
        schemes.scheme("rq", collisions="ignore")
