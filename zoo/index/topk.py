"""Exact two-stage top-k of long rows; several times faster than `lax.top_k` on CPU."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def top_k(score: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """Values f32[B, k] and places i32[B, k] of the k largest of f32[B, N]; equals `lax.top_k`.

    The row is cut into chunks of c consecutive places, c about sqrt(N / k). Only the k chunks with
    the largest maxima (ties: the first) can hold an answer, since the maxima of those chunks beat
    every other place. Cost: N + N/c + k c comparisons, of which XLA sorts only the last two terms.
    Short rows are left to `lax.top_k`. Scores may be -inf, not NaN.
    """
    batch, length = score.shape
    chunk = chunk_of(length, k)
    if chunk == 1:
        return jax.lax.top_k(score, k)
    num_chunks = -(-length // chunk)
    padded = jnp.pad(score, [(0, 0), (0, num_chunks * chunk - length)], constant_values=-jnp.inf)
    chunks = padded.reshape(batch, num_chunks, chunk)
    # in order, so that the first of equal places is found first
    kept = jnp.sort(jax.lax.top_k(chunks.max(axis=2), k)[1], axis=1)
    # -> [B, k, c]
    inside = jnp.take_along_axis(chunks, kept[..., None], axis=1, mode="promise_in_bounds")
    value, place = jax.lax.top_k(inside.reshape(batch, -1), k)
    chunk_index = jnp.take_along_axis(kept, place // chunk, axis=1, mode="promise_in_bounds")
    return value, chunk_index * chunk + place % chunk


def chunk_of(length: int, k: int) -> int:
    """Size of a chunk, a power of two; 1 if two stages gain nothing."""
    chunk = 1
    while (2 * chunk) ** 2 * k <= 2 * length:
        chunk *= 2
    return chunk if chunk >= 4 and length // chunk >= k else 1


def ordered(value: jax.Array) -> jax.Array:
    """i32 in the order of f32, NaN above inf: XLA vectorises integer maxima more reliably."""
    bits = jax.lax.bitcast_convert_type(value, jnp.int32)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def unordered(bits: jax.Array) -> jax.Array:
    """Inverse of `ordered`."""
    return jax.lax.bitcast_convert_type(bits ^ ((bits >> 31) & 0x7FFFFFFF), jnp.float32)


def pick(rows: jax.Array, place: jax.Array) -> jax.Array:
    """[B, K, ...] -> [B, W, ...] at places i32[B, W]."""
    return jax.vmap(lambda row, index: row.at[index].get(mode="promise_in_bounds"))(rows, place)
