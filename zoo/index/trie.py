"""The trie of legal identifiers: built on the host with NumPy, searched under jit.

A tuple of `level.Level` is the whole index. Nodes of one depth are numbered in the lexicographic
order of their prefixes, so states are computed, not stored. Identifiers shorter than L continue as
a chain of PAD children: all leaves are at depth L, leaf number = lexicographic rank of the
identifier, and the documents below any node are contiguous.

Bytes per item: about 4 for the row of the document, b per level for tokens of b = 1 or 2 bytes, and
1 to 2 per level that is not a chain; 1e6 x 4 x 256: 7, 1e6 x 4 x 2,048: 12.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo.docids import table
from zoo.index import bitmaps, children, level as levels

ROOT = 0  # the one node at depth 0


def _static(**kwargs):
    return dataclasses.field(metadata={"static": True}, **kwargs)


class Filter(NamedTuple):
    """Restriction of a trie by `zoo.index.filters`; None in a field restricts nothing.

    G = 1 for all queries, or B for one restriction per query.
    """

    masks: tuple[bitmaps.Mask, ...]  # L
    allowed: jax.Array | None  # u32[G, N / 32 + 1] bit of each place of `Trie.documents`
    before: jax.Array | None  # i32[G, N / 32 + 1] places allowed before each word of them
    excluded: jax.Array | None  # i32[B, E] rows of documents, -1 = none
    # i32[B, E, L] nodes of depth 1 .. L above them; -1 where nothing is taken away: unknown,
    # forbidden, repeated
    above: jax.Array | None

    def between(self, first: jax.Array, end: jax.Array) -> jax.Array:
        """i32[B, ...] places first .. end - 1, i32[B, ...], whose bits allow them."""
        return end - first if self.allowed is None else self._before(end) - self._before(first)

    def _before(self, place: jax.Array) -> jax.Array:
        def count(words, before, place):
            below = words[place // levels.BLOCK] & (
                (jnp.uint32(1) << (place % levels.BLOCK).astype(jnp.uint32)) - 1
            )
            return before[place // levels.BLOCK] + jax.lax.population_count(below).astype(jnp.int32)

        allowed, before = self.allowed, self.before
        assert allowed is not None and before is not None  # `between` asks only then
        return (
            count(allowed[0], before[0], place)
            if len(allowed) == 1
            else jax.vmap(count)(allowed, before, place)
        )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Trie:
    """A pytree: pass it to a jitted function as an argument; in a closure it becomes a constant.

    M_t nodes at depth t, M_0 = 1, M_L leaves. Arrays are padded to size classes
    (`level.size_class`): a changed catalogue of the same classes does not recompile.
    """

    levels: tuple[levels.Level, ...]  # L
    # i32[M_L + 1]: first place in `documents` of each leaf; [0] where each leaf has one document
    document_start: jax.Array
    documents: jax.Array  # i32[N]: rows of the documents, leaf by leaf
    filter: Filter | None  # what may be answered; None = everything
    alphabet: int = _static()  # V
    documents_per_leaf: int = _static()  # most documents of a leaf, 1 for Docids that are unique

    @property
    def length(self) -> int:
        """L, the depth of every leaf."""
        return len(self.levels)

    @property
    def fanout(self) -> tuple[int, ...]:
        """C_t for t = 0 .. L-1: the number of children that `expand` returns at depth t."""
        return tuple(level.form.widest for level in self.levels)

    def start(self, batch: int) -> jax.Array:
        """i32[B, 1], the root for every query."""
        return jnp.full((batch, 1), ROOT, jnp.int32)

    def expand(
        self, t: int, node: jax.Array, logits: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Logit, token and node of every child. O(B K C_t) for any V; use `choose` if C_t is large.

        Args:
          t: depth of the nodes, static.
          node: i32[B, K].
          logits: f32[B, K, V].

        Returns: f32[B, K, C_t] logits of the children in lexicographic order, -inf past the last
          child of a node, 0 for the PAD child of an identifier that has ended (it is forced, so it
          carries no information); i32[B, K, C_t] tokens; i32[B, K, C_t] nodes of depth t+1. Tokens
          and nodes are arbitrary where the logit is -inf.
        """
        self._check(logits)
        child, token, real = children.children(self.levels[t], node, self.fanout[t], self._mask(t))
        return children.logits_of(logits, token, real), token, child

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
        """The `width` best children of nodes i32[B, K] with scores f32[B, K].

        See `automaton.Choosing`.

        logits: f32[B, K, V] of the next token.
        """
        self._check(logits)
        return children.best(
            self.levels[t], node, before, logits, width=width, score=score, mask=self._mask(t)
        )

    def leaf(self, length: int, node: jax.Array) -> jax.Array:
        """i32[...] number of the identifier that ends in a node; `length`, its depth, must be L."""
        if length != self.length:
            raise ValueError(
                f"trie: expected length {self.length}, the depth of the leaves, got {length}; "
                "pass length=trie.length"
            )
        return node

    def counts(self, t: int, node: jax.Array) -> jax.Array:
        """i32[...] number of answerable documents below nodes i32[...] of depth t.

        It counts documents, not identifiers. The documents below a node are contiguous: L - t + 1
        gathers find the first one of this node and of the next. With a filter, nodes are [B, ...],
        and documents excluded per query are counted one by one.
        """
        first, end = self.places(t, node)
        if self.filter is None:
            return end - first
        found = self.filter.between(first, end)
        if self.filter.above is None:
            return found
        # -> [B, E]
        above = self.filter.above[..., t - 1] if t else jnp.minimum(self.filter.above[..., 0], ROOT)
        return found - (node[..., None] == jnp.expand_dims(above, range(1, node.ndim))).sum(
            axis=-1, dtype=jnp.int32
        )

    def places(self, t: int, node: jax.Array) -> tuple[jax.Array, jax.Array]:
        """First index i32[...] in `documents` below nodes i32[...] of depth t, and the end."""
        first, end = node, node + 1
        for level in self.levels[t:]:
            first, end = level.first(first), level.first(end)
        return self._first_document(first), self._first_document(end)

    def walk(self, tokens: jax.Array) -> jax.Array:
        """i32[..., L] nodes of depth 1 .. L that prefixes of tokens i32[..., L] reach, -1 = none.

        O(L log C) gathers per row.
        """
        node, nodes = jnp.zeros(tokens.shape[:-1], jnp.int32), []
        for t, level in enumerate(self.levels):
            child = level.find(jnp.maximum(node, 0), tokens[..., t])
            node = jnp.where(node < 0, -1, child)
            nodes.append(node)
        return jnp.stack(nodes, axis=-1)

    def documents_of(self, leaf: jax.Array) -> jax.Array:
        """i32[..., documents_per_leaf] rows of the documents of leaves i32[...].

        -1 past the last document, for leaf -1, and for documents that the filter excludes; with a
        filter, leaves are [B, K].
        """
        first, end = (self._first_document(leaf + i)[..., None] for i in (0, 1))
        place = first + jax.lax.broadcasted_iota(
            jnp.int32, (*leaf.shape, self.documents_per_leaf), leaf.ndim
        )
        real = (leaf >= 0)[..., None] & (place < end)
        place = jnp.clip(place, 0, len(self.documents) - 1)
        document = self.documents[place]
        if self.filter is not None and self.filter.allowed is not None:
            real &= bitmaps.bit_of(self.filter.allowed, place)
        if self.filter is not None and self.filter.excluded is not None:
            real &= (document[..., None] != self.filter.excluded[:, None, None]).all(axis=-1)
        return jnp.where(real, document, -1)

    def _first_document(self, leaf: jax.Array) -> jax.Array:
        return leaf if self.documents_per_leaf == 1 else self.document_start[leaf]

    def _mask(self, t: int) -> bitmaps.Mask | None:
        return None if self.filter is None else self.filter.masks[t]

    def _check(self, logits: jax.Array) -> None:
        if logits.shape[-1] < self.alphabet:
            raise ValueError(
                f"trie: expected logits over {self.alphabet} tokens or more, got "
                f"{logits.shape[-1]}; "
                "size the output layer by the alphabet of the docids"
            )


def build(
    ids: table.Docids,
    *,
    like: Trie | None = None,
    forms: tuple[levels.Form, ...] | None = None,
    documents_per_leaf: int = 1,
) -> Trie:
    """Trie of the identifiers, on the device. Host cost: a sort and L passes over N rows.

    A document with several identifiers has an entry for each and counts once for each.

    like: an earlier trie; its forms and array sizes are reused where they suffice, so that compiled
      programs serve this trie too.
    forms: of the levels; the cheapest to search by default.
    documents_per_leaf: minimal room for documents that share an identifier; it grows as needed.
    """
    parts = sorted_nodes(ids.tokens, ids.order)
    host = assemble(
        *parts,
        ids.documents[ids.order],
        ids.alphabet,
        like=like,
        forms=forms,
        documents_per_leaf=documents_per_leaf,
    )
    return jax.tree.map(jnp.asarray, host)


def sorted_nodes(
    tokens: np.ndarray, order: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Per level, the number of children i[M_t] and the token into each child i[M_{t+1}].

    Also returns i[M_L], the number of documents of each leaf.

    tokens: i32[N, L]; order: their lexicographic order.
    """
    num_rows, length = tokens.shape
    opens = np.zeros(num_rows, bool)  # row i of the sorted is the first with its first t+1 tokens
    opens[0] = True
    above = np.zeros(1, np.int64)  # sorted rows that open the nodes of depth t
    counts, edges = [], []
    for t in range(length):
        column = tokens[:, t][order]
        opens[1:] |= column[1:] != column[:-1]
        first = np.flatnonzero(opens)
        counts.append(np.diff(np.searchsorted(first, above), append=len(first)))
        edges.append(column[first])
        above = first
    return counts, edges, np.diff(above, append=num_rows)


def assemble(
    counts: list[np.ndarray],
    edges: list[np.ndarray],
    num_documents: np.ndarray,
    documents: np.ndarray,
    alphabet: int,
    *,
    like: Trie | None = None,
    forms: tuple[levels.Form, ...] | None = None,
    documents_per_leaf: int = 1,
) -> Trie:
    """A trie of NumPy arrays from the results of `sorted_nodes` and the documents leaf by leaf.

    The other arguments are those of `build`.
    """
    models = [None] * len(counts) if like is None else like.levels
    if forms is None:
        forms = tuple(
            levels.form_of(count, edge, alphabet)
            if model is None or levels.misfit(count, edge, model.form)
            else model.form
            for count, edge, model in zip(counts, edges, models, strict=True)
        )
    room = [0, 0] if like is None else [len(like.document_start) - 1, len(like.documents)]
    most = max(
        documents_per_leaf, int(num_documents.max()), 1 if like is None else like.documents_per_leaf
    )
    start = np.zeros(0, np.int32)
    if most > 1:
        ends = np.cumsum(num_documents)
        start = np.full(levels.size_class(len(ends), room[0]) + 1, ends[-1], np.int32)
        start[0], start[1 : len(ends) + 1] = 0, ends
    size = levels.size_class(len(documents), room[1])
    on_host: dict[str, Any] = {
        "document_start": start,
        "documents": levels.padded(documents.astype(np.int32), size),
    }
    return Trie(
        levels=tuple(
            levels.encode(*level) for level in zip(counts, edges, forms, models, strict=True)
        ),
        **on_host,
        filter=None,
        alphabet=alphabet,
        documents_per_leaf=most,
    )
