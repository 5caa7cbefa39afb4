"""What a beam keeps on its way to the answers of a query, to be looked at or drawn."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo import recipes, records
from zoo.docids import table
from zoo.index import trie
from zoo.models import generate
from zoo.search import beam


class Path(NamedTuple):
    """The hypotheses of one query."""

    levels: tuple[beam.Prefixes, ...]  # of depth 1 .. L, leaves [K_t, ...], best first
    # i[K_L] row of the document that each hypothesis of the last depth names, -1 = none
    documents: np.ndarray


def of(recipe: recipes.Recipe, config: Any, state: dict, queries: Any, *, width: int) -> Path:
    """What a trie-constrained beam of `width` keeps at each depth for the first of some queries.

    Raises DataError if the system generates no identifiers.
    """
    if recipe.reads is None:
        raise records.DataError(
            f"path: {recipe.name} generates no identifiers; expected a system with an encoder-decoder, such as dsi"
        )
    sources, shape = recipe.reads(config, state, queries)
    ids = table.Docids(np.asarray(state["docids"]["tokens"]), int(state["docids"]["alphabet"]))
    levels = _prefixes(
        state["params"], jnp.asarray(sources[:1]), trie.build(ids), shape=shape, width=width
    )
    levels = tuple(jax.tree.map(lambda leaf: np.asarray(leaf)[0], level) for level in levels)
    return Path(
        levels, np.where(np.isfinite(levels[-1].score), table.lookup(ids, levels[-1].token), -1)
    )


@functools.partial(jax.jit, static_argnames=("shape", "width"))
def _prefixes(
    params: dict, source: jax.Array, index: trie.Trie, *, shape: Any, width: int
) -> tuple[beam.Prefixes, ...]:
    step, cache = generate.steps(params, source, shape)
    return beam.beam_prefixes(
        step, cache, index, width=width, length=shape.target_length, renormalize=False
    )
