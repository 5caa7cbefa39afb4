"""Balanced codes: a measure of balance, balanced targets for training, and size-bounded k-means.

For learned tokenizers (GenRet, arXiv 2304.04171, sec. 3.3), which otherwise give most documents the
same few codes.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo.docids import quantize

# of `plan`: the smaller, the nearer to an even assignment, and the more rounds it takes
EPSILON = 0.1
# of `plan`: what a sum of a column may miss, or that share of it, since f32 sums no better
ERROR, RELATIVE = 2e-5, 5e-7
ROUNDS = 20_000  # of `plan`, at most
TIE = 0.01  # of a score added to the logarithm of its share, for rows whose shares are all the same
LEAST_EPSILON = 0.05  # below it f32 underflows
LLOYD = 20  # iterations at most


def diversity(codes: np.ndarray, *, num_codes: int) -> float:
    """1 - sum_j |n_j - n / K| / 2n for n codes i[n] of which n_j are j: 1 if all are used equally,
    1 / K if only one is.

    GenRet's measure. n / K is not rounded, unlike in its public code, so n < K distinct codes have
    n / K. Raises ValueError if there are no codes, or one is not from 0 to K - 1.
    """
    codes = np.asarray(codes).reshape(-1)
    if not len(codes) or codes.min() < 0 or codes.max() >= num_codes:
        got = f"{codes.min()} to {codes.max()}" if len(codes) else "none"
        raise ValueError(f"diversity: expected codes from 0 to {num_codes - 1}, got {got}")
    counts = np.bincount(codes, minlength=num_codes)
    total = counts.sum()
    return float(1 - np.abs(counts - total / num_codes).sum() / (2 * total))


def scaled(logits: jax.Array) -> jax.Array:
    """f32[B, K] logits less the middle of their row's range, over half of the widest range: from -1
    to 1.
    """
    low, high = logits.min(axis=1, keepdims=True), logits.max(axis=1, keepdims=True)
    return (logits - (low + high) / 2) / jnp.maximum((high - low).max() / 2, 1e-6)


def targets(scores: jax.Array, together: jax.Array, *, epsilon: float = EPSILON) -> jax.Array:
    """i32[B] the code with the largest share of each row in `plan`; ties go to the highest score.

    A row alone in its group, or in a group of equal rows, has shares of 1 / K whatever its scores.
    """
    shares = plan(scores, together, epsilon=epsilon)
    return (jnp.log(jnp.maximum(shares, 1e-30)) + TIE * scores).argmax(axis=1).astype(jnp.int32)


def plan(scores: jax.Array, together: jax.Array, *, epsilon: float = EPSILON) -> jax.Array:
    """f32[B, K] shares P that maximise <P, scores> + epsilon H(P), balanced in each group of rows.

    A row sums to 1; a column sums to n / K over the n rows of a group (Sinkhorn, Cuturi 2013, arXiv
    1306.0895), so every group spreads over all codes. All groups are balanced at once: the column
    sums of a group are a product with `together`. Iterations stop when every column sum is within
    ERROR, or a share RELATIVE, of its target. No gradient flows through the plan.

    Args:
      scores: f32[B, K] from -1 to 1 (`scaled`).
      together: bool[B, B], whether two rows are in one group; a row with a False diagonal is left
        out and gets zeros.
      epsilon: at least LEAST_EPSILON.

    O(rounds B^2 K), at most ROUNDS of them.
    """
    if not epsilon >= LEAST_EPSILON:
        raise ValueError(f"plan: expected epsilon of at least {LEAST_EPSILON}, got {epsilon}")
    member = together.astype(jnp.float32)
    real = jnp.diagonal(member) > 0
    wanted = jnp.log(jnp.maximum(member.sum(axis=1), 1) / scores.shape[1])[:, None]
    start = jnp.where(
        real[:, None], jax.nn.log_softmax(jax.lax.stop_gradient(scores) / epsilon, axis=1), 0.0
    )

    def columns(logs):  # what each column lacks, in the group of each row
        largest = logs.max(axis=0, keepdims=True)
        total = jnp.matmul(member, jnp.exp(logs - largest), precision="highest")
        return wanted - largest - jnp.log(jnp.where(real[:, None], total, 1.0))

    def round_(state):
        logs, lacking, count = state
        logs = jnp.where(real[:, None], jax.nn.log_softmax(logs + lacking, axis=1), 0.0)
        return logs, columns(logs), count + 1

    def unfinished(state):
        _, lacking, count = state
        sums = jnp.exp(wanted)
        missed = sums * jnp.abs(jnp.expm1(-lacking)) > jnp.maximum(ERROR, RELATIVE * sums)
        return (missed & real[:, None]).any() & (count < ROUNDS)

    logs, _, _ = jax.lax.while_loop(unfinished, round_, (start, columns(start), 0))
    return jnp.where(real[:, None], jnp.exp(logs), 0.0)


def bounds(num_rows: int, num_codes: int) -> tuple[int, int]:
    """Minimal and maximal rows per cluster at initialisation: min(n / 2K, K / 4) and 2K (GenRet),
    or 2n / K if K clusters of 2K rows cannot hold n.
    """
    least = int(min(num_rows / (2 * num_codes), num_codes / 4))
    return least, max(2 * num_codes, -(-2 * num_rows // num_codes))


def kmeans(
    vectors: np.ndarray, key: jax.Array, *, num_codes: int, least: int, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """k-means with `least` to `most` rows per cluster: centroids f32[K, D] and codes i32[n].

    Starts from the unbounded k-means of `quantize.rq_kmeans`, then iterates at most LLOYD times:
    assigns rows by `assign` and moves centroids to the means of their rows. An empty cluster
    (least 0) keeps its centroid.

    Args:
      vectors: f32[n, D], not all equal; K at most n, least * K <= n <= most * K.
    """
    vectors = quantize.checked("kmeans", vectors, levels=1, codes=num_codes)
    centroids = quantize.rq_kmeans(vectors, key, levels=1, codes=num_codes)[0][0]
    codes: Any = None
    for _ in range(LLOYD):
        before, codes = codes, assign(_squares(vectors, centroids), least=least, most=most)
        if before is not None and (before == codes).all():
            break
        count = np.bincount(codes, minlength=num_codes)[:, None]
        total = np.zeros_like(centroids)
        np.add.at(total, codes, vectors)
        centroids = np.where(count > 0, total / np.maximum(count, 1), centroids)
    return centroids, codes


def assign(cost: np.ndarray, *, least: int, most: int) -> np.ndarray:
    """i32[n] a column per row of cost f[n, K] at low total cost, `least` to `most` rows per column.

    Every row starts in its cheapest column. Full columns then keep the rows that would lose most by
    leaving, and the others move to their next choice (deferred acceptance); columns with too few
    rows take those that lose least from columns that have enough. Exact if no bound is active, else
    a heuristic. Raises ValueError if no assignment satisfies the bounds.
    """
    rows, columns = cost.shape
    if not least * columns <= rows <= most * columns:
        raise ValueError(
            f"assign: {rows} rows do not fit {columns} columns of {least} to {most}; choose other "
            "bounds"
        )
    closed = np.zeros((rows, columns), bool)  # where a row was turned away
    while True:
        allowed = np.where(closed, np.inf, cost)
        codes = allowed.argmin(axis=1)
        count = np.bincount(codes, minlength=columns)
        full = np.flatnonzero(count > most)
        if not len(full):
            break
        for column in full:
            held = np.flatnonzero(codes == column)
            others = np.where(np.arange(columns) == column, np.inf, allowed[held])
            loss = others.min(axis=1) - cost[held, column]
            closed[held[np.argsort(loss, kind="stable")[: len(held) - most]], column] = True
    while (lacking := np.flatnonzero(count < least)).size:
        column = lacking[0]
        loss = cost[:, column] - cost[np.arange(rows), codes]
        row = np.where(count[codes] > least, loss, np.inf).argmin()
        count[codes[row]] -= 1
        codes[row] = column
        count[column] += 1
    return codes.astype(np.int32)


def _squares(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    return (
        (vectors**2).sum(axis=1)[:, None]
        - 2 * vectors @ centroids.T
        + (centroids**2).sum(axis=1)[None]
    )
