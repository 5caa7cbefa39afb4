"""The beam search of the zoo, constrained to an exported trie, as a `decode_fn` of t5x.

It differs from t5x's own beam search with masked logits: a masked token is a dead hypothesis, never
an answer of score -1e7; identifiers need no end token, and token 1 is a code like any other,
whatever eos_id is; there is no length penalty; if fewer identifiers exist than are requested, the
rest are padding with score -inf.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo.docids import table
from zoo.exchange import exported
from zoo.index import children, trie
from zoo.search import beam

# leaves of a flax cache without a beam dimension
UNBEAMED = ("cache_index", "cached_bias", "position_embedder_index")


class State(NamedTuple):
    """The fields of `t5x.decoding.DecodingState`."""

    cur_index: jax.Array  # i32[B K]
    sequences: jax.Array  # i32[B K, L + 1] a start token and the tokens so far
    cur_token: jax.Array  # i32[B K, 1]
    cache: Any


def trie_beam_search(
    inputs: jax.Array,
    cache: Any,
    tokens_to_logits: Any,
    eos_id: int,
    num_decodes: int,
    decode_rng: jax.Array | None = None,
    cache_offset: int = 0,
    *,
    folder: str,
    score: children.Score = "model",
    later_beam: int = 0,
) -> tuple[jax.Array, jax.Array]:
    """Identifiers i32[B, K, L'] of an export and their scores f32[B, K], in ASCENDING order: the
    best is [:, -1].

    inputs: i32[B, L'], whose length alone counts, at least that of the identifiers; a prompt is not
      followed.
    cache: of flax, leaves [B, ...], or [layers, B, ...] with cache_offset = 1. num_decodes: K, also
      the width of the beam.
    folder: of the export. score: as of `zoo.search.beam`. eos_id and decode_rng are not read.
    later_beam: width from the second level on, at most K; 0 = K. With K = 256 first codes and 50
      later hypotheses this is TIGER's search (`first_beam`); the other answers are padding. Steps
      compute K rows in any case, since t5x repeats the encoder's output K times.
    """
    index = jax.tree.map(jnp.asarray, _trie(folder))
    return decode(
        inputs,
        cache,
        tokens_to_logits,
        index,
        num_decodes=num_decodes,
        cache_offset=cache_offset,
        score=score,
        later_beam=later_beam,
    )


def decode(
    inputs: jax.Array,
    cache: Any,
    tokens_to_logits: Any,
    index: trie.Trie,
    *,
    num_decodes: int,
    cache_offset: int = 0,
    score: children.Score = "model",
    later_beam: int = 0,
) -> tuple[jax.Array, jax.Array]:
    """Like `trie_beam_search`, with the trie as an argument."""
    batch, longest = inputs.shape
    if longest < index.length:
        raise ValueError(
            f"decode: targets have {longest} tokens, identifiers {index.length}; "
            f"set TASK_FEATURE_LENGTHS targets to {index.length} or more"
        )

    if not 0 <= later_beam <= num_decodes:
        raise ValueError(
            f"decode: expected later_beam in 0 .. num_decodes = {num_decodes}, got {later_beam}"
        )

    def step(t: int, token: jax.Array, kept: dict) -> tuple[jax.Array, dict]:
        width = token.shape[1]
        filled = lambda leaf: jnp.pad(
            leaf, [(0, 0), (0, num_decodes - width)] + [(0, 0)] * (leaf.ndim - 2), mode="edge"
        )
        flat = lambda leaf: filled(leaf).reshape(batch * num_decodes, *leaf.shape[2:])
        state = State(
            jnp.full(batch * num_decodes, t),
            flat(kept["chosen"]),
            flat(token)[:, None],
            _joined(kept, flat, cache_offset),
        )
        logits, after = tokens_to_logits(state)
        apart = lambda leaf: leaf.reshape(batch, num_decodes, *leaf.shape[1:])[:, :width]
        chosen = jnp.where(jnp.arange(longest + 1) == t, token[..., None], kept["chosen"])
        return apart(logits), {"chosen": chosen} | _parted(
            after, apart, cache_offset, (batch, width)
        )

    one = lambda leaf: leaf[:, None]
    start = {"chosen": jnp.zeros((batch, 1, longest + 1), jnp.int32)} | _parted(
        cache, one, cache_offset, (batch, 1)
    )
    found = beam.beam_search(
        step,
        start,
        index,
        width=(num_decodes, later_beam or num_decodes),
        length=index.length,
        score=score,
    )
    return _answers(found, num_decodes, longest)


def _answers(found: beam.Beams, num_decodes: int, longest: int) -> tuple[jax.Array, jax.Array]:
    """Tokens i32[B, num_decodes, longest] and scores, padded, in ascending order."""
    rows = (0, num_decodes - found.score.shape[1])
    columns = (0, longest - found.token.shape[2])
    tokens = jnp.pad(found.token, ((0, 0), rows, columns), constant_values=table.PAD)
    scores = jnp.pad(found.score, ((0, 0), rows), constant_values=-jnp.inf)
    return tokens[:, ::-1], scores[:, ::-1]


def _parted(cache: Any, apart: Any, offset: int, beams: tuple[int, int]) -> dict:
    """Leaves [B, K, ...] by path; shared leaves are copied, so that one rule gathers all."""
    parted = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(cache):
        name = tuple(entry.key for entry in path)
        shared = name[-1] in UNBEAMED
        parted[name] = (
            jnp.broadcast_to(leaf, (*beams, *leaf.shape))
            if shared
            else apart(jnp.moveaxis(leaf, offset, 0))
        )
    return {"cache": parted}


def _joined(kept: dict, flat: Any, offset: int) -> dict:
    """The nested dicts, inverse of `_parted`."""
    cache: dict = {}
    for name, leaf in kept["cache"].items():
        place = cache
        for part in name[:-1]:
            place = place.setdefault(part, {})
        place[name[-1]] = (
            leaf[0, 0] if name[-1] in UNBEAMED else jnp.moveaxis(flat(leaf), 0, offset)
        )
    return cache


@functools.cache
def _trie(folder: str) -> trie.Trie:
    """The trie on the host: a device array created during tracing would be a tracer."""
    return jax.tree.map(np.asarray, exported.read(folder).trie())
