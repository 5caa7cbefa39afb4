"""Docids against plain Python: dictionaries of tuples and pairwise prefix checks."""

import jax
import numpy as np
import pytest
from hypothesis import given, strategies as st

from zoo.docids import table, text
from zoo.index import filters, growth, trie

ROWS, LENGTH, ALPHABET = 6, 3, 4  # maximal sizes of drawn ragged identifiers


def padded(identifiers):
    return np.array([list(i) + [0] * (LENGTH - len(i)) for i in identifiers])


identifier = st.lists(st.integers(1, ALPHABET - 1), min_size=1, max_size=LENGTH).map(tuple)
identifiers = st.lists(identifier, min_size=1, max_size=ROWS)


def first_conflict(names):
    return any(a == b[: len(a)] for i, a in enumerate(names) for j, b in enumerate(names) if i != j)


def prefix_free(names):
    kept = []
    for name in names:
        if not first_conflict([*kept, name]):
            kept.append(name)
    return kept


@given(identifiers)
def test_build_refuses_exactly_the_lists_that_are_not_prefix_free(names):
    if first_conflict(names):
        with pytest.raises(ValueError, match="documents? [0-9]+"):
            table.build(padded(names))
    else:
        ids = table.build(padded(names), ALPHABET)
        assert ids.lengths.tolist() == [len(name) for name in names]


@given(
    identifiers,
    st.lists(
        st.lists(st.integers(0, ALPHABET), min_size=LENGTH, max_size=LENGTH), min_size=4, max_size=4
    ),
)
def test_lookup_equals_a_dictionary(names, asked):
    names = prefix_free(names)
    ids = table.build(padded(names), ALPHABET)
    rows = {tuple(row): n for n, row in enumerate(ids.tokens.tolist())}
    asked = np.concatenate([np.array(asked), ids.tokens])
    expected = [rows.get(tuple(row), -1) for row in asked.tolist()]
    assert table.lookup(ids, asked).tolist() == expected
    assert table.lookup(ids, asked[None, :, None]).tolist() == [[[e] for e in expected]]


def test_lookup_knows_no_negative_and_no_foreign_token():
    ids = table.build(np.array([[1, 2], [300, 70000]]))
    assert table.lookup(
        ids, [[300, 70000], [-1, 2], [1, 258], [300, 4464], [2**31 - 1, 0]]
    ).tolist() == [1, -1, -1, -1, -1]


@given(identifiers)
def test_offset_keeps_the_order_and_gives_every_position_its_own_tokens(names):
    ids = table.build(padded(prefix_free(names)))
    moved = table.offset(ids)
    sizes = ids.tokens.max(axis=0)
    for n, row in enumerate(ids.tokens):
        assert moved.tokens[n].tolist() == [
            int(token and token + sizes[:i].sum()) for i, token in enumerate(row)
        ]
    assert moved.alphabet == 1 + sizes.sum()
    assert (moved.order == ids.order).all()
    seen = [set(column[column > 0]) for column in moved.tokens.T]
    assert sum(map(len, seen)) == len(set().union(*seen))


@pytest.mark.parametrize(
    "tokens, alphabet, message",
    [
        ([[4, 1, 0], [2, 1, 0], [4, 1, 0]], None, r"documents 0 and 2 are both \[4, 1\]; append"),
        (
            [[4, 1, 7], [2, 1, 0], [4, 1, 0]],
            None,
            r"document 2 is \[4, 1\], which begins document 0, \[4, 1, 7\]; append",
        ),
        ([[4, 1, 7], [2, 0, 1]], None, r"document 1, \[2, 0, 1\], has a pad, 0, before a token"),
        ([[4, 1, 7], [0, 0, 0]], None, r"document 1, \[0, 0, 0\], is empty"),
        ([[4, 1, 7], [2, 1, 1]], 7, r"document 0, \[4, 1, 7\], has a token outside 0 .. 6"),
        ([[4, 1, 7], [2, -1, 1]], None, r"document 1, \[2, -1, 1\], has a token outside 0 .. 7"),
        ([[2**31]], None, r"document 0, \[2147483648\], has a token outside"),
        ([4, 1, 7], None, r"expected integers \[N, L\].* got int64 \[3\]"),
        ([[4.0]], None, "got float64"),
        (np.zeros((0, 3), int), None, r"got int64 \[0, 3\]"),
    ],
)
def test_build_errors_name_the_problem_and_the_document(tokens, alphabet, message):
    with pytest.raises(ValueError, match=message):
        table.build(np.array(tokens), alphabet)


def test_lookup_refuses_tokens_of_another_length():
    with pytest.raises(ValueError, match=r"expected tokens \[..., 2\], got \[5, 3\]"):
        table.lookup(table.build(np.array([[1, 2]])), np.zeros((5, 3), int))


def test_the_fingerprint_changes_with_tokens_alphabet_and_shape():
    tables = [([[1, 2]], 3), ([[2, 1]], 3), ([[1, 2]], 4), ([[1], [2]], 3)]
    assert (
        len({table.build(np.array(tokens), alphabet).fingerprint() for tokens, alphabet in tables})
        == 4
    )
    assert (
        table.build(np.array([[1, 2]], np.int64)).fingerprint()
        == table.build(np.array([[1, 2]], np.int16)).fingerprint()
    )


def test_atomic_identifiers_are_one_token_each():
    ids = table.atomic(1000)
    assert ids.tokens.shape == (1000, 1) and ids.alphabet == 1001
    assert table.lookup(ids, ids.tokens).tolist() == list(range(1000))


@pytest.mark.parametrize("num_documents", [1, 2, 9, 10, 11, 99, 100, 101, 1000, 1001])
def test_naive_strings_spell_the_integers_below_n_in_random_order(num_documents):
    ids = text.naive_string(num_documents, jax.random.key(0))
    spelt = [
        "".join("#" if token == text.END else str(token - 1) for token in row if token)
        for row in ids.tokens.tolist()
    ]
    width = len(str(num_documents - 1))
    assert sorted(spelt) == sorted(
        str(n) + "#" * (len(str(n)) < width) for n in range(num_documents)
    )
    assert ids.tokens.shape == (num_documents, width) and ids.alphabet == 12


def test_naive_strings_are_decided_by_the_key():
    first, again, other = (
        text.naive_string(500, jax.random.key(seed)).tokens for seed in (1, 1, 2)
    )
    assert (first == again).all() and (first != other).any()
    numbers = [int("".join(str(t - 1) for t in row if 0 < t < text.END)) for row in first.tolist()]
    assert numbers != sorted(numbers) == list(range(500))


@pytest.mark.parametrize("most", [9, 2**16 - 1, 2**16 + 5, 2**31 - 2])
def test_the_order_is_lexicographic_and_equal_rows_stay_in_order(most):
    tokens = (
        np.random.default_rng(0)
        .choice([1, 2, most // 2, most - 1, most], (400, 3))
        .astype(np.int32)
    )
    order = table.Docids(tokens, most + 1).order
    rows = [(*tokens[row].tolist(), row) for row in order]
    assert rows == sorted(rows)
    assert len({row[:3] for row in rows}) < len(rows)  # some are equal


SHARED = table.build(  # document 0 has two identifiers and shares one with document 2
    np.array([[1, 2], [3, 0], [1, 2], [2, 2]]), 4, document=np.array([2, 0, 0, 1])
)


def test_documents_may_share_an_identifier_and_have_several():
    assert len(SHARED) == 4 and SHARED.num_documents == 3
    assert table.lookup(SHARED, np.array([[1, 2], [3, 0], [2, 2], [3, 3]])).tolist() == [
        2,
        0,
        1,
        -1,
    ]
    first, end = table.span(SHARED, np.array([[1, 2], [3, 3]]))
    assert SHARED.documents[SHARED.order[first[0] : end[0]]].tolist() == [2, 0]
    assert first[1] == end[1]


def test_a_document_twice_under_one_identifier_and_a_prefix_are_refused():
    with pytest.raises(ValueError, match=r"document 5 has the identifier \[1, 2\] twice"):
        table.build(np.array([[1, 2], [2, 2], [1, 2]]), document=np.array([5, 1, 5]))
    with pytest.raises(ValueError, match="begins document"):
        table.build(np.array([[1, 2], [1, 0], [1, 2]]), document=np.array([0, 1, 2]))
    for document in (np.array([0, -1]), np.array([0]), np.array([0.0, 1.0])):
        with pytest.raises(ValueError, match="document"):
            table.build(np.array([[1], [2]]), document=document)


def test_without_documents_row_n_names_document_n():
    ids = table.atomic(3)
    assert ids.documents.tolist() == [0, 1, 2] and ids.num_documents == 3
    explicit = table.build(ids.tokens, ids.alphabet, document=np.arange(3))
    assert explicit.fingerprint() != ids.fingerprint()  # the stored form differs
    np.testing.assert_array_equal(table.lookup(explicit, ids.tokens), table.lookup(ids, ids.tokens))


def test_gather_returns_every_identifier_of_a_document():
    rows, tokens = table.gather(SHARED, np.array([[0, -1], [1, 2]]))
    named = [
        {(row, *name) for row, name in zip(one, names) if row >= 0}
        for one, names in zip(rows.tolist(), tokens.tolist())
    ]
    assert named == [{(0, 3, 0), (0, 1, 2)}, {(1, 2, 2), (2, 1, 2)}]
    rows, tokens = table.gather(table.atomic(3), np.array([[2, -1]]))
    assert rows.tolist() == [[2, -1]] and tokens[0, 0].tolist() == [3]


def test_a_subset_keeps_the_rows_of_its_documents():
    left = table.subset(SHARED, np.array([True, True, False]))
    assert left.documents.tolist() == [0, 0, 1]
    assert table.lookup(left, np.array([[1, 2], [2, 2]])).tolist() == [0, 1]
    left = table.subset(table.atomic(4), np.array([False, True, False, True]))
    assert table.lookup(left, np.array([[1], [2], [4]])).tolist() == [-1, 1, 3]


def test_join_numbers_the_documents_on():
    both = table.join(table.atomic(2), table.build(np.array([[3], [4]]), 5))
    assert both.tokens.tolist() == [[1], [2], [3], [4]] and both.document is None
    with pytest.raises(ValueError, match=r"documents 1 and 2 are both \[2\]"):
        table.join(table.atomic(2), table.build(np.array([[2]])))
    both = table.join(SHARED, table.build(np.array([[1, 3]]), 4))
    assert both.documents.tolist() == [2, 0, 0, 1, 3]


def test_a_packed_table_is_unpacked_unchanged():
    for ids in (SHARED, table.atomic(3)):
        assert table.unpack(table.pack(ids)).fingerprint() == ids.fingerprint()


def test_a_trie_of_shared_identifiers_answers_all_documents_of_each():
    index = trie.build(SHARED)
    assert index.documents_per_leaf == 2
    leaves = np.asarray(index.documents_of(np.arange(3)))
    assert [{row for row in leaf if row >= 0} for leaf in leaves.tolist()] == [{0, 2}, {1}, {0}]


def test_an_excluded_document_is_excluded_under_all_its_identifiers():
    rows, tokens = table.gather(SHARED, np.array([[0, -1]]))
    left = filters.without(trie.build(SHARED), tokens, rows)
    leaves = np.asarray(left.documents_of(np.arange(3)[None]))[0]
    assert [{row for row in leaf if row >= 0} for leaf in leaves.tolist()] == [{2}, {1}, set()]
    assert np.asarray(left.counts(0, np.zeros((1, 1), np.int32))).tolist() == [[2]]


def test_a_trie_that_grows_by_documents_of_shared_identifiers_equals_one_that_is_built():
    ids = table.build(SHARED.tokens, SHARED.alphabet, np.array([0, 1, 1, 0]))
    more = table.build(np.array([[2, 2], [3, 0]]), 4, document=np.array([2, 2]))
    grown = growth.add(trie.build(ids), more, more.documents)
    whole = trie.build(
        table.build(
            np.concatenate([ids.tokens, more.tokens]), 4, np.concatenate([ids.document, [2, 2]])
        )
    )
    leaves = np.arange(3)
    np.testing.assert_array_equal(grown.documents_of(leaves), whole.documents_of(leaves))
    np.testing.assert_array_equal(
        growth.remove(grown, np.array([2])).documents_of(leaves),
        trie.build(ids, documents_per_leaf=whole.documents_per_leaf).documents_of(leaves),
    )
