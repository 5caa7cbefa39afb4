"""k-means of one codebook: greedy seeds, Lloyd's iterations, no code without rows."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

TOLERANCE = 1e-4  # Lloyd stops when an iteration lowers the error by a smaller share
TRIALS = 8  # rows that k-means++ tries for each seed
SEEDED = 64  # rows per code that k-means++ draws its seeds from
BLOCK = 16384  # rows whose distances are held at once


@functools.partial(jax.jit, static_argnames="num_codes")
def kmeans(vectors: jax.Array, key: jax.Array, iterations: int, *, num_codes: int) -> jax.Array:
    """f32[C, D] centroids of vectors [N, D]."""

    def update(state):
        i, centroids, code, distance, before = state
        total, count = _sums(vectors, code, num_codes)
        centroids = jnp.where(count[:, None] > 0, total / jnp.maximum(count, 1)[:, None], centroids)
        centroids = jax.lax.cond(
            (count == 0).any(), _refilled, lambda c, *_: c, centroids, count, vectors, distance
        )
        code, after = nearest(vectors, centroids)
        return i + 1, centroids, code, after, distance.sum()

    def goes_on(state):
        i, _, _, distance, before = state
        return (i < iterations) & ((i == 0) | (before - distance.sum() > TOLERANCE * before))

    rows, seeds = jax.random.split(key)
    seeded = jax.random.choice(
        rows, len(vectors), (min(SEEDED * num_codes, len(vectors)),), replace=False
    )
    centroids = _seeds(vectors[seeded], seeds, num_codes)
    return jax.lax.while_loop(
        goes_on, update, (0, centroids, *nearest(vectors, centroids), jnp.inf)
    )[1]


def _refilled(
    centroids: jax.Array, count: jax.Array, vectors: jax.Array, distance: jax.Array
) -> jax.Array:
    """Centroids with each empty code moved to a row far from its own, one row each.

    Rows that equal their centroid are not used.
    """
    empty = count == 0
    far, row = jax.lax.top_k(distance, len(count))
    rank = jnp.cumsum(empty) - 1
    return jnp.where((empty & (far[rank] > 0))[:, None], vectors[row[rank]], centroids)


def _sums(vectors: jax.Array, code: jax.Array, num_codes: int) -> tuple[jax.Array, jax.Array]:
    """Sum [C, D] and number [C] of each code's rows, in a deterministic order of addition."""

    # in the order of the rows; 20 times as fast as the product on a CPU
    def segments(vectors, code):
        return jax.ops.segment_sum(vectors, code, num_codes)

    # an accelerator adds segments in the order in which they happen to come
    def contracted(vectors, code):
        member = (code[None] == jnp.arange(num_codes)[:, None]).astype(vectors.dtype)
        return jnp.matmul(member, vectors, precision="highest")

    total = jax.lax.platform_dependent(vectors, code, cpu=segments, default=contracted)
    return total, jnp.bincount(code, length=num_codes)


def _seeds(vectors: jax.Array, key: jax.Array, num_codes: int) -> jax.Array:
    """Greedy k-means++ seeds: each next seed is the best of TRIALS rows, drawn in proportion to
    their squared distance from the nearest seed.
    """
    draws = jax.random.uniform(key, (num_codes, TRIALS))
    squares = (vectors**2).sum(axis=1)

    def nearer(distance, rows):
        seeds = vectors[rows]  # -> [T, D]
        found = (
            squares[:, None]
            - 2 * jnp.matmul(vectors, seeds.T, precision="highest")
            + squares[rows][None]
        )
        return jnp.minimum(distance[:, None], jnp.maximum(found, 0))  # -> [N, T]

    def add(distance, draw):
        below = jnp.cumsum(distance)
        # past the end where every distance is 0
        rows = jnp.searchsorted(below, draw * below[-1], side="right")
        rows = jnp.minimum(rows, len(vectors) - 1)
        distances = nearer(distance, rows)
        best = distances.sum(axis=0).argmin()
        return distances[:, best], vectors[rows[best]]

    row = (draws[0, :1] * len(vectors)).astype(int)
    distance = nearer(jnp.full(len(vectors), jnp.inf), row)[:, 0]
    _, others = jax.lax.scan(add, distance, draws[1:])
    return jnp.concatenate([vectors[row], others])


def nearest(vectors: jax.Array, centroids: jax.Array) -> tuple[jax.Array, jax.Array]:
    """i32[N] argmin_c |x - c|^2 and f32[N] that distance, at least 0."""
    squares = (centroids**2).sum(axis=1)

    def row(x):
        score = squares - 2 * jnp.matmul(centroids, x, precision="highest")
        code = jnp.argmin(score)
        return code.astype(jnp.int32), jnp.maximum(
            score[code] + jnp.matmul(x, x, precision="highest"), 0
        )

    return jax.lax.map(row, vectors, batch_size=min(BLOCK, len(vectors)))
