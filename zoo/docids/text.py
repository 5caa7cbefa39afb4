"""Identifiers that are text."""

from __future__ import annotations

import jax
import numpy as np

from zoo.docids import docids

END = 11  # closes a string shorter than the longest, which may begin another


def naive_string(num_documents: int, key: jax.Array) -> docids.Docids:
    """Arbitrary integers written as text, DSI's naive string identifiers (sec. 3.2 of arXiv:2202.06991).

    The integers are a random permutation of 0 .. N-1, without leading zeros; digit d is token d + 1. "7" begins
    "70": every string shorter than the longest is closed by END, so no identifier begins another.

    Returns Docids of length = digits of N-1 and alphabet 12.
    """
    numbers = np.asarray(jax.random.permutation(key, num_documents))[:, None]  # -> [N, 1]
    width = len(str(num_documents - 1))
    digits = 1 + (numbers >= 10 ** np.arange(1, max(width, 2))).sum(axis=1, keepdims=True)
    place = digits - 1 - np.arange(width)  # power of ten that stands at each position, negative after the end
    token = 1 + numbers // 10 ** np.maximum(place, 0) % 10
    return docids.build(np.select([place >= 0, place == -1], [token, END], docids.PAD), END + 1)
