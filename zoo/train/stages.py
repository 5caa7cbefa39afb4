"""Stages of a training: the one place that builds schedule, optimiser, batches, clock, checkpoints.

A system describes its training as stages, each with its examples and its loss, and `run` trains
them one after the other. A system that computes something between two stages, as GenRet does with
its codes, calls `run` for each; the stages share one `Budget`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from zoo import options
from zoo.data import batches
from zoo.train import best, log as logs, loop, optimizers

FEWEST_STEPS = 20  # a stage with fewer has hardly begun to train, and a warning says so
CLIP = 1.0  # global norm of gradients


class Stage(NamedTuple):
    """One stage of a training."""

    name: str  # phase of the log, with scalars and checkpoints of its own
    # examples by kind; a function of the parameters so far mines them (DPR-HN)
    sources: Sequence[batches.Source] | Callable[[Any], Sequence[batches.Source]]
    # a mapping of losses by task hands their gradients to the optimiser apart
    loss: loop.Loss | Mapping[str, loop.Loss]
    share: float = 1.0  # of the steps and minutes of the training
    hold: Any = None  # pytree of bool, broadcast to the parameters: True = does not change
    decay: str | None = None  # of the learning rate, one of optimizers.DECAYS; None: the options'
    # (sources, batch_size=, seed=) -> iterator as zoo.data.batches.Batches
    batches: Callable[..., Any] = batches.Batches
    hooks: loop.Hooks = loop.Hooks()


class Program(NamedTuple):
    """The training step of a stage, as `run` would compile it."""

    name: str  # of the stage
    loss: loop.Loss | Mapping[str, loop.Loss]
    params: Any  # pytree of jax.ShapeDtypeStruct
    optimizer: Any  # optax.GradientTransformation
    batches: Any  # iterator of dicts of arrays [B, ...]
    validated: bool  # whether the step also carries the best parameters so far


class Budget:
    """Steps and seconds that the stages of one training share.

    A stage gets its share of the steps. Of the seconds that are left it gets its share among the
    shares that are left, so what one stage does not use is for the later ones.
    """

    def __init__(self, steps: int, seconds: float = math.inf) -> None:
        self.steps, self._seconds, self._share = steps, seconds, 1.0

    @classmethod
    def of(cls, training: options.Training, num_examples: int) -> Budget:
        """`training.steps` if above 0, else enough to show each of num_examples `visits` times."""
        steps = training.steps
        if not steps:
            steps = round(training.visits * num_examples / training.batch)
            steps = int(np.clip(steps, training.fewest_steps, training.most_steps))
        return cls(steps, 60 * training.minutes if training.minutes else math.inf)

    def steps_of(self, share: float) -> int:
        """Steps of a stage with this share; at least 1."""
        return max(1, round(self.steps * share))

    def seconds_of(self, share: float) -> float:
        """Seconds that the next stage, with this share, may take."""
        if math.isinf(self._seconds):
            return math.inf
        return max(self._seconds * min(1.0, share / max(self._share, 1e-9)), 1e-9)

    def spend(self, share: float, seconds: float) -> None:
        """Takes off what a stage with this share took."""
        self._share -= share
        self._seconds -= seconds


def run(
    stages: Sequence[Stage],
    params: Any,
    training: options.Training,
    key: jax.Array,
    log: logs.Log,
    *,
    budget: Budget | None = None,
    validate: best.Validation | None = None,
    docids: np.ndarray | None = None,
) -> Any:
    """Parameters after all stages; with `validate`, the best of the last stage.

    Interrupted, the same call resumes in the stage it stopped in: every stage has checkpoints under
    its name. How many steps and seconds each stage took goes to `log.stages`.

    Args:
      params: initial parameters. The buffers are donated.
      training: batch, rate, warmup, decay, optimizer, weight_decay; without a budget also steps and
        minutes.
      budget: shared with other calls; that of `training.steps` and `minutes` if None.
      docids: i32[N, L] identifiers of the documents, kept with the checkpoints: a run with other
        identifiers does not resume from them.
    """
    if budget is None:
        budget = Budget.of(training, 0)
    for number, stage in enumerate(stages):
        stage_key = key if not number else jax.random.fold_in(key, number)
        if number == len(stages) - 1:
            stage = stage._replace(hooks=stage.hooks._replace(validation=validate))
        result = _train(stage, params, training, stage_key, log, budget, docids)
        params = result.params
        budget.spend(stage.share, result.seconds)
        log.stages.append(
            {"stage": stage.name, "steps": result.steps, "seconds": round(result.seconds, 2)}
        )
    return params


def _train(
    stage: Stage,
    params: Any,
    training: options.Training,
    key: jax.Array,
    log: logs.Log,
    budget: Budget,
    docids: np.ndarray | None,
) -> loop.Result:
    sources = stage.sources(params) if callable(stage.sources) else stage.sources
    log.phase(stage.name)
    order, train_key = jax.random.split(key)
    seed = int(jax.random.randint(order, (), 0, 2**31 - 1))
    rate = optimizers.schedule(
        training.rate, warmup=training.warmup, decay=stage.decay or training.decay
    )
    optimizer = optimizers.by_name(
        training.optimizer, rate, weight_decay=training.weight_decay, clip=CLIP
    )
    if stage.hold is not None:
        optimizer = optimizers.freeze(optimizer, stage.hold)
    steps, seconds = budget.steps_of(stage.share), budget.seconds_of(stage.share)
    run = loop.Run(
        steps=steps,
        key=train_key,
        log=log,
        seconds=seconds,
        folder=log.checkpoints,
        identity=log.identity,
        attached=None if docids is None else {"docids": docids},
    )
    stream = stage.batches(sources, batch_size=training.batch, seed=seed)
    if log.programs is not None:
        shapes = jax.eval_shape(lambda: params)
        validated = stage.hooks.validation is not None
        log.programs.append(Program(stage.name, stage.loss, shapes, optimizer, stream, validated))
        return loop.Result(params, 0, 0.0)
    result = loop.train(stage.loss, params, stream, optimizer, run, stage.hooks)
    _warn_of_few_steps(stage, result, run, log, budget)
    return result


def _warn_of_few_steps(
    stage: Stage, result: loop.Result, run: loop.Run, log: logs.Log, budget: Budget
) -> None:
    if result.steps < min(FEWEST_STEPS, run.steps) and result.seconds >= run.seconds:
        log.warn(
            f"stage {stage.name}: {result.steps} of {run.steps} steps in its {run.seconds:.2g} s, "
            f"fewer than {FEWEST_STEPS}: it trains next to nothing; raise minutes"
        )
    elif run.steps < min(FEWEST_STEPS, budget.steps):
        log.warn(
            f"stage {stage.name}: its share of {budget.steps} steps is {run.steps}, fewer than "
            f"{FEWEST_STEPS}: it trains next to nothing; raise steps"
        )
