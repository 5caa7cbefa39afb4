"""Fast building blocks: two-dimensional matrix products, embeddings, and dropout by hashing.

XLA on CPU materialises the transpose of a three-dimensional activation, element by element, for the
gradient of a weight; in two dimensions it does not, and the gradient of a gated MLP takes a third
of the time. Threefry bits for every activation cost as much as the network around them; a good hash
of the position is enough for a dropout mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

# shift and factor of each step of a 32-bit mixer
ROUND = ((16, 0x21F0AAAD), (15, 0x735A2D97), (15, 1))
BLOCK = 256  # rows, see `by_rows`


class Linear(nn.Module):
    """x @ kernel over the last axes of x, without a bias, computed in two dimensions.

    Same parameters as flax's Dense and DenseGeneral.
    """

    features: int | tuple[int, ...]
    kernel_init: Callable
    contracted: int = 1  # how many axes of x
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., *features] of x [..., *contracted axes]."""
        features = (self.features,) if isinstance(self.features, int) else tuple(self.features)
        split = x.ndim - self.contracted
        inward, flat = x.shape[split:], (math.prod(x.shape[split:]), math.prod(features))
        made = lambda key, shape: self.kernel_init(key, flat).reshape(shape)
        kernel = self.param("kernel", made, (*inward, *features)).reshape(flat)
        y = x.astype(self.dtype).reshape(-1, flat[0]) @ kernel.astype(self.dtype)
        return y.reshape(*x.shape[:split], *features)


class Kernel(nn.Module):
    """The kernel [inward, features] of the `Linear` of the same name, for a product elsewhere."""

    inward: int
    features: int
    kernel_init: Callable

    @nn.compact
    def __call__(self) -> jax.Array:
        return self.param("kernel", self.kernel_init, (self.inward, self.features))


def by_rows(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """function(rows [n, D]) of x [..., D], in blocks of BLOCK rows on a CPU; rows are independent.

    What is between two products of a wide MLP then stays in the cache of a core.
    """
    rows = x.reshape(-1, x.shape[-1])
    if len(rows) <= BLOCK or jax.default_backend() != "cpu":
        return function(rows).reshape(*x.shape[:-1], -1)
    num_blocks = -(-len(rows) // BLOCK)
    padded = jnp.pad(rows, ((0, num_blocks * BLOCK - len(rows)), (0, 0)))
    done = jax.lax.map(function, padded.reshape(num_blocks, BLOCK, -1))
    return done.reshape(-1, done.shape[-1])[: len(rows)].reshape(*x.shape[:-1], -1)


def inner(x: jax.Array, rows: jax.Array) -> jax.Array:
    """f32[..., N] inner products of x [..., D] with rows [N, D], of two axes within."""
    flat = jnp.matmul(
        x.reshape(-1, x.shape[-1]), rows.astype(x.dtype).T, preferred_element_type=jnp.float32
    )
    return flat.reshape(*x.shape[:-1], len(rows))


class Embed(nn.Module):
    """Like flax's Embed, but rows are cast after the lookup, so their gradients sum in float32.

    A token that fills a tenth of a batch, such as the mask of word dropout, has thousands of
    gradients: a bfloat16 sum loses them, and a GPU adds bfloat16 by serial compare-and-swap (25 of
    65 ms of a T5-base step on an H100).
    """

    rows: int
    features: int
    dtype: Any = jnp.float32
    embedding_init: Callable = nn.initializers.normal(1.0)

    def setup(self) -> None:
        self.embedding = self.param("embedding", self.embedding_init, (self.rows, self.features))

    def __call__(self, ids: jax.Array) -> jax.Array:
        """[..., D] of ids i32[...]."""
        return jnp.take(self.embedding, ids, axis=0).astype(self.dtype)


class Dropout(nn.Module):
    """Like flax's Dropout, with a mask from a hash of positions: cheap, and equal on any mesh."""

    rate: float

    @nn.compact
    def __call__(self, x: jax.Array, *, deterministic: bool) -> jax.Array:
        if deterministic or not self.rate:
            return x
        keep = keep_mask(self.make_rng("dropout"), x.shape, 1 - self.rate)
        return jnp.where(keep, x / jnp.asarray(1 - self.rate, x.dtype), 0)


def keep_mask(key: jax.Array, shape: tuple[int, ...], share: float) -> jax.Array:
    """bool[shape], each True with probability `share`; O(n).

    Two rounds of a 32-bit mixer over the flat index and 64 bits of the key.
    """
    first, second = jax.random.bits(key, (2,))
    place = jnp.zeros(shape, jnp.uint32)
    for axis, stride in enumerate(_strides(shape)):
        place += jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(stride % 2**32)
    bits = _mix(_mix(place + first) ^ second)
    most = round(share * 2**32) - 1  # of the bits that are kept
    return bits <= jnp.uint32(most) if most >= 0 else jnp.zeros(shape, bool)


def _mix(bits: jax.Array) -> jax.Array:
    for shift, factor in ROUND:
        bits = (bits ^ (bits >> shift)) * jnp.uint32(factor)
    return bits


def _strides(shape: tuple[int, ...]) -> list[int]:
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
