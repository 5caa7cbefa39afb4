"""New items in a network that scores all items by their embeddings."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp

from zoo import records
from zoo.nets import network
from zoo.update import catalogue


def add(config: Any, state: dict, corpus: records.Corpus) -> dict:
    """The state with new items, whose embeddings start as the mean of all items."""
    spec = network.of(state).spec
    table = jnp.asarray(state["params"]["params"]["items"]["embedding"])  # row 0 is the pad
    fresh = jnp.repeat(table[1:].mean(axis=0, keepdims=True), len(corpus), axis=0)
    tree = state["params"]["params"] | {"items": {"embedding": jnp.concatenate([table, fresh])}}
    wider = dataclasses.replace(spec, num_items=spec.num_items + len(corpus))
    return catalogue.append(state, corpus) | {
        "params": state["params"] | {"params": tree},
        network.STATE: network.dump(wider),
    }
