"""Dual encoder: relevance is the inner product of the vectors of a query and a document.

Karpukhin et al. 2020, "Dense Passage Retrieval for Open-Domain Question Answering"
(arXiv 2004.04906), sec. 3.1, over the encoder of `zoo.nets.transformer` as in Sentence-T5
(arXiv 2108.08877). The vector of a text is, by `pooling`,

    first     the state of its first token (DPR's [CLS], the decoder-free form of Sentence-T5)
    mean      the mean of its states
    weighted  sum_t w(x_t) h_t / sum_t 1 with a learned weight w for each word, so that a bag of
              words can be initialised as TF-IDF

Texts that are vectors of a pretrained encoder (`encoder.vector_width`) are mapped by a matrix that
starts as the identity.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from zoo.nets import linear, transformer

POOLINGS, TOWERS = ("first", "mean", "weighted"), ("shared", "two")
QUERY, DOCUMENT = "query", "document"


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of a dual encoder."""

    encoder: transformer.Shape  # of each tower; only what the encoder reads counts
    pooling: str = "mean"
    towers: str = "shared"  # one set of weights for both sides, or two
    normalised: bool = True  # vectors have length 1


class Tower(nn.Module):
    """f32[B, D] vectors of texts i32[B, S], 0 = pad, or of their vectors f32[B, D']."""

    shape: Shape

    @nn.compact
    def __call__(self, source: jax.Array, *, train: bool = False) -> jax.Array:
        s = self.shape
        if s.encoder.vector_width:
            vector = linear.Linear(
                s.encoder.vector_width,
                kernel_init=lambda key, shape: jnp.eye(*shape),
                name="vector",
            )(source)
        else:
            vector = self._pooled(source, train)
        if s.normalised:
            vector /= jnp.sqrt(jnp.sum(vector**2, axis=1, keepdims=True) + 1e-12)
        return vector

    def _pooled(self, source: jax.Array, train: bool) -> jax.Array:
        s = self.shape
        states = (
            transformer.EncoderDecoder(s.encoder, name="encoder")
            .encode(source, train=train)
            .astype(jnp.float32)
        )
        if s.pooling == "first":
            vector = states[:, 0]
        else:
            weight = (source != 0).astype(jnp.float32)
            count = jnp.maximum(weight.sum(axis=1, keepdims=True), 1)
            if s.pooling == "weighted":
                weight *= self.param("weight", nn.initializers.ones, (s.encoder.source_vocab,))[
                    source
                ]
            vector = jnp.einsum("bs,bsd->bd", weight, states) / count
        return vector


class DualEncoder(nn.Module):
    """Two towers, or one that serves both sides."""

    shape: Shape

    def setup(self) -> None:
        self.tower = Tower(self.shape)
        if self.shape.towers == "two":
            self.document_tower = Tower(self.shape)

    def __call__(self, query: jax.Array, document: jax.Array, *, train: bool = False) -> jax.Array:
        """Inner products f32[B, C] of texts i32[B, S] and i32[C, S']."""
        queries = self.vectors(query, side=QUERY, train=train)
        return jnp.einsum("bd,cd->bc", queries, self.vectors(document, side=DOCUMENT, train=train))

    def vectors(self, source: jax.Array, *, side: str, train: bool = False) -> jax.Array:
        """f32[B, D] of texts i32[B, S]."""
        own = self.shape.towers == "two" and side == DOCUMENT
        return (self.document_tower if own else self.tower)(source, train=train)
