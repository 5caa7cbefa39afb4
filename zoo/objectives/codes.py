"""Objectives of a quantising auto-encoder."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

Reduction = Literal["sum", "mean"]
stop = jax.lax.stop_gradient


def rq_vae(
    vectors: jax.Array,
    decoded: jax.Array,
    inputs: jax.Array,
    chosen: jax.Array,
    *,
    commitment: float,
    reduction: Reduction,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """f32[] loss of a residual-quantised auto-encoder, and its terms.

    mean_b [ R |x - y|^2 + R_l ( R |sg(r_l) - e_l|^2 + beta R |r_l - sg(e_l)|^2 ) ] with R the
    reduction over features and levels; TIGER (arXiv 2305.05065), sec. 3.1. Under `sum` all terms
    have one scale, whatever the widths. Under `mean` the reconstruction of D features weighs less
    by D/d, and levels are averaged (LETTER, arXiv 2405.07314, whose published code has means). A
    mean in one term and a sum in the other lets codebooks collapse, so one argument without a
    default sets both.

    Args:
      vectors, decoded: f32[B, D] x and its reconstruction y.
      inputs, chosen: f32[B, L, d] the input r_l of each level and the code e_l that it chooses;
        `zoo.nets.bottleneck` decides where the gradient of r_l goes.
      commitment: beta; the paper has 0.25.
      reduction: "sum" or "mean".
    """
    terms = {
        "reconstruction": reconstruction(vectors, decoded, reduction=reduction).mean(),
        "codebook": _over_levels(stop(inputs), chosen, reduction).mean(),
        "commitment": _over_levels(inputs, stop(chosen), reduction).mean(),
    }
    return terms["reconstruction"] + terms["codebook"] + commitment * terms["commitment"], terms


def reconstruction(vectors: jax.Array, decoded: jax.Array, *, reduction: Reduction) -> jax.Array:
    """f32[B] sum or mean over features of (x - y)^2; f32[B, D] both."""
    return _reduce(jnp.square(vectors - decoded), reduction)


def _over_levels(inputs: jax.Array, chosen: jax.Array, reduction: Reduction) -> jax.Array:
    return _reduce(_reduce(jnp.square(inputs - chosen), reduction), reduction)  # -> [B, L] -> [B]


def _reduce(values: jax.Array, reduction: Reduction) -> jax.Array:
    if reduction not in ("sum", "mean"):
        raise ValueError(f"codes: expected reduction sum or mean, got {reduction!r}")
    return values.sum(axis=-1) if reduction == "sum" else values.mean(axis=-1)
