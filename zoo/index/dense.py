"""Exact inner-product search over document vectors, one block of documents at a time."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo.index import topk

BLOCK = 8192  # documents whose products are in memory together
QUERY_BATCHES = 1, 8, 64  # sizes that batches of queries are padded to


class Index(NamedTuple):
    """Vectors of N documents in blocks; a pytree of device arrays."""

    blocks: jax.Array  # f32[M, C, D], zeros after the last document
    size: jax.Array  # i32[] N


def build(vectors: np.ndarray, *, block: int = BLOCK) -> Index:
    """The index of f32[N, D]; corpora with equally many blocks share a compiled program.

    Raises ValueError if a vector is not finite.
    """
    vectors = np.asarray(vectors, np.float32)
    if vectors.ndim != 2 or 0 in vectors.shape or not np.isfinite(vectors).all():
        raise ValueError(
            "dense: expected finite vectors [N, D] of at least one document, "
            f"got {list(vectors.shape)}; look for NaN and inf"
        )
    size = min(block, 1 << (len(vectors) - 1).bit_length())
    num_blocks = -(-len(vectors) // size)
    padded = np.zeros((num_blocks * size, vectors.shape[1]), np.float32)
    padded[: len(vectors)] = vectors
    return Index(
        jnp.asarray(padded.reshape(num_blocks, size, -1)), jnp.asarray(len(vectors), jnp.int32)
    )


def search(index: Index, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows i32[B, k] of the largest inner products f32[B, k] with queries f32[B, D].

    Best first; ties go to the lower row; -1 and -inf after the last document. Cost O(B N D).
    """
    queries = np.asarray(queries, np.float32)
    documents = np.full((len(queries), k), -1, np.int32)
    scores = np.full((len(queries), k), -np.inf, np.float32)
    few = min(k, int(index.size))
    for rows, size in batches(len(queries)):
        found = _search(index, queries[np.resize(rows, size)], k=few)
        documents[rows, :few], scores[rows, :few] = (np.asarray(x)[: len(rows)] for x in found)
    return documents, scores


def batches(count: int) -> list[tuple[np.ndarray, int]]:
    """(rows, padded size) of batches of `count` queries, in few different sizes."""
    size = next((size for size in QUERY_BATCHES if count <= size), QUERY_BATCHES[-1])
    return [(np.arange(first, min(first + size, count)), size) for first in range(0, count, size)]


@functools.partial(jax.jit, static_argnames="k")
def _search(index: Index, queries: jax.Array, *, k: int) -> tuple[jax.Array, jax.Array]:
    """i32[B, k] and f32[B, k]; k at most the number of documents."""
    num_blocks, size, _ = index.blocks.shape

    def merge(best, numbered):
        number, block = numbered
        row = number * size + jnp.arange(size)
        product = jnp.einsum("bd,cd->bc", queries, block, precision="highest")
        product = jnp.where((row < index.size)[None], product, -jnp.inf)
        value, place = topk.top_k(product, min(k, size))
        # earlier rows first, so equal products stay in order
        rows = jnp.concatenate([best[0], number * size + place], axis=1)
        value, place = jax.lax.top_k(jnp.concatenate([best[1], value], axis=1), k)
        return (jnp.take_along_axis(rows, place, axis=1), value), None

    nothing = jnp.full((len(queries), k), -1, jnp.int32), jnp.full((len(queries), k), -jnp.inf)
    return jax.lax.scan(merge, nothing, (jnp.arange(num_blocks), index.blocks))[0]
