"""From beams of identifiers to ranked documents.

    Collect = (beams, docs) -> (documents i32[B, M], scores f32[B, M])

Best first; -1 and -inf where there is no document.

A collector traces, and is hashable, so that it can be a static argument of the function that
searches. docs is the trie of the identifiers, or what has its `documents_of` and `walk`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, Protocol

import jax
import jax.numpy as jnp

from zoo import records
from zoo.docids import table
from zoo.search import beam

# "row": all documents of an identifier, with its score, lower rows first; "refuse": an error if any
# two share one
Ties = Literal["row", "refuse"]
Combine = Literal["max", "sum", "logsumexp"]
Collect = Callable[[Any, Any], tuple[jax.Array, jax.Array]]


class Docs(Protocol):
    """The documents of identifiers; `zoo.index.trie.Trie` is one."""

    @property
    def documents_per_leaf(self) -> int:
        """Most documents of an identifier."""
        ...

    def documents_of(self, leaf: jax.Array) -> jax.Array:
        """i32[B, K, documents_per_leaf] rows of documents, -1 after the last and for leaf -1."""
        ...

    def walk(self, tokens: jax.Array) -> jax.Array:
        """i32[B, K, L] nodes of all prefixes of tokens i32[B, K, L], -1 = none."""
        ...


@dataclasses.dataclass(frozen=True)
class ByLeaf:
    """See `by_leaf`."""

    ties: Ties
    length_penalty: float
    combine: Combine

    def __call__(self, beams: beam.Beams, docs: Docs) -> tuple[jax.Array, jax.Array]:
        if self.ties == "refuse" and docs.documents_per_leaf > 1:
            raise records.DataError(
                f"collect: up to {docs.documents_per_leaf} documents share an identifier; "
                "give each its own, or answer all of them (ties='row')"
            )
        score = beams.score
        if self.length_penalty:
            length = (beams.token != table.PAD).sum(axis=2)
            score = score / (length + 1.0) ** self.length_penalty
        rows = docs.documents_of(beams.leaf)  # -> [B, K, D]
        if docs.documents_per_leaf > 1:  # lower rows first, and none last
            rows = jnp.sort(rows.astype(jnp.uint32), axis=2).astype(jnp.int32)
        scores = jnp.where(rows >= 0, score[..., None], -jnp.inf)
        flat = lambda x: x.reshape(len(x), -1)
        return _combined(flat(rows), flat(scores), self.combine)


def by_leaf(*, ties: Ties = "row", length_penalty: float = 0.0, combine: Combine = "max") -> ByLeaf:
    """Documents by the scores of their identifiers; M = K x the most documents of an identifier.

    Args: ties: which documents of a shared identifier are answered. length_penalty: scores are
      divided by (tokens + 1) to this power (NCI, arXiv:2206.02743). combine: score of a document
      that several identifiers in the beam name: the best, their sum, or the log of
        their summed probabilities.
    """
    return ByLeaf(ties, float(length_penalty), combine)


def add(documents: jax.Array, scores: jax.Array, more: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Documents i32[B, M] by their scores f32[B, M] + more f32[B, N], best first; -1 stays last."""
    extra = jnp.take_along_axis(more, jnp.maximum(documents, 0), axis=1)
    total = jnp.where(documents >= 0, scores + extra, -jnp.inf)
    total, place = jax.lax.top_k(total, total.shape[1])
    return jnp.take_along_axis(documents, place, axis=1), total


def locate(beams: beam.Beams, docs: Docs) -> beam.Beams:
    """The beams with leaves looked up by their tokens, for automata that do not know them."""
    leaf = docs.walk(beams.token)[..., -1]
    return beams._replace(leaf=jnp.where(beams.score > -jnp.inf, leaf, beam.NO_LEAF))


def _combined(rows: jax.Array, scores: jax.Array, combine: Combine) -> tuple[jax.Array, jax.Array]:
    """Documents i32[B, M] with scores f32[B, M], each once, best first; ties in input order."""
    place = jax.lax.broadcasted_iota(jnp.int32, rows.shape, 1)
    # the entries of a document side by side, the best first
    row, minus, place = jax.lax.sort((rows, -scores, place), dimension=1, num_keys=3)
    first = jnp.concatenate([jnp.ones_like(row[:, :1], bool), row[:, 1:] != row[:, :-1]], axis=1)
    total = -minus
    if combine != "max":
        group = jnp.cumsum(first, axis=1) - 1
        add = jax.vmap(lambda values, where: jax.ops.segment_sum(values, where, len(where)))
        read = jax.vmap(lambda values, where: values[where])
        if combine == "sum":
            total = read(add(jnp.where(row >= 0, total, 0.0), group), group)
        else:
            best = jnp.where(first, total, 0.0)
            best = read(add(jnp.where(jnp.isfinite(best), best, 0.0), group), group)
            total = best + jnp.log(read(add(jnp.exp(total - best), group), group))
    total = jnp.where(first & (row >= 0), total, -jnp.inf)
    minus, _, row = jax.lax.sort((-total, place, row), dimension=1, num_keys=2)
    return jnp.where(minus < jnp.inf, row, -1), -minus
