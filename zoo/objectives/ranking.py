"""Objectives over the scores of one right item among others."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def softmax(scores: jax.Array, right: jax.Array) -> jax.Array:
    """f32[...] cross-entropy over all items: -log softmax(scores f32[..., N])[right i32[...]]."""
    return (
        jax.nn.logsumexp(scores, axis=-1)
        - jnp.take_along_axis(scores, right[..., None], axis=-1)[..., 0]
    )


def binary(right: jax.Array, wrong: jax.Array) -> jax.Array:
    """f32[...] -log s(right) - mean_j log(1 - s(wrong_j)).

    Eq. 6 of SASRec (arXiv 1808.09781), which has one wrong item.

    right: f32[...] scores; wrong: f32[..., C].
    """
    return jax.nn.softplus(-right) + jax.nn.softplus(wrong).mean(axis=-1)


def bpr_max(right: jax.Array, wrong: jax.Array, *, regularisation: float = 1.0) -> jax.Array:
    """f32[...] -log sum_j w_j s(right - wrong_j) + regularisation sum_j w_j wrong_j^2.

    w is the softmax of wrong; eq. 10 of arXiv 1706.03847.

    right: f32[...] scores; wrong: f32[..., C].
    """
    weight = jax.nn.softmax(wrong, axis=-1)
    better = jax.nn.log_sigmoid(right[..., None] - wrong)
    return -jax.nn.logsumexp(better + jnp.log(weight), axis=-1) + regularisation * (
        weight * wrong**2
    ).sum(axis=-1)
