"""Diverse beam search: groups of hypotheses that are penalised for the tokens of earlier groups."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from zoo.index import children
from zoo.search import automaton as automata, beam


def diverse_beam_search(
    step: beam.Step,
    cache: beam.Cache,
    automaton: automata.Automaton,
    *,
    width: int,
    groups: int,
    penalty: float,
    length: int,
    score: children.Score,
) -> beam.Beams:
    """Identifiers of `groups` beams that take turns at each level (arXiv:1610.02424).

    A beam ranks children by score - penalty x the number of hypotheses of earlier beams with the
    same token at this level (Hamming diversity, eq. 4 and alg. 1); penalties accumulate over
    levels. With one group or penalty 0 every beam equals `beam_search`. In a trie, beams can meet
    in the same identifier: it is answered once, so there may be fewer answers than width.

    Args:
      step, cache, automaton, length, score: as for `beam.beam_search`.
      width: hypotheses of all groups together.
      groups: number of beams; must divide width.
      penalty: lambda, at least 0, in nats.

    Returns Beams of `width` columns, by score without the penalties.
    """
    beam.check(cache, width=width, length=length, score=score)
    if groups < 1 or width % groups or penalty < 0:
        raise ValueError(
            f"diverse: expected groups that divide width {width} and a penalty of at least 0, "
            f"got {groups} and {penalty}"
        )
    each = width // groups
    batch = jax.tree.leaves(cache)[0].shape[0]
    lane = jnp.zeros((batch, groups), jnp.int32)
    node, cache = beam.gather((automaton.start(batch), cache), lane)  # -> [B, G K, ...] with K = 1
    token, history = jnp.full((batch, groups), beam.BOS), jnp.zeros((batch, groups, 0), jnp.int32)
    total = key = jnp.zeros((batch, groups))
    for t in range(length):
        logits, cache = step(t, token, cache)
        gain, tokens, nodes = beam.score_children(automaton, t, node, logits, score=score)
        total, key = total[..., None] + gain, key[..., None] + gain  # -> [B, G K, C]
        here, num_children = token.shape[1] // groups, gain.shape[2]
        used, kept = jnp.zeros((batch, logits.shape[2])), []
        for group in range(groups):
            rows = slice(group * here, (group + 1) * here)
            flat = lambda x: x[:, rows].reshape(batch, -1, *x.shape[3:])
            crowd = jnp.take_along_axis(used, jnp.maximum(flat(tokens), 0), axis=1)
            ranked = flat(key) - penalty * crowd
            ranked, place = jax.lax.top_k(ranked, min(each, here * num_children))
            chosen = beam.gather((flat(tokens), flat(nodes), flat(total)), place)
            parent = place // num_children + group * here
            kept.append((*chosen, ranked, parent))
            used = jax.vmap(lambda to, where, alive: to.at[where].add(alive))(
                used, chosen[0], (ranked > -jnp.inf).astype(used.dtype)
            )
        token, node, total, key, parent = (jnp.concatenate(x, axis=1) for x in zip(*kept))
        cache, history = beam.gather((cache, history), parent)
        history = jnp.concatenate([history, token[..., None]], axis=2)
    return beam.distinct(beam.answers(automaton, beam.Prefixes(history, total, node), width=width))
