"""The scheme of GENRE: a document is named by the sub-words of its title and a closing token (arXiv
2010.00904, sec. 3).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from zoo import records
from zoo.docids import table, text
from zoo.text import tokens


def fit(
    corpus: records.Corpus,
    vectors: np.ndarray | None,
    key: jax.Array,
    log: Any,
    *,
    length: int = 32,
    vocabulary: int = 8000,
    duplicates: str = "counter",
    tokenizer: str = "",
) -> tuple[dict, table.Docids]:
    """State and identifiers; a document without a title is named by the beginning of its text.

    length: tokens of an identifier at most; vocabulary: sub-words that are learned from the names;
    duplicates: one of `text.POLICIES`; tokenizer: of the system, used in place of one that is
    trained on the names.
    """
    names = _names(corpus)
    tokenizer = tokenizer or tokens.train(names, size=vocabulary)
    ids = _spell(tokenizer, names, length, duplicates, None)
    # as long as the longest, so that no place is decoded in vain
    ids = table.Docids(ids.tokens[:, : ids.lengths.max()], ids.alphabet)
    state = {"tokenizer": tokenizer, "duplicates": duplicates, "sizes": ids.tokens.max(axis=0)}
    return state, ids


def assign(
    state: Mapping[str, Any],
    corpus: records.Corpus,
    vectors: np.ndarray | None,
    taken: table.Docids,
) -> table.Docids:
    """Identifiers of new documents, cut to the length of those in use.

    Counters of equal names go on.
    """
    ids = _spell(
        state["tokenizer"], _names(corpus), taken.tokens.shape[1], state["duplicates"], taken.tokens
    )
    return table.Docids(ids.tokens, max(ids.alphabet, taken.alphabet))


def _names(corpus: records.Corpus) -> list[str]:
    return [title if title.strip() else body for title, body in zip(corpus.titles, corpus.texts)]


def _spell(
    tokenizer: str, names: list[str], length: int, duplicates: str, taken: np.ndarray | None
) -> table.Docids:
    return text.titles(
        names,
        functools.partial(tokens.whole, tokenizer),
        alphabet=tokens.count(tokenizer),
        length=length,
        duplicates=duplicates,
        taken=taken,
    )
