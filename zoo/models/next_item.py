"""Recommenders that score every item as the next of a history: GRU4Rec, SASRec."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo import options, records
from zoo.data import batches
from zoo.models import validation
from zoo.nets import network
from zoo.objectives import ranking
from zoo.options import option
from zoo.ranking import scores as scoring
from zoo.train import log as logs, loop, stages

USERS = 256  # scored together
LOSSES = ("ce", "bce", "bpr-max")


@dataclasses.dataclass(frozen=True)
class Config(options.Training, options.Validation):
    """Options of every network that scores the next item."""

    loss: str = option(
        "ce",
        "ce (cross-entropy over all items), bce or bpr-max (against sampled negatives)",
        one_of=LOSSES,
    )
    negatives: int = option(
        1, "sampled negatives per target, for bce and bpr-max", limits=options.SIZE
    )
    history: int = option(20, "number of latest items that are read", limits=options.WIDTH)
    width: int = option(64, "model width", limits=options.WIDTH)
    layers: int = option(1, "number of layers", limits=options.DEPTH)
    dropout: float = 0.3
    visits: float = 60.0
    fewest_steps: int = 1000
    rate: float = 1e-3
    warmup: int = 200
    decay: str = "cosine"
    dev_users: int = 2000
    patience: int = 6
    filter: bool = option(False, "never recommend items of the user's history")


# values of the sizes tiny and paper that the networks share
TINY: Mapping[str, Any] = dict(
    width=32,
    dropout=0.0,
    history=4,
    batch=32,
    fewest_steps=200,
    most_steps=200,
    rate=1e-2,
    warmup=20,
    dev_users=0,
)
PAPER: Mapping[str, Any] = dict(
    history=50, visits=200.0, weight_decay=0.0, decay="constant", warmup=0
)


def windows(histories: records.Histories, longest: int) -> dict[str, np.ndarray]:
    """ "source" and "target" i32[n, longest]: events and their successors.

    Item n is n + 1, 0 = pad behind. Every event but a user's first is a target once. A user with
    more than longest + 1 events has several rows, cut from the latest backwards.
    """
    sources, targets = [], []
    for user in range(len(histories)):
        events = histories.history(user) + 1
        for end in range(len(events), 1, -longest):
            first = max(end - longest - 1, 0)
            sources.append(events[first : end - 1])
            targets.append(events[first + 1 : end])
    pad = lambda rows: np.array(
        [np.pad(row, (0, longest - len(row))) for row in rows], np.int32
    ).reshape(-1, longest)
    return {"source": pad(sources), "target": pad(targets)}


def read(histories: records.Histories, longest: int) -> np.ndarray:
    """i32[B, longest] latest events, oldest first, item n as n + 1, 0 = pad behind."""
    latest = histories.latest(longest) + 1
    return np.take_along_axis(
        latest, np.argsort(latest == 0, axis=1, kind="stable"), axis=1
    ).astype(np.int32)


@functools.lru_cache(maxsize=32)  # equal losses share their compiled step
def loss_of(net: network.Network, config: Config) -> loop.Loss:
    """Mean loss over the targets of a batch, by config.loss of LOSSES.

    bce and bpr-max draw config.negatives items uniformly for each target.
    """
    num_items = net.spec.num_items

    def loss(params, batch, key):
        drop, draw = jax.random.split(key)
        source = batch["source"]
        target = batch["target"][:, : source.shape[1]]
        counted = target > 0
        hidden = net.encode(params, source, train=True, rngs={"dropout": drop})
        if config.loss == "ce":
            value = ranking.softmax(net.logits(params, hidden, None), jnp.maximum(target - 1, 0))
        else:
            wrong = jax.random.randint(draw, (*target.shape, config.negatives), 1, num_items + 1)
            wrong = jnp.where(wrong == target[..., None], wrong % num_items + 1, wrong)
            candidates = jnp.concatenate([jnp.maximum(target, 1)[..., None], wrong], axis=-1)
            scores = net.logits(params, hidden, candidates)
            value = {"bce": ranking.binary, "bpr-max": ranking.bpr_max}[config.loss](
                scores[..., 0], scores[..., 1:]
            )
        return (value * counted).sum() / jnp.maximum(counted.sum(), 1), {}

    return loss


def fit(
    shape: type, collection: records.Interactions, config: Config, key: jax.Array, log: logs.Log
) -> dict:
    """The state of a fitted network.

    The events of dev are not learned from: they select the parameters.

    shape: class of the network's spec, see `zoo.nets.network`; its fields are options of `config`.
    """
    sizes = {field.name: getattr(config, field.name, None) for field in dataclasses.fields(shape)}
    sizes |= {"num_items": len(collection.corpus)}
    spec = shape(**{name: value for name, value in sizes.items() if value is not None})
    net = network.build(spec)
    init_key, train_key = jax.random.split(key)
    rows = windows(collection.without("dev").histories, config.history)
    if not len(rows["source"]):
        raise records.DataError(
            "no user has two events before those of dev and test; nothing to learn from"
        )
    pack = lambda params: {
        "params": params,
        network.STATE: network.dump(spec),
        "corpus_ids": json.dumps(collection.corpus.ids),
    }
    validate = validation.by_dev(
        collection,
        lambda params, users: open(config, pack(params))(users, 10),
        users=config.dev_users,
        every=config.evaluate_every,
        patience=config.patience,
    )
    loss = loss_of(network.with_remat(net, log.execution.remat), config)
    params = stages.run(
        [stages.Stage("train", [batches.Source(rows, 1.0)], loss)],
        net.init(init_key),
        config,
        train_key,
        log,
        budget=stages.Budget.of(config, len(rows["source"])),
        validate=validate,
    )
    return pack(params)


@functools.partial(jax.jit, static_argnames="net")
def all_scores(params: dict, items: jax.Array, net: network.Network) -> jax.Array:
    """f32[B, N] of histories i32[B, S], 0 = pad behind: from the state of the last item."""
    hidden = net.encode(params, items)
    last = jnp.maximum((items > 0).sum(axis=1) - 1, 0)
    return net.logits(params, jnp.take_along_axis(hidden, last[:, None, None], axis=1)[:, 0], None)


def open(config: Config, state: dict) -> scoring.Scored:
    """Opens the state of `fit`: f32[B, N] of every item as the next."""
    net, params = network.of(state), jax.device_put(state["params"])

    def score(histories: records.Histories) -> np.ndarray:
        items = read(histories, config.history)
        found = [np.zeros((0, net.spec.num_items), np.float32)]
        for first in range(0, len(items), USERS):
            rows = np.arange(first, min(first + USERS, len(items)))
            size = next(size for size in (1, 8, 64, USERS) if size >= len(rows))
            scores = all_scores(params, jnp.asarray(items[np.resize(rows, size)]), net=net)
            found.append(np.asarray(scores)[: len(rows)])
        scores = np.concatenate(found)
        return scoring.recommendable(scores, histories, state, filter=config.filter)

    return scoring.Scored(score, state["corpus_ids"])
