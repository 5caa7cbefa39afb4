"""The programs of a system: each stage's training step, and what answers queries."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from zoo import recipes, records
from zoo.train import execution as executions, log as logs, stages

# Jitted functions that answer queries. A caller reaches each through its module, so that `record`
# can take its place. The second argument of each is the batch.
ANSWERING = (
    ("zoo.models.generate", "answer"),
    ("zoo.models.next_item", "all_scores"),
    ("zoo.models.dual_encoder", "_encode"),
    ("zoo.index.dense", "_search"),
)
BATCHES = 20  # that are drawn to find the largest shape of a stage's batches
K = 10  # documents asked for


class Call(NamedTuple):
    """A call of a jitted function."""

    name: str
    function: Any
    arguments: tuple[Any, ...]  # pytrees of arrays
    options: Mapping[str, Any]  # by keyword, static
    result: Any  # pytree of jax.ShapeDtypeStruct


class Programs(NamedTuple):
    """What a system runs on a device."""

    training: list[stages.Program]
    answering: list[Call]
    num_parameters: int


def of_recipe(
    recipe: recipes.Recipe,
    config: Any,
    collection: records.Collection | records.Interactions,
    *,
    execution: executions.Execution,
    queries: int,
    key: jax.Array,
) -> Programs:
    """Programs of a system fitted to a collection, without a step of training.

    Everything before and between the stages runs: tokens, identifiers, initial parameters.

    queries: in the batch that is answered.
    """
    log = logs.Log(quiet=True, execution=execution)
    log.programs = []
    state = recipe.fit(collection.without("test"), config, key, log)
    count = sum(np.size(leaf) for leaf in jax.tree.leaves(state.get("params", {})))
    ask = recipe.open(config, state)
    with record() as calls:
        ask(_queries(collection, queries), min(K, len(collection.corpus)))
    return Programs(log.programs, calls, int(count))


def _queries(collection: Any, count: int) -> Any:
    """A batch of queries, or of histories for a recommender."""
    if isinstance(collection, records.Interactions):
        users = np.resize(np.arange(len(collection.histories)), count)
        return collection.histories.take(users)
    texts = tuple(np.resize(np.array(collection.queries.texts, dtype=object), count))
    return records.Queries(tuple(f"q{row}" for row in range(count)), texts)


@contextlib.contextmanager
def record() -> Iterator[list[Call]]:
    """The calls of ANSWERING inside the context. They compute nothing and return zeros."""
    calls: list[Call] = []

    def recorder(name: str, function: Any) -> Callable:
        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            result = jax.eval_shape(lambda *rest: function(*rest, **options), *arguments)
            calls.append(Call(name, function, arguments, options, result))
            return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), result)

        return call

    modules = [(importlib.import_module(module), name) for module, name in ANSWERING]
    before = [getattr(module, name) for module, name in modules]
    try:
        for (module, name), function in zip(modules, before):
            setattr(module, name, recorder(name.strip("_"), function))
        yield calls
    finally:
        for (module, name), function in zip(modules, before):
            setattr(module, name, function)


def shape_of(leaf: Any, sharding: Any = None) -> jax.ShapeDtypeStruct:
    """The shape and dtype of an array or number."""
    leaf = leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
