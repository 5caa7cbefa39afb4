"""Objectives over identifier tokens."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def cross_entropy(
    logits: jax.Array, target: jax.Array, *, smoothing: float = 0.0, z_loss: float = 0.0
) -> jax.Array:
    """f32[B] -log p(identifier): cross-entropies summed over its tokens and the pad that ends it.

    Tokens after the first pad do not count: an identifier of full length L counts L tokens, a
    shorter one its length plus one. With smoothing e the target distribution is (1 - e) one-hot +
    e uniform (Szegedy et al. 2016, sec. 7) over the tokens whose logit is not -inf. z_loss adds
    z_loss * log(Z)^2 per token, Z the normaliser, which keeps logits small (Chowdhery et al. 2022,
    arXiv 2204.02311, sec. 5; theirs is 1e-4).

    logits: f32[B, L, V]; target: i32[B, L], 0 = pad. O(B L V).
    """
    log_probability = jax.nn.log_softmax(logits)
    chosen = jnp.take_along_axis(log_probability, target[..., None], axis=-1)[..., 0]
    loss = -chosen
    if smoothing:
        possible = logits > -jnp.inf
        even = jnp.where(possible, log_probability, 0.0).sum(axis=-1) / possible.sum(axis=-1)
        loss = (1 - smoothing) * loss - smoothing * even
    if z_loss:
        loss = loss + z_loss * jnp.square(jax.nn.logsumexp(logits, axis=-1))
    return jnp.sum(loss * count_mask(target), axis=-1)


def disagreement(one: jax.Array, other: jax.Array, target: jax.Array) -> jax.Array:
    """f32[B] symmetric divergence 1/2 [KL(p || q) + KL(q || p)], summed over counted tokens.

    Consistency of two passes through dropout; eq. 6 of NCI (arXiv 2206.02743), after R-Drop
    (arXiv 2106.14448).

    one, other: f32[B, L, V] logits, -inf at the same places; target: i32[B, L], 0 = pad. O(B L V).
    """
    p, q = jax.nn.log_softmax(one), jax.nn.log_softmax(other)
    possible = one > -jnp.inf
    gap = jnp.where(possible, p, 0.0) - jnp.where(possible, q, 0.0)
    divergence = 0.5 * jnp.sum((jnp.exp(p) - jnp.exp(q)) * gap, axis=-1)
    return jnp.sum(divergence * count_mask(target), axis=-1)


def count_mask(target: jax.Array) -> jax.Array:
    """f32[B, L]: 1 for tokens of an identifier and the pad that ends it, 0 after."""
    before = jnp.pad(target[:, :-1], ((0, 0), (1, 0)), constant_values=1)
    return (jnp.cumprod(before != 0, axis=-1)).astype(jnp.float32)
