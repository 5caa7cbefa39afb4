"""Suffix arrays of documents by prefix doubling in numpy; each pass sorts only tied suffixes."""

from __future__ import annotations

import numpy as np

SEPARATOR = 0  # closes every document; less than every token
MOST = 16  # tokens of the first sort; for small alphabets more would cost more than they save


def suffix_array(text: np.ndarray, alphabet: int) -> np.ndarray:
    """i32[n] start of each suffix of a text in increasing order; a suffix ends with its document.

    Ties go to the earlier document, as if separators were distinct and increasing: the order of
    `x suffix` and `x suffix'` is then that of `suffix` and `suffix'`, also between documents (the
    multi-string Burrows-Wheeler transform of Mantaci et al. 2007).

    Larsson and Sadakane 2007, "Faster suffix sorting", with the first sort over as many tokens as
    fit into 63 bits, 4 of 15 bits each. O(n log n) for text with short repeats, O(n log^2 n) in the
    worst case; about 40 bytes per token of temporary memory.

    Args:
      text: integers i[n] in 0 .. alphabet - 1, n below 2^31; the last is a separator.
    """
    size, bits = len(text), max((alphabet - 1).bit_length(), 1)
    width = min(63 // bits, MOST)
    key, ended = _packed(text, bits, width)
    array = np.argsort(key, kind="stable").astype(np.int32)
    key, ended = key[array], ended[array]
    # a suffix that has ended is tied with none: places are in order
    head = np.concatenate([[True], (key[1:] != key[:-1]) | ended[1:]])
    del key, ended
    slot = np.arange(size, dtype=np.int32)
    # -> i32[n] slot of the first of each tie
    first = np.maximum.accumulate(np.where(head, slot, 0))
    rank = np.empty(size, np.int32)
    rank[array] = first
    slot = slot[_tied(head)]
    while len(slot):
        place = array[slot]
        # a tied suffix is longer than `width`
        pair = rank[place].astype(np.int64) << 32 | rank[place + width]
        order = np.argsort(pair)
        place, pair = place[order], pair[order]
        array[slot] = place
        head = np.concatenate([[True], pair[1:] != pair[:-1]])
        rank[place] = np.maximum.accumulate(np.where(head, slot, 0))
        slot = slot[_tied(head)]
        width *= 2
    return array


def _packed(text: np.ndarray, bits: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """i64[n] the next `width` symbols of each suffix as a number; bool[n] whether it ends there."""
    key = np.zeros(len(text), np.int64)
    inside = np.ones(len(text), bool)  # no separator yet
    longer = np.append(text, np.full(width, SEPARATOR, text.dtype))
    for t in range(width):
        symbol = longer[t : t + len(text)]
        inside &= symbol != SEPARATOR
        key <<= bits
        key |= np.where(inside, symbol, 0)
    return key, ~inside


def _tied(head: np.ndarray) -> np.ndarray:
    """bool[m] whether a suffix is tied with another, given where ties begin."""
    return ~(head & np.append(head[1:], True))
