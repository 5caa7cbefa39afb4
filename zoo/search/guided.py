"""Automata that rescore children: by counts of documents, or by scores of all leaves.

Each wraps an automaton and is one: `beam_search` and `best_first` take it where they take a trie.
With w_c the model's probability of child c of a prefix, T_c the leaves below c, n_c = #(T_c and C)
of them documents of the corpus C, r their relevance; a masked search has P(c) ~ w_c where n_c > 0,
and the posterior is Q(c) ~ r(T_c and C) (arXiv:2504.09935).

- `Counted`: log w_c n_c, normalised over siblings. Removes most of KL[P||Q] without a table, and
  all of it if r is uniform below each node. Does not help recall: counts add noise to marginals
  (theory: .69 -> .56 for a tail of CV 1 and p = .05).
- `Lookahead`: log r(T_c and C), normalised over siblings. KL[P||Q] = 0 at every step: samples and
  probabilities are exact. Does not help the recall of a beam, which still ranks sums: it gains
  only if the corpus keeps a share p < CV^2 of the leaves.
- `MaxMarginal`: the best leaf below. Fixes recall: a beam of width k finds the exact top k. Not
  marginals: its scores are no probabilities of prefixes.

CV = standard deviation / mean of the relevance of the leaves that are not relevant.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo.docids import table as docids
from zoo.search import automaton as automata


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Counted:
    """P*(c) ~ w_c n_c: the trie-count correction, one addition a child and no call of the model.

    Scores are normalised over siblings here, so "model" and "renormalised" are the same here. A
    model that knows nothing of the corpus has marginals w_c over the full tree of identifiers, and
    the best guess of what survives of a branch is its share of documents, n_c / capacity_c. In a
    full tree the capacity is the same for siblings and cancels. **A model trained on the
    identifiers of some corpus has marginals over those**: pass its corpus to `capacities`, or
    branches with many documents are counted twice; as long as no document has come or gone, the
    correction is then 0. Made by `counted`.
    """

    automaton: automata.Counting
    # L of f32[M_{t+1}] for each node of depth t+1; () = the same for all siblings
    capacity: tuple[jax.Array, ...] = ()

    def start(self, batch: int) -> jax.Array:
        return self.automaton.start(batch)

    def expand(
        self, t: int, node: jax.Array, logits: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        score, token, child = self.automaton.expand(t, node, logits)
        weight = self.automaton.counts(t + 1, child).astype(jnp.float32)
        if self.capacity:
            weight = weight / self.capacity[t][child]
        return (
            _over_siblings(jnp.where(score > -jnp.inf, score + jnp.log(weight), score)),
            token,
            child,
        )

    def leaf(self, length: int, node: jax.Array) -> jax.Array:
        return self.automaton.leaf(length, node)


def counted(automaton: automata.Counting, capacity: tuple[jax.Array, ...] = ()) -> Counted:
    """The automaton guided by its counts. Raises ValueError if it cannot count."""
    if not hasattr(automaton, "counts"):
        raise ValueError(
            f"counted: {type(automaton).__name__} cannot count documents; "
            "expected an automaton with `counts`, such as a trie"
        )
    return Counted(automaton, capacity)


def capacities(ids: docids.Docids, trained: docids.Docids) -> tuple[jax.Array, ...]:
    """L of f32[M_{t+1}]: documents of `trained` below each node of the trie of `ids`, a subset.

    Raises ValueError where an identifier of `ids` is none of `trained`.
    """
    if ids.tokens.shape[1] != trained.tokens.shape[1]:
        raise ValueError(
            "capacities: expected identifiers of one length, "
            f"got {ids.tokens.shape[1]} and {trained.tokens.shape[1]}"
        )
    found = []
    for t in range(ids.tokens.shape[1]):
        both = np.concatenate([ids.tokens[:, : t + 1], trained.tokens[:, : t + 1]])
        prefix = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)
        here, first = np.unique(prefix[: len(ids)], return_index=True)
        found.append(np.bincount(prefix[len(ids) :], minlength=len(both))[here])
    if (found[-1] == 0).any():
        row = first[np.argmin(found[-1])]
        raise ValueError(
            f"capacities: document {row}, {ids.tokens[row].tolist()}, is not in `trained`"
        )
    return tuple(jnp.asarray(count, jnp.float32) for count in found)


class Nodes(NamedTuple):
    """Parents of the documents and nodes of a trie; nodes are numbered as in `Trie`."""

    leaf: jax.Array  # i32[N] leaf of each document
    # L of i32[M_{t+1}]: the node of depth t above each node of depth t+1, ascending
    parent: tuple[jax.Array, ...]


def nodes(ids: docids.Docids) -> Nodes:
    """Nodes of the trie of these identifiers. Host cost: a sort and L passes over N rows."""
    rows = ids.tokens[ids.order]
    opens = np.ones(rows.shape, bool)  # opens[i, t]: row i is the first with its first t+1 tokens
    opens[1:] = np.logical_or.accumulate(rows[1:] != rows[:-1], axis=1)
    node = np.cumsum(opens, axis=0) - 1  # -> [N, L], of sorted row i at depth t+1
    above = np.concatenate([np.zeros((len(rows), 1), node.dtype), node[:, :-1]], axis=1)
    leaf = np.empty(len(rows), np.int32)
    leaf[ids.order] = node[:, -1]
    parent = tuple(jnp.asarray(above[opens[:, t], t], jnp.int32) for t in range(rows.shape[1]))
    return Nodes(jnp.asarray(leaf), parent)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Lookahead:
    """P*(c) ~ r(T_c and C): exact look-ahead. The model is not read. Made by `lookahead`."""

    automaton: automata.Automaton
    # L + 1 of f32[B, M_t], log of the relevance below each node of depth t
    mass: tuple[jax.Array, ...]

    def start(self, batch: int) -> jax.Array:
        return self.automaton.start(batch)

    def expand(
        self, t: int, node: jax.Array, logits: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        legal, token, child = self.automaton.expand(t, node, jnp.zeros_like(logits))
        return (
            _over_siblings(jnp.where(legal > -jnp.inf, _read(self.mass[t + 1], child), -jnp.inf)),
            token,
            child,
        )

    def leaf(self, length: int, node: jax.Array) -> jax.Array:
        return self.automaton.leaf(length, node)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class MaxMarginal:
    """A prefix scores as the best document below it; logits are ignored. Built by `max_marginal`.

    The ancestors of the top k are at most k nodes a level and none scores below another, so a beam
    of width k keeps them (max-heap trees, arXiv:1801.02294, 2006.15408). Search it with
    score="model": siblings must not be normalised.
    """

    automaton: automata.Automaton
    best: tuple[jax.Array, ...]  # L + 1 of f32[B, M_t]

    def start(self, batch: int) -> jax.Array:
        return self.automaton.start(batch)

    def expand(
        self, t: int, node: jax.Array, logits: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        legal, token, child = self.automaton.expand(t, node, jnp.zeros_like(logits))
        score = _read(self.best[t + 1], child)
        # the gains of a path sum to its last score
        gain = score - _read(self.best[t], node)[..., None] if t else score
        return jnp.where(legal > -jnp.inf, gain, -jnp.inf), token, child

    def leaf(self, length: int, node: jax.Array) -> jax.Array:
        return self.automaton.leaf(length, node)


def lookahead(automaton: automata.Automaton, where: Nodes, log_relevance: jax.Array) -> Lookahead:
    """The trie guided by the log relevance f32[B, N] of all documents, -inf = deleted.

    Memory: 4 B sum_t M_t bytes. Documents that share a leaf add up.
    """
    return Lookahead(automaton, _upwards(where, log_relevance, _log_sum))


def max_marginal(automaton: automata.Automaton, where: Nodes, score: jax.Array) -> MaxMarginal:
    """The trie guided by the scores f32[B, N] of all documents, -inf = deleted."""
    return MaxMarginal(automaton, upper_bounds(where, score))


def upper_bounds(where: Nodes, score: jax.Array) -> tuple[jax.Array, ...]:
    """L + 1 of f32[B, M_t]: the largest score f32[B, N] of a document below each node of depth t.

    A `potential` of `beam.beam_search` (PAG, arXiv:2404.14600).
    """
    return _upwards(where, score, _largest)


def _upwards(where: Nodes, of_documents: jax.Array, reduce) -> tuple[jax.Array, ...]:
    if of_documents.ndim != 2 or of_documents.shape[1] != len(where.leaf):
        raise ValueError(
            f"guided: expected a table [B, {len(where.leaf)}], one column per document, "
            f"got {of_documents.shape}"
        )
    # -> [M, B], leaves to root
    value = reduce(of_documents.T.astype(jnp.float32), where.leaf, len(where.parent[-1]))
    levels = [value]
    for t in reversed(range(len(where.parent))):
        value = reduce(value, where.parent[t], len(where.parent[t - 1]) if t else 1)
        levels.append(value)
    return tuple(level.T for level in levels[::-1])


def _largest(value: jax.Array, owner: jax.Array, num_owners: int) -> jax.Array:
    return jax.ops.segment_max(value, owner, num_owners)


def _log_sum(value: jax.Array, owner: jax.Array, num_owners: int) -> jax.Array:
    largest = _largest(value, owner, num_owners)
    largest = jnp.where(jnp.isfinite(largest), largest, 0.0)
    return (
        jnp.log(jax.ops.segment_sum(jnp.exp(value - largest[owner]), owner, num_owners)) + largest
    )


def _over_siblings(score: jax.Array) -> jax.Array:
    """Log-softmax over children that leaves those with -inf as they are, also where all have it."""
    return jnp.where(
        score > -jnp.inf, score - jax.nn.logsumexp(score, axis=-1, keepdims=True), -jnp.inf
    )


def _read(table: jax.Array, node: jax.Array) -> jax.Array:
    """Entries of f32[B, M] at i32[B, ...]."""
    return jax.vmap(lambda row, index: row[index])(table, node)
