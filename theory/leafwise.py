"""Beam search down a whole tree with every leaf's score drawn: recall and precision@1."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from theory import simulate, worlds
from zoo.docids import table
from zoo.index import trie
from zoo.search import beam, guided


class Leafwise(NamedTuple):
    """Result of `search`, over queries."""

    recall: simulate.Estimate  # share of the k relevant leaves among the K answers
    precision: simulate.Estimate  # whether the first answer is relevant


def search(
    world: worlds.SparseThick,
    depth: int,
    key: jax.Array,
    *,
    width: int,
    num_queries: int,
    marginal: str = "sum",
) -> Leafwise:
    """The whole search down a full tree, every leaf's score drawn.

    Args:
      world: of branching**(depth - 1) leaves per branch, with scores above 0.
      depth: m of the tree.
      width: K.
      marginal: "sum", the step closure returns the log of the mass below each child, like a
        Bayes-optimal autoregressive model; or
        "max": `guided.max_marginal`, with which a beam of k finds the exact top k.

    Raises:
      ValueError: for another number of leaves, another marginal, or a score <= 0 in a search by
        sums.
    """
    b, num_leaves = world.branching, world.branching**depth
    if world.leaves * b != num_leaves:
        raise ValueError(
            f"leafwise.search: expected {num_leaves // b} leaves per branch at depth {depth}, "
            f"got {world.leaves}"
        )
    if marginal not in ("sum", "max"):
        raise ValueError(f'leafwise.search: expected marginal "sum" or "max", got {marginal!r}')
    codes = (
        np.stack(np.unravel_index(np.arange(num_leaves), (b,) * depth), axis=1).astype(np.int32) + 1
    )
    ids = table.build(codes, alphabet=b + 1)
    index, where = trie.build(ids), guided.nodes(ids)
    together = min(max(1, simulate.BLOCK_SCORES // num_leaves), num_queries)
    once = jax.jit(functools.partial(_searched, world, depth, width, marginal, together))
    parts = [
        once(part, index, where) for part in jax.random.split(key, -(-num_queries // together))
    ]
    if marginal == "sum" and any(bool(negative) for _, negative in parts):
        raise ValueError(
            f"leafwise.search: a search by sums expects scores above 0, the {world.tail.name} tail "
            "drew one below; use gamma"
        )
    values = np.concatenate([np.asarray(found, np.float64) for found, _ in parts])
    mean, stderr = values.mean(0), values.std(0, ddof=1) / math.sqrt(max(len(values), 2))
    return Leafwise(*(simulate.Estimate(m, e, len(values)) for m, e in zip(mean, stderr)))


def _searched(
    world,
    depth: int,
    width: int,
    marginal: str,
    together: int,
    key: jax.Array,
    index: trie.Trie,
    where: guided.Nodes,
):
    """f32[together, 2] recall and precision@1, and whether a score was not positive."""
    b = world.branching
    score, place, leaf = jax.random.split(key, 3)
    scores = world.tail.mean + world.tail.sd * world.tail.leaves(score, (together, b, world.leaves))
    # branches
    chosen = jnp.argsort(jax.random.uniform(place, (together, b)), axis=1)[:, : world.relevant]
    row, which = (
        jnp.arange(together)[:, None],
        jax.random.randint(leaf, chosen.shape, 0, world.leaves),
    )
    scores = scores.at[row, chosen, which].set(world.score).reshape(together, -1)
    relevant = jnp.zeros(scores.shape, bool).at[row, chosen * world.leaves + which].set(True)
    if marginal == "max":
        legal = guided.max_marginal(index, where, scores)
        step, cache = (
            lambda t, token, node: (jnp.zeros((*token.shape, b + 1)), node),
            jnp.zeros((together, 1)),
        )
    else:
        logs = [jnp.log(scores.reshape(together, b ** (t + 1), -1).sum(-1)) for t in range(depth)]
        # cache: number of the node at depth t
        legal, cache = index, jnp.zeros((together, 1), jnp.int32)

        def step(t, token, node):
            node = node * b + token - 1 if t else node
            child = node[..., None] * b + jnp.arange(b)[None, None]
            logits = jnp.take_along_axis(logs[t], child.reshape(together, -1), axis=1).reshape(
                child.shape
            )
            return jnp.pad(logits, [(0, 0), (0, 0), (1, 0)], constant_values=-jnp.inf), node

    beams = beam.beam_search(step, cache, legal, width=width, length=depth, score="model")
    found = index.documents_of(beams.leaf)[..., 0]
    hit = jnp.take_along_axis(relevant, jnp.maximum(found, 0), axis=1) & (found >= 0)
    return jnp.stack([hit.sum(1) / world.relevant, hit[:, 0].astype(jnp.float32)], axis=1), (
        scores <= 0
    ).any()
