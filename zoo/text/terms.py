"""Index terms of texts: stems of words, pairs of characters where a script does not separate words.

An `Analysis` fixes the languages when a collection is indexed; documents that are added later and
queries are analysed with the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from zoo.text import languages, words

SHORTEST = 2  # letters of a word in a script that separates words


class Analysis(NamedTuple):
    """How texts become terms."""

    language: str = languages.AUTO  # as requested
    by_script: dict[str, str] = {}  # the language of each script
    strip_accents: bool = False  # from Latin, Greek and Cyrillic letters

    @property
    def dotless(self) -> bool:
        """Whether I folds to the dotless i."""
        return self.by_script.get("LATIN") == "turkish"


def choose(
    texts: Sequence[str], *, language: str = languages.AUTO, strip_accents: bool = False
) -> tuple[Analysis, words.Words]:
    """The analysis of a collection, and its words.

    language: "auto", "none" or a name of `languages.names`. Raises DataError if it is none of them.
    """
    found = words.segment(texts)
    analysis = Analysis(language, languages.choose(language, found), strip_accents)
    return analysis, words.segment(texts, dotless=True) if analysis.dotless else found


def of_documents(found: words.Words, analysis: Analysis) -> words.Words:
    """Terms of segmented documents. Ideographs and syllables also count one by one."""
    return _terms(found, analysis, _pairs_and_characters)


def of_queries(texts: Sequence[str], analysis: Analysis) -> words.Words:
    """Terms of queries: a character counts by itself only where it stands alone."""
    return _terms(words.segment(texts, dotless=analysis.dotless), analysis, words.pairs)


def _pairs_and_characters(word: str) -> list[str]:
    pairs, characters = words.pairs(word), words.characters(word)
    return pairs if pairs == characters else pairs + characters


def _terms(
    found: words.Words, analysis: Analysis, expand: Callable[[str], list[str]]
) -> words.Words:
    """Terms of words; `expand` gives those of a word in an unspaced script."""
    vocabulary = found.vocabulary
    if analysis.strip_accents:
        vocabulary = [words.strip_accents(word) for word in vocabulary]
    numbers = words.Numbers()
    flat, starts = [], [0]  # the terms of each distinct word
    for word, stem in zip(vocabulary, languages.stem(vocabulary, analysis.by_script)):
        if words.unspaced(word):
            flat += [numbers[term] for term in expand(word)]
        elif stem and len(word) >= SHORTEST:
            flat.append(numbers[stem])
        starts.append(len(flat))
    first, size = np.asarray(starts[:-1], np.int64), np.diff(starts)
    sizes = size[found.numbers]  # of each place
    ends = np.concatenate([[0], np.cumsum(sizes)])
    # place p is replaced by flat[first[p] : first[p] + size[p]]
    places = np.repeat(first[found.numbers] - ends[:-1], sizes) + np.arange(ends[-1])
    return words.Words(list(numbers), np.asarray(flat, np.int32)[places], ends[found.starts])
