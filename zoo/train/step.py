"""One step of training: gradient, update, moving average, and what is done about numbers that are not finite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from zoo.records import DataError
from zoo.train import best as bests, execution as executions, sharding

# (params, batch, key) -> f32[] and scalars to report
Loss = Callable[[Any, dict, jax.Array], tuple[jax.Array, dict]]

# the average of the first steps forgets faster: its decay is at most (1 + t) / (RAMP + t)
RAMP = 10


class Progress(NamedTuple):
    """All that a step changes. Once a step has failed, nothing changes any more: the parameters are those it failed with."""

    step: jax.Array  # i32[] steps done
    # i32[] number, from 1, of the step whose loss or gradient was not finite; 0 = none
    failed: jax.Array
    params: Any
    optimizer: Any  # optax state
    best: Any = None  # best.Best, None where nobody judges
    average: Any = None  # moving average of the parameters, None without
    # i32[] steps left out for numbers that were not finite, None where none may be
    skipped: Any = None


def begin(
    params: Any,
    optimizer: optax.GradientTransformation,
    *,
    judged: bool = False,
    execution: executions.Execution = executions.Execution(),
) -> Progress:
    """Progress before the first step."""
    zero = lambda: jnp.zeros((), jnp.int32)
    best = bests.nothing(params) if judged else None
    average = jax.tree.map(jnp.copy, params) if execution.average else None
    return Progress(
        zero(),
        zero(),
        params,
        optimizer.init(params),
        best,
        average,
        zero() if execution.skip else None,
    )


def step_function(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    *,
    execution: executions.Execution = executions.Execution(),
    places: Progress | None = None,
) -> Callable:
    """The jitted (progress, batch, fraction) -> (progress, scalars); traces once for each shape of batch.

    fraction: f32[], how much of the training is over; the optimiser gets it with the step.
    places: shardings of the progress on a mesh, which it keeps.
    """
    optimizer = optax.with_extra_args_support(optimizer)
    gradient_of = jax.value_and_grad(loss, has_aux=True)

    def step(progress: Progress, batch: dict, fraction: jax.Array) -> tuple[Progress, dict]:
        draw = jax.random.fold_in(key, progress.step)
        mesh = None if places is None else places.step.mesh
        (value, metrics), gradient = _accumulated(
            gradient_of, progress.params, batch, draw, execution.accumulate, mesh
        )
        updates, state = optimizer.update(
            gradient, progress.optimizer, progress.params, step=progress.step, fraction=fraction
        )
        params = optax.apply_updates(progress.params, updates)
        norm = optax.tree.norm(gradient)
        finite = jnp.isfinite(value) & jnp.isfinite(norm)
        metrics = {"loss": value, "gradient_norm": norm, **metrics}
        skipped, spent = progress.skipped, True
        if execution.skip:
            spent = skipped >= execution.skip
            skipped = skipped + (~finite & ~spent & (progress.failed == 0))
            metrics["skipped"] = skipped
        failed = jnp.where(
            (progress.failed == 0) & ~finite & spent, progress.step + 1, progress.failed
        )
        applied = finite & (failed == 0)
        chosen = lambda new, old: jax.tree.map(lambda a, b: jnp.where(applied, a, b), new, old)
        average = progress.average
        if execution.average:
            average = chosen(_averaged(average, params, progress.step, execution.average), average)
        advanced = progress.step + (failed == 0)
        after = Progress(
            advanced,
            failed,
            chosen(params, progress.params),
            chosen(state, progress.optimizer),
            progress.best,
            average,
            skipped,
        )
        return after, metrics | {"failed": failed}

    options = {} if places is None else {"out_shardings": (places, None)}
    return jax.jit(step, donate_argnums=0, **options)


def _accumulated(
    gradient_of: Callable, params: Any, batch: dict, key: jax.Array, parts: int, mesh: Any
) -> tuple:
    """Means over `parts` equal parts of a batch, one after the other; ((value, scalars), gradient).

    Row r is of part r mod parts, so that each part lies on all devices that the batch lies on.
    """
    if parts == 1:
        return gradient_of(params, batch, key)
    size = len(next(iter(batch.values())))
    if size % parts:
        raise DataError(
            f"train: a batch of {size} rows cannot be computed in {parts} equal parts; choose a divisor (--accumulate)"
        )
    split = jax.tree.map(
        lambda rows: rows.reshape(size // parts, parts, *rows.shape[1:]).swapaxes(0, 1), batch
    )
    if mesh is not None:
        spread = jax.sharding.NamedSharding(
            mesh, jax.sharding.PartitionSpec(None, *sharding.rows(mesh).spec)
        )
        split = jax.lax.with_sharding_constraint(split, spread)

    def add(total: Any, part: tuple) -> tuple[Any, None]:
        number, rows = part
        found = gradient_of(params, rows, jax.random.fold_in(key, number))
        return jax.tree.map(lambda a, b: a + b / parts, total, found), None

    first = jax.tree.map(lambda rows: rows[0], split)
    zeros = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, jnp.float32),
        jax.eval_shape(gradient_of, params, first, key),
    )
    return jax.lax.scan(add, zeros, (jnp.arange(parts), split))[0]


def _averaged(average: Any, params: Any, step: jax.Array, decay: float) -> Any:
    """d average + (1 - d) params with d = min(decay, (1 + t) / (RAMP + t)), as TensorFlow's ExponentialMovingAverage(num_updates)."""
    decay = jnp.minimum(decay, (1 + step) / (RAMP + step))
    return jax.tree.map(
        lambda old, new: old + (1 - decay).astype(old.dtype) * (new - old), average, params
    )
