"""Identifiers drawn at random: independently, without replacement, or one by one at rising temperature.

A decoder that draws walks down from the root and chooses each child with probability ~ exp(score / temperature) among the legal
ones, score being the model's logit. Draws therefore have the distribution of the masked and renormalised decoder, whatever
`score` says of the scores that are returned. Temperature 0 takes the best child.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from zoo.docids import table
from zoo.index import children
from zoo.search import automaton as automata, beam, nucleus


def sample(
    step: beam.Step,
    cache: beam.Cache,
    automaton: automata.Automaton,
    key: jax.Array,
    *,
    num: int,
    length: int,
    temperature,
    score: children.Score,
    top_p: float = 1.0,
) -> beam.Beams:
    """`num` independent draws for each of B queries, in the order drawn; the same identifier may come again.

    Args:
      step, cache, automaton, length, score: as for `beam.beam_search`; scores are log-probabilities at temperature 1.
      temperature: scalar or f32[num], at least 0, of each draw.
      top_p: only the fewest children of a prefix are drawn that hold this share of its mass at temperature 1 (nucleus
        sampling, arXiv:1904.09751).

    Returns:
      Beams [B, num, ...], not sorted. A draw that came to a prefix without a legal child has score -inf.
    """
    beam.check(cache, width=num, length=length, score=score)
    batch = jax.tree.leaves(cache)[0].shape[0]
    lane = jnp.zeros((batch, num), jnp.int32)
    node, cache = beam.gather((automaton.start(batch), cache), lane)
    temperature = jnp.broadcast_to(jnp.asarray(temperature, jnp.float32), (num,))[None, :, None]
    token, total, history = jnp.full((batch, num), beam.BOS), jnp.zeros((batch, num)), []
    for t in range(length):
        logits, cache = step(t, token, cache)
        gain, tokens, nodes = beam.score_children(automaton, t, node, logits, score=score)
        draw_key = jax.random.fold_in(key, t)
        likely = gain if top_p >= 1 else nucleus.truncated(gain, top_k=0, top_p=top_p)
        place = _draw(draw_key, likely, temperature)
        token, node, gain = (_child(x, place) for x in (tokens, nodes, gain))
        total = total + gain
        history.append(token)
    alive = total > -jnp.inf
    leaf = jnp.where(alive, automaton.leaf(length, node), beam.NO_LEAF)
    return beam.Beams(
        jnp.where(alive[..., None], jnp.stack(history, axis=2), table.PAD), total, leaf
    )


def sample_distinct(
    step: beam.Step,
    cache: beam.Cache,
    automaton: automata.Automaton,
    key: jax.Array,
    *,
    width: int,
    length: int,
    temperature: float = 1.0,
    score: children.Score,
) -> tuple[beam.Beams, jax.Array]:
    """`width` draws without replacement, by stochastic beam search (Kool et al. 2019, arXiv:1903.06059, alg. 1), in the order drawn.

    Column 0 is a draw from the decoder's distribution; column j from that of what columns 0 .. j-1 left: exactly, at the cost of
    one beam search. temperature: above 0.

    Returns:
      Beams, with scores at temperature 1, and f32[B, width] perturbed log-probabilities: Gumbel(log p) variables, descending, for
      importance weights (eq. 9-12 there); -inf where there is nothing left to draw.
    """
    beam.check(cache, width=width, length=length, score=score)
    batch = jax.tree.leaves(cache)[0].shape[0]
    node = automaton.start(batch)
    token, history = jnp.full((batch, 1), beam.BOS), jnp.zeros((batch, 1, 0), jnp.int32)
    total = log_probability = jnp.zeros((batch, 1))
    # the largest perturbed value below the root; where it lies does not matter to the order
    perturbed = jnp.zeros((batch, 1))
    for t in range(length):
        logits, cache = step(t, token, cache)
        gain, tokens, nodes = beam.score_children(automaton, t, node, logits, score=score)
        draw = log_probability[..., None] + _log_softmax(gain / temperature)
        noise = jax.random.gumbel(jax.random.fold_in(key, t), draw.shape)
        noisy = _conditioned(
            jnp.where(perturbed[..., None] > -jnp.inf, draw + noise, -jnp.inf), perturbed
        )
        total = total[..., None] + gain
        flat = lambda x: x.reshape(batch, -1, *x.shape[3:])
        perturbed, place = jax.lax.top_k(flat(noisy), min(width, noisy.shape[1] * noisy.shape[2]))
        parent = place // noisy.shape[2]
        token, node, total, log_probability = beam.gather(
            tuple(map(flat, (tokens, nodes, total, draw))), place
        )
        cache, history = beam.gather((cache, history), parent)
        history = jnp.concatenate([history, token[..., None]], axis=2)
    missing = [(0, 0), (0, width - perturbed.shape[1])]
    pad = lambda x, fill: jnp.pad(x, missing + [(0, 0)] * (x.ndim - 2), constant_values=fill)
    alive = perturbed > -jnp.inf
    tokens = jnp.where(alive[..., None], history, table.PAD)
    leaf = jnp.where(alive, automaton.leaf(length, node), beam.NO_LEAF)
    beams = beam.Beams(
        pad(tokens, table.PAD),
        pad(jnp.where(alive, total, -jnp.inf), -jnp.inf),
        pad(leaf, beam.NO_LEAF),
    )
    return beams, pad(perturbed, -jnp.inf)


def reverse_anneal(
    step: beam.Step,
    cache: beam.Cache,
    automaton: automata.Counting,
    key: jax.Array,
    *,
    temperature: jax.Array,
    length: int,
    score: children.Score,
) -> beam.Beams:
    """Identifiers drawn one by one, each deleted before the next, draw i at temperature[i]: the ranking of ZeroGR (Sun et al. 2025).

    temperature: f32[num], see `rising`; 0 draws greedily. A document's rank is the draw that found it: columns are in this order,
    and scores, log-probabilities of the identifiers, need not descend. What is exhausted is deleted upwards: a draw never ends
    where nothing is left while something is elsewhere. Fewer than num identifiers: the last columns have score -inf.

    Cost: num decodes of a single hypothesis, one after another; O(num) more for a child.
    """
    num = len(temperature)
    beam.check(cache, width=num, length=length, score=score)
    batch = jax.tree.leaves(cache)[0].shape[0]

    def draw(drawn, i):
        # i32[B, num, L] nodes drawn so far, -1 = none yet; i32[B, num] documents of each
        paths, weights = drawn
        node, here = automaton.start(batch), cache
        token, total, tokens, path = jnp.full((batch, 1), beam.BOS), jnp.zeros((batch, 1)), [], []
        for t in range(length):
            logits, here = step(t, token, here)
            gain, candidates, nodes = beam.score_children(automaton, t, node, logits, score=score)
            # -> [B, 1, C]
            taken = ((paths[:, None, None, :, t] == nodes[..., None]) * weights[:, None, None]).sum(
                axis=3
            )
            left = taken < automaton.counts(t + 1, nodes)
            place = _draw(
                jax.random.fold_in(jax.random.fold_in(key, i), t),
                jnp.where(left, gain, -jnp.inf),
                temperature[i],
            )
            best = jnp.where(left, gain, -jnp.inf)
            token, node, gain = (_child(x, place) for x in (candidates, nodes, best))
            total = total + gain
            tokens.append(token[:, 0])
            path.append(node[:, 0])
        alive = total[:, 0] > -jnp.inf
        path = jnp.where(alive[:, None], jnp.stack(path, axis=1), -1)
        weight = jnp.where(alive, automaton.counts(length, node)[:, 0], 0)
        leaf = jnp.where(alive, automaton.leaf(length, node)[:, 0], beam.NO_LEAF)
        found = jnp.where(alive[:, None], jnp.stack(tokens, axis=1), table.PAD), total[:, 0], leaf
        return (paths.at[:, i].set(path), weights.at[:, i].set(weight)), found

    nothing = jnp.full((batch, num, length), -1), jnp.zeros((batch, num), jnp.int32)
    _, found = jax.lax.scan(draw, nothing, jnp.arange(num))
    return beam.Beams(*(jnp.moveaxis(x, 0, 1) for x in found))


def rising(
    num: int, *, most: float = 1.5, steepness: float = 10.0, middle: float = 0.1
) -> jax.Array:
    """f32[num] temperatures of draws 0 .. num-1, from 0 towards `most`: a logistic curve in i / num (ZeroGR).

    t_i = most (s(k (i/num - m)) - s(-k m)) / (s(k (1 - m)) - s(-k m)), s the logistic function, k steepness, m middle.
    """
    curve = lambda x: jax.nn.sigmoid(steepness * (x - middle))
    return most * (curve(jnp.arange(num) / num) - curve(0.0)) / (curve(1.0) - curve(0.0))


def _draw(key, score, temperature):
    """i32[B, K] place drawn from f32[B, K, C] with probability ~ exp(score / temperature); the first best at temperature 0."""
    noise = jax.random.gumbel(key, score.shape) * temperature
    return jnp.argmax(jnp.where(score > -jnp.inf, score + noise, -jnp.inf), axis=2)


def _child(x, place):
    """[B, K, ...] of children [B, K, C, ...] at places i32[B, K]."""
    return jax.vmap(jax.vmap(lambda row, index: row[index]))(x, place)


def _log_softmax(score):
    """As jax.nn.log_softmax over the last axis; -inf where all are."""
    normal = jax.nn.log_softmax(score, axis=-1)
    return jnp.where(jnp.isnan(normal), -jnp.inf, normal)


def _conditioned(noisy, largest):
    """Gumbel variables f32[B, K, C] given that the largest of C is largest f32[B, K]; eq. 22-23 of arXiv:1903.06059, without overflow."""
    top = noisy.max(axis=2, keepdims=True)
    largest = largest[..., None]
    # -log(exp(-largest) - exp(-top) + exp(-noisy)), taken relative to `largest`
    v = largest - noisy + jnp.log1p(-jnp.exp(jnp.minimum(noisy - top, 0.0)))
    found = largest - jnp.maximum(v, 0.0) - jnp.log1p(jnp.exp(-jnp.abs(v)))
    found = jnp.where(noisy >= top, largest, found)
    return jnp.where((noisy > -jnp.inf) & (largest > -jnp.inf), found, -jnp.inf)
