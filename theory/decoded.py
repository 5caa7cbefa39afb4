"""The law of the documents that constrained beam search generates, from the search itself."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from zoo.docids import table
from zoo.index import trie
from zoo.search import beam


def law(relevance: np.ndarray, branching: int, depth: int, kept: np.ndarray) -> np.ndarray:
    """f64[kept.sum()] probability of each kept document under masking and renormalising.

    relevance: f[N] of the Bayes-optimal model; its marginals over the full tree are the step
    closure. kept: bool[N].
    The beam is as wide as the corpus, so every document comes back with its exact probability.
    """
    leaves = np.flatnonzero(kept)
    codes = np.stack(np.unravel_index(leaves, (branching,) * depth), axis=1).astype(np.int32) + 1
    index = trie.build(table.build(codes, alphabet=branching + 1))
    logs = tuple(
        jnp.asarray(np.log(relevance.reshape(branching ** (t + 1), -1).sum(1)), jnp.float32)
        for t in range(depth)
    )
    found = _search(index, logs, width=len(leaves))
    probability = np.zeros(len(leaves))
    probability[np.asarray(index.documents_of(found.leaf))[0, :, 0]] = np.exp(
        np.asarray(found.score[0], np.float64)
    )
    return probability


@functools.partial(jax.jit, static_argnames="width")
def _search(index: trie.Trie, logs: tuple[jax.Array, ...], *, width: int) -> beam.Beams:
    branching, depth = len(logs[0]), len(logs)

    def step(t, token, node):  # cache: number of the node of the full tree
        node = node * branching + token - 1 if t else node
        child = node[..., None] * branching + jnp.arange(branching)[None, None]
        return jnp.pad(logs[t][child], [(0, 0), (0, 0), (1, 0)], constant_values=-jnp.inf), node

    return beam.beam_search(
        step, jnp.zeros((1, 1), jnp.int32), index, width=width, length=depth, score="renormalised"
    )
