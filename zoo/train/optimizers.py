"""Optimisers with warm-up, decay and clipping; the rate decays with the fraction of the run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

# (step i32[] from 0, fraction f32[] of the run that is over) -> f32[]
Rate = Callable[[jax.Array, jax.Array], jax.Array]

DECAYS = ("constant", "linear", "cosine", "rsqrt")


@functools.lru_cache(maxsize=64)
def schedule(peak: float, *, warmup: int, decay: str) -> Rate:
    """Learning rate: peak * min(1, (step + 1) / warmup) * decay; memoised, see `step_function`.

    decay: constant, 1; linear, 1 - fraction; cosine, (1 + cos(pi fraction)) / 2; rsqrt,
        sqrt(warmup / step) from step `warmup` on.

    The fraction counts steps or time, so training to a deadline ends at 0 too.
    """
    if decay not in DECAYS:
        raise ValueError(f"schedule: no decay {decay!r}; expected one of: {', '.join(DECAYS)}")
    warmup = max(warmup, 1)

    def rate(step: jax.Array, fraction: jax.Array) -> jax.Array:
        factor = {
            "constant": lambda: jnp.ones(()),
            "linear": lambda: 1 - fraction,
            "cosine": lambda: (1 + jnp.cos(jnp.pi * fraction)) / 2,
            "rsqrt": lambda: jnp.sqrt(warmup / jnp.maximum(step, warmup)),
        }[decay]()
        return peak * jnp.minimum(1.0, (step + 1) / warmup) * factor

    return rate


def adamw(rate: Rate, *, weight_decay: float, clip: float) -> optax.GradientTransformation:
    """AdamW (arXiv 1711.05101), b2 = .98, gradients clipped to global norm; only matrices decay."""
    return optax.chain(
        optax.clip_by_global_norm(clip),
        optax.scale_by_adam(b2=0.98),
        optax.add_decayed_weights(weight_decay, mask=_matrices),
        _scale_by(rate),
    )


def adafactor(rate: Rate, *, clip: float) -> optax.GradientTransformation:
    """Adafactor (arXiv 1804.04235) without relative steps, T5's; clips to a global norm."""
    factored = optax.adafactor(learning_rate=None, multiply_by_parameter_scale=False)
    return optax.chain(
        optax.clip_by_global_norm(clip), factored, optax.scale(-1.0), _scale_by(rate)
    )


def adagrad(rate: Rate, *, clip: float) -> optax.GradientTransformation:
    """Adagrad (Duchi et al. 2011, JMLR 12), accumulator from 0.1; clips to a global norm."""
    return optax.chain(
        optax.clip_by_global_norm(clip),
        optax.scale_by_rss(initial_accumulator_value=0.1),
        _scale_by(rate),
    )


NAMES = ("adamw", "adafactor", "adagrad")


@functools.lru_cache(maxsize=64)
def by_name(
    name: str, rate: Rate, *, weight_decay: float, clip: float
) -> optax.GradientTransformation:
    """The optimiser of that name, one of NAMES; only adamw has weight decay. Memoised."""
    if name == "adamw":
        return adamw(rate, weight_decay=weight_decay, clip=clip)
    return {"adafactor": adafactor, "adagrad": adagrad}[name](rate, clip=clip)


def freeze(optimizer: optax.GradientTransformation, held: Any) -> optax.GradientTransformation:
    """The optimiser, but parameters do not change where `held` is True.

    held: pytree of bool that broadcast to the parameters.
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def update(updates, state, params=None, **others):
        updates, state = optimizer.update(updates, state, params, **others)
        return jax.tree.map(lambda still, leaf: jnp.where(still, 0, leaf), held, updates), state

    return optax.GradientTransformationExtraArgs(optimizer.init, update)


def _scale_by(rate: Rate) -> optax.GradientTransformationExtraArgs:
    """Updates times -rate(step, fraction), the extra arguments that the loop passes."""

    def update(updates, state, params=None, **extra):
        factor = -rate(extra["step"], extra["fraction"])
        return jax.tree.map(lambda leaf: factor.astype(leaf.dtype) * leaf, updates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def _matrices(params):
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
