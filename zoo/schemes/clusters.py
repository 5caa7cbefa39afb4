"""The scheme of DSI's semantic identifiers: paths in a tree of k-means clusters, which new
documents descend.

The state holds the tree ("paths", "centroids"; absent if all documents fit one leaf), the most
documents of a leaf, and the tokens of each position that exist from the start ("sizes"). See
`zoo.docids.cluster` for where a new document goes if its leaf is full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from zoo import records
from zoo.docids import cluster, table
from zoo.records import DataError


def fit(
    corpus: records.Corpus,
    vectors: np.ndarray | None,
    key: jax.Array,
    log: Any,
    *,
    branching: int = 10,
    leaf_size: int = 100,
    shorten: Callable[[table.Docids], table.Docids] = lambda ids: ids,
) -> tuple[dict, table.Docids]:
    """State and identifiers of documents with vectors f32[N, D].

    branching: number of clusters that a cluster is split into. leaf_size: maximal documents of a
      cluster that is not split. shorten: changes identifiers; each must stay below its cluster.
    """
    if vectors is None:
        raise ValueError("clusters: expected vectors of the documents, got None")
    try:
        tree, ids = cluster.hierarchical(vectors, key, branching=branching, leaf_size=leaf_size)
    except ValueError as error:
        raise DataError(f"identifiers: {error}") from None
    ids = shorten(ids)
    state = {"leaf_size": np.asarray(leaf_size), "sizes": ids.tokens.max(axis=0)}
    return state | (tree._asdict() if len(tree.paths) else {}), ids


def assign(
    state: Mapping[str, Any],
    corpus: records.Corpus,
    vectors: np.ndarray | None,
    taken: table.Docids,
) -> table.Docids:
    """Identifiers of new documents with vectors f32[n, D].

    Clusters do not change; only the last position gets new tokens.
    """
    if vectors is None:
        raise ValueError("clusters: expected vectors of the documents, got None")
    length = taken.tokens.shape[1]
    if "paths" in state:
        tree = cluster.Tree(np.asarray(state["paths"]), np.asarray(state["centroids"]))
    else:
        tree = cluster.Tree(np.zeros((0, 0), np.int32), np.zeros((0, vectors.shape[1]), np.float32))
    try:
        tokens = cluster.descend(
            tree,
            vectors,
            taken.tokens,
            leaf_size=int(state["leaf_size"]),
            room=np.asarray(state["sizes"])[:length].tolist(),
        )
    except ValueError as error:
        raise DataError(f"identifiers: {error}; fit again to all documents") from None
    return table.Docids(tokens, max(taken.alphabet, int(tokens.max()) + 1))
