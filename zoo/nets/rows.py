"""A generator of two tokens whose output rows are vectors: a cluster, then a document of it.

The source is a vector q f32[B, D]. With states h = q + mlp(q) and g = q + mlp'(q), rows p_c of
clusters and r_d of documents, and a temperature T, the logits of the two steps are

    first:   T g . p_c                       second:   T (h . r_d - g . p_c)

so their sum is T h . r_d, whatever the first step scores: a tree with these logits ranks documents
exactly as their rows alone do, and the first step is free to learn which clusters lead a beam to
the best documents. With mlp = mlp' = 0, p_c the centroid of a cluster and r_d the vector of a
document, the second row is (document - centroid).
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

ILLEGAL = -1e9  # logit of tokens that name nothing
NONE = -1  # in places: no document


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of the generator."""

    width: int  # D
    clusters: int  # tokens 1 .. C of the first step
    places: int  # tokens C + 1 .. C + P of the second step
    hidden: int = 512  # of both MLPs
    target_length: int = 2

    @property
    def target_vocab(self) -> int:
        """V, PAD among them."""
        return 1 + self.clusters + self.places


class Memory(NamedTuple):
    """A source as both steps read it."""

    state: jax.Array  # f32[B, D] h
    first: jax.Array  # f32[B, C] T g . p_c


def mlp(key: jax.Array, width: int, hidden: int) -> dict[str, jax.Array]:
    """Parameters of an MLP that returns 0."""
    return {
        "in": jax.random.normal(key, (width, hidden)),
        "bias": jnp.zeros(hidden),
        "out": jnp.zeros((hidden, width)),
    }


def state(params: Any, q: jax.Array) -> jax.Array:
    """f32[B, D] q + mlp(q); q has about unit length, which gives the MLP inputs of about 1."""
    return q + jax.nn.gelu(q @ params["in"] + params["bias"][None]) @ params["out"]


def encode(params: Any, inputs: jax.Array, *, train: bool = False, rngs: Any = None) -> Memory:
    """Memory of q f32[B, D]."""
    q = jnp.asarray(inputs, jnp.float32)
    first = state(params["cluster_mlp"], q) @ params["cluster"].T
    return Memory(state(params["mlp"], q), params["temperature"] * first)


def step(params: Any, memory: Memory, t: Any, token: jax.Array, cache: Any) -> tuple:
    """Logits f32[B, K, V] of a step; params has "places" i32[C, P], documents of each cluster."""
    places = params["places"]
    num_clusters, num_places = places.shape
    batch, beams = token.shape
    blank = lambda width: jnp.full((batch, beams, width), ILLEGAL)
    if not t:
        first = jnp.broadcast_to(memory.first[:, None], (batch, beams, num_clusters))
        return jnp.concatenate([blank(1), first, blank(num_places)], axis=2), cache
    cluster = jnp.maximum(token - 1, 0)
    document = places[cluster]  # -> [B, K, P]
    rows = params["document"][jnp.maximum(document, 0)]  # -> [B, K, P, D]
    total = params["temperature"] * jnp.einsum("bd,bkpd->bkp", memory.state, rows)
    before = jnp.take_along_axis(memory.first, cluster, axis=1)
    second = jnp.where(document == NONE, ILLEGAL, total - before[..., None])
    return jnp.concatenate([blank(1 + num_clusters), second], axis=2), cache


def logits(
    params: Any, memory: Memory, target: jax.Array, *, train: bool = False, rngs: Any = None
) -> jax.Array:
    """f32[B, 2, V] of identifiers i32[B, 2]."""
    first, _ = step(params, memory, 0, target[:, :1], None)
    second, _ = step(params, memory, 1, target[:, :1], None)
    return jnp.concatenate([first, second], axis=1)


def empty_cache(batch: int, places: int = 0) -> jax.Array:
    """f32[B, 1, 0]: nothing but the last token is remembered."""
    return jnp.zeros((batch, 1, 0))


def init(shape: Shape, key: jax.Array) -> dict:
    """Parameters for any documents; a system replaces the rows by vectors."""
    keys = jax.random.split(key, 4)
    return {
        "mlp": mlp(keys[0], shape.width, shape.hidden),
        "cluster_mlp": mlp(keys[1], shape.width, shape.hidden),
        "cluster": jax.random.normal(keys[2], (shape.clusters, shape.width)),
        "document": jax.random.normal(keys[3], (shape.clusters * shape.places, shape.width)),
        "temperature": jnp.ones(()),
    }


def places(tokens: np.ndarray, shape: Shape) -> np.ndarray:
    """i32[C, P] row of the document of each identifier i32[N, 2], NONE without one."""
    table = np.full((shape.clusters, shape.places), NONE, np.int32)
    table[tokens[:, 0] - 1, tokens[:, 1] - 1 - shape.clusters] = np.arange(len(tokens))
    return table
