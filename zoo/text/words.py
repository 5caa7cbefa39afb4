"""Words of text in any script: Unicode's word boundaries (UAX #29), tailored for search.

Text is folded first (NFKC, default case folding; combining marks stay). Two tailorings, both of the
kind that UAX #29 section 4 foresees:

- Full stops, apostrophes and colons end a word (rules WB6, 7, 11 and 12 do not apply), so that
  "os.path" is found by "path". On ASCII text the words are those of the pattern `\\w+`.
- Scripts written without spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese, ...),
  and Hangul, whose particles join their noun, give runs that `pairs` splits into overlapping pairs
  of characters, a character being a base with its marks (as Lucene's CJKBigramFilter).
"""

from __future__ import annotations

import array
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import regex

_MARK = r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]"
_SOUTH_EAST_ASIAN = r"[\p{LB=SA}--[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]]"
_UNSPACED = (
    r"[[\p{Han}\p{Hiragana}\p{Katakana}\p{WB=Katakana}\p{Bopomofo}\p{Hangul}\p{LB=SA}]"
    r"--[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]]"
)
_SPACED = r"[\p{WB=ALetter}\p{WB=Hebrew_Letter}\p{WB=Numeric}\p{WB=ExtendNumLet}\p{N}]"
_SPACED = rf"[{_SPACED}--{_UNSPACED}]"
_WORD = regex.compile(
    rf"(?:{_SPACED}{_MARK}*+)++|(?:{_UNSPACED}{_MARK}*+)++", regex.VERSION1
).findall
_ASCII_WORD = re.compile(r"\w+", re.ASCII).findall
# Latin, Greek, Cyrillic and punctuation without marks, where the words of _WORD are runs of \w and
# `re` is ten times as fast
_IS_PLAIN = re.compile(
    "[\x00-\u02c1\u0370-\u0482\u048a-\u052f\u2010-\u2027\u2030-\u203e\u2041-\u2053"
    "\u2055-\u205e\u20a0-\u20cf\u2100-\u2bff]*"
).fullmatch
_PLAIN_WORD = re.compile(r"\w+").findall
_CHARACTER = regex.compile(rf"{_UNSPACED}{_MARK}*+", regex.VERSION1).findall
_IS_UNSPACED = regex.compile(_UNSPACED, regex.VERSION1).match
_ALONE = regex.compile(r"[\p{Han}\p{Hangul}]", regex.VERSION1).match  # a word by one character
_INVISIBLE = regex.compile(
    # a zero-width space separates words, but not those of scripts that are split into pairs anyway
    rf"[\p{{Default_Ignorable_Code_Point}}--\u200b]|(?<={_SOUTH_EAST_ASIAN}{_MARK}*)\u200b",
    regex.VERSION1,
)
_FIRST_UNSPACED = "\u0e00"  # no unspaced script has a letter before Thai


class Words(NamedTuple):
    """The words of N texts, each distinct word stored once."""

    vocabulary: list[str]  # distinct words by first occurrence
    numbers: np.ndarray  # i32[T] the word at each of the T places, text by text
    starts: np.ndarray  # i64[N + 1] where each text starts in `numbers`

    def texts(self) -> list[list[str]]:
        """The words of each text."""
        listed = [self.vocabulary[number] for number in self.numbers.tolist()]
        return [listed[a:b] for a, b in zip(self.starts.tolist(), self.starts[1:].tolist())]


def fold(text: str, *, dotless: bool = False) -> str:
    """Text as it is compared: NFKC, default case folding, without invisible code points.

    dotless: fold I to the dotless i (Turkish).

    >>> fold("Ｓtraße ﬁle が")
    'strasse file が'
    """
    if dotless:
        text = text.replace("I", "ı")
    if text.isascii():
        return text.lower()
    # default case folding leaves a combining dot on the i of a Turkish capital
    text = unicodedata.normalize("NFKC", text).replace("İ", "i").casefold()
    text = _INVISIBLE.sub("", text)
    return unicodedata.normalize("NFKC", text)  # case folding can undo a composition


def split(text: str) -> list[str]:
    """Words of folded text; a stretch of an unspaced script is one word, see `pairs`.

    >>> split("os.path: 東京の天気 คน")
    ['os', 'path', '東京の天気', 'คน']
    """
    if text.isascii():
        return _ASCII_WORD(text)
    return _PLAIN_WORD(text) if _IS_PLAIN(text) else _WORD(text)


def segment(texts: Sequence[str], *, dotless: bool = False) -> Words:
    """Folds and splits N texts."""
    numbers = Numbers()
    places, starts = array.array("i"), np.zeros(len(texts) + 1, np.int64)
    for row, text in enumerate(texts):
        places.extend(map(numbers.__getitem__, split(fold(text, dotless=dotless))))
        starts[row + 1] = len(places)
    return Words(list(numbers), np.frombuffer(places, np.int32), starts)


def unspaced(word: str) -> bool:
    """Whether a word of `split` is a stretch of a script that does not separate words."""
    return word[0] >= _FIRST_UNSPACED and _IS_UNSPACED(word) is not None


def pairs(word: str) -> list[str]:
    """Pairs of neighbouring characters of an unspaced word; one character alone is itself.

    >>> pairs("東京都")
    ['東京', '京都']
    """
    characters = _CHARACTER(word)
    return [a + b for a, b in zip(characters, characters[1:])] or characters


def characters(word: str) -> list[str]:
    """Characters of an unspaced word that are words by themselves: ideographs and syllables.

    >>> characters("東京の")
    ['東', '京']
    """
    return [character for character in _CHARACTER(word) if _ALONE(character)]


def strip_accents(word: str) -> str:
    """A word without the marks on Latin, Greek and Cyrillic letters; other marks are letters.

    >>> strip_accents("naïve") + strip_accents("が")
    'naiveが'
    """
    if word.isascii():
        return word
    decomposed = unicodedata.normalize("NFD", word)
    return unicodedata.normalize("NFC", _ACCENTED.sub(r"\1", decomposed))


_ACCENTED = regex.compile(r"([\p{Latin}\p{Greek}\p{Cyrillic}])\p{Mn}+", regex.VERSION1)


class Numbers(dict):
    """Numbers words as they are looked up."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number
