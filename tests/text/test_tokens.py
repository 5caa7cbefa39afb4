"""Sub-word tokens: guarantees of a tokenizer trained on a small corpus."""

import unicodedata

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from zoo.text import tokens, words

TEXTS = [
    "join the path of a file to the path of a folder",
    "joins paths, and joined files; nothing else is joined",
    "the quick brown fox jumps over the lazy dog",
    "Café naïve: 42 façades",
]
PROMPTS = ("[index]", "[retrieve]")
SIZE = 150


@pytest.fixture(scope="module")
def tokenizer():
    return tokens.train(TEXTS, size=SIZE, prompts=PROMPTS)


def encoded(tokenizer, text, **options):
    return tokens.encode(tokenizer, [text], **{"length": 12, **options})[0].tolist()


def test_the_same_texts_give_the_same_tokenizer(tokenizer):
    # another hash seed in each process numbers parts of words
    for texts in (TEXTS, TEXTS[::-1], TEXTS):
        assert tokens.train(texts, size=SIZE, prompts=PROMPTS) == tokenizer
    assert tokens.train(TEXTS[:2], size=SIZE, prompts=PROMPTS) != tokenizer


def test_a_tokenizer_has_the_requested_size():
    assert [tokens.count(tokens.train(TEXTS, size=size)) for size in (90, 120)] == [90, 120]


def test_rows_are_whole_tokens_cut_and_padded(tokenizer):
    whole = tokens.whole(tokenizer, TEXTS)
    assert all(row.dtype == np.int32 and len(row) and row.min() > 0 for row in whole)
    # ragged, in the order of the texts
    assert [len(row) for row in whole] != sorted(len(row) for row in whole)
    for length in (1, 3, 100):
        rows = tokens.encode(tokenizer, TEXTS, length=length)
        assert rows.shape == (len(TEXTS), length) and rows.dtype == np.int32
        for row, all_of_it in zip(rows, whole):
            kept = min(length, len(all_of_it))
            np.testing.assert_array_equal(row[:kept], all_of_it[:kept])
            assert not row[kept:].any()


@hypothesis.settings(max_examples=60)
@hypothesis.given(
    text=st.text(alphabet="aefijnopst Éß日1.,[]_\n", max_size=30), length=st.integers(2, 8)
)
def test_pads_occur_only_at_the_end_and_a_prompt_only_at_the_start(tokenizer, text, length):
    plain, prompted = (
        encoded(tokenizer, text, length=length, prompt=prompt) for prompt in ("", "[retrieve]")
    )
    size = len([token for token in plain if token != tokens.PAD])
    assert size and not any(plain[size:])
    assert prompted == [3, *plain][:length]


def test_prompts_are_single_tokens_numbered_from_two(tokenizer):
    assert encoded(tokenizer, "files", prompt="[index]")[0] == 2
    assert encoded(tokenizer, "files", prompt="[retrieve]")[0] == 3
    with pytest.raises(ValueError, match="no prompt '\\[other\\]'"):
        tokens.encode(tokenizer, ["files"], length=4, prompt="[other]")


@pytest.mark.parametrize("text", ["[pad]", "a [pad] b", "[index] files", "[unk]"])
def test_special_token_names_in_a_text_are_text(tokenizer, text):
    row = tokens.whole(tokenizer, [text])[0]
    assert len(row) > 2 and not {tokens.PAD, 2, 3} & set(row.tolist())
    assert tokens.encode(tokenizer, [text], length=16)[0, 0] != tokens.PAD


def test_no_row_is_empty(tokenizer):
    assert encoded(tokenizer, "", length=3) == [tokens.UNKNOWN, 0, 0]
    assert encoded(tokenizer, " \n ", length=3) == [tokens.UNKNOWN, 0, 0]
    assert encoded(tokenizer, "", length=3, prompt="[index]") == [2, tokens.UNKNOWN, 0]
    assert [len(row) for row in tokens.whole(tokenizer, ["", "file"])] == [0, 1]
    assert tokens.encode(tokenizer, [], length=3).shape == (0, 3)


def test_letters_never_seen_are_unknown_not_pads(tokenizer):
    assert set(encoded(tokenizer, "日本", length=2)) == {tokens.UNKNOWN}


def test_case_does_not_matter_and_accents_do_unless_they_are_stripped(tokenizer):
    assert encoded(tokenizer, "CAFÉ Naïve") == encoded(tokenizer, "cafe\u0301 nai\u0308ve")
    assert encoded(tokenizer, "café") != encoded(tokenizer, "cafe")
    stripped = tokens.train(TEXTS, size=SIZE, strip_accents=True)
    assert (
        encoded(stripped, "CAFÉ Naïve")
        == encoded(stripped, "cafe naive")
        != encoded(stripped, "cafe native")
    )


@pytest.mark.parametrize("strip_accents", [False, True])
@pytest.mark.parametrize(
    ("word", "other"),
    [
        ("かき", "がき"),
        ("ハハ", "パパ"),
        ("ハハ", "ババ"),
        ("कमल", "कमाल"),
        ("कमल", "कोमल"),
        ("มา", "ม้า"),
        ("ការ", "ករ"),
        ("မြန်", "မန်"),
        ("பல", "பால"),
        ("שָׁלוֹם", "שלום"),
    ],
)
def test_words_that_differ_in_marks_have_different_tokens(word, other, strip_accents):
    trained = tokens.train([word, other], size=100, strip_accents=strip_accents)
    rows = [encoded(trained, text) for text in (word, other)]
    assert rows[0] != rows[1] and tokens.UNKNOWN not in rows[0] + rows[1]


def test_text_is_normalised_like_the_words_of_an_inverted_index():
    """Two seconds for all code points, except Cherokee, which case-folds to upper case."""
    normalize = tokens._normalizer(False).normalize_str
    differ = {
        ord(c)
        for c in map(chr, range(0x110000))
        if unicodedata.category(c) not in ("Cn", "Co", "Cs")
        and "CHEROKEE" not in unicodedata.name(c, "")
        and normalize(c) != words.fold(c)
    }
    old_letters = set(range(0x1C80, 0x1C89))  # nine Cyrillic ones of manuscripts
    later = {0x32FF, 0xAB69, 0x1F16C}  # since Unicode 12 to 15, which Python versions differ in
    later |= {*range(0xA7F2, 0xA7F5), *range(0x1FBF0, 0x1FBFA)}
    later |= {*range(0x10781, 0x107BB), *range(0x1E030, 0x1E06E)}
    assert old_letters <= differ <= old_letters | later
    for text in ("ΣΊΣΥΦΟΣ ΟΔΟΣ", "İSTANBUL Straße ﬁ ①", "ｶﾞ か\u3099", "in\u00adter a\u200bb"):
        assert normalize(text) == words.fold(text)


def test_punctuation_and_blanks_part_words(tokenizer):
    assert (
        encoded(tokenizer, "paths,files")
        == encoded(tokenizer, "paths ,\n  files")
        != encoded(tokenizer, "pathsfiles")
    )


def test_frequent_words_are_one_token(tokenizer):
    # "the", "path" and "of" are most frequent; an unseen word consists of parts
    assert [len(row) for row in tokens.whole(tokenizer, ["the", "path", "of", "zebra"])][:3] == [
        1,
        1,
        1,
    ]
    assert len(tokens.whole(tokenizer, ["zebra"])[0]) > 1
