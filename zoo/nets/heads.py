"""NCI's prefix-aware weight-adaptive head: the output matrix depends on the identifier so far.

Wang et al. 2022, "A Neural Corpus Indexer for Document Retrieval" (arXiv 2206.02743), sec. 3.3.
With h_i the decoder's state, W the token embeddings and A a small decoder over the prefix alone,

    W_i        = W + A(r_1 .. r_{i-1})                         in R^{D x V}
    p(r_i | ..) = softmax(D^{-1/2} h_i W_i)                    over position i's tokens and the end

so the meaning of a token depends on its cluster. A is a stack of decoder layers whose encoded
source is one learned vector; its state a_i in R^D gives each token v of position i the column
M_v a_i with a matrix M_v in R^{D x D}.

Deviations: M starts at zero, so training starts with the tied head (the paper does not say how A is
initialised); A shares the decoder's embeddings.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from zoo.nets import layers, transformer


@dataclasses.dataclass(frozen=True)
class PrefixShape(transformer.Shape):
    """Sizes of an encoder-decoder with a prefix-aware head and position-specific tokens."""

    adaptor_layers: int = 1  # of A

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.last_tokens) != self.target_length or self.shared:
            raise ValueError(
                f"shape: a prefix-aware head expects last_tokens of {self.target_length} positions "
                f"and no shared table, got {self}"
            )

    def net(self) -> nn.Module:
        return PrefixAware(self)

    def empty_cache(self, batch: int, places: int = 0) -> dict[str, transformer.Cache]:
        """Of the decoder and of A, leaves [B, 1, P, H, Dh]."""
        adaptor = dataclasses.replace(self, decoder_layers=self.adaptor_layers)
        return {
            name: transformer.empty_cache(shape, batch, places=places)
            for name, shape in (("decoder", self), ("adaptor", adaptor))
        }


class PrefixAware(transformer.EncoderDecoder):
    """T5 v1.1 with the prefix-aware head; `step` extends a cache of the decoder and one of A."""

    shape: PrefixShape

    def setup(self) -> None:
        super().setup()
        s = self.shape
        columns = columns_of(s)
        self.adaptor_source = self.param(
            "adaptor_source", nn.initializers.normal(1.0), (1, 1, s.width)
        )
        self.adaptor_bias = transformer.relative_bias(s, bidirectional=False)
        self.adaptor = [transformer.DecoderLayer(s) for _ in range(s.adaptor_layers)]
        self.adaptor_norm = layers.RMSNorm(s.dtype)
        # M
        self.adaptor_out = self.param(
            "adaptor_out", nn.initializers.zeros, (*columns.shape, s.width, s.width)
        )

    def decode(
        self,
        target: jax.Array,
        memory: transformer.Memory,
        source: jax.Array,
        *,
        train: bool = False,
    ) -> jax.Array:
        """Teacher-forced logits f32[B, L, V] of target i32[B, L]; position i sees target[:, :i]."""
        states = self.states(target, memory, source, train=train)
        adapted = self.adapt(target, train=train)
        return jax.vmap(self._weigh, in_axes=(1, 1, 0), out_axes=1)(
            states, adapted, jnp.arange(target.shape[1])
        )

    def adapt(self, target: jax.Array, *, train: bool = False) -> jax.Array:
        """a_i [B, L, D] of the prefixes of target i32[B, L]; position i sees target[:, :i]."""
        shifted = jnp.pad(target[:, :-1], ((0, 0), (1, 0)))
        position = jnp.arange(target.shape[1])
        causal = jnp.where(position[None, :] > position[:, None], layers.MASKED, 0.0)
        bias = (self.adaptor_bias(position, position) + causal[None])[None]
        x = self.drop(self.target_embedding(shifted), deterministic=not train)
        for layer in self.adaptor:
            x = layer(
                x, self._remember(layer, len(target)), bias, jnp.zeros((1, 1, 1, 1)), train=train
            )
        return self.drop(self.adaptor_norm(x), deterministic=not train)

    def step(
        self,
        t: jax.Array | int,
        token: jax.Array,
        cache: dict,
        memory: transformer.Memory,
        source: jax.Array,
    ):
        """Logits f32[B, K, V] of position t after token i32[B, K] (0 at t = 0), and the cache."""
        states, decoder = self.extend(t, token, cache["decoder"], memory, source)
        position = jnp.arange(self.shape.target_length)
        past = jnp.where(position > t, layers.MASKED, 0.0)[None, None]
        bias = self.adaptor_bias(jnp.asarray(t)[None], position) + past
        x, adaptor = self.target_embedding(token), []
        for layer, own in zip(self.adaptor, cache["adaptor"]):
            x, own = layer.extend(
                x, own, self._remember(layer, len(token)), t, bias, jnp.zeros((1, 1, 1, 1))
            )
            adaptor.append(own)
        return self._weigh(states, self.adaptor_norm(x), jnp.asarray(t)), {
            "decoder": decoder,
            "adaptor": adaptor,
        }

    def _remember(self, layer: transformer.DecoderLayer, batch: int) -> dict[str, jax.Array]:
        source = jnp.broadcast_to(self.adaptor_source, (batch, 1, self.shape.width)).astype(
            self.shape.dtype
        )
        return layer.cross_attention.remember(source)

    def _weigh(self, states: jax.Array, adapted: jax.Array, t: jax.Array) -> jax.Array:
        """f32[..., V] of h and a [..., D] at position t; -inf for tokens of other positions."""
        columns, place = columns_of(self.shape), places_of(self.shape)
        states, adapted = states.astype(jnp.float32), adapted.astype(jnp.float32)
        # -> [C, D]
        table = jnp.asarray(self.target_embedding.embedding, jnp.float32)[jnp.asarray(columns)[t]]
        # A(prefix) of these tokens
        change = jnp.einsum("...e,cde->...cd", adapted, self.adaptor_out[t])
        logits = jnp.einsum("...d,cd->...c", states, table) + jnp.einsum(
            "...d,...cd->...c", states, change
        )
        place = jnp.asarray(place)[t]  # -> [V]
        whole = (
            jnp.take(logits, jnp.maximum(place, 0), axis=-1, mode="clip") * self.shape.width**-0.5
        )
        own = jnp.expand_dims(place >= 0, range(whole.ndim - 1))
        return jnp.where(own, whole, -jnp.inf)


def columns_of(shape: transformer.Shape) -> np.ndarray:
    """i32[L, C] tokens of each position, the end first; padded with 0."""
    ends = (0, *shape.last_tokens)
    columns = np.zeros((len(ends) - 1, 1 + max(np.diff(ends))), np.int32)
    for t, (last, own) in enumerate(zip(ends, ends[1:])):
        columns[t, 1 : 1 + own - last] = np.arange(last + 1, own + 1)
    return columns


def places_of(shape: transformer.Shape) -> np.ndarray:
    """Where each token stands among those of each position, i32[L, V]; -1 for those of others."""
    columns = columns_of(shape)
    places = np.full((len(columns), shape.target_vocab), -1, np.int32)
    for t, row in enumerate(columns):
        # 0 stands first and perhaps again behind: the first counts
        places[t, row[::-1]] = np.arange(len(row))[::-1]
    return places
