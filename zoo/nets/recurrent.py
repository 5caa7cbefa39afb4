"""A recurrent network over the items of a history: GRU4Rec's, with one table for items read and items scored.

Hidasi et al. 2016, "Session-based Recommendations with Recurrent Neural Networks" (arXiv 1511.06939), sec. 3.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from zoo.nets import linear, transformer


class RecurrentItems(nn.Module):
    """Hidden states [B, S, D] of items i32[B, S], item n as n + 1, 0 = pad behind; state i knows items 0 .. i."""

    # of which source_vocab = N + 1, width, encoder_layers (of GRUs), dropout and dtype count
    shape: transformer.Shape

    def setup(self) -> None:
        s = self.shape
        self.items = linear.Embed(
            s.source_vocab,
            s.width,
            dtype=s.dtype,
            embedding_init=nn.initializers.normal(s.width**-0.5),
        )
        self.layers = [nn.RNN(nn.GRUCell(s.width, dtype=s.dtype)) for _ in range(s.encoder_layers)]
        self.out = nn.Dense(s.width, dtype=s.dtype)
        self.drop = linear.Dropout(s.dropout)

    def __call__(self, items: jax.Array, *, train: bool = False) -> jax.Array:
        x = self.drop(self.items(items) * self.shape.width**0.5, deterministic=not train)
        for layer in self.layers:
            states: Any = layer(x)  # nn.RNN is typed as if it returned its carry too
            x = self.drop(states, deterministic=not train)
        return self.out(x)

    def scores(self, hidden: jax.Array) -> jax.Array:
        """f32[..., N] inner products of hidden states [..., D] with all items."""
        return linear.inner(hidden, self.items.embedding[1:])

    def scores_of(self, hidden: jax.Array, items: jax.Array) -> jax.Array:
        """f32[..., C] inner products of hidden states [..., D] with items i32[..., C], numbered as in the input."""
        return jnp.einsum(
            "...d,...cd->...c", hidden, self.items(items), preferred_element_type=jnp.float32
        )
