"""Self-attention over the items of a history, each seeing those before it: SASRec's network with the blocks of T5.

Kang and McAuley 2018, "Self-Attentive Sequential Recommendation" (arXiv 1808.09781), sec. 3.2-3.3. Distances between items enter as
relative biases, so no position is untrained however long a history is.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from zoo.nets import linear, transformer


class CausalItems(nn.Module):
    """Hidden states [B, S, D] of items i32[B, S], item n as n + 1, 0 = pad behind; state i knows items 0 .. i."""

    # of which source_vocab = N + 1, width, heads, head_width, encoder_layers and _hidden, dropout,
    # dtype count
    shape: transformer.Shape

    def setup(self) -> None:
        s = self.shape
        self.items = linear.Embed(
            s.source_vocab,
            s.width,
            dtype=s.dtype,
            embedding_init=nn.initializers.normal(s.width**-0.5),
        )
        self.bias = transformer.RelativeBias(s, bidirectional=False)
        self.layers = [transformer.EncoderLayer(s) for _ in range(s.encoder_layers)]
        self.norm = transformer.RMSNorm(s.dtype)
        self.drop = linear.Dropout(s.dropout)

    def __call__(self, items: jax.Array, *, train: bool = False) -> jax.Array:
        position = jnp.arange(items.shape[1])
        causal = jnp.where(position[None, :] > position[:, None], transformer.MASKED, 0.0)
        bias = (self.bias(position, position) + causal[None])[None]
        x = self.drop(self.items(items) * self.shape.width**0.5, deterministic=not train)
        for layer in self.layers:
            x = transformer.applied(layer, x, bias, train=train)
        return self.norm(x)

    def scores(self, hidden: jax.Array) -> jax.Array:
        """f32[..., N] inner products of hidden states [..., D] with all items."""
        return linear.inner(hidden, self.items.embedding[1:])

    def scores_of(self, hidden: jax.Array, items: jax.Array) -> jax.Array:
        """f32[..., C] inner products of hidden states [..., D] with items i32[..., C], numbered as in the input."""
        return jnp.einsum(
            "...d,...cd->...c", hidden, self.items(items), preferred_element_type=jnp.float32
        )
