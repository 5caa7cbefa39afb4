"""Filters on a trie, for all queries or per query, without building another trie.

`keep` takes the allowed documents as bits, for conditions that keep any share of them, such as "in
stock". `without` takes a few forbidden documents per query, such as the items that a user has seen;
its cost does not grow with the trie. They combine, `without` last. A prefix without allowed
documents is illegal, so a search wastes no hypothesis on it, and answers equal those of a trie of
the allowed documents alone.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo.index import bitmaps, level as levels, trie

BLOCK = levels.BLOCK


def keep(index: trie.Trie, allowed: np.ndarray) -> trie.Trie:
    """The trie restricted to allowed documents. Host cost: L passes over N bits per filter.

    allowed: bool[N'] for all queries or bool[B, N'] per query, by row of the document; N' above the
    largest row. Device memory: about N / 8 bytes per level and row of `allowed`, more for heavy
    levels.
    """
    allowed = np.atleast_2d(np.asarray(allowed))
    documents = np.asarray(index.documents)
    starts, num_nodes = [], 1
    for level in index.levels:
        starts.append(levels.first_children(level, num_nodes))
        num_nodes = int(starts[-1][-1])
    first = (
        np.arange(num_nodes + 1)
        if index.documents_per_leaf == 1
        else np.asarray(index.document_start)[: num_nodes + 1]
    )
    documents = documents[: first[-1]]
    if allowed.dtype != bool or allowed.ndim != 2 or allowed.shape[1] <= documents.max():
        raise ValueError(
            "filters: expected bool [N] or [B, N] with N above the largest row, "
            f"{documents.max()}, got {allowed.dtype} {list(allowed.shape)}"
        )
    places = allowed[:, documents]
    alive = np.logical_or.reduceat(places, first[:-1], axis=1)
    masks = []
    for level, start in zip(reversed(index.levels), reversed(starts), strict=True):
        masks.append(_mask(level, start, alive))
        alive = np.logical_or.reduceat(alive, start[:-1], axis=1)
    bits: Any = _packed(places, len(index.documents))
    before: Any = _counted_before(places, bits.shape[1])
    found = trie.Filter(tuple(masks[::-1]), bits, before, None, None)
    return dataclasses.replace(index, filter=jax.tree.map(jnp.asarray, found))


def without(index: trie.Trie, tokens: jax.Array, rows: jax.Array) -> trie.Trie:
    """The trie without some documents of each query. Traceable; O(E L log C + E^2 L) per query.

    tokens: i32[B, E, L] identifiers of the documents; rows: i32[B, E] their rows, -1 = none; both
    as `table.gather` returns them: a document with several identifiers has an entry for each.
    Repetitions count once; documents that are not in the trie, or not allowed by `keep`, have no
    effect.
    """
    if rows.ndim != 2 or tokens.shape != (*rows.shape, index.length):
        raise ValueError(
            f"filters: expected tokens [B, E, {index.length}] and rows [B, E] of documents, "
            f"got {list(tokens.shape)} and {list(rows.shape)}"
        )
    base = index.filter or trie.Filter(
        (bitmaps.Mask(None, None, None),) * index.length, None, None, None, None
    )
    if base.excluded is not None:
        raise ValueError(
            "filters: this trie excludes documents already; exclude all of them at once"
        )
    num_excluded = rows.shape[1]
    # place j stands before place i
    earlier = jnp.tril(jnp.ones((num_excluded, num_excluded), bool), -1)[None]
    nodes = index.walk(tokens)  # -> [B, E, L]
    real = (
        (rows >= 0)
        & (nodes[..., -1] >= 0)
        & ~(_equal(rows) & _equal(nodes[..., -1]) & earlier).any(axis=2)
    )
    if base.allowed is not None:
        real &= _is_allowed(index, base, nodes[..., -1], rows)
    masks = []
    for t, mask in enumerate(base.masks):
        node = nodes[..., t]
        same = _equal(node) & real[:, None] & real[..., None]  # -> [B, E, E]
        gone = (
            real
            & (same.sum(axis=2) == base.between(*index.places(t + 1, jnp.maximum(node, 0))))
            & ~(same & earlier).any(axis=2)
        )
        masks.append(mask._replace(gone=jnp.where(gone, node, -1)))
    return dataclasses.replace(
        index,
        filter=base._replace(
            masks=tuple(masks), excluded=rows, above=jnp.where(real[..., None], nodes, -1)
        ),
    )


def _equal(values: jax.Array) -> jax.Array:
    """bool[B, E, E] whether two of i32[B, E] are equal."""
    return values[:, None] == values[..., None]


def _is_allowed(index, base, leaf, rows):
    """bool[B, E] whether `keep` leaves documents i32[B, E] of leaves i32[B, E]."""
    place = index.places(index.length, jnp.maximum(leaf, 0))[0][..., None]
    next_places = jax.lax.broadcasted_iota(jnp.int32, (*rows.shape, index.documents_per_leaf), 2)
    place = jnp.minimum(place + next_places, len(index.documents) - 1)
    return (bitmaps.bit_of(base.allowed, place) & (index.documents[place] == rows[..., None])).any(
        axis=2
    )


def _mask(level: levels.Level, start: np.ndarray, alive: np.ndarray) -> bitmaps.Mask:
    """Mask of a level for children that are alive, bool[G, M']."""
    rows: Any = None
    if level.form.heavy:
        heavy = np.flatnonzero(np.diff(start) > level.form.light)
        token = np.asarray(level.token)
        rows = np.stack(
            [
                levels.rows_of(start, token, heavy, len(level.rows), level.form.words, alive=each)
                for each in alive
            ]
        )
    child: Any = _packed(alive, len(level.token))
    return bitmaps.Mask(child, rows, None)


def _counted_before(bits: np.ndarray, words: int) -> np.ndarray:
    """i32[G, words] bits set before each word of bool[G, n]."""
    counts = np.zeros((len(bits), words * BLOCK), np.int32)
    counts[:, : bits.shape[1]] = bits
    counts = counts.reshape(len(bits), words, BLOCK).sum(axis=2)
    return (np.cumsum(counts, axis=1) - counts).astype(np.int32)


def _packed(bits: np.ndarray, size: int) -> np.ndarray:
    """u32[G, size / 32 + 1] of bool[G, n], n at most size."""
    words = size // BLOCK + 1  # a word for the place after the last too
    padded = np.zeros((len(bits), words * BLOCK), bool)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1, bitorder="little").view("<u4").astype(np.uint32)
