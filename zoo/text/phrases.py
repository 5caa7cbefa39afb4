"""Names of documents in a few words: their phrases of highest TF-IDF, in the order of the text.

A stand-in by rule for the teacher of ZeroGR (Sun et al. 2025): three to five core terms of six to
eight words, lower case, without function words.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from zoo.text import words

MOST_WORDS, MOST_PHRASES, LONGEST = 8, 5, 3  # of a name, of a name, of a phrase
FREQUENT = 0.15  # share of documents from which on a word separates phrases
TITLE = 2.0  # how much a phrase of the title weighs


class Counts(NamedTuple):
    """In how many documents each word of a collection is."""

    documents: int
    words: Mapping[str, int]


def count(contents: Sequence[str]) -> Counts:
    """The counts of a collection."""
    counted = collections.Counter(
        word for content in contents for word in set(words.split(words.fold(content)))
    )
    return Counts(len(contents), counted)


def name(title: str, text: str, counts: Counts) -> str:
    """Phrases of a document, at most MOST_WORDS words; its first words if it has no phrase.

    O(words) of the document.
    """
    scores: dict[tuple[str, ...], float] = {}
    places: dict[tuple[str, ...], int] = {}
    term_count = collections.Counter(words.split(words.fold(f"{title} {text}")))
    for place, (phrase, weight) in enumerate(_phrases(title, text, counts)):
        rarity = sum(_idf(word, counts) * math.log1p(term_count[word]) for word in phrase)
        scores[phrase] = max(scores.get(phrase, 0.0), weight * rarity / len(phrase) ** 0.5)
        places.setdefault(phrase, place)
    chosen: list[tuple[str, ...]] = []
    used: set[str] = set()
    for phrase in sorted(scores, key=lambda one: (-scores[one], places[one])):
        fits = len(used) + len(phrase) <= MOST_WORDS and not used & set(phrase)
        if fits and len(chosen) < MOST_PHRASES:
            chosen.append(phrase)
            used |= set(phrase)
    if not chosen:
        return " ".join(words.split(words.fold(f"{title} {text}"))[:MOST_WORDS])
    return " ".join(" ".join(phrase) for phrase in sorted(chosen, key=places.__getitem__))


def _phrases(title: str, text: str, counts: Counts) -> list[tuple[tuple[str, ...], float]]:
    """Runs of words between frequent ones, cut to LONGEST, and how much each weighs."""
    found = []
    most = max(FREQUENT * counts.documents, 2.0)
    for part, weight in ((title, TITLE), (text, 1.0)):
        run: list[str] = []
        for word in [*words.split(words.fold(part)), ""]:
            if word and counts.words.get(word, 0) <= most and not word.isdigit():
                run.append(word)
                if len(run) < LONGEST:
                    continue
            if run:
                found.append((tuple(run), weight))
            run = []
    return found


def _idf(word: str, counts: Counts) -> float:
    return math.log((counts.documents + 1) / (counts.words.get(word, 0) + 0.5))
