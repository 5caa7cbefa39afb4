"""Grouped-query attention with rotary positions, over a shared memory and a cache.

Ainslie et al. 2023 (arXiv 2305.13245): R = H / G heads of queries read one head of keys and values.
Su et al. 2021 (arXiv 2104.09864), sec. 3.2.2: positions turn the features of queries and keys.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Reach(NamedTuple):
    """What positions may read, for all layers."""

    memory: jax.Array | None  # f32[B, S], MASKED or 0
    own: jax.Array  # f32[Q, Q] among x, or f32[L] of the places of a cache
    t: jax.Array | int = 0  # the place of the cache that x is


class Past(NamedTuple):
    """What one layer reads beside x; None = nothing."""

    memory: tuple[jax.Array, jax.Array] | None = None  # keys, values [B, S, G, Dh]
    cache: tuple[jax.Array, jax.Array] | None = None  # of each hypothesis, [B, K, P, G, Dh]


def attend(
    query: jax.Array, key: jax.Array, value: jax.Array, reach: Reach, past: Past
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """[B, Q, G, R, Dh] read by queries [B, Q, G, R, Dh], R = H / G; and keys and values."""
    kept = key, value
    own = "bqgrd,bpgd->bqgrp", "bqgrp,bpgd->bqgrd"
    bias = reach.own[..., None, None, :]  # over queries, or one for all
    if past.cache is not None:
        kept = (
            extend(past.cache[0], key, reach.t, len(reach.own)),
            extend(past.cache[1], value, reach.t, len(reach.own)),
        )
        own = "bqgrd,bqpgd->bqgrp", "bqgrp,bqpgd->bqgrd"
        bias = reach.own[None, None, : kept[0].shape[2]]
    parts = [(*kept, *own, jnp.expand_dims(bias, range(5 - bias.ndim)))]
    if reach.memory is not None and past.memory is not None:
        bias = reach.memory[:, None, None, None, :]
        parts.insert(0, (*past.memory, "bqgrd,bsgd->bqgrs", "bqgrs,bsgd->bqgrd", bias))
    logits = [
        jnp.einsum(score, query, keys, preferred_element_type=jnp.float32) + bias
        for keys, _, score, _, bias in parts
    ]
    weights = jax.nn.softmax(jnp.concatenate(logits, axis=-1)).astype(value.dtype)
    ends = np.cumsum([part.shape[-1] for part in logits])[:-1]
    read = [
        jnp.einsum(mix, weight, values)
        for (_, values, _, mix, _), weight in zip(parts, jnp.split(weights, ends, axis=-1))
    ]
    return functools.reduce(jnp.add, read), kept


def extend(cache: jax.Array, new: jax.Array, t: jax.Array | int, most: int) -> jax.Array:
    """The cache [B, K, P, G, Dh] with new [B, K, G, Dh]: grown by one while P < most, or at t."""
    fresh = new[:, :, None]
    if cache.shape[2] < most:
        return jnp.concatenate([cache, fresh], axis=2)
    return jax.lax.dynamic_update_slice_in_dim(cache, fresh, t, axis=2)


def turns(position: jax.Array, speeds: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """cos and sin f32[..., Dh / 2] of the rotary angles at positions i32[...]."""
    speeds = np.expand_dims(speeds.astype(np.float32), tuple(range(position.ndim)))
    angle = position[..., None].astype(jnp.float32) * speeds
    return jnp.cos(angle), jnp.sin(angle)


def frequencies(width: int, base: float, scaling: Sequence[float] = ()) -> np.ndarray:
    """f64[Dh / 2] radians a position of heads of this width.

    scaling: of Llama 3, whose longest wavelengths are stretched: factor, lowest and highest
      frequency factor, length it was trained at; () = none.
    """
    plain = base ** (-np.arange(0, width, 2) / width)
    if not scaling:
        return plain
    factor, low, high, trained = scaling
    cycles = trained * plain / (2 * np.pi)  # within the length it was trained at
    share = np.clip((cycles - low) / (high - low), 0.0, 1.0)
    return plain * (share + (1 - share) / factor)


def rotate(x: jax.Array, angles: tuple[jax.Array, jax.Array]) -> jax.Array:
    """x [B, Q, H, Dh] turned, feature i with feature i + Dh / 2, as in Hugging Face's files."""
    cos, sin = (part[:, :, None, :] for part in angles)
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    turned = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return turned.astype(x.dtype)
