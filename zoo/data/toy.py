"""A synthetic collection for tests: each document has words of its own, so that a system either
remembers it or does not.
"""

from __future__ import annotations

import numpy as np

from zoo import records

_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
_COMMON = "the a of and how what find make with for".split()
OWN_WORDS = 8  # words that occur in one document alone


def build(num_documents: int = 200, *, seed: int = 0) -> records.Collection:
    """Documents of eight words of their own among common ones.

    Three train, one dev and one test query each.

    A query is three of the document's own words and one common word, in any order; no two queries
    of a document have the same three. So perfect retrieval is possible from any single word, and
    from train queries alone (they cover all eight).

    num_documents: 1 to 40,000. The same arguments give the same collection.
    """
    if not 1 <= num_documents <= 40_000:
        raise records.DataError(f"toy: expected 1 to 40,000 documents, got {num_documents}")
    rng = np.random.default_rng(seed)
    num_words = num_documents * OWN_WORDS
    names = rng.choice(len(_SYLLABLES) ** 3, size=num_words, replace=False).reshape(
        num_documents, OWN_WORDS
    )
    ids, titles, texts, queries = [], [], [], {}
    splits: dict[str, dict[str, dict[str, int]]] = {"train": {}, "dev": {}, "test": {}}
    for row, own in enumerate([[_word(name) for name in document] for document in names]):
        ids.append(f"d{row}")
        titles.append(own[0])
        texts.append(" ".join(rng.permutation(own[1:] + list(rng.choice(_COMMON, 4)))))
        # train, train, train, dev, test
        asked = [own[0:3], own[3:6], [own[6], own[7], own[0]], own[1:4], own[4:7]]
        for number, (words, split) in enumerate(
            zip(asked, ("train", "train", "train", "dev", "test"))
        ):
            queries[f"q{row}.{number}"] = " ".join(rng.permutation([*words, rng.choice(_COMMON)]))
            splits[split][f"q{row}.{number}"] = {f"d{row}": 1}
    return records.Collection(
        "toy",
        records.Corpus(tuple(ids), tuple(titles), tuple(texts)),
        records.Queries(tuple(queries), tuple(queries.values())),
        {split: records.Qrels(judged) for split, judged in splits.items()},
    )


def interactions(
    num_items: int = 40, num_users: int = 200, *, seed: int = 0
) -> records.Interactions:
    """Users who walk a circle of items in a hidden order and now and then jump to an item, the more
    likely the more popular.

    The next item of the circle follows with probability .8, else item number r is chosen with
    probability in proportion to 1 / (r + 1). So the last item tells most, popularity something.
    Histories have 6 to 12 events, items the titles of `build`.
    """
    rng = np.random.default_rng(seed)
    circle = rng.permutation(num_items)
    follows = np.empty(num_items, np.int64)
    follows[circle] = np.roll(circle, -1)
    jump = 1 / (1 + np.arange(num_items))
    lengths = rng.integers(6, 13, num_users)
    walks = np.empty((lengths.max(), num_users), np.int64)
    walks[0] = rng.choice(num_items, num_users, p=jump / jump.sum())
    for step in range(1, len(walks)):
        jumps = rng.random(num_users) >= 0.8
        walks[step] = np.where(
            jumps, rng.choice(num_items, num_users, p=jump / jump.sum()), follows[walks[step - 1]]
        )
    events = np.concatenate([walk[:length] for walk, length in zip(walks.T, lengths)]).astype(
        np.int32
    )
    users = tuple(f"u{row}" for row in range(num_users))
    histories = records.Histories(
        users, events, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    )
    corpus = build(num_items, seed=seed).corpus
    return records.Interactions("toy-walks", corpus, histories)


def _word(number: int) -> str:
    """The three-syllable word of a number below 343,000."""
    base = len(_SYLLABLES)
    return (
        _SYLLABLES[number // base**2]
        + _SYLLABLES[number // base % base]
        + _SYLLABLES[number % base]
    )
