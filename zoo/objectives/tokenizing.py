"""Objectives that learn the codes of documents; GenRet (arXiv 2304.04171), sec. 3.2."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from zoo.objectives import ranking

stop = jax.lax.stop_gradient


def straight_through(states: jax.Array, chosen: jax.Array) -> jax.Array:
    """`chosen`, whose gradient also goes to the states, unchanged (arXiv 1308.3432)."""
    return chosen + states - stop(states)


def contrast(anchors: jax.Array, others: jax.Array, together: jax.Array) -> jax.Array:
    """f32[B] -log exp(a_i . o_i / sqrt D) / sum_j exp(a_i . o_j / sqrt D) over j together with i.

    0 for a row that is together with no other.

    anchors, others: f32[B, D]; together: bool[B, B].
    """
    own = jnp.eye(len(anchors), dtype=bool)
    scores = anchors @ others.T * anchors.shape[-1] ** -0.5
    return ranking.softmax(jnp.where(together | own, scores, -jnp.inf), jnp.arange(len(anchors)))


def reconstruction(chosen: jax.Array, states: jax.Array, prefixes: jax.Array) -> jax.Array:
    """f32[B] -log R(d | z_1 .. z_T) = sum_t contrast(z_t, sg(d_t)); sec. 3.2.1.

    Each term is among documents that share z_1 .. z_(t-1).

    Args:
      chosen: f32[B, T, D], of `straight_through`.
      states: f32[B, T, D] d_t.
      prefixes: bool[T, B, B] of `same_prefix`.
    """
    losses = (
        contrast(chosen[:, t], stop(states[:, t]), prefixes[t]) for t in range(chosen.shape[1])
    )
    return sum(losses, start=jnp.zeros(len(chosen)))


def same_prefix(codes: jax.Array, real: jax.Array) -> jax.Array:
    """bool[T + 1, B, B]: whether two rows agree in the first 0, 1, ..., T of codes i32[B, T].

    Rows that are not real, bool[B], agree with none.
    """
    alike = (real[:, None] & real[None])[None]
    equal = jnp.moveaxis(codes[:, None] == codes[None], -1, 0)  # -> [T, B, B]
    return jnp.concatenate([alike, jnp.cumprod(equal, axis=0).astype(bool) & alike])


def masked_mean(values: jax.Array, counted: jax.Array) -> jax.Array:
    """f32[] mean of f32[B] over the rows that are counted, bool[B]; 0 if none is."""
    return jnp.where(counted, values, 0.0).sum() / jnp.maximum(counted.sum(), 1)
