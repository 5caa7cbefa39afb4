"""Optimisers by name, with warm-up, decay and clipping."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

DECAYS = ("constant", "linear", "cosine", "rsqrt")


def schedule(peak: float, *, steps: int, warmup: int, decay: str) -> optax.Schedule:
    """Learning rate by step: linear from 0 to `peak` over `warmup` steps, then the decay until `steps`.

    decay: constant; linear or cosine, to 0 at `steps`; rsqrt, peak sqrt(warmup / step).
    """
    if decay not in DECAYS:
        raise ValueError(f"schedule: no decay {decay!r}; expected one of: {', '.join(DECAYS)}")
    warmup = min(warmup, max(steps - 1, 0))
    rest = max(steps - warmup, 1)
    after = {
        "constant": optax.constant_schedule(peak),
        "linear": optax.linear_schedule(peak, 0.0, rest),
        "cosine": optax.cosine_decay_schedule(peak, rest),
        "rsqrt": lambda step: peak * jnp.sqrt(max(warmup, 1) / (jnp.maximum(step, 0) + max(warmup, 1))),
    }[decay]
    if warmup == 0:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), after], [warmup])


def adamw(rate: optax.Schedule, *, weight_decay: float, clip: float) -> optax.GradientTransformation:
    """AdamW (arXiv 1711.05101) with b2 = .98 and gradients clipped to a global norm of `clip`; vectors do not decay."""
    return optax.chain(optax.clip_by_global_norm(clip), optax.adamw(rate, b2=0.98, weight_decay=weight_decay, mask=_matrices))


def adafactor(rate: optax.Schedule, *, clip: float) -> optax.GradientTransformation:
    """Adafactor (arXiv 1804.04235) without relative steps, the optimiser of T5, gradients clipped to a global norm."""
    return optax.chain(optax.clip_by_global_norm(clip), optax.adafactor(rate, multiply_by_parameter_scale=False))


def _matrices(params):
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
