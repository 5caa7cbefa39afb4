"""The best parameters of a training, by a measure of them on held-out data, and when to stop looking for better ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Validation(NamedTuple):
    """How parameters are judged while they are trained."""

    # of parameters, larger is better; pure, so that a resumed run judges the same
    score: Callable[[Any], float]
    every: int  # steps between judgements; the last step is judged too
    # judgements without a better one after which training ends, 0 = it never ends for that
    patience: int

    def due(self, done: int) -> bool:
        """Whether parameters after `done` steps are judged."""
        return done % self.every == 0

    def hopeless(self, best: Best, done: int) -> bool:
        """Whether training ends at step `done`."""
        return self.patience > 0 and done - int(best.step) >= self.patience * self.every


class Best(NamedTuple):
    """The best parameters so far; part of what a checkpoint keeps."""

    params: Any
    score: jax.Array  # f32[], -inf before the first judgement
    step: jax.Array  # i32[] steps that they had


def nothing(params: Any) -> Best:
    """Before the first judgement. The parameters are copies: the others are donated."""
    return Best(
        jax.tree.map(jnp.copy, params), jnp.asarray(-jnp.inf, jnp.float32), jnp.zeros((), jnp.int32)
    )


def better(best: Best, params: Any, score: float, done: int) -> Best:
    """The parameters with this score after `done` steps if they are better, else the best so far; of equal ones the first."""
    if not np.float32(score) > best.score:  # which is kept in float32
        return best
    return Best(
        jax.tree.map(jnp.copy, params),
        jnp.asarray(score, jnp.float32),
        jnp.asarray(done, jnp.int32),
    )
