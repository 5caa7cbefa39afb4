"""Partial hypotheses over an FM-index in a loop of one compiled step, and views of its n-grams.

A view is a kind of n-gram (SEAL, arXiv 2204.10628, sec. 3.1: titles and bodies; MINDER, arXiv
2305.16675, sec. 3.1: also pseudo-queries): those that follow an opening token, end with a closing
token, or hold no marker at all.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from zoo.docids import table
from zoo.index import children, fm, projection
from zoo.search import beam

NONE = 0  # no opening or closing token: 0 separates documents and is in no n-gram


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """The n-grams of a view per query, an automaton (`automaton.Choosing`).

    Its hypotheses are the tokens after `opening`.
    """

    index: fm.FMIndex
    opening: jax.Array  # i32[B] the token before all n-grams, NONE = they begin anywhere
    closing: jax.Array  # i32[B] the marker that nothing follows, NONE = there is none
    markers: jax.Array  # i32[M] tokens that no n-gram holds, but for `closing`

    def start(self, batch: int) -> jax.Array:
        """i32[B, 1, 2] the opening token, or all rows."""
        every = self.index.start(batch)
        opened = self.index.extend(every, self.opening[:, None])
        return jnp.where((self.opening == NONE)[:, None, None], every, opened)

    def choose(
        self,
        t: int,
        node: jax.Array,
        before: jax.Array,
        logits: jax.Array,
        *,
        width: int,
        score: children.Score,
    ) -> children.Winners:
        """As `FMIndex.choose`; a hypothesis that takes another marker is dead."""
        found = self.index.choose(t, node, before, logits, width=width, score=score)
        ended = (found.token == self.closing[:, None]) & (self.closing != NONE)[:, None]
        dead = jnp.isin(found.token, self.markers) & ~ended
        return found._replace(
            score=jnp.where(dead, -jnp.inf, found.score),
            node=jnp.where(ended[..., None], 0, found.node),
        )


def partial_hypotheses(
    step: beam.Step, cache: beam.Cache, view: View, *, width: int, length: int
) -> tuple[jax.Array, jax.Array]:
    """Tokens i32[B, L K, L] and log-probabilities f32[B, L K] of all hypotheses of a beam search.

    Those of `beam.beam_prefixes` with score="model" at the depths 1 .. L, depth by depth, padded
    with PAD; dead ones have score -inf. Every depth has K columns, the alphabet permitting.

    Args:
      step, cache: as for `beam.beam_search`, but the step gets the position as an array and the
        cache has places for all L positions.
      width: K, at most the alphabet.
    """
    beam.check(cache, width=width, length=length)
    batch = jax.tree.leaves(cache)[0].shape[0]
    copies = jnp.zeros((batch, width), jnp.int32)
    alone = jnp.where(jnp.arange(width) == 0, 0.0, -jnp.inf)  # one empty hypothesis
    start = (
        jnp.broadcast_to(view.start(batch), (batch, width, 2)),
        jnp.broadcast_to(alone[None], (batch, width)),
        jnp.full((batch, width), beam.BOS, jnp.int32),
        beam.gather(cache, copies),
        jnp.full((batch, width, length), table.PAD, jnp.int32),
    )

    def advance(carried, t):
        node, total, token, cache, written = carried
        logits, cache = step(t, token, cache)
        found = view.choose(t, node, total, projection.dense(logits), width=width, score="model")
        assert found.parent is not None  # an FM-index always branches
        cache, written = beam.gather((cache, written), found.parent)
        written = written.at[:, :, t].set(found.token)
        return (found.node, found.score, found.token, cache, written), (written, found.score)

    _, (tokens, scores) = jax.lax.scan(advance, start, jnp.arange(length))
    flat = lambda x: jnp.moveaxis(x, 0, 1).reshape(batch, -1, *x.shape[3:])
    return flat(tokens), flat(scores)


def first_log_probs(step: beam.Step, cache: beam.Cache) -> jax.Array:
    """f32[B, V] log-probabilities of the tokens that may come first."""
    batch = jax.tree.leaves(cache)[0].shape[0]
    logits, _ = step(jnp.int32(0), jnp.full((batch, 1), beam.BOS, jnp.int32), cache)
    return jax.nn.log_softmax(projection.dense(logits).astype(jnp.float32), axis=-1)[:, 0]


def log_probs(step: beam.Step, cache: beam.Cache, ngrams: jax.Array) -> jax.Array:
    """f32[B, G] log-probabilities of n-grams i32[B, G, L], padded with PAD, which adds nothing.

    step, cache: as for `partial_hypotheses`.
    """
    batch, num, length = ngrams.shape
    cache = beam.gather(cache, jnp.zeros((batch, num), jnp.int32))
    total, token = jnp.zeros((batch, num), jnp.float32), jnp.full((batch, num), beam.BOS, jnp.int32)
    for t in range(length):
        logits, cache = step(jnp.int32(t), token, cache)
        gain = jax.nn.log_softmax(projection.dense(logits).astype(jnp.float32), axis=-1)
        token = ngrams[..., t]
        gain = jnp.take_along_axis(gain, token[..., None], axis=-1)[..., 0]
        total = total + jnp.where(token == table.PAD, 0.0, gain)
    return total
