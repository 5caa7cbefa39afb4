"""DSI's semantically structured identifiers: paths in a hierarchy of clusters."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo.docids import table

ITERATIONS = 30  # of Lloyd at most in one split; most splits settle sooner
SMALLEST_CLASS = 1024  # row counts are padded to 1024, 4096, 16384, ...: one compilation each


def kmeans(
    vectors: np.ndarray, num_clusters: int, key: jax.Array, *, iterations: int
) -> tuple[jax.Array, jax.Array]:
    """Centroids and nearest centroid of every row: k-means++ seeds, then Lloyd's iterations in L2.

    Minimises the inertia sum_n |x_n - c_{a(n)}|^2; no iteration raises it. Stops early once no row
    changes its cluster. A cluster that loses its last row keeps its centroid. Among equally near
    centroids a row takes the first. When the rows have fewer distinct values than `num_clusters`,
    the last seeds repeat a row and their clusters are empty.

    Args:
      vectors: f32[N, D], finite.
      num_clusters: k, at least 1.
      key: decides the seeds; the same key, vectors and k give the same result.
      iterations: updates of the centroids at most; 0 returns the seeds.

    Returns: f32[k, D] centroids and i32[N] assignment to them. Cost O(iterations N k D); compiled
      once a size class of N.
    """
    vectors = np.asarray(vectors, np.float32)
    if vectors.ndim != 2 or 0 in vectors.shape or num_clusters < 1:
        got = f"{list(vectors.shape)} and {num_clusters}"
        raise ValueError(f"kmeans: expected vectors [N, D] and at least 1 cluster, got {got}")
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"kmeans: vector {int(np.flatnonzero(~finite)[0])} is not finite; drop or repair it"
        )
    count, size = len(vectors), SMALLEST_CLASS
    while size < count:
        size *= 4
    mean = vectors.mean(axis=0)  # distances lose fewer digits about the origin
    padded = np.zeros((size, vectors.shape[1]), np.float32)
    padded[:count] = vectors - mean
    centroids, assignment = _lloyd(padded, count, key, iterations, num_clusters=num_clusters)
    return centroids + mean[None], assignment[:count]


class Tree(NamedTuple):
    """The C clusters of `hierarchical`, of all depths; `descend` assigns new vectors to them."""

    paths: np.ndarray  # i32[C, L - 1] tokens from the root to each cluster, PAD behind
    centroids: np.ndarray  # f32[C, D]


def hierarchical(
    vectors: np.ndarray, key: jax.Array, *, branching: int = 10, leaf_size: int = 100
) -> tuple[Tree, table.Docids]:
    """Identifiers by recursive k-means: DSI's, arXiv 2202.06991, sec. 3.2 and algorithm 1.

    branching and leaf_size are k and c there.

    A cluster of more than `leaf_size` documents is split into `branching` clusters, whose number is
    the next digit; the documents of a smaller one are numbered 0, 1, ... in row order, which is the
    last digit (one token, where the paper appends the decimal digits of that number). Digit d is
    token d + 1. A cluster that k-means does not separate, because its vectors are equal, is cut
    into `branching` equal runs of rows; so it ends on duplicates.

    Args:
      vectors: f32[N, D], finite.
      branching: at least 2.
      leaf_size: at least 1.

    Returns: The tree, which is empty if all documents fit one leaf, and Docids of N documents,
      length 1 + depth of the hierarchy, alphabet max(branching, leaf_size) + 1.
    """
    vectors = np.asarray(vectors, np.float32)
    if branching < 2 or leaf_size < 1:
        raise ValueError(
            f"hierarchical: expected branching >= 2 and leaf_size >= 1, got {branching} and "
            f"{leaf_size}"
        )
    leaves, paths, centroids = [], [], []
    open_clusters: list[tuple[np.ndarray, tuple, jax.Array]] = [(np.arange(len(vectors)), (), key)]
    while open_clusters:
        rows, digits, key = open_clusters.pop()
        if len(rows) <= leaf_size:
            leaves.append((rows, digits))
            continue
        seed, *keys = jax.random.split(key, 1 + branching)
        digit, centers = _split(vectors[rows], seed, branching)
        for d in np.unique(digit):
            open_clusters.append((rows[digit == d], (*digits, d), keys[d]))
            paths.append((*digits, d))
            centroids.append(centers[d])

    length = 1 + max(len(digits) for _, digits in leaves)
    tokens = np.full((len(vectors), length), table.PAD, np.int32)
    for rows, digits in leaves:
        tokens[rows, : len(digits)] = np.add(digits, 1)
        tokens[rows, len(digits)] = np.arange(len(rows)) + 1
    named = np.full((len(paths), length - 1), table.PAD, np.int32)
    for row, digits in enumerate(paths):
        named[row, : len(digits)] = np.add(digits, 1)
    tree = Tree(named, np.asarray(centroids, np.float32).reshape(len(paths), vectors.shape[1]))
    return tree, table.build(tokens, max(branching, leaf_size) + 1)


def descend(
    tree: Tree, vectors: np.ndarray, taken: np.ndarray, *, leaf_size: int, room: Sequence[int]
) -> np.ndarray:
    """i32[n, L] identifiers of new documents: the nearest cluster at each depth, then the next
    number of its leaf.

    A leaf is full if its numbers have reached `room` of their position or, at the last position,
    leaf_size; or if a document is named by the cluster alone. Then the next nearest leaf is taken,
    depth first. If all are full, the nearest leaf whose numbers stand at the last position takes
    more than leaf_size.

    Args:
      vectors: f32[n, D], finite.
      taken: i32[M, L] identifiers that are in use or were, as `hierarchical` made them.
      room: largest number of each of the L positions; that of the last is not read.

    Raises ValueError if every leaf is named without a number.
    """
    paths = [tuple(path[: np.count_nonzero(path)]) for path in tree.paths.tolist()]
    children: dict[tuple, list[int]] = {}
    for row, path in enumerate(paths):
        children.setdefault(path[:-1], []).append(row)
    leaves = {()} if not paths else {path for path in paths if path not in children}
    # the largest number of each leaf
    last: dict[tuple, float] = dict.fromkeys(leaves, 0.0)
    for name in taken.tolist():
        name = tuple(name[: np.count_nonzero(name)])
        if name in leaves:
            last[name] = np.inf  # named without a number, which no other document may have then
        else:
            last[name[:-1]] = max(last[name[:-1]], name[-1])
    limits = [*room[:-1], leaf_size]

    def nearest_first(vector: np.ndarray, path: tuple) -> Iterator[tuple]:
        if path in leaves:
            yield path
            return
        rows = children[path]
        away = ((tree.centroids[rows] - vector) ** 2).sum(axis=1)
        for place in np.argsort(away, kind="stable"):
            yield from nearest_first(vector, paths[rows[place]])

    tokens = np.full((len(vectors), taken.shape[1]), table.PAD, np.int32)
    for row, vector in enumerate(np.asarray(vectors, np.float32)):
        fits = (leaf for leaf in nearest_first(vector, ()) if _has_room(leaf, last, limits))
        grows = (leaf for leaf in nearest_first(vector, ()) if _may_grow(leaf, last, limits))
        leaf = next(itertools.chain(fits, grows), None)
        if leaf is None:
            raise ValueError("no cluster takes another document: each is named without a number")
        last[leaf] += 1
        tokens[row, : len(leaf)], tokens[row, len(leaf)] = leaf, last[leaf]
    return tokens


def _has_room(leaf: tuple, last: dict[tuple, float], limits: Sequence[int]) -> bool:
    return len(leaf) < len(limits) and last[leaf] < limits[len(leaf)]


def _may_grow(leaf: tuple, last: dict[tuple, float], limits: Sequence[int]) -> bool:
    return len(leaf) == len(limits) - 1 and np.isfinite(last[leaf])


def _split(vectors: np.ndarray, key: jax.Array, branching: int) -> tuple[np.ndarray, np.ndarray]:
    """i[N] cluster of each row, at least two of them in use, and centroids f32[k, D]."""
    centroids, cluster = (
        np.asarray(part) for part in kmeans(vectors, branching, key, iterations=ITERATIONS)
    )
    if (cluster == cluster[0]).all():
        return np.arange(len(vectors)) * branching // len(vectors), centroids
    return cluster, centroids


@functools.partial(jax.jit, static_argnames="num_clusters")
def _lloyd(
    vectors: jax.Array, count: int, key: jax.Array, iterations: int, *, num_clusters: int
) -> tuple[jax.Array, jax.Array]:
    """k-means of the first `count` of vectors [P, D] -> centroids [k, D], assignment i32[P]."""
    live = jnp.arange(len(vectors)) < count

    def update(state):
        i, centroids, assignment, _ = state
        # a product and not a segment sum: its order of addition is fixed on every backend, so the
        # key decides all
        member = (assignment[None] == jnp.arange(num_clusters)[:, None]) & live[None]  # -> [k, P]
        weight = member.sum(axis=1, keepdims=True)
        total = jnp.matmul(member.astype(vectors.dtype), vectors, precision="highest")
        centroids = jnp.where(weight > 0, total / jnp.maximum(weight, 1), centroids)
        nearest = _nearest(vectors, centroids)
        return i + 1, centroids, nearest, ((nearest != assignment) & live).any()

    centroids = _seeds(vectors, live, count, key, num_clusters)
    state = 0, centroids, _nearest(vectors, centroids), True
    _, centroids, assignment, _ = jax.lax.while_loop(
        lambda s: (s[0] < iterations) & s[3], update, state
    )
    return centroids, assignment


def _seeds(
    vectors: jax.Array, live: jax.Array, count: int, key: jax.Array, num_clusters: int
) -> jax.Array:
    """k-means++: the first seed uniform, each next with probability proportional to its squared
    distance from the nearest.

    "k-means++: the advantages of careful seeding", Arthur and Vassilvitskii, 2007, sec. 2.2.
    """
    draws = jax.random.uniform(key, (num_clusters,))
    first = vectors[(draws[0] * count).astype(int)]

    def add(state, draw):
        distance, seed = state
        distance = jnp.minimum(distance, ((vectors - seed[None]) ** 2).sum(axis=1))
        below = jnp.cumsum(distance)
        # past the end where every distance is 0
        row = jnp.searchsorted(below, draw * below[-1], side="right")
        seed = vectors[jnp.minimum(row, count - 1)]
        return (distance, seed), seed

    _, others = jax.lax.scan(add, (jnp.where(live, jnp.inf, 0.0), first), draws[1:])
    return jnp.concatenate([first[None], others])


def _nearest(vectors: jax.Array, centroids: jax.Array) -> jax.Array:
    """i32[P] argmin_k |x - c_k|^2 = |c_k|^2 - 2 x.c_k + what does not depend on k."""
    dot = jnp.matmul(vectors, centroids.T, precision="highest")
    return jnp.argmin((centroids**2).sum(axis=1)[None] - 2 * dot, axis=1).astype(jnp.int32)
