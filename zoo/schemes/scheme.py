"""How documents get identifiers and how new documents get theirs: a pair of functions, by name.

>>> naming = scheme("clusters", branching=10, leaf_size=100)
>>> state, ids = naming.fit(corpus, vectors, key, log)          # doctest: +SKIP
>>> more = naming.assign(state, new, vectors_of_new, ids)       # doctest: +SKIP

`assign` neither refits nor renames: it returns the identifiers of the new documents alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from zoo import records
from zoo.docids import collisions, table
from zoo.records import DataError
from zoo.schemes import cells, clusters, numbers, phrases, quantisers, titles

State = Mapping[str, Any]  # nested dicts of arrays and text, part of the state of a system


class Scheme(NamedTuple):
    """A way to name documents."""

    # (corpus, vectors f32[N, D] | None, key, log) -> (state, Docids of the N documents)
    fit: Callable[[records.Corpus, np.ndarray | None, jax.Array, Any], tuple[dict, table.Docids]]
    # (state, corpus, vectors f32[n, D] | None, taken) -> Docids of the n documents alone, whose
    # alphabet includes that of `taken`: identifiers in use, and those of removed documents
    assign: Callable[[State, records.Corpus, np.ndarray | None, table.Docids], table.Docids]
    needs_vectors: bool


def _codes(kind: str) -> Callable[..., Scheme]:
    return lambda **options: of_codes(quantisers.Config(kind, **options))


def _clusters(**options: Any) -> Scheme:
    return Scheme(functools.partial(clusters.fit, **options), clusters.assign, needs_vectors=True)


def _cells(**options: Any) -> Scheme:
    return Scheme(functools.partial(cells.fit, **options), cells.assign, needs_vectors=True)


def _title(**options: Any) -> Scheme:
    return Scheme(functools.partial(titles.fit, **options), titles.assign, needs_vectors=False)


def _phrases(**options: Any) -> Scheme:
    return Scheme(functools.partial(phrases.fit, **options), phrases.assign, needs_vectors=False)


TABLE: Mapping[str, Callable[..., Scheme]] = {
    "clusters": _clusters,
    "cells": _cells,
    "rq": _codes("rqkmeans"),
    "pq": _codes("pq"),
    "lsh": _codes("lsh"),
    "rqvae": _codes("rqvae"),
    "random": _codes("random"),
    "title": _title,
    "phrases": _phrases,
    "naive": lambda: Scheme(numbers.fit_naive, numbers.assign_naive, needs_vectors=False),
    "atomic": lambda: Scheme(numbers.fit_atomic, numbers.assign_atomic, needs_vectors=False),
}


def scheme(name: str, **options: Any) -> Scheme:
    """The scheme of that name; options are those of its `fit`.

    Raises DataError for a name or a value that does not exist, TypeError for an option that does
    not.
    """
    if name not in TABLE:
        raise DataError(f"no scheme {name!r}; expected one of: {', '.join(TABLE)}")
    return TABLE[name](**options)


def of_codes(config: quantisers.Config) -> Scheme:
    """The scheme of a kind of codes, as `zoo docids` and TIGER name them."""
    if config.kind == "atomic":
        return scheme("atomic")
    fit = functools.partial(quantisers.fit, config=config)
    return Scheme(fit, quantisers.assign, config.kind not in quantisers.WITHOUT_VECTORS)


def of_given(codes: np.ndarray, num_codes: int) -> Scheme:
    """The scheme of documents whose codes i32[n, M] a network of the system gives.

    Equal codes get a counter.
    """

    def fit(
        corpus: records.Corpus, vectors: np.ndarray | None, key: jax.Array, log: Any
    ) -> tuple[dict, table.Docids]:
        ids = collisions.extend(None, codes, num_codes=num_codes, policy="counter")
        sizes = [num_codes] * codes.shape[1] + [ids.tokens[:, -1].max()]
        return {"name": "given", "sizes": np.array(sizes, np.int32)}, ids

    def assign(
        state: State, corpus: records.Corpus, vectors: np.ndarray | None, taken: table.Docids
    ) -> table.Docids:
        both = collisions.extend(taken, codes, num_codes=num_codes, policy="counter")
        return table.Docids(both.tokens[len(taken) :], both.alphabet)

    return Scheme(fit, assign, needs_vectors=False)


def position_specific(inner: Scheme) -> Scheme:
    """The scheme with tokens of their own for each position: those of position t follow those of
    position t - 1.

    A position has the tokens that the state of `inner` counts in "sizes"; only the last one gets
    more later. The state gains "starts" i32[L], what is added to the tokens of each position.
    """

    def fit(
        corpus: records.Corpus, vectors: np.ndarray | None, key: jax.Array, log: Any
    ) -> tuple[dict, table.Docids]:
        state, ids = inner.fit(corpus, vectors, key, log)
        starts = np.concatenate([[0], np.cumsum(state["sizes"])[:-1]]).astype(np.int32)
        ids = table.build(_shift(ids, starts).tokens, 1 + int(np.sum(state["sizes"])))
        return dict(state) | {"starts": starts}, ids

    def assign(
        state: State, corpus: records.Corpus, vectors: np.ndarray | None, taken: table.Docids
    ) -> table.Docids:
        starts = np.asarray(state["starts"])
        fresh = _shift(inner.assign(state, corpus, vectors, _shift(taken, -starts)), starts)
        return table.Docids(fresh.tokens, max(taken.alphabet, fresh.alphabet))

    return Scheme(fit, assign, inner.needs_vectors)


def last_tokens(state: State, alphabet: int) -> tuple[int, ...]:
    """The largest token of each of the L positions under a `position_specific` scheme."""
    return (*np.asarray(state["starts"])[1:].tolist(), alphabet - 1)


def _shift(ids: table.Docids, starts: np.ndarray) -> table.Docids:
    tokens = np.where(ids.tokens == table.PAD, table.PAD, ids.tokens + starts).astype(np.int32)
    return table.Docids(tokens, int(tokens.max()) + 1, ids.document)
