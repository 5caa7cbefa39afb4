"""Scores of n-gram keys with gradients, and margins between documents that they score."""

from __future__ import annotations

import jax
import jax.numpy as jnp

SMOOTHING, TINY = 5, 1e-6  # of counts; keeps log(1 - p) finite at p = 1 in float32


def key_score(log_prob: jax.Array, count: jax.Array, num_tokens: int) -> jax.Array:
    """f32[...] `zoo.ranking.keys.key_score` of log-probabilities f32[...] and counts i32[...].

    The gradient reaches the log-probability and is 0 where the score is 0.
    """
    prior = jnp.log((count + SMOOTHING) / (num_tokens + SMOOTHING))
    given = jnp.minimum(log_prob, 0.0) - TINY
    odds = given + jnp.log1p(-jnp.exp(prior)) - prior - jnp.log(-jnp.expm1(given))
    return jnp.square(jnp.maximum(jnp.where(count > 0, odds, 0.0), 0.0))


def two_margins(
    top: tuple[jax.Array, jax.Array],
    drawn: tuple[jax.Array, jax.Array],
    *,
    margin: float,
    more: float,
) -> jax.Array:
    """f32[] LTRGR's rank loss (arXiv 2306.15222, sec. 3.3) of (relevant, other) scores f32[B].

    .5 mean max(0, other - relevant + margin) of the best ranked documents, and the same with
    margin + more of randomly drawn ones.
    """
    hinge = lambda pair, gap: jnp.maximum(0.0, pair[1] - pair[0] + gap).mean()
    return 0.5 * hinge(top, margin) + 0.5 * hinge(drawn, margin + more)
