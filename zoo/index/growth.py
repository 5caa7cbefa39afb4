"""Adding documents to a trie and removing them by merging: only new documents are sorted.

A level is a sorted list of nodes, so new nodes are inserted and empty ones deleted: a search per
new document and copies of the levels, at memory speed, instead of the sort of `trie.build`. Arrays
keep their size classes: programs compiled for the old trie serve the new one unless a class
overflows.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from zoo.docids import table
from zoo.index import level as levels, trie


def add(index: trie.Trie, ids: table.Docids, rows: np.ndarray) -> trie.Trie:
    """The trie with documents `rows` i[n] added; equal to a build of all.

    Ids names document rows[i].

    Raises:
      ValueError: a row is in the trie already; an identifier is a prefix of another one; an
        identifier is taken and the trie was built with one document per identifier
        (`documents_per_leaf`); length or alphabet differ.
    """
    rows = np.asarray(rows)
    starts, edges, num_documents, documents = _parts(index)
    _check(index, ids, rows, documents)
    order = ids.order
    tokens, rows = ids.tokens[order], rows[order]
    # the node of each document at depth t, or where it is to be inserted
    place = np.zeros(len(rows), np.int64)
    known = np.ones(len(rows), bool)  # whether that node is there
    group = np.zeros(len(rows), np.int64)  # equal for equal prefixes, increasing
    counts, new_edges = [], []
    for t, (first, edge) in enumerate(zip(starts, edges, strict=True)):
        token = tokens[:, t]
        _refuse_prefixes(ids, order, tokens, t, edge, first[place], known)
        end = np.where(known, first[np.minimum(place + 1, len(first) - 1)], first[place])
        below = _search(edge, first[place], end, token)
        found = known & (below < end) & (edge[np.minimum(below, len(edge) - 1)] == token)
        opens = np.ones(len(rows), bool)
        opens[1:] = (group[1:] != group[:-1]) | (token[1:] != token[:-1])
        new = opens & ~found  # the first document of each node to be inserted
        count = np.diff(first)
        np.add.at(count, place[new & known], 1)
        heads = np.flatnonzero(_firsts(group))
        inserted, num_children = ~known[heads], np.add.reduceat(new.astype(np.int64), heads)
        counts.append(np.insert(count, place[heads[inserted]], num_children[inserted]))
        new_edges.append(np.insert(edge, below[new], token[new]))
        place, known, group = below, found, np.cumsum(opens)
    if index.documents_per_leaf == 1 and known.any():
        taken = int(np.flatnonzero(known)[0])
        raise ValueError(
            f"growth: document {int(rows[taken])} is called {tokens[taken].tolist()}, which is "
            "taken; "
            "give it another identifier or build the trie with documents_per_leaf > 1"
        )
    num_new = np.bincount(group - 1)
    leaves = _firsts(group)
    first = np.concatenate([[0], np.cumsum(num_documents)])
    documents = np.insert(
        documents, np.where(known, first[np.minimum(place + 1, len(first) - 1)], first[place]), rows
    )
    num_documents = num_documents.copy()
    num_documents[place[leaves & known]] += num_new[known[leaves]]
    num_documents = np.insert(num_documents, place[leaves & ~known], num_new[~known[leaves]])
    return _assembled(index, counts, new_edges, num_documents, documents)


def remove(index: trie.Trie, rows: np.ndarray) -> trie.Trie:
    """The trie without documents `rows` i[n].

    Equal to a build of the others, which keep their rows.

    Raises ValueError if a row is not in the trie, or if none would remain.
    """
    rows = np.asarray(rows)
    starts, edges, num_documents, documents = _parts(index)
    gone = np.isin(documents, rows)
    if (missing := ~np.isin(rows, documents)).any():
        raise ValueError(
            f"growth: document {int(rows[missing][0])} is not in the trie; remove what it holds"
        )
    if gone.all():
        raise ValueError(
            f"growth: removing {len(np.unique(rows))} documents leaves none; a trie has at least "
            "one: filter the last ones out instead (filters.keep)"
        )
    first = np.concatenate([[0], np.cumsum(num_documents)])
    num_documents = num_documents.copy()
    np.subtract.at(num_documents, np.searchsorted(first, np.flatnonzero(gone), side="right") - 1, 1)
    empty = np.flatnonzero(num_documents == 0)
    num_documents = np.delete(num_documents, empty)
    counts, kept_edges = [], []
    for first, edge in zip(reversed(starts), reversed(edges), strict=True):
        count = np.diff(first)
        np.subtract.at(count, np.searchsorted(first, empty, side="right") - 1, 1)
        kept_edges.append(np.delete(edge, empty))
        empty = np.flatnonzero(count == 0)
        counts.append(np.delete(count, empty))
    return _assembled(index, counts[::-1], kept_edges[::-1], num_documents, documents[~gone])


def _parts(index: trie.Trie) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray]:
    """First child i64[M_t + 1] and token i32[M_{t+1}] per level, and the documents leaf by leaf.

    The number of documents of each leaf comes third, the documents last.
    """
    if index.filter is not None:
        raise ValueError(
            "growth: expected a trie without a filter; change the catalogue first and filter the "
            "result"
        )
    starts, edges, num_nodes = [], [], 1
    for level in index.levels:
        starts.append(levels.first_children(level, num_nodes))
        num_nodes = int(starts[-1][-1])
        edges.append(np.asarray(level.token)[:num_nodes].astype(np.int32) + level.form.low)
    if index.documents_per_leaf == 1:
        return starts, edges, np.ones(num_nodes, np.int64), np.asarray(index.documents)[:num_nodes]
    first = np.asarray(index.document_start)[: num_nodes + 1].astype(np.int64)
    return starts, edges, np.diff(first), np.asarray(index.documents)[: first[-1]]


def _assembled(index, counts, edges, num_documents, documents) -> trie.Trie:
    parts = counts, edges, num_documents, documents, index.alphabet
    return jax.tree.map(jnp.asarray, trie.assemble(*parts, like=index))


def _check(index, ids, rows, documents) -> None:
    if ids.tokens.shape[1] != index.length or ids.alphabet > index.alphabet:
        raise ValueError(
            f"growth: expected identifiers of length {index.length} over at most {index.alphabet} "
            "tokens, "
            f"got {ids.tokens.shape[1]} over {ids.alphabet}; make them by the scheme of the trie"
        )
    right = rows.shape == (len(ids),)
    pairs = np.column_stack([ids.tokens, rows]) if right and ids.document is not None else rows
    if not right or len(np.unique(pairs, axis=0)) < len(rows) or rows.min() < 0:
        raise ValueError(
            f"growth: expected {len(ids)} different rows of at least 0, one an identifier, got "
            f"{rows.tolist()[:10]}"
        )
    if (known := np.isin(rows, documents)).any():
        raise ValueError(
            f"growth: document {int(rows[known][0])} is in the trie already; remove it first"
        )


def _refuse_prefixes(ids, order, tokens, t, edge, first, known) -> None:
    """Raises ValueError if an identifier is a prefix of another one.

    An identifier that ends at a node is its only child, PAD; none ends at depth 0.
    """
    # the first child of the node that a document has reached
    other = edge[np.minimum(first, len(edge) - 1)]
    bad = (
        known & ((tokens[:, t] == table.PAD) != (other == table.PAD))
        if t
        else np.zeros(len(known), bool)
    )
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"growth: the new identifier {int(order[row])}, {tokens[row].tolist()}, begins one of "
            "the trie or is begun by it; "
            "append an end token to identifiers"
        )


def _search(edge, low, high, token) -> np.ndarray:
    """First index in low .. high whose token is not smaller, in sorted pieces of edge."""
    low, high = low.copy(), high.copy()
    while (low < high).any():
        middle = (low + high) // 2
        below = (low < high) & (edge[np.minimum(middle, len(edge) - 1)] < token)
        low, high = np.where(below, middle + 1, low), np.where((low < high) & ~below, middle, high)
    return low


def _firsts(group) -> np.ndarray:
    """bool[n]: whether an index is the first of its group."""
    return np.concatenate([[True], group[1:] != group[:-1]])
