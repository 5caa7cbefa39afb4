"""Item embeddings of a recommender, shared by the items of a history and the scores of the next."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from zoo.nets import linear


class Items(nn.Module):
    """Embeddings of N items; item n is token n + 1, 0 = pad."""

    shape: Any  # num_items, width, dropout, dtype

    def setup(self) -> None:
        s = self.shape
        self.items = linear.Embed(
            s.num_items + 1,
            s.width,
            dtype=s.dtype,
            embedding_init=nn.initializers.normal(s.width**-0.5),
        )
        self.drop = linear.Dropout(s.dropout)

    def read(self, source: jax.Array, *, train: bool) -> jax.Array:
        """[B, S, D] inputs of the first layer for items i32[B, S]."""
        return self.drop(self.items(source) * self.shape.width**0.5, deterministic=not train)

    def scores(self, hidden: jax.Array) -> jax.Array:
        """f32[..., N] inner products of hidden states [..., D] with all items."""
        return linear.inner(hidden, self.items.embedding[1:])

    def scores_of(self, hidden: jax.Array, items: jax.Array) -> jax.Array:
        """f32[..., C] inner products of hidden states [..., D] with items i32[..., C]."""
        return jnp.einsum(
            "...d,...cd->...c", hidden, self.items(items), preferred_element_type=jnp.float32
        )
