"""Words of all scripts: UAX #29 boundaries, no letter lost, ASCII words unchanged."""

import re
import unicodedata

import hypothesis
import pytest
import regex
from hypothesis import strategies as st

from zoo.text import words

UAX_BOUNDARY = regex.compile(r"(?w)\b", regex.VERSION1)
# letters with and without marks of 20 scripts; no Hangul, which UAX #29 joins to Latin letters
LETTERS = "aZß9é٣бйґαωאבعةकमালাতি்गไทยม้าລາວកម្ពុមြန်မာ東京国かがアーパաბმሀಕನ್మె"
MARKS = "\u0301\u0308\u093e\u094d\u0e49\u0327"
OTHERS = " \n,;-()!。、“”…/"  # characters that UAX #29 never puts inside a word


def bounds(found, text):
    """(start, end) of each word in the text; words are in text order."""
    place, spans = 0, []
    for word in found:
        start = text.index(word, place)
        place = start + len(word)
        spans.append((start, place))
    return spans


@hypothesis.given(st.text(alphabet=LETTERS + MARKS + OTHERS, max_size=30))
@hypothesis.settings(max_examples=300)
def test_words_end_at_uax_29_boundaries_and_split_there_in_scripts_with_spaces(text):
    text = words.fold(text)
    edges = {match.start() for match in UAX_BOUNDARY.finditer(text)} | {0, len(text)}
    spans = bounds(words.split(text), text)
    covered = set()
    for start, end in spans:
        assert {start, end} <= edges
        inner = [edge for edge in edges if start < edge < end]
        assert not inner or words.unspaced(text[start:end])
        covered |= set(range(start, end))
    for place, character in enumerate(text):
        if unicodedata.category(character)[0] in "LN":
            assert place in covered


@hypothesis.given(st.text(alphabet=st.characters(max_codepoint=127), max_size=60))
def test_words_of_ascii_are_runs_of_letters_digits_and_underscores(text):
    assert words.split(words.fold(text)) == re.findall(r"\w+", text.lower())


def test_the_short_way_for_plain_text_equals_the_rules():
    """Both patterns agree on every folded code point of the plain ranges, also after a letter."""
    plain = [
        c
        for c in map(chr, range(0x2C00))
        if words._IS_PLAIN(c) and words.fold(c) == c and not c.isascii()
    ]
    assert len(plain) > 1000
    for character in plain:
        for text in (character, f"a{character}b"):
            assert words._PLAIN_WORD(text) == words._WORD(text), hex(ord(character))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Straße STRASSE", "strasse strasse"),
        ("Ｔｏｋｙｏ ﬁ ①", "tokyo fi 1"),
        ("か\u3099 ｶﾞ", "が ガ"),
        ("İstanbul ΣΊΣΥΦΟΣ", "istanbul σίσυφοσ"),
        ("कमाल ม้า কী", "कमाल ม้า কী"),
        ("in\u00adter\u200bnational می\u200cخواهم", "inter\u200bnational میخواهم"),
        ("កម្ពុជា\u200bថៃ", "កម្ពុជាថៃ"),  # a zero-width space separates Khmer words at will
    ],
)
def test_folding(text, expected):
    assert words.fold(text) == expected
    assert words.fold(expected) == expected


def test_folding_for_turkish_keeps_the_dotless_i():
    assert words.fold("Isparta İzmir", dotless=True) == "ısparta izmir"


@pytest.mark.parametrize(
    ("word", "pairs", "characters"),
    [
        ("東京都", ["東京", "京都"], ["東", "京", "都"]),
        ("水", ["水"], ["水"]),
        ("がき", ["がき"], []),
        ("アー", ["アー"], []),
        ("ม้ามา", ["ม้า", "าม", "มา"], []),
        ("한국어", ["한국", "국어"], ["한", "국", "어"]),
        ("မြန်မာ", ["မြန်", "န်မာ"], []),
    ],
)
def test_pairs_are_of_characters_with_their_marks(word, pairs, characters):
    assert words.unspaced(word) and words.split(word) == [word]
    assert words.pairs(word) == pairs and words.characters(word) == characters


def test_words_of_texts_come_back():
    texts = ["a b a", "", "कमाल 東京 b", "x"]
    found = words.segment(texts)
    assert found.texts() == [words.split(text) for text in texts]
    assert found.vocabulary == ["a", "b", "कमाल", "東京", "x"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("naïve", "naive"),
        ("ελλάδα", "ελλαδα"),
        ("йод", "иод"),
        ("việt", "viet"),
        ("が", "が"),
        ("कमाल", "कमाल"),
        ("ม้า", "ม้า"),
        ("한", "한"),
    ],
)
def test_accents_are_marks_of_latin_greek_and_cyrillic_alone(word, expected):
    assert words.strip_accents(word) == expected
