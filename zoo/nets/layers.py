"""Layers of T5: norm, attention, biases of relative positions, MLPs.

Raffel et al. 2020 (arXiv 1910.10683), sec. 2.1: RMSNorm without bias, attention without 1/sqrt(d)
(the initialiser contains it).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from zoo.nets import linear

# added to attention logits of absent positions; finite, so a row without any position stays finite
MASKED = -1e9


class RMSNorm(nn.Module):
    """x / rms(x) * scale, computed in float32."""

    dtype: jax.typing.DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        x = x.astype(jnp.float32)
        x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-6)
        return (x * jnp.expand_dims(scale, range(x.ndim - 1))).astype(self.dtype)


def relative_buckets(
    query: jax.Array, key: jax.Array, *, bidirectional: bool, buckets: int, max_distance: int
) -> jax.Array:
    """Bucket of each (query, key) distance, i32[Q, K]; T5's scheme: half exact, half logarithmic.

    query, key: i32[Q], i32[K] positions.
    """
    distance = key[None, :] - query[:, None]
    if bidirectional:
        buckets //= 2
        offset = jnp.where(distance > 0, buckets, 0)
        distance = jnp.abs(distance)
    else:
        offset = 0
        distance = jnp.maximum(-distance, 0)
    exact = buckets // 2
    ratio = jnp.log(jnp.maximum(distance, 1) / exact) / jnp.log(max_distance / exact)
    coarse = jnp.minimum(exact + (ratio * (buckets - exact)).astype(jnp.int32), buckets - 1)
    return offset + jnp.where(distance < exact, distance, coarse)


class Attention(nn.Module):
    """Multi-head attention: self-attention, cross-attention, and one position with a cache."""

    width: int  # D
    heads: int  # H
    head_width: int  # Dh
    dropout: float
    dtype: str

    def setup(self) -> None:
        normal = nn.initializers.normal
        heads: dict[str, Any] = dict(features=(self.heads, self.head_width), dtype=self.dtype)
        self.query = linear.Linear(
            kernel_init=normal((self.width * self.head_width) ** -0.5), **heads
        )
        self.key = linear.Linear(kernel_init=normal(self.width**-0.5), **heads)
        self.value = linear.Linear(kernel_init=normal(self.width**-0.5), **heads)
        self.out = linear.Linear(
            self.width,
            contracted=2,
            dtype=self.dtype,
            kernel_init=normal((self.heads * self.head_width) ** -0.5),
        )
        self.drop = linear.Dropout(self.dropout)

    def __call__(self, x: jax.Array, bias: jax.Array, *, train: bool) -> jax.Array:
        """Attention of x [B, S, D] over itself with bias broadcast to [B, H, S, S] -> [B, S, D]."""
        logits = (
            jnp.einsum("bqhd,bshd->bhqs", self.query(x), self.key(x)).astype(jnp.float32) + bias
        )
        return self.out(
            jnp.einsum("bhqs,bshd->bqhd", self._weights(logits, x.dtype, train), self.value(x))
        )

    def remember(self, x: jax.Array) -> dict[str, jax.Array]:
        """Keys [B, H, Dh, S] and values [B, H, S, Dh] of x [B, S, D].

        In the layout of `over`, so that no step transposes them.
        """
        return {
            "key": jnp.einsum("bshd->bhds", self.key(x)),
            "value": jnp.einsum("bshd->bhsd", self.value(x)),
        }

    def over(
        self, x: jax.Array, memory: dict[str, jax.Array], bias: jax.Array, *, train: bool
    ) -> jax.Array:
        """Attention of x [B, Q, D] over a memory, with bias [B, H, Q, S] -> [B, Q, D]."""
        logits = (
            jnp.einsum("bqhd,bhds->bhqs", self.query(x), memory["key"]).astype(jnp.float32) + bias
        )
        read = jnp.einsum("bhqs,bhsd->bhqd", self._weights(logits, x.dtype, train), memory["value"])
        return self.out(jnp.swapaxes(read, 1, 2))

    def extend(
        self, x: jax.Array, cache: dict[str, jax.Array], t: jax.Array | int, bias: jax.Array
    ) -> tuple[jax.Array, dict]:
        """One position of causal self-attention with a cache.

        x: [B, K, D] at position t. cache: key, value [B, K, P, H, Dh], either P = t, which grows by
        one, or P = L, of which position t is written. bias: f32[H, 1, L], masked after t.

        Returns [B, K, D] and the cache.
        """
        fresh = {"key": self.key(x)[:, :, None], "value": self.value(x)[:, :, None]}
        places = cache["key"].shape[2]
        if places < bias.shape[2]:
            cache = {name: jnp.concatenate([cache[name], fresh[name]], axis=2) for name in cache}
            bias = bias[:, :, : places + 1]
        else:
            cache = {
                name: jax.lax.dynamic_update_slice_in_dim(cache[name], fresh[name], t, axis=2)
                for name in cache
            }
        # -> [B, K, P, H]
        logits = (
            self.query(x)[:, :, None].astype(jnp.float32) * cache["key"].astype(jnp.float32)
        ).sum(axis=4) + bias[:, 0].T[None, None]
        weights = jax.nn.softmax(logits, axis=2).astype(x.dtype)
        return self.out((weights[..., None] * cache["value"]).sum(axis=2)), cache

    def _weights(self, logits: jax.Array, dtype: Any, train: bool) -> jax.Array:
        return self.drop(jax.nn.softmax(logits), deterministic=not train).astype(dtype)


class RelativeBias(nn.Module):
    """f32[H, Q, K] added to the logits of every self-attention of a stack."""

    heads: int
    buckets: int
    max_distance: int  # distances from here on share the last bucket
    bidirectional: bool

    @nn.compact
    def __call__(self, query: jax.Array, key: jax.Array) -> jax.Array:
        table = self.param("table", nn.initializers.normal(0.1), (self.buckets, self.heads))
        bucket = relative_buckets(
            query,
            key,
            bidirectional=self.bidirectional,
            buckets=self.buckets,
            max_distance=self.max_distance,
        )
        return jnp.moveaxis(table[bucket], -1, 0)


class GatedMlp(nn.Module):
    """(GELU(x W0) * x W1) W2."""

    width: int  # D
    hidden: int
    dropout: float
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        normal = nn.initializers.normal
        if not train:
            gate, value, out = (
                linear.Kernel(inward, features, normal(inward**-0.5), name=name)().astype(
                    self.dtype
                )
                for name, inward, features in (
                    ("gate", self.width, self.hidden),
                    ("value", self.width, self.hidden),
                    ("out", self.hidden, self.width),
                )
            )

            def gated(rows: jax.Array) -> jax.Array:
                return (nn.gelu(rows @ gate, approximate=True) * (rows @ value)) @ out

            return linear.by_rows(gated, x.astype(self.dtype))
        gate = linear.Linear(
            self.hidden, dtype=self.dtype, kernel_init=normal(self.width**-0.5), name="gate"
        )(x)
        value = linear.Linear(
            self.hidden, dtype=self.dtype, kernel_init=normal(self.width**-0.5), name="value"
        )(x)
        x = linear.Dropout(self.dropout)(
            nn.gelu(gate, approximate=True) * value, deterministic=not train
        )
        return linear.Linear(
            self.width, dtype=self.dtype, kernel_init=normal(self.hidden**-0.5), name="out"
        )(x)


class ReluMlp(nn.Module):
    """ReLU(x W0) W2."""

    width: int  # D
    hidden: int
    dropout: float
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        normal = nn.initializers.normal
        x = nn.relu(
            linear.Linear(
                self.hidden, dtype=self.dtype, kernel_init=normal(self.width**-0.5), name="value"
            )(x)
        )
        x = linear.Dropout(self.dropout)(x, deterministic=not train)
        return linear.Linear(
            self.width, dtype=self.dtype, kernel_init=normal(self.hidden**-0.5), name="out"
        )(x)
