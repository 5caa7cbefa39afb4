"""Logits computed when they are read: the hidden state of a network and its output layer.

With a large alphabet (2,048 to 32k tokens; atomic identifiers have one per document), beam x
alphabet dominates the memory and time of a step. A step that returns a `Projection` instead of
logits has them computed only for the children if a level is light, and block by block otherwise:
nothing of size V is materialised per hypothesis.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from zoo.index import topk

BLOCK = 8192  # tokens whose logits are computed together


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Projection:
    """Logits hidden @ kernel, f32[B, K, V]."""

    hidden: jax.Array  # [B, K, D]
    kernel: jax.Array  # [D, V], as of flax's Dense

    @property
    def shape(self) -> tuple[int, int, int]:
        batch, beams, _ = self.hidden.shape
        return batch, beams, self.kernel.shape[1]

    def num_blocks(self, span: int) -> int:
        """Number of blocks that `span` tokens are read in; 1 if reading them at once is faster."""
        return -(-min(span, self.shape[2]) // BLOCK) if self.shape[2] >= BLOCK else 1

    def read(self, token: jax.Array) -> jax.Array:
        """f32[B, K, C] logits of tokens i32[B, K, C]. O(B K C D)."""
        rows = jnp.take(self.kernel, token, axis=1, mode="clip")  # -> [D, B, K, C]
        return jnp.einsum("bkd,dbkc->bkc", self.hidden, rows, preferred_element_type=jnp.float32)

    def normaliser(
        self, low: int = 0, span: int | None = None, legal: Callable | None = None
    ) -> jax.Array:
        """f32[B, K] log-sum-exp of the legal logits of `span` tokens from `low`, see `largest`.

        By default of all tokens.
        """
        span = self.shape[2] if span is None else span
        if self.num_blocks(span) == 1 and legal is None:
            return jax.nn.logsumexp(dense(self), axis=-1)

        def add(total, block):
            value, _ = self._block(low, span, block, legal)
            return jnp.logaddexp(total, jax.nn.logsumexp(value, axis=2)), None

        blocks = jnp.arange(self.num_blocks(span))
        return jax.lax.scan(add, jnp.full(self.shape[:2], -jnp.inf), blocks)[0]

    def largest(
        self, low: int, span: int, legal: Callable, offset: jax.Array, width: int
    ) -> tuple[jax.Array, jax.Array]:
        """The `width` largest of offset f32[B, K] + legal logits: f32[B, width] and places i32[B,
        width].

        A place is hypothesis x span + token - low. legal: tokens i32[T] -> bool[B, K, T]. -inf if
        there are fewer.
        """
        batch, beams, _ = self.shape

        def better(best, block):
            value, tokens = self._block(low, span, block, legal)
            total = (offset[..., None] + value).reshape(batch, -1)
            total = jnp.where(total < jnp.inf, total, -jnp.inf)  # NaN and +inf are no scores
            place = (
                jax.lax.broadcasted_iota(jnp.int32, value.shape, 1) * span
                + (tokens - low)[None, None]
            )
            new, where = topk.top_k(total, min(width, total.shape[1]))
            new_place = jnp.take_along_axis(place.reshape(batch, -1), where, axis=1)
            total, where = jax.lax.top_k(jnp.concatenate([best[0], new], axis=1), width)
            place = jnp.take_along_axis(
                jnp.concatenate([best[1], new_place], axis=1), where, axis=1
            )
            return (total, place), None

        nothing = jnp.full((batch, width), -jnp.inf), jnp.zeros((batch, width), jnp.int32)
        return jax.lax.scan(better, nothing, jnp.arange(self.num_blocks(span)))[0]

    def _block(self, low, span, block, legal):
        """f32[B, K, T] logits of a block of tokens, and the tokens i32[T].

        -inf for tokens that are illegal or in an earlier block.
        """
        last = self.shape[2] - BLOCK
        start = jnp.minimum(low + block * BLOCK, last)  # the last block overlaps the one before
        tokens = start + jnp.arange(BLOCK)
        kernel = jax.lax.dynamic_slice_in_dim(self.kernel, start, BLOCK, axis=1)
        value = jnp.einsum("bkd,dt->bkt", self.hidden, kernel, preferred_element_type=jnp.float32)
        new = (tokens >= low + block * BLOCK) & (tokens < low + span)
        allowed = jnp.broadcast_to(new[None, None], value.shape)
        if legal is not None:
            allowed &= legal(jnp.clip(tokens, low, low + span - 1))
        return jnp.where(allowed, value, -jnp.inf), tokens


def dense(logits: jax.Array | Projection) -> jax.Array:
    """Logits [B, K, V], computed if necessary."""
    if not isinstance(logits, Projection):
        return logits
    return jnp.einsum(
        "bkd,dv->bkv", logits.hidden, logits.kernel, preferred_element_type=jnp.float32
    )


def normaliser(logits: jax.Array | Projection) -> jax.Array:
    """f32[B, K] log-sum-exp over all tokens."""
    return (
        logits.normaliser() if isinstance(logits, Projection) else jax.nn.logsumexp(logits, axis=-1)
    )


def single(logits: jax.Array | Projection) -> jax.Array | Projection:
    """The logits in float32, computed if necessary."""
    return logits if isinstance(logits, Projection) else logits.astype(jnp.float32)
