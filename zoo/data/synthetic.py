"""Collections of drawn words and walks, in any size: for shapes and speed, not for quality."""

from __future__ import annotations

import numpy as np

from zoo import records

WORDS = 50_000  # different ones, drawn by Zipf's law
TEXT, QUERY = 120, 8  # words of a document and of a query
_SYLLABLES = [c + v for c in "bcdfghjklmnprstvwz" for v in ("a", "e", "i", "o", "u", "ai", "on")]


def documents(number: int, *, seed: int = 0) -> records.Collection:
    """A collection of `number` documents with a train and a dev query of words of each."""
    rng = np.random.default_rng(seed)
    chance = 1 / np.arange(1, WORDS + 1)
    drawn = rng.choice(WORDS, (number, TEXT), p=chance / chance.sum())
    spelled = np.array([_word(rank) for rank in range(WORDS)], dtype=object)
    texts = tuple(" ".join(spelled[row]) for row in drawn)
    ids = tuple(f"d{row}" for row in range(number))
    queries, qrels = {}, {}
    for split in ("train", "dev"):
        asked = {
            f"{split}{row}": " ".join(spelled[rng.choice(drawn[row], QUERY)])
            for row in range(number)
        }
        queries |= asked
        qrels[split] = records.Qrels({query: {ids[row]: 1} for row, query in enumerate(asked)})
    corpus = records.Corpus(ids, tuple(text.split(" ", 1)[0] for text in texts), texts)
    asked = records.Queries(tuple(queries), tuple(queries.values()))
    return records.Collection("synthetic", corpus, asked, qrels)


def histories(items: int, users: int, *, events: int = 60, seed: int = 0) -> records.Interactions:
    """Users with so many events each, drawn by Zipf's law, over items with texts."""
    rng = np.random.default_rng(seed)
    chance = 1 / np.arange(1, items + 1)
    drawn = rng.choice(items, users * events, p=chance / chance.sum()).astype(np.int32)
    starts = np.arange(users + 1, dtype=np.int64) * events
    names = tuple(f"u{user}" for user in range(users))
    corpus = documents(items, seed=seed).corpus
    return records.Interactions("synthetic", corpus, records.Histories(names, drawn, starts))


def _word(rank: int) -> str:
    """The word of this rank, the same for everyone; frequent ones are short."""
    base, word = len(_SYLLABLES), ""
    while True:
        word += _SYLLABLES[rank % base]
        rank //= base
        if not rank:
            return word
        rank -= 1
