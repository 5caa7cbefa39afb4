"""Sets of children as bits of words of 32: masks of a level, and their rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from zoo.index import level as levels, topk

BLOCK = levels.BLOCK


class Mask(NamedTuple):
    """The edges of a level that a filter leaves, see `zoo.index.filters`; None restricts nothing.

    G = 1 or B.
    """

    child: jax.Array | None  # u32[G, M' / 32 + 1] bit of each child
    rows: jax.Array | None  # u32[G, H, w] what is left of the rows of heavy nodes
    # i32[B, E] children without an allowed document below, each once; -1 = none
    gone: jax.Array | None


def bit_of(words: jax.Array, index: jax.Array) -> jax.Array:
    """bool[B, ...]: bits at i32[B, ...] of u32[G, n], G = 1 or B."""
    read = lambda row, place: (row[place // BLOCK] >> (place % BLOCK).astype(jnp.uint32)) & 1 == 1
    return read(words[0], index) if len(words) == 1 else jax.vmap(read)(words, index)


def bits(words: jax.Array) -> jax.Array:
    """bool[..., 32] of u32[...]."""
    return (
        words[..., None] >> jax.lax.broadcasted_iota(jnp.uint32, (*words.shape, BLOCK), words.ndim)
    ) & 1 == 1


def pack(bits: jax.Array) -> jax.Array:
    """u32[B, K, C / 32] of bool[B, K, C]."""
    bits = bits.reshape(*bits.shape[:2], -1, BLOCK)
    return (bits.astype(jnp.uint32) << jax.lax.broadcasted_iota(jnp.uint32, bits.shape, 3)).sum(
        axis=3, dtype=jnp.uint32
    )


def rank(level: levels.Level, node: jax.Array, word: jax.Array, bit: jax.Array) -> jax.Array:
    """i32[B, W] number of children of heavy nodes i32[B, W] before bit i32[B, W] of a word."""
    # -> [B, W, w], of all children, allowed or not: nodes are counted by them
    row = level.rows[level.row(node)[1]]
    index = jax.lax.broadcasted_iota(jnp.int32, row.shape, 2)
    here = (jnp.uint32(1) << bit.astype(jnp.uint32)) - 1
    below = jnp.where(
        index < word[..., None], row, jnp.where(index == word[..., None], row & here[..., None], 0)
    )
    return jax.lax.population_count(below).astype(jnp.int32).sum(axis=2)


def rows(level: levels.Level, node: jax.Array, mask: Mask | None) -> jax.Array:
    """u32[B, K, w] allowed children of heavy nodes i32[B, K]; 0 for light nodes."""
    heavy, row = level.row(node)
    rows = level.rows[None] if mask is None or mask.rows is None else mask.rows
    words = rows[0][row] if len(rows) == 1 else jax.vmap(lambda rows, index: rows[index])(rows, row)
    if mask is not None and mask.gone is not None:
        words &= ~gone_of(
            level,
            node,
            mask.gone,
            words.shape[2],
            lambda child, _: level.tokens(child) - level.form.low,
        )
    return jnp.where(heavy[..., None], words, 0)


def gone_of(
    level: levels.Level,
    node: jax.Array,
    gone: jax.Array,
    num_words: int,
    bit_of_child: Callable[[jax.Array, jax.Array], jax.Array],
) -> jax.Array:
    """u32[B, K, num_words] bits of the removed children `gone` i32[B, E] of nodes i32[B, K].

    bit_of_child(child, first child) gives the index of a child's bit.
    """
    first, end = level.first(node)[:, None], level.first(node + 1)[:, None]
    owned = (first <= gone[..., None]) & (gone[..., None] < end)  # -> [B, E, K]
    # the first hypothesis at that node; a dead one may stand there too
    parent = jnp.argmax(owned, axis=2)
    bit = bit_of_child(jnp.maximum(gone, 0), topk.pick(first[:, 0], parent))
    word = jnp.where(owned.any(axis=2) & (bit < num_words * BLOCK), bit // BLOCK, num_words)
    value = jnp.uint32(1) << (bit % BLOCK).astype(jnp.uint32)
    blank = jnp.zeros((*node.shape, num_words), jnp.uint32)
    bits = jax.vmap(lambda to, k, w, v: to.at[k, w].add(v, mode="drop"))(blank, parent, word, value)
    # all at a node as the first of them
    return topk.pick(bits, jnp.argmax(node[..., None] == node[:, None], axis=2))
