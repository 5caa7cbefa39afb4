"""Sampling of texts with top-k (arXiv:1805.04833) and nucleus truncation (arXiv:1904.09751).

For long sequences without a constraint: one compiled step in a loop serves every position.
`zoo.search.sampling` samples identifiers.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from zoo.docids import table
from zoo.index import projection
from zoo.search import beam


def draw(
    step: beam.Step,
    cache: beam.Cache,
    key: jax.Array,
    *,
    num: int,
    length: int,
    end: int,
    likely: Callable[[jax.Array], jax.Array],
) -> jax.Array:
    """i32[B, num, length] independent samples per query, PAD after the end of each.

    Args:
      step, cache: as for `beam.beam_search`, but the step gets the position as an array.
      num: number of samples per query.
      length: most tokens of a sample.
      end: the token that ends a text; if it is not PAD, PAD is never sampled.
      likely: logits f32[B, num, V] -> the logits that are sampled from, such as `truncated`.
    """
    beam.check(cache, width=num, length=length)
    batch = jax.tree.leaves(cache)[0].shape[0]
    cache = beam.gather(cache, jnp.zeros((batch, num), jnp.int32))

    def advance(t, carried):
        token, cache, ended, written = carried
        logits, cache = step(t, token, cache)
        logits = projection.dense(logits).astype(jnp.float32)
        if end != table.PAD:
            logits = logits.at[..., table.PAD].set(-jnp.inf)
        drawn = jax.random.categorical(jax.random.fold_in(key, t), likely(logits), axis=-1)
        token = jnp.where(ended, table.PAD, drawn).astype(jnp.int32)
        return token, cache, ended | (drawn == end), written.at[:, :, t].set(token)

    first = jnp.full((batch, num), beam.BOS, jnp.int32)
    blank = jnp.full((batch, num, length), table.PAD, jnp.int32)
    return jax.lax.fori_loop(
        0, length, advance, (first, cache, jnp.zeros((batch, num), bool), blank)
    )[3]


def truncated(logits: jax.Array, *, top_k: int, top_p: float | jax.Array) -> jax.Array:
    """Logits f32[..., V] with -inf outside the top_k largest and the nucleus of these.

    The nucleus is the smallest set of tokens with mass top_p; the largest logit always stays.
    top_k: 0 = all. top_p: above 0; 1 = all. Ties go to the lower token.
    """
    size = logits.shape[-1]
    value, token = jax.lax.top_k(logits, min(top_k, size) if top_k else size)
    share = jax.nn.softmax(value, axis=-1)
    before = jnp.cumsum(share, axis=-1) - share
    kept = jnp.where((before < top_p) | (top_p >= 1), value, -jnp.inf)
    return jnp.put_along_axis(jnp.full_like(logits, -jnp.inf), token, kept, axis=-1, inplace=False)
