"""Sampling of identifiers: independent, without replacement, or one by one at rising temperature.

A sampler walks down from the root and chooses a legal child with probability proportional to
exp(logit / temperature). Samples therefore have the distribution of the masked and renormalised
decoder, whatever `score` the returned scores are. Temperature 0 takes the best child.
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
    temperature: jax.Array,
    length: int,
    score: children.Score,
    top_p: float = 1.0,
) -> beam.Beams:
    """`num` independent samples per query in the order drawn; an identifier may repeat.

    Args:
      step, cache, automaton, length, score: as for `beam.beam_search`; scores are at temperature 1.
      key: of the samples.
      temperature: f32[num] of each sample, at least 0; 0 is greedy.
      top_p: nucleus sampling (arXiv:1904.09751): only the smallest set of children with this share
        of the mass at temperature 1 is sampled from.

    Returns: Beams [B, num, ...], not sorted. A sample that reached a prefix without a legal child
      has score -inf.
    """
    num = len(temperature)
    beam.check(cache, width=num, length=length, score=score)
    batch = jax.tree.leaves(cache)[0].shape[0]
    lane = jnp.zeros((batch, num), jnp.int32)
    node, cache = beam.gather((automaton.start(batch), cache), lane)
    temperature = temperature[None, :, None]
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
    """`width` samples without replacement: stochastic beam search (arXiv:1903.06059, alg. 1).

    In the order drawn. Column 0 is a sample from the decoder's distribution, column j from the
    distribution that columns 0 .. j-1 leave: exact, at the cost of one beam search.

    Args:
      step, cache, automaton, length, score: as for `beam.beam_search`; scores are at temperature 1.
      key: of the samples.
      width: number of samples per query.
      temperature: above 0.

    Returns: Beams, and f32[B, width] perturbed log-probabilities: Gumbel(log p) variables in
      descending order, for importance weights (eq. 9-12 there); -inf if nothing is left to draw.
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
    """Identifiers sampled one by one, each deleted before the next (ZeroGR, Sun et al. 2025).

    A document's rank is the number of the sample that found it: columns are in this order, and
    their scores need not descend. A prefix without remaining documents is deleted too, so no sample
    ends in a dead end while documents remain elsewhere. If there are fewer than num identifiers,
    the last columns have score -inf.

    Args:
      step, cache, length, score: as for `beam.beam_search`; scores are at temperature 1.
      automaton: one that counts documents, such as a trie.
      key: of the samples.
      temperature: f32[num] of each sample, see `rising`; 0 is greedy.

    Cost: num decodes of a single hypothesis in sequence, and O(num) per child.
    """
    num = len(temperature)
    beam.check(cache, width=num, length=length, score=score)
    batch = jax.tree.leaves(cache)[0].shape[0]

    def draw(drawn, i):
        # i32[B, num, L] nodes of the samples so far, -1 = none yet; i32[B, num] documents of each
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
            gain = jnp.where(left, gain, -jnp.inf)
            place = _draw(jax.random.fold_in(jax.random.fold_in(key, i), t), gain, temperature[i])
            token, node, gain = (_child(x, place) for x in (candidates, nodes, gain))
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
    """f32[num] temperatures of samples 0 .. num-1, rising from 0 towards `most` (ZeroGR).

    t_i = most (s(k (i/num - m)) - s(-k m)) / (s(k (1 - m)) - s(-k m))

    with s the logistic function, k = steepness, m = middle.
    """
    curve = lambda x: jax.nn.sigmoid(steepness * (x - middle))
    return most * (curve(jnp.arange(num) / num) - curve(0.0)) / (curve(1.0) - curve(0.0))


def _draw(key, score, temperature):
    """i32[B, K] index sampled from f32[B, K, C] with probability ~ exp(score / temperature).

    At temperature 0 the first of the best.
    """
    noise = jax.random.gumbel(key, score.shape) * temperature
    return jnp.argmax(jnp.where(score > -jnp.inf, score + noise, -jnp.inf), axis=2)


def _child(x, place):
    """[B, K, ...] of children [B, K, C, ...] at places i32[B, K]."""
    return jax.vmap(jax.vmap(lambda row, index: row[index]))(x, place)


def _log_softmax(score):
    """Log-softmax over the last axis; -inf if all entries are."""
    normal = jax.nn.log_softmax(score, axis=-1)
    return jnp.where(jnp.isnan(normal), -jnp.inf, normal)


def _conditioned(noisy, largest):
    """Gumbel variables f32[B, K, C] conditioned on their maximum over C being largest f32[B, K].

    Eq. 22-23 of arXiv:1903.06059, without overflow.
    """
    top = noisy.max(axis=2, keepdims=True)
    largest = largest[..., None]
    # -log(exp(-largest) - exp(-top) + exp(-noisy)), taken relative to `largest`
    v = largest - noisy + jnp.log1p(-jnp.exp(jnp.minimum(noisy - top, 0.0)))
    found = largest - jnp.maximum(v, 0.0) - jnp.log1p(jnp.exp(-jnp.abs(v)))
    found = jnp.where(noisy >= top, largest, found)
    return jnp.where((noisy > -jnp.inf) & (largest > -jnp.inf), found, -jnp.inf)
