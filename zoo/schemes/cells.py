"""The scheme of identifiers of two tokens: a cluster of bounded size, then a document of it.

The clusters are those of balanced k-means on the vectors. The state holds their centroids, the most
documents of a cluster when it was fitted, and the tokens of each position ("sizes").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from zoo import records
from zoo.docids import balanced, table
from zoo.records import DataError

SLACK = 1.5  # most documents of a cluster, over the mean


def fit(
    corpus: records.Corpus, vectors: np.ndarray, key: jax.Array, log: Any, *, clusters: int = 0
) -> tuple[dict, table.Docids]:
    """State and identifiers of documents with vectors f32[N, D].

    clusters: their number C; 0 = the square root of N, rounded up. Documents of a cluster are
      numbered in row order. Raises DataError if there are more clusters than documents.
    """
    count = len(vectors)
    clusters = clusters or math.ceil(math.sqrt(count))
    if clusters > count:
        raise DataError(f"identifiers: {clusters} clusters for {count} documents; lower clusters")
    most = math.floor(SLACK * count / clusters) + 1
    if clusters == 1:
        centroids, codes = vectors.mean(axis=0, keepdims=True), np.zeros(count, np.int32)
    else:
        try:
            centroids, codes = balanced.kmeans(vectors, key, num_codes=clusters, least=0, most=most)
        except ValueError as error:
            raise DataError(f"identifiers: {error}") from None
    place = _places(codes, np.zeros(clusters, np.int64))
    tokens = np.stack([codes + 1, place + 1], axis=1).astype(np.int32)
    state = {
        "centroids": np.asarray(centroids, np.float32),
        "most": np.asarray(most, np.int32),
        "sizes": np.array([clusters, max(most, int(place.max()) + 1)], np.int32),
    }
    return state, table.build(tokens, 1 + int(state["sizes"].max()))


def assign(
    state: Mapping[str, Any],
    corpus: records.Corpus,
    vectors: np.ndarray | None,
    taken: table.Docids,
) -> table.Docids:
    """Identifiers of new documents: the next places of the cluster with the nearest centroid.

    A cluster may grow past the size that bounded it.
    """
    assert vectors is not None  # the scheme needs them
    centroids = np.asarray(state["centroids"])
    distance = (centroids**2).sum(axis=1)[None] - 2 * vectors @ centroids.T
    codes = distance.argmin(axis=1)
    used = np.zeros(len(centroids), np.int64)
    np.maximum.at(used, taken.tokens[:, 0] - 1, taken.tokens[:, 1])
    tokens = np.stack([codes + 1, _places(codes, used) + 1], axis=1).astype(np.int32)
    return table.Docids(tokens, max(taken.alphabet, int(tokens.max()) + 1))


def _places(codes: np.ndarray, used: np.ndarray) -> np.ndarray:
    """i64[n] number of each row within its cluster, from `used` i64[C] on, in row order."""
    order = np.argsort(codes, kind="stable")
    count = np.bincount(codes, minlength=len(used))
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    place = np.empty(len(codes), np.int64)
    place[order] = np.arange(len(codes)) - np.repeat(first, count) + np.repeat(used, count)
    return place
