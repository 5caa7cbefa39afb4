"""One training step: gradient, update, moving average, and the handling of non-finite numbers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from zoo.records import DataError
from zoo.train import best as bests, execution as executions, sharding

# (params, batch, key) -> f32[] and scalars to report
Loss = Callable[[Any, dict, jax.Array], tuple[jax.Array, dict]]

# the average of the first steps forgets faster: its decay is at most (1 + t) / (RAMP + t)
RAMP = 10
PROGRAMS = 16  # step functions that are kept, with their compiled programs, for later trainings


class Progress(NamedTuple):
    """Everything that a step changes. A failed step changes nothing more: `params` made it fail."""

    step: jax.Array  # i32[] steps done
    failed: (
        jax.Array
    )  # i32[] number, from 1, of the step with a non-finite loss or gradient, 0 = none
    params: Any
    optimizer: Any  # optax state
    best: Any = None  # best.Best, None without validation
    average: Any = None  # moving average of the parameters, None without
    skipped: Any = None  # i32[] non-finite steps left out, None where none may be


def begin(
    params: Any,
    optimizer: optax.GradientTransformation,
    *,
    validated: bool = False,
    execution: executions.Execution = executions.Execution(),
) -> Progress:
    """Progress before the first step."""
    zero = lambda: jnp.zeros((), jnp.int32)
    best = bests.init(params) if validated else None
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
    loss: Loss | Mapping[str, Loss],
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    *,
    execution: executions.Execution = executions.Execution(),
    places: Any = None,
) -> Step:
    """The jitted (progress, batch, fraction) -> (progress, scalars); traces once per batch shape.

    Another training in this process with an equal loss and optimiser, such as the same fit again,
    uses the compiled programs of the first: the key is an argument of the program. Losses and
    optimisers are equal if one memoised function returned both.

    Args:
      loss: with a mapping of task -> loss, each task's loss reads the whole batch, and the
        optimiser gets the sum of their gradients and, as the extra argument `gradients`, a dict of
        the gradient of each task.
      places: shardings of the progress on a mesh, a Progress, which the step preserves.

    The fraction f32[] of the training that is over goes to the optimiser with the step.
    """
    plain = places is None and not isinstance(loss, Mapping)
    # a mesh's shardings are of one training, as are the losses of a mapping
    jit: Any = _jit_once if plain else _jit  # the cached one hashes its arguments
    jitted = jit(loss, optimizer, execution, places)
    # NumPy, for a mesh of several processes
    return Step(jitted, np.asarray(jax.random.key_data(key)))


class Step(NamedTuple):
    """A jitted step with the key of its training."""

    jitted: Any  # (progress, batch, fraction, u32[...] data of the key) -> (progress, scalars)
    key_data: np.ndarray

    def __call__(self, progress: Progress, batch: dict, fraction: Any) -> tuple[Progress, dict]:
        return self.jitted(progress, batch, fraction, self.key_data)

    def trace(self, progress: Progress, batch: dict, fraction: Any) -> Any:
        """As `trace` of a jitted function."""
        return self.jitted.trace(progress, batch, fraction, self.key_data)


def _jit(
    loss: Loss | Mapping[str, Loss],
    optimizer: optax.GradientTransformation,
    execution: executions.Execution,
    places: Any,
) -> Callable:
    optimizer = optax.with_extra_args_support(optimizer)
    gradient_of, apart = _gradient(loss), isinstance(loss, Mapping)

    def step(
        progress: Progress, batch: dict, fraction: jax.Array, key_data: jax.Array
    ) -> tuple[Progress, dict]:
        draw = jax.random.fold_in(jax.random.wrap_key_data(key_data), progress.step)
        mesh = None if places is None else places.step.mesh
        (value, metrics), gradient = _accumulate(
            gradient_of, progress.params, batch, draw, execution.accumulate, mesh
        )
        extra = {"step": progress.step, "fraction": fraction}
        if apart:
            extra["gradients"] = gradient
            gradient = jax.tree.map(lambda *leaves: sum(leaves), *gradient.values())
        updates, state = optimizer.update(gradient, progress.optimizer, progress.params, **extra)
        params = optax.apply_updates(progress.params, updates)
        norm = optax.tree.norm(gradient)
        after = _advance(
            progress, params, state, jnp.isfinite(value) & jnp.isfinite(norm), execution
        )
        metrics = {"loss": value, "gradient_norm": norm, **metrics, "failed": after.failed}
        if execution.skip:
            metrics["skipped"] = after.skipped
        return after, metrics

    options: dict[str, Any] = {} if places is None else {"out_shardings": (places, None)}
    return jax.jit(step, donate_argnums=0, **options)


_jit_once = functools.lru_cache(maxsize=PROGRAMS)(_jit)


def _advance(
    progress: Progress,
    params: Any,
    optimizer: Any,
    finite: jax.Array,
    execution: executions.Execution,
) -> Progress:
    """Progress after a step that found these, of which nothing is taken if it is not finite."""
    skipped, spent = progress.skipped, True
    if execution.skip:
        spent = skipped >= execution.skip
        skipped = skipped + (~finite & ~spent & (progress.failed == 0))
    failed = jnp.where((progress.failed == 0) & ~finite & spent, progress.step + 1, progress.failed)
    applied = finite & (failed == 0)
    chosen = lambda new, old: jax.tree.map(lambda a, b: jnp.where(applied, a, b), new, old)
    average = progress.average
    if execution.average:
        average = chosen(_average(average, params, progress.step, execution.average), average)
    return Progress(
        progress.step + (failed == 0),
        failed,
        chosen(params, progress.params),
        chosen(optimizer, progress.optimizer),
        progress.best,
        average,
        skipped,
    )


def _gradient(loss: Loss | Mapping[str, Loss]) -> Callable:
    """(params, batch, key) -> ((value, scalars), gradient); of a mapping, gradients by task."""
    if not isinstance(loss, Mapping):
        return jax.value_and_grad(loss, has_aux=True)
    tasks = {name: jax.value_and_grad(own, has_aux=True) for name, own in loss.items()}

    def gradients(params: Any, batch: dict, key: jax.Array) -> tuple:
        value, scalars, found = 0.0, {}, {}
        for task, draw in zip(tasks, jax.random.split(key, len(tasks))):
            (own, metrics), found[task] = tasks[task](params, batch, draw)
            value += own
            named = {"loss": own, **metrics}
            scalars |= {f"{task}_{name}": scalar for name, scalar in named.items()}
        return (value, scalars), found

    return gradients


def _accumulate(
    gradient_of: Callable, params: Any, batch: dict, key: jax.Array, parts: int, mesh: Any
) -> tuple:
    """((value, scalars), gradient) averaged over `parts` equal parts of a batch, computed in turn.

    Row r is in part r mod parts, so each part lies on all devices that the batch lies on.
    """
    if parts == 1:
        return gradient_of(params, batch, key)
    size = len(next(iter(batch.values())))
    if size % parts:
        raise DataError(
            f"train: a batch of {size} rows cannot be computed in {parts} equal parts; "
            "choose a divisor (--accumulate)"
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


def _average(average: Any, params: Any, step: jax.Array, decay: float) -> Any:
    """d average + (1 - d) params with d = min(decay, (1 + t) / (RAMP + t)).

    TensorFlow's ExponentialMovingAverage(num_updates).
    """
    ramp = jnp.minimum(decay, (1 + step) / (RAMP + step))
    return jax.tree.map(
        lambda old, new: old + (1 - ramp).astype(old.dtype) * (new - old), average, params
    )
