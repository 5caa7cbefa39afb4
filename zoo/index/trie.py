"""The trie of legal identifiers: a CSR index built on the host with numpy and walked under jit.

Nodes of one depth are numbered in the lexicographic order of their prefixes. The children of node n at depth t are
then the contiguous nodes children[t][n] .. children[t][n+1]-1 of depth t+1, so the next state is computed and never
stored: `children` and `token` of each level are the whole index. Identifiers shorter than L go on as a chain of PAD children; all
leaves are at depth L and leaf number = lexicographic rank of the identifier.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from zoo.docids import docids

ROOT = 0  # the one node at depth 0


def _static(**kwargs):
    return dataclasses.field(metadata={"static": True}, **kwargs)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Trie:
    """A pytree: pass it to a jitted function as an argument; as a closure it would become a constant of the program.

    M_t nodes at depth t, M_0 = 1, M_L leaves.
    """

    children: tuple[jax.Array, ...]  # L of i32[M_t + 1]: first child of each node of depth t, and M_{t+1}
    token: tuple[jax.Array, ...]  # L of i32[M_{t+1}]: token on the edge into each node of depth t+1
    document_start: jax.Array  # i32[M_L + 1]: first place in `documents` of each leaf
    documents: jax.Array  # i32[N]: rows of the documents, leaf by leaf
    fanout: tuple[int, ...] = _static()  # L of C_t: most children of a node of depth t
    alphabet: int = _static()  # V
    documents_per_leaf: int = _static()  # most documents of a leaf, 1 for Docids that are unique

    @property
    def length(self) -> int:
        """L, the depth of every leaf."""
        return len(self.token)

    def start(self, batch: int) -> jax.Array:
        """i32[B, 1], the root for every query."""
        return jnp.full((batch, 1), ROOT, jnp.int32)

    def expand(self, t: int, node: jax.Array, logits: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Logit, token and node of every child. Cost O(B K C_t) whatever V is.

        Args:
          t: depth of the nodes, static.
          node: i32[B, K].
          logits: f32[B, K, V].

        Returns:
          f32[B, K, C_t] logits of the children in lexicographic order, -inf in the places of a node that has fewer than
          C_t of them; 0 for the PAD child of an identifier that has ended, which is forced and says nothing.
          i32[B, K, C_t] tokens and i32[B, K, C_t] nodes of depth t+1, arbitrary where the logit is -inf.
        """
        if logits.shape[-1] < self.alphabet:
            raise ValueError(
                f"trie: expected logits over {self.alphabet} tokens or more, got {logits.shape[-1]}; "
                "size the output layer by the alphabet of the docids"
            )
        children, tokens = self.children[t], self.token[t]
        first, end = children[node][..., None], children[node + 1][..., None]
        place = first + jax.lax.broadcasted_iota(jnp.int32, (*node.shape, self.fanout[t]), 2)  # -> [B, K, C]
        child = jnp.minimum(place, len(tokens) - 1)
        token = tokens[child]
        score = jnp.take_along_axis(logits, token, axis=-1, mode="promise_in_bounds")
        score = jnp.where(token == docids.PAD, 0.0, score)
        return jnp.where(place < end, score, -jnp.inf), token, child

    def leaf(self, length: int, node: jax.Array) -> jax.Array:
        """i32[...] number of the identifier that ends in a node of depth `length`, which must be L."""
        if length != self.length:
            raise ValueError(f"trie: expected length {self.length}, the depth of the leaves, got {length}; pass length=trie.length")
        return node

    def counts(self, t: int, node: jax.Array) -> jax.Array:
        """i32[...] number of documents below nodes i32[...] of depth t: of documents, not of identifiers.

        The documents below a node are contiguous: L - t + 1 gathers find the first of this node and of the next.
        """
        first, end = node, node + 1
        for start in (*self.children[t:], self.document_start):
            first, end = start[first], start[end]
        return end - first

    def documents_of(self, leaf: jax.Array) -> jax.Array:
        """i32[..., documents_per_leaf] rows of the documents of leaves i32[...]; -1 after the last and for leaf -1."""
        first, end = (self.document_start[leaf + i][..., None] for i in (0, 1))
        place = first + jax.lax.broadcasted_iota(jnp.int32, (*leaf.shape, self.documents_per_leaf), leaf.ndim)
        real = (leaf >= 0)[..., None] & (place < end)
        return jnp.where(real, self.documents[jnp.minimum(place, len(self.documents) - 1)], -1)


def build(ids: docids.Docids) -> Trie:
    """Trie of the identifiers. Host cost: a sort and L passes over N rows."""
    rows = ids.tokens[ids.order]
    opens = np.ones(rows.shape, bool)  # opens[i, t]: row i is the first with its first t+1 tokens
    opens[1:] = np.logical_or.accumulate(rows[1:] != rows[:-1], axis=1)

    children, tokens = [], []
    node, num_nodes = np.full(len(rows), ROOT), 1  # of each row at depth t
    for t in range(rows.shape[1]):
        first = np.flatnonzero(opens[:, t])  # sorted row that opens each node of depth t+1
        children.append(_starts(node[first], num_nodes))
        tokens.append(jnp.asarray(rows[first, t]))
        node, num_nodes = np.cumsum(opens[:, t]) - 1, len(first)
    document_start = _starts(node, num_nodes)
    return Trie(
        children=tuple(jnp.asarray(first) for first in children),
        token=tuple(tokens),
        document_start=jnp.asarray(document_start),
        documents=jnp.asarray(ids.order, jnp.int32),
        fanout=tuple(int(np.diff(first).max()) for first in children),
        alphabet=ids.alphabet,
        documents_per_leaf=int(np.diff(document_start).max()),
    )


def _starts(owner: np.ndarray, num_owners: int) -> np.ndarray:
    """i32[num_owners + 1] first place of each owner in a sorted list of owners."""
    return np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=num_owners))]).astype(np.int32)
