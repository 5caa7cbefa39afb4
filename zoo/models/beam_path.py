"""The prefixes that a beam keeps at each depth, to inspect or draw."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import numpy as np

from zoo import records
from zoo.docids import table
from zoo.index import children, trie
from zoo.models import generate
from zoo.nets import network
from zoo.search import beam, guided


class Path(NamedTuple):
    """The hypotheses of one query."""

    levels: tuple[beam.Prefixes, ...]  # of depth 1 .. L, leaves [K_t, ...], best first
    # i[K_L] row of the document that each hypothesis of the last depth names, -1 = none
    documents: np.ndarray


def trace(opened: generate.Opened, queries: records.Queries, *, width: int) -> Path:
    """The prefixes that a trie-constrained beam keeps at each depth for one query.

    Scores are those of identifiers, without what a plan adds.
    """
    model, planned = opened.model, None
    if opened.plan is not None:
        planned = opened.plan(queries), opened.nodes
    levels = _prefixes(
        model.params,
        opened.read(queries),
        model.index,
        planned,
        net=model.net,
        width=width,
        score=opened.decode.score,
    )
    levels = tuple(jax.tree.map(lambda leaf: np.asarray(leaf)[0], level) for level in levels)
    documents = table.lookup(model.ids, levels[-1].token)
    return Path(levels, np.where(np.isfinite(levels[-1].score), documents, -1))


@functools.partial(jax.jit, static_argnames=("net", "width", "score"))
def _prefixes(
    params: dict,
    source: jax.Array,
    index: trie.Trie,
    planned: tuple[jax.Array, guided.Nodes] | None,
    *,
    net: network.Network,
    width: int,
    score: children.Score,
) -> tuple[beam.Prefixes, ...]:
    step, cache = generate.steps(params, source, net)
    return beam.beam_prefixes(
        step,
        cache,
        index,
        width=width,
        length=net.spec.target_length,
        score=score,
        potential=None if planned is None else guided.upper_bounds(planned[1], planned[0]),
    )
