"""Schemes of arbitrary identifiers: one token per document, or digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from zoo import records
from zoo.docids import table, text
from zoo.records import DataError


def fit_atomic(
    corpus: records.Corpus, vectors: np.ndarray | None, key: jax.Array, log: Any
) -> tuple[dict, table.Docids]:
    """A token per document; the state holds nothing but the name."""
    ids = table.atomic(len(corpus))
    return {"name": "atomic", "sizes": np.array([len(ids)], np.int32)}, ids


def assign_atomic(
    state: Mapping[str, Any],
    corpus: records.Corpus,
    vectors: np.ndarray | None,
    taken: table.Docids,
) -> table.Docids:
    """The tokens that follow those in use; the alphabet grows by one per document."""
    tokens = taken.alphabet + np.arange(len(corpus), dtype=np.int32)[:, None]
    return table.Docids(tokens, taken.alphabet + len(corpus))


def fit_naive(
    corpus: records.Corpus, vectors: np.ndarray | None, key: jax.Array, log: Any
) -> tuple[dict, table.Docids]:
    """Random integers as strings of digits (`text.naive_string`).

    The state holds nothing but the name.
    """
    ids = text.naive_string(len(corpus), key)
    return {"name": "naive", "sizes": ids.tokens.max(axis=0)}, ids


def assign_naive(
    state: Mapping[str, Any],
    corpus: records.Corpus,
    vectors: np.ndarray | None,
    taken: table.Docids,
) -> table.Docids:
    """The next integers; after the last integer of that length, strings with leading zeros.

    Raises DataError if no string of as many digits is left.
    """
    try:
        return table.Docids(text.next_naive(taken.tokens, len(corpus)), taken.alphabet)
    except ValueError as error:
        raise DataError(f"identifiers: naive: {error}") from None
