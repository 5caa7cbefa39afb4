"""Textual identifiers: they decode to their text, are prefix-free, and resolve equal texts."""

import doctest
import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

from zoo import records
from zoo.docids import table, text
from zoo.index import trie
from zoo.text import tokens

TITLES = [
    "Big cats",
    "Big cats of Asia",
    "big  cats",
    "Ærøskøbing — 東京タワー 🗼",
    "cats",
    "of",
    "Big cats, of Asia!",
]
TOKENIZER = tokens.train(TITLES, size=120)
ENCODE, ALPHABET = functools.partial(tokens.whole, TOKENIZER), tokens.count(TOKENIZER)


def read(ids, row):
    """(tokens of the text, counter among equal texts) of an identifier."""
    one = ids.tokens[row, : ids.lengths[row]].tolist()
    return one[:-1], one[-1] - ALPHABET


@given(st.lists(st.sampled_from(TITLES), min_size=1, max_size=12), st.integers(2, 12))
def test_titles_decode_up_to_their_cut_and_are_numbered_in_row_order(names, length):
    ids = text.titles(names, ENCODE, alphabet=ALPHABET, length=length, duplicates="counter")
    seen = []
    for row, whole in enumerate(ENCODE(names)):
        spelt, number = read(ids, row)
        assert spelt == whole[: length - 1].tolist()
        assert number == seen.count(spelt)
        seen.append(spelt)
    assert ids.alphabet == ALPHABET + max(map(seen.count, seen))
    assert (table.lookup(ids, ids.tokens) == np.arange(len(ids))).all()


def test_a_title_that_is_a_prefix_of_another_gets_an_end_token():
    ids = text.titles(["cats", "cats of"], ENCODE, alphabet=ALPHABET, length=8, duplicates="refuse")
    (first, _), (second, _) = read(ids, 0), read(ids, 1)
    assert second[: len(first)] == first and len(second) > len(first)
    assert ids.tokens[0, len(first)] == ALPHABET != ids.tokens[1, len(first)]


def test_the_tokenizer_decodes_the_text_of_a_title():
    from tokenizers import Tokenizer

    ids = text.titles(
        TITLES[1:2] + TITLES[3:4], ENCODE, alphabet=ALPHABET, length=40, duplicates="refuse"
    )
    decode = lambda row: "".join(
        Tokenizer.from_str(TOKENIZER).id_to_token(t).removeprefix("##") for t in read(ids, row)[0]
    )
    assert [decode(0), decode(1).replace("[unk]", "?")] == [
        "bigcatsofasia",
        "ærøskøbing—東京タワー🗼",
    ]


def test_equal_texts_are_refused_with_their_rows():
    with pytest.raises(
        records.DataError,
        match=r"rows 1 and 2 are both \[[0-9, ]+\] \(1 rows repeat .*duplicates='counter'",
    ):
        text.titles(
            ["of", *TITLES[:1], *TITLES[2:3]],
            ENCODE,
            alphabet=ALPHABET,
            length=8,
            duplicates="refuse",
        )
    with pytest.raises(records.DataError, match="greater length where they were cut"):
        text.titles(
            ["Big cats", "Big of"], ENCODE, alphabet=ALPHABET, length=2, duplicates="refuse"
        )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: text.titles(
                ["cats", "  "], ENCODE, alphabet=ALPHABET, length=4, duplicates="refuse"
            ),
            "title of row 1 is empty; name it by",
        ),
        (
            lambda: text.spell([[1], []], alphabet=3, length=4, duplicates="refuse"),
            "text of row 1 has no token",
        ),
        (
            lambda: text.spell([[1], [1, 3]], alphabet=3, length=4, duplicates="refuse"),
            "row 1 has tokens from 1 to 3; expected 1 to 2",
        ),
        (
            lambda: text.spell([[0, 1]], alphabet=3, length=4, duplicates="refuse"),
            "row 0 has tokens from 0",
        ),
        (
            lambda: text.spell([[1]], alphabet=3, length=1, duplicates="refuse"),
            "length of 2 or more",
        ),
        (
            lambda: text.spell([[1]], alphabet=3, length=2, duplicates="drop"),
            "no policy 'drop' for duplicates; expected one of: counter, refuse",
        ),
        (
            lambda: text.urls(
                ["a.org", "https://1/2.3"],
                ["", ""],
                ENCODE,
                alphabet=ALPHABET,
                length=4,
                duplicates="refuse",
            ),
            "address of row 1",
        ),
        (
            lambda: text.keyword_sets([["a"], list("abcde")], duplicates="refuse"),
            "row 1 is .* at most 4 words, each once",
        ),
        (lambda: text.keyword_sets([["a", "a"]], duplicates="refuse"), "row 0 is"),
        (lambda: text.keywords([["a"], []], duplicates="refuse"), "row 1 has no token"),
    ],
)
def test_unusable_texts_are_refused_with_their_row(build, message):
    with pytest.raises(records.DataError, match=message):
        build()


@pytest.mark.parametrize(
    ("address", "title", "expected"),
    [
        (
            "https://www.Example.org/Animals/2019/big-cats_2.html?page=3#top",
            "",
            "big cats animals www example org",
        ),
        ("example.org", "", "example org"),
        ("http://example.org/", "Two words", "example org"),
        ("http://example.org/a/b.html", "The big cats", "the big cats example org"),
        ("http://example.org/größe/東京.htm", "", "東京 größe example org"),
        ("http://example.org:8080/index.php/a.b.c", "", "a b index php example org"),
    ],
)
def test_the_words_of_an_address_run_from_the_last_segment_to_the_host(address, title, expected):
    assert text.url_text(address, title) == expected


def test_addresses_are_spelled_from_their_words():
    pages = ["http://cats.org/asia", "http://cats.org/asia?p=2", "http://cats.org"]
    ids = text.urls(pages, [""] * 3, ENCODE, alphabet=ALPHABET, length=30, duplicates="counter")
    wanted = [row.tolist() for row in ENCODE(["asia cats org", "asia cats org", "cats org"])]
    assert [read(ids, row) for row in range(3)] == [(wanted[0], 0), (wanted[1], 1), (wanted[2], 0)]


def test_the_example_in_the_documentation_holds():
    assert doctest.testmod(text) == (0, 1)


terms = st.lists(
    st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True), min_size=1, max_size=6
)


@given(terms)
def test_keywords_are_words_in_their_order(names):
    ids, document, words = text.keywords(names, duplicates="counter")
    assert document.tolist() == list(range(len(names)))
    for row, name in enumerate(names):
        one = ids.tokens[row, : ids.lengths[row]].tolist()
        assert [words[token - 1] for token in one[:-1]] == name
        assert one[-1] == len(words) + 1 + names[:row].count(name)


@given(terms)
def test_only_the_orders_of_a_keyword_set_name_its_document(names):
    ids, document, words = text.keyword_sets(names, duplicates="counter")
    found = {}
    for row, owner in zip(ids.tokens.tolist(), document.tolist()):
        one = [token for token in row if token]
        found.setdefault(owner, []).append(
            (tuple(words[token - 1] for token in one[:-1]), one[-1] - len(words) - 1)
        )
    sets = [frozenset(name) for name in names]
    for row, name in enumerate(names):
        expected = [(order, sets[:row].count(sets[row])) for order in itertools.permutations(name)]
        assert sorted(found[row]) == sorted(expected)


def test_a_leaf_of_the_trie_of_keyword_sets_leads_to_the_document():
    ids, document, words = text.keyword_sets(
        [["cats", "asia"], ["asia"], ["big", "cats", "asia"]], duplicates="refuse"
    )
    index = trie.build(ids)
    rows = np.asarray(index.documents_of(np.arange(len(ids)))[:, 0])
    assert sorted(document[rows].tolist()) == [0] * 2 + [1] + [2] * 6
    number = {word: 1 + t for t, word in enumerate(words)}
    asked = [
        [number["cats"], number["asia"], len(words) + 1, 0],
        [number["asia"], len(words) + 1, 0, 0],
    ]
    assert document[table.lookup(ids, asked)].tolist() == [0, 1]
