"""A wavelet matrix: n symbols in about n log2(V) bits that count symbols before any place.

Claude, Navarro and Ordonez 2015, "The wavelet matrix". Level l holds bit l of every symbol, least
significant first, in the order of a stable sort by the bits before l. The levels are thus the
passes of a radix sort, and following a symbol down ends at its place in the sorted sequence: for
the last column of a Burrows-Wheeler matrix, its place in the first column (the LF map), without a
table of counts.

A level consists of rows of ROW words: the number of ones before the row, then the bits of 32 (ROW -
1) places. A rank gathers one row.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo.index import level as levels

ROW = 8  # u32 words of a row, 32 bytes
PLACES = 32 * (ROW - 1)  # of a row


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Wavelet:
    """A wavelet matrix of n symbols below 2^D, padded to classes of sizes (`levels.size_class`)."""

    bits: tuple[jax.Array, ...]  # D of u32[R, ROW]
    zeros: jax.Array  # i32[D] zeros of each level

    def follow(self, symbol: jax.Array, place: jax.Array) -> jax.Array:
        """i32[...] sorted place of the first `symbol` at or after `place` in 0 .. n.

        So symbol c occurs follow(c, hi) - follow(c, lo) times in lo .. hi - 1. Cost: D gathers of a
        row each.
        """
        return self.walk(symbol, place, read=jnp.zeros_like(place, bool))[1]

    def read(self, place: jax.Array) -> tuple[jax.Array, jax.Array]:
        """i32[...] symbols at places i32[...] in 0 .. n - 1, and their sorted places."""
        return self.walk(jnp.zeros_like(place), place, read=jnp.ones_like(place, bool))

    def walk(
        self, symbol: jax.Array, place: jax.Array, *, read: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Symbols and their sorted places: the symbol at `place` if `read`, else `symbol`."""
        symbol = jnp.where(read, 0, symbol)
        for level, bits in enumerate(self.bits):
            ones, bit = rank(bits, place)
            bit = jnp.where(read, bit, (symbol >> level) & 1)
            symbol |= bit << level
            place = jnp.where(bit == 1, self.zeros[level] + ones, place - ones)
        return symbol, place

    def follow_all(self, place: jax.Array) -> jax.Array:
        """i32[..., 2^D] `follow` of all symbols at places i32[...]. Cost: 2^D gathers."""
        places = place[..., None]  # of the 2^l symbols that differ in the bits before l
        for level, bits in enumerate(self.bits):
            ones, _ = rank(bits, places)
            # the higher bit is the higher half
            places = jnp.concatenate([places - ones, self.zeros[level] + ones], axis=-1)
        return places


def rank(bits: jax.Array, place: jax.Array) -> tuple[jax.Array, jax.Array]:
    """i32[...] ones before places i32[...] of a level u32[R, ROW], and the bits at them."""
    row = bits.at[place // PLACES].get(mode="promise_in_bounds")  # -> [..., ROW]
    inside = (place % PLACES)[..., None]
    # first place of each word; the count's is negative
    word = jax.lax.broadcasted_iota(jnp.int32, row.shape, row.ndim - 1) * 32 - 32
    before = jnp.clip(inside - word, 0, 32).astype(jnp.uint32)  # bits of each word that count
    mask = jnp.where(before == 32, jnp.uint32(0xFFFFFFFF), (jnp.uint32(1) << before) - 1)
    counted = jnp.where(word < 0, row, jax.lax.population_count(row & mask)).astype(jnp.int32)
    holds = (word >= 0) & (inside // 32 * 32 == word)
    bit = jnp.where(holds, (row >> (inside % 32).astype(jnp.uint32)) & 1, 0).astype(jnp.int32)
    return counted.sum(axis=-1), bit.sum(axis=-1)


def build(sequence: np.ndarray, alphabet: int) -> Wavelet:
    """The wavelet matrix, on the host, of symbols i[n] in 0 .. alphabet - 1.

    Cost: one pass per level; memory about n (1 + 1/7) log2(V) bits.
    """
    depth = max((alphabet - 1).bit_length(), 1)
    sequence = sequence.astype(np.uint16 if depth <= 16 else np.uint32)
    bits, zeros = [], []
    for level in range(depth):
        one = (sequence >> level) & 1 == 1
        bits.append(pack(one))
        zeros.append(len(one) - np.count_nonzero(one))
        sequence = np.concatenate([sequence[~one], sequence[one]])
    on_host: Any = np.array(zeros, np.int32)
    return Wavelet(tuple(bits), on_host)


def pack(bits: np.ndarray) -> np.ndarray:
    """u32[R, ROW] of bits bool[n], for ranks at 0 .. n."""
    num_rows = levels.size_class(len(bits) // PLACES + 1)
    flat = np.zeros(num_rows * (PLACES // 8), np.uint8)
    packed = np.packbits(bits, bitorder="little")
    flat[: len(packed)] = packed
    words = flat.view("<u4").reshape(num_rows, ROW - 1)
    count = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    before = np.cumsum(count) - count
    return np.column_stack([before.astype(np.uint32), words])
