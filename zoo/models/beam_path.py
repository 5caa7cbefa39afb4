"""The prefixes that a beam keeps at each depth, to inspect or draw."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import numpy as np

from zoo.docids import table
from zoo.index import trie
from zoo.models import generate
from zoo.nets import network
from zoo.search import beam


class Path(NamedTuple):
    """The hypotheses of one query."""

    levels: tuple[beam.Prefixes, ...]  # of depth 1 .. L, leaves [K_t, ...], best first
    # i[K_L] row of the document that each hypothesis of the last depth names, -1 = none
    documents: np.ndarray


def trace(model: generate.Model, source: np.ndarray, *, width: int) -> Path:
    """The prefixes that a trie-constrained beam keeps at each depth for source i32[S]."""
    levels = _prefixes(model.params, source[None], model.index, net=model.net, width=width)
    levels = tuple(jax.tree.map(lambda leaf: np.asarray(leaf)[0], level) for level in levels)
    documents = table.lookup(model.ids, levels[-1].token)
    return Path(levels, np.where(np.isfinite(levels[-1].score), documents, -1))


@functools.partial(jax.jit, static_argnames=("net", "width"))
def _prefixes(
    params: dict, source: jax.Array, index: trie.Trie, *, net: network.Network, width: int
) -> tuple[beam.Prefixes, ...]:
    step, cache = generate.steps(params, source, net)
    return beam.beam_prefixes(
        step, cache, index, width=width, length=net.spec.target_length, score="model"
    )
