"""Documents by the n-grams that a model generated: SEAL's scores of keys and of documents.

Bevilacqua et al. 2022, SEAL (arXiv 2204.10628), sec. 3.2 and 3.3 (LM+FM and intersective scoring).
A key is an n-gram with its log-probability under the model and its count in the corpus. A document
is the sum of the keys that occur in it and do not overlap, the best first.

Deviations: a further occurrence of a key in a document claims its positions in the first stage too.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

DISCOUNT = 0.8  # of a key all of whose tokens were used before
SMOOTHING = 5  # added to counts
TINY = 1e-10  # keeps log(1 - p) finite at p = 1


class Matches(NamedTuple):
    """M occurrences of keys in documents, in any order."""

    key: np.ndarray  # i[M] row of the key
    document: np.ndarray  # i[M] row of the document
    place: np.ndarray  # i64[M] of the first token, in a text where documents do not overlap


class Contributions(NamedTuple):
    """What each of C keys adds to a document: its score times the repetition weight."""

    key: np.ndarray  # i[C]
    document: np.ndarray  # i[C]
    place: np.ndarray  # i64[C]
    weight: np.ndarray  # f64[C] repetition weight
    value: np.ndarray  # f64[C]


def log_odds(log_prob: np.ndarray, count: np.ndarray, num_tokens: int) -> np.ndarray:
    """f64[...] max(0, log odds ratio of the model and of the corpus); 0 for keys of count 0.

        prior = log((count + 5) / (num_tokens + 5))
        [log_prob + log(1 - e^prior)] - [prior + log(1 - e^log_prob)]

    The scores of unigram keys. log_prob: f[...] under the model; count: i[...] in the corpus.
    """
    count = np.asarray(count, np.float64)
    prior = np.log((count + SMOOTHING) / (num_tokens + SMOOTHING))
    given = np.minimum(np.asarray(log_prob, np.float64), 0.0) - TINY
    with np.errstate(divide="ignore"):
        odds = given + np.log1p(-np.exp(prior)) - prior - np.log1p(-np.exp(given))
    return np.where(count > 0, np.maximum(odds, 0.0), 0.0)


def key_score(log_prob: np.ndarray, count: np.ndarray, num_tokens: int) -> np.ndarray:
    """f64[...] the square of `log_odds`: the scores of n-gram keys.

    >>> round(float(key_score(-1.0, 10, 1000)), 6)
    13.310311
    """
    return np.square(log_odds(log_prob, count, num_tokens))


def repetition_weight(tokens: Collection[int], covered: Collection[int]) -> float:
    """1 - .8 + .8 times the fraction of an n-gram's distinct tokens that are not covered.

    >>> round(repetition_weight([1, 2], [2]), 3), round(repetition_weight([2, 2], [2]), 3)
    (0.6, 0.2)
    """
    distinct = set(tokens)
    return 1 - DISCOUNT + DISCOUNT * len(distinct - set(covered)) / len(distinct)


def document_scores(
    matches: Matches, ngrams: np.ndarray, scores: np.ndarray, *, num_documents: int
) -> tuple[np.ndarray, Contributions]:
    """f64[num_documents] sums over keys of score x repetition weight, and the summands.

    Occurrences are visited key by key, within a key from left to right. One that overlaps an
    earlier one is skipped. The first that is left of a key in a document contributes, further ones
    only claim their positions. Tokens of keys that have contributed to a document are covered there
    (`repetition_weight`).

    Args:
      ngrams: i32[Q, L] the keys, padded with 0, in the order in which they are visited.
      scores: f64[Q].

    Cost: a few passes over all tokens of the matches, and two sorts.
    """
    order = np.lexsort((matches.place, matches.key))
    key, document, place = (np.asarray(part, np.int64)[order] for part in matches)
    free = _free(place, (ngrams != 0).sum(axis=1)[key])
    key, document, place = key[free], document[free], place[free]
    first = np.sort(np.unique(key * num_documents + document, return_index=True)[1])
    key, document, place = key[first], document[first], place[first]
    weight = _weights(ngrams, key, document)
    value = weight * np.asarray(scores, np.float64)[key]
    total = np.bincount(document, weights=value, minlength=num_documents)
    return total, Contributions(key, document, place, weight, value)


def _free(place: np.ndarray, length: np.ndarray) -> np.ndarray:
    """bool[M] which of the spans are kept if each is dropped that overlaps an earlier kept one.

    In rounds: a span is kept if no undecided span before it overlaps it. The first undecided span
    always is, so the result equals that of visiting them one by one.
    """
    if not len(place):
        return np.zeros(0, bool)
    ends = np.cumsum(length)
    begins = ends - length
    position = np.repeat(place - begins, length) + np.arange(ends[-1])
    position = _compact(position)
    owner = np.repeat(np.arange(len(place)), length)
    kept = np.zeros(len(place), bool)
    taken = np.zeros(position.max() + 1, bool)
    best = np.zeros(len(taken), np.int64)
    while len(owner):
        best[position[::-1]] = owner[::-1]  # the last assignment, of the first span, stays
        begins = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
        wins = np.logical_and.reduceat(best[position] == owner, begins)
        kept[owner[begins[wins]]] = True
        taken[position[kept[owner]]] = True
        lost = np.logical_or.reduceat(taken[position], begins)
        left = np.repeat(~lost, np.diff(np.append(begins, len(owner))))
        owner, position = owner[left], position[left]
    return kept


def _compact(position: np.ndarray) -> np.ndarray:
    """The positions numbered from 0, without gaps if they are few in a long text."""
    position = position - position.min()
    if position.max() > 8 * len(position):
        return np.unique(position, return_inverse=True)[1]
    return position


def _weights(ngrams: np.ndarray, key: np.ndarray, document: np.ndarray) -> np.ndarray:
    """f64[C] repetition weights of contributions in the order of keys."""
    if not len(key):
        return np.zeros(0)
    tokens = np.sort(ngrams, axis=1).astype(np.int64)
    distinct = np.where(np.diff(tokens, axis=1, prepend=0) != 0, tokens, 0)
    used = distinct[key]  # -> [C, L]
    contribution, column = np.nonzero(used)
    code = document[contribution] * (ngrams.max() + 1) + used[contribution, column]
    fresh = np.unique(code, return_index=True)[1]
    num_new = np.bincount(contribution[fresh], minlength=len(key))
    return 1 - DISCOUNT + DISCOUNT * num_new / (distinct != 0).sum(axis=1)[key]
