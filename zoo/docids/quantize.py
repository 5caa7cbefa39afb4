"""Codes of vectors: residual and product k-means, random hyperplanes, random codes; statistics.

Codes are i32[N, L], row n the codes of vector n, each from 0 to C - 1. `zoo.docids.collisions`
makes identifiers of them.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo.docids import lloyd

ITERATIONS = 25  # of Lloyd per level, at most
# below these shares of the codes that could be in use
COLLAPSED_USAGE, COLLAPSED_PERPLEXITY = 0.5, 0.05


class Hyperplanes(NamedTuple):
    """What `lsh` draws."""

    normals: np.ndarray  # f32[L, bits, D] of unit length
    origin: np.ndarray  # f32[D], a point of all of them


class Stats(NamedTuple):
    """Usage of N rows of codes."""

    usage: np.ndarray  # f64[L] share of the codes of a level that some row has
    perplexity: np.ndarray  # f64[L] exp of the entropy (nats) of a level's codes; from 1 to C
    # f64[L] bits of the first 1, 2, ..., L codes together; log2 N if all rows differ
    entropy: np.ndarray
    prefixes: np.ndarray  # i64[L] distinct beginnings of 1, 2, ..., L codes
    colliding: float  # share of rows whose codes are also another row's
    most_alike: int  # the most rows that have the same codes
    # levels, from 0, that use less than half of the codes they could, or nearly only a few
    collapsed: tuple[int, ...]


def rq_kmeans(
    vectors: np.ndarray, key: jax.Array, *, levels: int, codes: int, iterations: int = ITERATIONS
) -> tuple[np.ndarray, np.ndarray]:
    """Residual k-means: level l clusters the residuals of levels 0 to l-1.

    Each level: greedy k-means++ seeds (Arthur and Vassilvitskii 2007, sec. 7) from SEEDED * C rows
    (`zoo.docids.lloyd`), then Lloyd; a code without rows moves to the row that is farthest from its
    own. A code stays unused only where the residuals have fewer distinct values than codes.

    Args:
      vectors: f32[N, D], finite, not all equal.
      key: the same key gives the same codes.
      levels: L. codes: C of each level, at most N.

    Returns: codebooks f32[L, C, D] and codes i32[N, L], which `encode` gives for the same vectors.
      O(iterations N L C D).
    """
    vectors = checked("rq_kmeans", vectors, levels=levels, codes=codes)
    codebooks = []
    residual = jnp.asarray(vectors)
    for level in jax.random.split(key, levels):
        shift = residual.mean(axis=0)  # distances lose fewer digits about the origin
        codebooks.append(
            lloyd.kmeans(residual - shift[None], level, iterations, num_codes=codes) + shift[None]
        )
        residual = residual - codebooks[-1][encode(residual, codebooks[-1][None])[:, 0]]
    codebooks = np.stack(jax.device_get(codebooks))
    return codebooks, encode(vectors, codebooks)


def product(
    vectors: np.ndarray, key: jax.Array, *, levels: int, codes: int, iterations: int = ITERATIONS
) -> tuple[np.ndarray, np.ndarray]:
    """Product quantisation (Jegou et al. 2011): level l clusters columns l D/L to (l+1) D/L - 1 of
    the vectors, rounded down.

    Its codebooks are those of a residual quantiser whose levels live in different columns, so
    `encode` and `decode` are the same.

    Returns: codebooks f32[L, C, D], 0 outside a level's columns, and codes i32[N, L]. Else as
    `rq_kmeans`. Raises ValueError if there are more levels than columns.
    """
    vectors = checked("product", vectors, levels=levels, codes=codes)
    dim = vectors.shape[1]
    if levels > dim:
        raise ValueError(f"product: {levels} levels have no column each of {dim}; choose fewer")
    codebooks = np.zeros((levels, codes, dim), np.float32)
    for level, draw in enumerate(jax.random.split(key, levels)):
        columns = slice(level * dim // levels, (level + 1) * dim // levels)
        mean = vectors[:, columns].mean(axis=0)
        centroids = lloyd.kmeans(
            jnp.asarray(vectors[:, columns] - mean), draw, iterations, num_codes=codes
        )
        codebooks[level, :, columns] = np.asarray(centroids) + mean
    return codebooks, encode(vectors, codebooks)


def lsh(
    vectors: np.ndarray, key: jax.Array, *, levels: int, bits: int
) -> tuple[Hyperplanes, np.ndarray]:
    """Codes i32[N, L] from 0 to 2^bits - 1: on which sides of random hyperplanes through the mean a
    vector lies.

    Charikar 2002: two vectors at angle a (seen from the mean) share a bit with probability 1 - a /
    pi.
    """
    vectors = checked("lsh", vectors, levels=levels, codes=1)
    if not 1 <= bits <= 20:
        raise ValueError(f"lsh: expected 1 to 20 bits a level, got {bits}")
    normals = np.asarray(jax.random.normal(key, (levels, bits, vectors.shape[1])))
    planes = Hyperplanes(
        normals / np.linalg.norm(normals, axis=-1, keepdims=True), vectors.mean(axis=0)
    )
    return planes, lsh_encode(vectors, planes)


def lsh_encode(vectors: np.ndarray, planes: Hyperplanes) -> np.ndarray:
    """Codes i32[N, L] of vectors f32[N, D]: bit b of code l is whether a vector lies on the
    positive side of normal [l, b].
    """
    side = (
        np.einsum("nd,lbd->nlb", np.asarray(vectors, np.float32) - planes.origin, planes.normals)
        > 0
    )
    return (side << np.arange(side.shape[-1])).sum(axis=-1).astype(np.int32)


def random(num_rows: int, key: jax.Array, *, levels: int, codes: int) -> np.ndarray:
    """Independent uniform codes i32[N, L]: the control, identifiers without meaning."""
    return np.asarray(jax.random.randint(key, (num_rows, levels), 0, codes, jnp.int32))


def encode(vectors: np.ndarray, codebooks: np.ndarray) -> np.ndarray:
    """Codes i32[N, L]: per level the nearest code to the residual; the first one wins ties.

    vectors: f32[N, D]; codebooks: f32[L, C, D], of `rq_kmeans` or `product` or learned. Codebooks
    do not change: new vectors get codes in the same space. O(N L C D).
    """
    codebooks, vectors = np.asarray(codebooks), np.asarray(vectors, np.float32)
    if vectors.ndim != 2 or codebooks.ndim != 3 or vectors.shape[1] != codebooks.shape[2]:
        raise ValueError(
            f"encode: expected vectors [N, D] and codebooks [L, C, D], got {list(vectors.shape)} "
            f"and {list(codebooks.shape)}"
        )
    return np.asarray(_encode(vectors, codebooks))


def decode(codes: np.ndarray, codebooks: np.ndarray) -> np.ndarray:
    """f32[N, D] sums of the chosen codes; codes i32[N, L], codebooks f32[L, C, D]."""
    return np.asarray(codebooks)[np.arange(codes.shape[1]), codes].sum(axis=1)


def distances(vectors: np.ndarray, codes: np.ndarray, codebooks: np.ndarray) -> np.ndarray:
    """f32[N, C] squared distances of the residuals after the earlier codes to every last code."""
    residual = vectors - decode(codes[:, :-1], codebooks[:-1])
    last = np.asarray(codebooks[-1])
    squares = (residual**2).sum(axis=1)[:, None] - 2 * residual @ last.T + (last**2).sum(axis=1)
    return np.maximum(squares, 0)


def relative_error(vectors: np.ndarray, approximations: np.ndarray) -> float:
    """Sum of |x - y|^2 over the sum of |x - mean of x|^2: 0 is exact, 1 as good as the mean."""
    vectors = np.asarray(vectors, np.float64)
    return float(
        ((vectors - approximations) ** 2).sum() / ((vectors - vectors.mean(axis=0)) ** 2).sum()
    )


def stats(codes: np.ndarray, *, num_codes: int) -> Stats:
    """How codes i32[N, L] from 0 to num_codes - 1 are spread.

    A tokenizer that gives all rows nearly the same codes is `collapsed`.
    """
    codes = np.asarray(codes)
    rows, levels = codes.shape
    counts = np.stack([np.bincount(column, minlength=num_codes) for column in codes.T])
    perplexity = np.array([2 ** _bits(level) for level in counts])
    shared = [
        np.unique(codes[:, : level + 1], axis=0, return_counts=True)[1] for level in range(levels)
    ]
    usage = (counts > 0).mean(axis=1)
    within = min(rows, num_codes)
    low = ((counts > 0).sum(axis=1) < COLLAPSED_USAGE * within) | (
        perplexity < COLLAPSED_PERPLEXITY * within
    )
    return Stats(
        usage=usage,
        perplexity=perplexity,
        entropy=np.array([_bits(group) for group in shared]),
        prefixes=np.array([len(group) for group in shared]),
        colliding=float(shared[-1][shared[-1] > 1].sum() / rows),
        most_alike=int(shared[-1].max()),
        collapsed=tuple(int(level) for level in np.flatnonzero(low)),
    )


def _bits(counts: np.ndarray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum())


def checked(name: str, vectors: np.ndarray, *, levels: int, codes: int) -> np.ndarray:
    """Vectors as f32[N, D]; raises ValueError, prefixed by `name`, if they are too few, not finite,
    or all equal.
    """
    vectors = np.asarray(vectors, np.float32)
    if vectors.ndim != 2 or 0 in vectors.shape or levels < 1:
        raise ValueError(
            f"{name}: expected vectors [N, D] and at least 1 level, got {list(vectors.shape)} and "
            f"{levels}"
        )
    if not 1 <= codes <= len(vectors):
        raise ValueError(
            f"{name}: expected from 1 to {len(vectors)} codes, one a vector at most, got {codes}"
        )
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{name}: vector {int(np.flatnonzero(~finite)[0])} is not finite; drop or repair it"
        )
    if len(vectors) > 1 and (vectors == vectors[0]).all():
        raise ValueError(
            f"{name}: all {len(vectors)} vectors are equal, so codes could tell nothing apart; "
            "look at what made them"
        )
    return vectors


@jax.jit
def _encode(vectors: jax.Array, codebooks: jax.Array) -> jax.Array:
    def level(residual, codebook):
        shift = codebook.mean(axis=0)
        code, _ = lloyd.nearest(residual - shift[None], codebook - shift[None])
        return residual - codebook[code], code

    return jax.lax.scan(level, vectors, codebooks)[1].T
