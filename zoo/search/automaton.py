"""The interface of automata of legal identifiers, and automata without a table of identifiers.

Implementations: `Free` and `Sentences` here, `zoo.index.trie.Trie`, `zoo.index.fm.FMIndex`, and the
wrappers of `zoo.search.guided`.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

import jax
import jax.numpy as jnp

from zoo.docids import table
from zoo.index import children, projection, topk

OPEN, ENDED = 0, 1  # nodes of Free


class Automaton(Protocol):
    """A pytree of device arrays whose methods can be traced; depth t is static.

    Nodes are i32 whose meaning is private to the automaton. Nodes of `zoo.index.fm.FMIndex` are
    pairs i32[B, K, 2]: `beam`, `sampling` and `diverse` accept them, `best_first` and `guided` do
    not.
    """

    def start(self, batch: int) -> jax.Array:
        """i32[B, 1] node of the empty prefix."""
        ...

    def expand(
        self, t: int, node: jax.Array, logits: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Children of nodes i32[B, K] of depth t, given logits f32[B, K, V].

        Returns three arrays [B, K, C_t], C_t static, in increasing order of token. Score: the
        child's logit; -inf if there is no child; 0 for the PAD child of an identifier that has
        ended, which is then the only child. Token. Node of depth t+1.
        """
        ...

    def leaf(self, length: int, node: jax.Array) -> jax.Array:
        """i32[B, K] number of the identifier that ends in a node of depth L, -1 = unknown."""
        ...


class Choosing(Automaton, Protocol):
    """An automaton that finds the best children itself, without scoring all of them."""

    def choose(
        self,
        t: int,
        node: jax.Array,
        before: jax.Array,
        logits: jax.Array,
        *,
        width: int,
        score: children.Score,
    ) -> children.Winners:
        """The `width` best children of nodes i32[B, K] of depth t.

        before: f32[B, K] scores of the nodes; logits: f32[B, K, V].

        Equivalent to `beam.best_children`: the first of equal children, nodes in the order of their
        prefixes before and after. No two live nodes of a query are equal.
        """
        ...


class Counting(Automaton, Protocol):
    """An automaton that counts the documents below a prefix."""

    def counts(self, t: int, node: jax.Array) -> jax.Array:
        """i32[...] documents, not identifiers, below nodes i32[...] of depth t, 1 .. L.

        Arbitrary for the place of a child that does not exist.
        """
        ...


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Free:
    """No constraint: every token may follow every prefix, until token 0 ends the identifier.

    That 0 has the model's score; the zeros after it are PAD and cost nothing. `docids.lookup` finds
    the document of an identifier, if there is one.
    """

    def start(self, batch: int) -> jax.Array:
        return jnp.full((batch, 1), OPEN, jnp.int32)

    def expand(
        self, t: int, node: jax.Array, logits: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        token = jax.lax.broadcasted_iota(jnp.int32, logits.shape, 2)
        ended = jnp.broadcast_to((node == ENDED)[..., None], logits.shape)
        score = jnp.where(ended, jnp.where(token == table.PAD, 0.0, -jnp.inf), logits)
        return score, token, jnp.where(ended | (token == table.PAD), ENDED, OPEN)

    def choose(
        self,
        t: int,
        node: jax.Array,
        before: jax.Array,
        logits: jax.Array,
        *,
        width: int,
        score: children.Score,
    ) -> children.Winners:
        # all tokens are legal: "renormalised" is "model"
        logits = projection.dense(logits)
        alphabet = logits.shape[2]
        only = jnp.where(
            jax.lax.broadcasted_iota(jnp.int32, logits.shape, 2) == table.PAD, 0.0, -jnp.inf
        )
        logits = jnp.where((node == ENDED)[..., None], only, logits)
        total, place = children.best_of_all(before, logits, width=width, score=score)
        parent, token = place // alphabet, place % alphabet
        ended = (topk.pick(node, parent) == ENDED) | (token == table.PAD)
        return children.Winners(total, token, jnp.where(ended, ENDED, OPEN), parent)

    def leaf(self, length: int, node: jax.Array) -> jax.Array:
        return jnp.full(node.shape, -1, jnp.int32)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Sentences:
    """No constraint on text that ends with an end token (1 in T5's vocabulary), before any PAD."""

    end: int = dataclasses.field(metadata={"static": True})

    def start(self, batch: int) -> jax.Array:
        return jnp.full((batch, 1), OPEN, jnp.int32)

    def expand(
        self, t: int, node: jax.Array, logits: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        token = jax.lax.broadcasted_iota(jnp.int32, logits.shape, 2)
        ended = jnp.broadcast_to((node == ENDED)[..., None], logits.shape)
        pad = token == table.PAD
        score = jnp.where(ended, jnp.where(pad, 0.0, -jnp.inf), jnp.where(pad, -jnp.inf, logits))
        return score, token, jnp.where(ended | (token == self.end), ENDED, OPEN)

    def leaf(self, length: int, node: jax.Array) -> jax.Array:
        return jnp.full(node.shape, -1, jnp.int32)
