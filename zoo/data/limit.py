"""LIMIT: every pair of 46 documents answers a query of its own, which vectors of few dimensions
cannot express.

Weller et al. 2025, "On the Theoretical Limitations of Embedding-Based Retrieval" (arXiv
2508.21038), sec. 5: each document is a person with the things that they like, each query asks who
likes a thing, and exactly two people do. 1,000 of the 1,035 pairs have a query. The full version
has 50,000 people, of whom only the 46 like anything that is asked for.

Deviations: the collection is generated: names and things are invented words, where the published
ones are English; in the hard version a thing is two words, each of which many other things share.
"""

from __future__ import annotations

import itertools

import numpy as np

from zoo import records

PEOPLE, QUERIES, OTHERS, LIKED = 46, 1000, 850, 50
FULL = 50_000
_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]


def build(num_documents: int = PEOPLE, *, hard: bool = False, seed: int = 0) -> records.Collection:
    """The collection with 46 documents or more; all queries are of the split test.

    The same arguments give the same collection.
    """
    if num_documents < PEOPLE:
        raise records.DataError(f"limit: expected {PEOPLE} documents or more, got {num_documents}")
    rng = np.random.default_rng(seed)
    things = _things(rng, hard=hard)
    every = list(itertools.combinations(range(PEOPLE), 2))
    pairs = [every[row] for row in rng.permutation(len(every))[:QUERIES]]
    liked: list[list[int]] = [[] for _ in range(num_documents)]
    for thing, pair in enumerate(pairs):
        for person in pair:
            liked[person].append(thing)
    texts = []
    for person, own in enumerate(liked):
        more = rng.choice(OTHERS, max(LIKED - len(own), 0), replace=False) + QUERIES
        mixed = rng.permutation([*own, *more])
        texts.append(f"{_name(person)} likes {', '.join(things[thing] for thing in mixed)}.")
    names = tuple(f"q{number}" for number in range(QUERIES))
    grades = {
        name: {f"d{person}": 1 for person in pair} for name, pair in zip(names, pairs, strict=True)
    }
    corpus = records.Corpus(
        tuple(f"d{person}" for person in range(num_documents)), ("",) * num_documents, tuple(texts)
    )
    asked = records.Queries(names, tuple(f"Who likes {thing}?" for thing in things[:QUERIES]))
    kind = "limit-hard" if hard else "limit"
    return records.Collection(kind, corpus, asked, {"test": records.Qrels(grades)})


def _things(rng: np.random.Generator, *, hard: bool) -> list[str]:
    """QUERIES + OTHERS different things: a word each, or two words of 44 each."""
    count = QUERIES + OTHERS
    if not hard:
        return [_word(n) for n in rng.choice(len(_SYLLABLES) ** 3, count, replace=False)]
    words = [_word(n) for n in rng.choice(len(_SYLLABLES) ** 3, 88, replace=False)]
    pairs = [" ".join(pair) for pair in itertools.product(words[:44], words[44:])]
    return [pairs[row] for row in rng.permutation(len(pairs))[:count]]


def _word(number: int) -> str:
    size = len(_SYLLABLES)
    return "".join(_SYLLABLES[number // size**place % size] for place in range(3))


def _name(person: int) -> str:
    return f"Person{person}"
