"""Checkpoint selection: the parameters of best validation score, and early stopping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Validation(NamedTuple):
    """How parameters are validated during training, and when to stop."""

    score: Callable[[Any], float]  # of parameters, higher is better; pure, so that resuming repeats
    every: int  # steps between validations; the last step is validated too
    patience: int  # validations without a better score that end training; 0 disables it

    def due(self, done: int) -> bool:
        """Whether to validate after `done` steps."""
        return done % self.every == 0

    def exhausted(self, best: Best, done: int) -> bool:
        """Whether patience ends training at step `done`."""
        return self.patience > 0 and done - int(best.step) >= self.patience * self.every


class Best(NamedTuple):
    """The best parameters so far; checkpoints contain them."""

    params: Any
    score: jax.Array  # f32[], -inf before the first validation
    step: jax.Array  # i32[] at which they were validated


def init(params: Any) -> Best:
    """Best before the first validation. The parameters are copies: the originals are donated."""
    return Best(
        jax.tree.map(jnp.copy, params), jnp.asarray(-jnp.inf, jnp.float32), jnp.zeros((), jnp.int32)
    )


def better(best: Best, params: Any, score: float, done: int) -> Best:
    """The higher of `best` and the score of `params` after `done` steps; `best` wins ties."""
    if not np.float32(score) > best.score:  # which is stored in float32
        return best
    return Best(
        jax.tree.map(jnp.copy, params),
        jnp.asarray(score, jnp.float32),
        jnp.asarray(done, jnp.int32),
    )
