"""Encoders of BERT's family in linen: post-norm layers, learned absolute positions, exact GELU.

BERT (Devlin et al. 2019, arXiv 1810.04805), which MiniLM is too (Wang et al. 2020, arXiv
2002.10957), and MPNet (Song et al. 2020, arXiv 2004.09297), whose attention logits have the
bucketed relative position bias of T5 (arXiv 1910.10683, sec. 2.1), one table for all layers.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from zoo.nets import layers

MASKED = -1e9  # added to attention logits of pads
MAX_DISTANCE = 128  # of the relative position bias


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of an encoder; the defaults are those of MiniLM-L6-H384-uncased."""

    vocabulary: int = 30522
    width: int = 384  # D
    heads: int = 12  # H
    hidden: int = 1536  # of the MLP
    layers: int = 6
    positions: int = 512  # rows of the position table
    types: int = 2  # of token, first and second text of a pair; 0 = no such table
    epsilon: float = 1e-12  # of the layer norms
    pad: int = 0  # token that fills rows up
    first_position: int = 0  # row of the position table for the first token
    buckets: int = 0  # of the relative position bias; 0 = none
    dtype: str = "float32"  # of activations

    @property
    def longest(self) -> int:
        """The most tokens of a text."""
        return self.positions - self.first_position


class Layer(nn.Module):
    """Self-attention and MLP, a norm after the residual of each."""

    shape: Shape

    @nn.compact
    def __call__(self, x: jax.Array, bias: jax.Array) -> jax.Array:
        """x: [B, S, D]; bias: f32[B, H or 1, S or 1, S], added to the attention logits ->
        [B, S, D].
        """
        s = self.shape
        split = (*x.shape[:2], s.heads, s.width // s.heads)
        query, key, value = (
            self._dense(s.width, name)(x).reshape(split) for name in ("query", "key", "value")
        )
        logits = jnp.einsum("bqhd,bshd->bhqs", query, key).astype(jnp.float32)
        weights = jax.nn.softmax(logits * split[-1] ** -0.5 + bias).astype(x.dtype)
        attended = jnp.einsum("bhqs,bshd->bqhd", weights, value).reshape(x.shape)
        x = self._norm("attention_norm")(x + self._dense(s.width, "attention_out")(attended))
        inner = nn.gelu(self._dense(s.hidden, "mlp_in")(x), approximate=False)
        return self._norm("mlp_norm")(x + self._dense(s.width, "mlp_out")(inner))

    def _dense(self, size: int, name: str) -> nn.Dense:
        return nn.Dense(size, dtype=self.shape.dtype, name=name)

    def _norm(self, name: str) -> nn.LayerNorm:
        return nn.LayerNorm(epsilon=self.shape.epsilon, dtype=self.shape.dtype, name=name)


class Bert(nn.Module):
    """Encoder of single texts (token type 0)."""

    shape: Shape

    def setup(self) -> None:
        s = self.shape
        self.word_embedding = nn.Embed(s.vocabulary, s.width)
        self.position_embedding = nn.Embed(s.positions, s.width)
        if s.types:
            self.type_embedding = nn.Embed(s.types, s.width)
        if s.buckets:
            self.relative_bias = nn.Embed(s.buckets, s.heads)
        self.embedding_norm = nn.LayerNorm(epsilon=s.epsilon, dtype=s.dtype)
        self.layer = [Layer(s) for _ in range(s.layers)]

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """[B, S, D] encoded tokens i32[B, S]; outputs of pads are undefined."""
        x, bias = self.begin(tokens)
        for layer in self.layer:
            x = layer(x, bias)
        return x

    def begin(self, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Input [B, S, D] of the first layer, and the bias f32[B, H or 1, S or 1, S] of all."""
        s = self.shape
        place = jnp.arange(tokens.shape[1])
        x = self.word_embedding(tokens)
        x = x + self.position_embedding(s.first_position + place)[None]
        if s.types:
            x = x + self.type_embedding(jnp.zeros((1, 1), jnp.int32))
        bias = jnp.where(tokens == s.pad, MASKED, 0.0)[:, None, None, :]
        if s.buckets:
            bucket = layers.relative_buckets(
                place, place, bidirectional=True, buckets=s.buckets, max_distance=MAX_DISTANCE
            )
            bias = bias + jnp.moveaxis(self.relative_bias(bucket), -1, 0)[None]
        return self.embedding_norm(x), bias


def pool(
    encoded: jax.Array, tokens: jax.Array, *, pad: int, first: bool, normalised: bool
) -> jax.Array:
    """f32[B, D] vectors of texts with encoded tokens [B, S, D].

    first: the state of the first token, else the mean over tokens that are not pads.
    normalised: to unit length.
    """
    encoded = encoded.astype(jnp.float32)
    if first:
        vector = encoded[:, 0]
    else:
        counts = (tokens != pad)[:, :, None].astype(jnp.float32)
        vector = jnp.sum(encoded * counts, axis=1) / jnp.maximum(jnp.sum(counts, axis=1), 1.0)
    if not normalised:
        return vector
    return vector / jnp.maximum(jnp.linalg.norm(vector, axis=-1, keepdims=True), 1e-12)
