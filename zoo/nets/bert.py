"""BERT's encoder in linen (Devlin et al. 2019, arXiv 1810.04805).

Post-norm layers, learned absolute positions, exact GELU.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

PAD = 0
MASKED = -1e9  # added to attention logits of pads


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of an encoder; the defaults are those of MiniLM-L6-H384-uncased."""

    vocabulary: int = 30522
    width: int = 384  # D
    heads: int = 12  # H
    hidden: int = 1536  # of the MLP
    layers: int = 6
    positions: int = 512  # longest S
    types: int = 2  # of token, first and second text of a pair
    epsilon: float = 1e-12  # of the layer norms


class Layer(nn.Module):
    """Self-attention and MLP, a norm after the residual of each."""

    shape: Shape

    @nn.compact
    def __call__(self, x: jax.Array, bias: jax.Array) -> jax.Array:
        """x: f32[B, S, D]; bias: f32[B, 1, 1, S] added to the attention logits -> f32[B, S, D]."""
        s = self.shape
        heads = (*x.shape[:2], s.heads, s.width // s.heads)
        query, key, value = (
            nn.Dense(s.width, name=name)(x).reshape(heads) for name in ("query", "key", "value")
        )
        weights = jax.nn.softmax(
            jnp.einsum("bqhd,bshd->bhqs", query, key) * heads[-1] ** -0.5 + bias
        )
        attended = jnp.einsum("bhqs,bshd->bqhd", weights, value).reshape(x.shape)
        attended = nn.Dense(s.width, name="attention_out")(attended)
        x = nn.LayerNorm(epsilon=s.epsilon, name="attention_norm")(x + attended)
        inner = nn.gelu(nn.Dense(s.hidden, name="mlp_in")(x), approximate=False)
        return nn.LayerNorm(epsilon=s.epsilon, name="mlp_norm")(
            x + nn.Dense(s.width, name="mlp_out")(inner)
        )


class Bert(nn.Module):
    """Encoder of single texts (token type 0)."""

    shape: Shape

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """f32[B, S, D] encoded tokens i32[B, S], 0 = pad; outputs of pads are undefined."""
        s = self.shape
        words = nn.Embed(s.vocabulary, s.width, name="word_embedding")(tokens)
        positions = nn.Embed(s.positions, s.width, name="position_embedding")(
            jnp.arange(tokens.shape[1])[None]
        )
        types = nn.Embed(s.types, s.width, name="type_embedding")(jnp.zeros((1, 1), jnp.int32))
        x = nn.LayerNorm(epsilon=s.epsilon, name="embedding_norm")(words + positions + types)
        bias = jnp.where(tokens == PAD, MASKED, 0.0)[:, None, None, :]
        for number in range(s.layers):
            x = Layer(s, name=f"layer_{number}")(x, bias)
        return x


def mean_pooled(encoded: jax.Array, tokens: jax.Array) -> jax.Array:
    """f32[B, D] unit vectors: the mean of encoded f32[B, S, D] over tokens that are not pads."""
    counts = (tokens != PAD)[:, :, None].astype(encoded.dtype)
    mean = jnp.sum(encoded * counts, axis=1) / jnp.maximum(jnp.sum(counts, axis=1), 1.0)
    return mean / jnp.maximum(jnp.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)
