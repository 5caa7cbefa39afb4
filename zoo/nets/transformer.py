"""T5 encoder-decoder in linen, with its decoding cache as an argument and a result.

Raffel et al. 2020 (arXiv 1910.10683), sec. 2.1: T5 v1.1 with gated GELU (Shazeer 2020,
arXiv 2002.05202) and a separate output head, the default, and the first T5 with ReLU (`mlp="relu"`)
and tied target embeddings (`tied`). Norms come before what they scale, and a stack has one table of
relative position biases. `zoo.nets.layers` has the layers, `zoo.nets.t5_weights` reads published
weights.

Deviations: source and identifiers have separate vocabularies and embeddings, unless `shared`, as in
T5. Optional `recency` vectors encode the distance from the end of the source, which relative biases
show to no single token.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from zoo.nets import layers, linear, stack

# a decoder layer each: key, value [B, K, P, H, Dh] of P positions
Cache = list[dict[str, jax.Array]]
# a decoder layer each: key [B, H, Dh, S] and value [B, H, S, Dh], shared by all beams
Memory = list[dict[str, jax.Array]]

MLPS = "gelu", "relu"  # gated GELU of T5 v1.1; plain ReLU of the first T5


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of an encoder-decoder."""

    source_vocab: int  # token ids of the source, 0 = pad
    target_vocab: int  # V, token ids of identifiers, 0 = pad, start and end
    target_length: int  # L
    width: int = 128  # D
    heads: int = 4  # H
    head_width: int = 32
    encoder_hidden: int = 256  # of each of the two branches of the gated MLP
    decoder_hidden: int = 256
    encoder_layers: int = 2
    decoder_layers: int = 2
    dropout: float = 0.1
    buckets: int = 32  # relative position buckets
    max_distance: int = 128  # distances from here on share the last bucket
    dtype: str = "float32"  # of activations; parameters and logits are float32
    # last token of each position, whose tokens follow those of the one before; () = no restriction
    last_tokens: tuple[int, ...] = ()
    mlp: str = "gelu"  # one of MLPS
    tied: bool = False  # the head is the table of target embeddings, its input scaled by D^-0.5
    # store only layer outputs in training; recompute the rest in the backward pass
    remat: bool = False
    shared: bool = False  # source and target have one vocabulary and one table, that of the source
    # distances from the end of the source with vectors of their own, the rest share one; 0 = none
    recency: int = 0
    # the source is vectors f32[B, this] of texts, each read as `vector_places` states; 0 = tokens
    vector_width: int = 0
    vector_places: int = 4

    def __post_init__(self) -> None:
        if self.mlp not in MLPS:
            raise ValueError(f"shape: mlp expects one of {', '.join(MLPS)}, got {self.mlp!r}")
        if self.shared and self.source_vocab != self.target_vocab:
            raise ValueError(
                f"shape: a shared table expects one vocabulary, got {self.source_vocab} source "
                f"and {self.target_vocab} target tokens"
            )

    def net(self) -> nn.Module:
        """The linen module of this shape."""
        return EncoderDecoder(self)

    def empty_cache(self, batch: int, places: int = 0) -> Any:
        """The cache of the first `step`, leaves [B, 1, ...].

        It grows with every step, unless it has `places` for all L positions.
        """
        return empty_cache(self, batch, places=places)


def attention(shape: Shape) -> layers.Attention:
    """The attention of a shape's layers."""
    s = shape
    return layers.Attention(s.width, s.heads, s.head_width, s.dropout, s.dtype)


def relative_bias(shape: Shape, *, bidirectional: bool) -> layers.RelativeBias:
    """The table of relative positions of a stack."""
    return layers.RelativeBias(shape.heads, shape.buckets, shape.max_distance, bidirectional)


def mlp(shape: Shape, hidden: int) -> layers.GatedMlp | layers.ReluMlp:
    """The MLP of the shape's family."""
    kind = {"gelu": layers.GatedMlp, "relu": layers.ReluMlp}[shape.mlp]
    return kind(shape.width, hidden, shape.dropout, shape.dtype)


class EncoderLayer(nn.Module):
    """Self-attention and MLP, each behind a norm and beside a residual."""

    shape: Shape

    def setup(self) -> None:
        s = self.shape
        self.attention_norm, self.attention = layers.RMSNorm(s.dtype), attention(s)
        self.mlp_norm, self.mlp = layers.RMSNorm(s.dtype), mlp(s, s.encoder_hidden)
        self.drop = linear.Dropout(s.dropout)

    def __call__(self, x: jax.Array, bias: jax.Array, *, train: bool) -> jax.Array:
        x = x + self.drop(
            self.attention(self.attention_norm(x), bias, train=train), deterministic=not train
        )
        return x + self.drop(self.mlp(self.mlp_norm(x), train=train), deterministic=not train)


class DecoderLayer(nn.Module):
    """Causal self-attention, attention over the encoded source, MLP."""

    shape: Shape

    def setup(self) -> None:
        s = self.shape
        self.self_norm, self.self_attention = layers.RMSNorm(s.dtype), attention(s)
        self.cross_norm, self.cross_attention = layers.RMSNorm(s.dtype), attention(s)
        self.mlp_norm, self.mlp = layers.RMSNorm(s.dtype), mlp(s, s.decoder_hidden)
        self.drop = linear.Dropout(s.dropout)

    def __call__(
        self, x: jax.Array, memory: dict, bias: jax.Array, memory_bias: jax.Array, *, train: bool
    ) -> jax.Array:
        attended = self.self_attention(self.self_norm(x), bias, train=train)
        return self._rest(
            x + self.drop(attended, deterministic=not train), memory, memory_bias, train=train
        )

    def extend(
        self,
        x: jax.Array,
        cache: dict,
        memory: dict,
        t: jax.Array | int,
        bias: jax.Array,
        memory_bias: jax.Array,
    ):
        attended, cache = self.self_attention.extend(self.self_norm(x), cache, t, bias)
        return self._rest(x + attended, memory, memory_bias, train=False), cache

    def _rest(
        self, x: jax.Array, memory: dict, memory_bias: jax.Array, *, train: bool
    ) -> jax.Array:
        attended = self.cross_attention.over(self.cross_norm(x), memory, memory_bias, train=train)
        x = x + self.drop(attended, deterministic=not train)
        return x + self.drop(self.mlp(self.mlp_norm(x), train=train), deterministic=not train)


class EncoderDecoder(nn.Module):
    """T5: `encode` a source, then `decode` whole identifiers or `step` through them."""

    shape: Shape

    def setup(self) -> None:
        s = self.shape
        embed: dict[str, Any] = dict(features=s.width, dtype=s.dtype)
        if s.vector_width:
            self.source_vector = linear.Linear(
                (s.vector_places, s.width),
                dtype=s.dtype,
                kernel_init=nn.initializers.normal(1.0),  # of vectors of unit length
            )
        else:
            self.source_embedding = linear.Embed(s.source_vocab, **embed)
        if not s.shared:
            self.target_embedding = linear.Embed(s.target_vocab, **embed)
        if s.recency:
            self.recency = linear.Embed(s.recency, s.width, dtype=s.dtype)
        self.encoder_bias = relative_bias(s, bidirectional=True)
        self.decoder_bias = relative_bias(s, bidirectional=False)
        self.encoder = [EncoderLayer(s) for _ in range(s.encoder_layers)]
        self.decoder = [DecoderLayer(s) for _ in range(s.decoder_layers)]
        self.encoder_norm, self.decoder_norm = layers.RMSNorm(s.dtype), layers.RMSNorm(s.dtype)
        self.drop = linear.Dropout(s.dropout)
        if not s.tied:
            self.head = linear.Linear(
                s.target_vocab, kernel_init=nn.initializers.normal(s.width**-0.5)
            )

    def __call__(self, source: jax.Array, target: jax.Array, *, train: bool = False) -> jax.Array:
        """Teacher-forced logits f32[B, L, V] of target i32[B, L] given source i32[B, S]."""
        return self.decode(
            target, self.memory(self.encode(source, train=train)), source, train=train
        )

    def encode(self, source: jax.Array, *, train: bool = False) -> jax.Array:
        """Encoded source [B, S, D] of source i32[B, S], 0 = pad, or of vectors f32[B, D']."""
        x = self.source_vector(source) if self.shape.vector_width else self.source_embedding(source)
        position = jnp.arange(x.shape[1])
        bias = self.encoder_bias(position, position)[None] + _pad_bias(source)
        if self.shape.recency:
            # tokens after each, pads not counted
            after = (source != 0).sum(axis=1, keepdims=True) - 1 - position[None]
            x = x + self.recency(jnp.clip(after, 0, self.shape.recency - 1))
        x = self.drop(x, deterministic=not train)
        x = stack.apply(self.encoder, x, None, bias, train=train)
        return self.drop(self.encoder_norm(x), deterministic=not train)

    def memory(self, encoded: jax.Array) -> Memory:
        """Keys and values of every decoder layer's attention over the encoded source [B, S, D]."""
        return [layer.cross_attention.remember(encoded) for layer in self.decoder]

    def decode(
        self, target: jax.Array, memory: Memory, source: jax.Array, *, train: bool = False
    ) -> jax.Array:
        """Teacher-forced logits f32[B, L, V] of target i32[B, L]; position i sees target[:, :i]."""
        return self._logits(
            self.states(target, memory, source, train=train), jnp.arange(target.shape[1])
        )

    def states(
        self, target: jax.Array, memory: Memory, source: jax.Array, *, train: bool = False
    ) -> jax.Array:
        """Like `decode`, with the head's input [B, L, D] in place of the logits."""
        shifted = jnp.pad(target[:, :-1], ((0, 0), (1, 0)))
        position = jnp.arange(target.shape[1])
        causal = jnp.where(position[None, :] > position[:, None], layers.MASKED, 0.0)
        bias = (self.decoder_bias(position, position) + causal[None])[None]
        x = self.drop(self._target_table()(shifted), deterministic=not train)
        x = stack.apply(self.decoder, x, memory, bias, _pad_bias(source), train=train)
        return self.drop(self.decoder_norm(x), deterministic=not train)

    def step(
        self, t: jax.Array | int, token: jax.Array, cache: Cache, memory: Memory, source: jax.Array
    ):
        """Logits f32[B, K, V] of position t after token i32[B, K] (0 at t = 0), and the cache."""
        x, extended = self.extend(t, token, cache, memory, source)
        return self._logits(x, jnp.asarray(t)[None]), extended

    def extend(
        self, t: jax.Array | int, token: jax.Array, cache: Cache, memory: Memory, source: jax.Array
    ):
        """Like `step`, with the head's input [B, K, D] in place of the logits."""
        position = jnp.arange(self.shape.target_length)
        past = jnp.where(position > t, layers.MASKED, 0.0)[None, None]
        bias = self.decoder_bias(jnp.asarray(t)[None], position) + past
        x = self._target_table()(token)
        extended = []
        for layer, own, kept in zip(self.decoder, cache, memory):
            x, own = layer.extend(x, own, kept, t, bias, _pad_bias(source))
            extended.append(own)
        return self.decoder_norm(x), extended

    def _target_table(self) -> linear.Embed:
        return self.source_embedding if self.shape.shared else self.target_embedding

    def _logits(self, x: jax.Array, position: jax.Array) -> jax.Array:
        """f32[B, Q, V] of x [B, Q, D] at positions i32[Q], or i32[1] for all.

        -inf for tokens of other positions.
        """
        x = x.astype(jnp.float32)
        if self.shape.tied:
            logits = linear.inner(x * self.shape.width**-0.5, self._target_table().embedding)
        else:
            logits = self.head(x)
        if not self.shape.last_tokens:
            return logits
        ends = jnp.asarray((0, *self.shape.last_tokens))
        token = jax.lax.broadcasted_iota(jnp.int32, (len(position), self.shape.target_vocab), 1)
        own = (token == 0) | (
            (token > ends[position][:, None]) & (token <= ends[position + 1][:, None])
        )
        return jnp.where(own[None], logits, -jnp.inf)


def empty_cache(shape: Shape, batch: int, beams: int = 1, *, places: int = 0) -> Cache:
    """An empty cache for `step`, leaves [B, K, P, H, Dh]; P = 0 grows, P = L has room for all."""
    zeros = jnp.zeros((batch, beams, places, shape.heads, shape.head_width), shape.dtype)
    return [{"key": zeros, "value": zeros} for _ in range(shape.decoder_layers)]


def output_kernel(params: dict, shape: Shape) -> jax.Array:
    """f32[D, V] output head: logits are what `extend` returns @ this."""
    tree = params["params"]
    if not shape.tied:
        return tree["head"]["kernel"]
    return (
        tree["source_embedding" if shape.shared else "target_embedding"]["embedding"].T
        * shape.width**-0.5
    )


def _pad_bias(source: jax.Array) -> jax.Array:
    """f32[B, 1, 1, S]: MASKED where source is pad; f32[B, 1, 1, 1] zeros for vectors."""
    if jnp.issubdtype(source.dtype, jnp.floating):
        return jnp.zeros((len(source), 1, 1, 1))
    return jnp.where(source == 0, layers.MASKED, 0.0)[:, None, None, :]
