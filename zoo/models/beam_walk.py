"""The search of one query, level by level: what a beam keeps, what it prunes and by how much."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo.docids import table
from zoo.index import projection, trie
from zoo.models import generate
from zoo.nets import network
from zoo.search import automaton as automata, beam, decoders, guided, requests

WIDTH, PRUNED = 64, 32  # hypotheses that a walk can keep, and children shown beside them


Array = jax.Array | np.ndarray  # on the device, or fetched


class Level(NamedTuple):
    """Children of the hypotheses that were alive, best first; C = WIDTH + PRUNED at most."""

    token: Array  # i32[C]
    parent: Array  # i32[C] place among the children of the level before; -1 at the root
    score: Array  # f32[C] of the prefix by the decoder, -inf = no such child
    key: Array  # f32[C] what the beam ranks by: the score and the potential
    kept: Array  # bool[C]
    first: Array  # i32[C] place in `Trie.documents` of the first document below
    end: Array  # i32[C]
    num_children: Array  # i32[] of which the C are the best
    cutoff: Array  # f32[] key of the last that is kept
    wanted: Array  # i32[] place of the wanted prefix, -1 = not among the C
    wanted_key: Array  # f32[] -inf if its parent was pruned before
    wanted_rank: Array  # i32[] children with a larger key


class Walk(NamedTuple):
    """The levels of a search and its answers."""

    levels: tuple[Level, ...]  # L
    documents: Array  # i32[C] row of the document of each child of the last level, -1 = none


class Guides(NamedTuple):
    """What all walks of a model share; built once on the host."""

    where: guided.Nodes
    counted: Any  # guided.Counted
    flat: tuple[jax.Array, ...]  # L + 1 of f32[1, M_t], a potential of 0
    num_leaves: int
    tabled: bool  # whether every identifier may be scored for a query


def guides(model: generate.Model) -> Guides:
    """The automata and tables of a model."""
    where = guided.nodes(model.ids)
    num_leaves = len(where.parent[-1])
    sizes = (1, *(len(parent) for parent in where.parent))
    cache = jax.eval_shape(lambda: model.net.empty_cache(1, model.net.spec.target_length))
    scored = decoders.decoder("max-marginal")
    try:
        scored.queries_at_once(model.index, cache, width=1, most=1)
        tabled = True
    except ValueError:
        tabled = False
    flat = tuple(jnp.zeros((1, size)) for size in sizes)
    return Guides(where, guided.counted(model.index), flat, num_leaves, tabled)


@functools.partial(jax.jit, static_argnames=("net", "num_leaves"))
def leaf_scores(
    params: Any,
    source: jax.Array,
    temperature: jax.Array,
    index: trie.Trie,
    *,
    net: network.Network,
    num_leaves: int,
) -> jax.Array:
    """f32[M] log-probability of every identifier for source i32[1, S]."""
    step, cache = _tempered(params, source, temperature, net)
    return requests.all_scores(
        step, cache, index, num_leaves=num_leaves, length=net.spec.target_length
    )[0]


def automaton(
    name: str, model: generate.Model, shared: Guides, scores: jax.Array | None
) -> automata.Automaton:
    """The automaton that a decoder of DECODERS searches; scores: f32[M] of `leaf_scores`."""
    if name == "counted":
        return shared.counted
    if name in decoders.TABLED:
        assert scores is not None
        guide = {"lookahead": guided.lookahead, "max-marginal": guided.max_marginal}[name]
        return guide(model.index, shared.where, scores[shared.where.leaf][None])
    return model.index


@functools.partial(jax.jit, static_argnames=("net", "width", "pruned"))
def walk(
    params: Any,
    source: jax.Array,
    temperature: jax.Array,
    legal: automata.Automaton,
    index: trie.Trie,
    potential: tuple[jax.Array, ...],
    keep: jax.Array,
    threshold: jax.Array,
    wanted: jax.Array,
    *,
    net: network.Network,
    width: int = WIDTH,
    pruned: int = PRUNED,
) -> Walk:
    """The walk for source i32[1, S]; one program serves all beams up to `width`.

    temperature: f32[] divides logits. index: the trie of the identifiers of `legal`. potential: as
    for `beam.beam_search`. keep: i32[] hypotheses kept, at most `width`. threshold: f32[] least key
    that is kept, -inf = the beam decides. wanted: i32[L] nodes of the path to follow, -1 = none.
    """
    step, cache = _tempered(params, source, temperature, net)
    node, total = index.start(1), jnp.zeros((1, 1), jnp.float32)
    token, slot = jnp.full((1, 1), beam.BOS, jnp.int32), jnp.full(1, -1, jnp.int32)
    levels, documents = [], jnp.zeros(0, jnp.int32)
    for t in range(net.spec.target_length):
        logits, cache = step(t, token, cache)
        gain, tokens, child = beam.score_children(legal, t, node, logits, score="model")
        scores = total[..., None] + gain
        ranked = beam.keys(potential, t + 1, child, scores)
        best, place = jax.lax.top_k(ranked.reshape(-1), min(width + pruned, ranked.size))
        pick = lambda values, place=place: values.reshape(-1)[place]
        alive = best > -jnp.inf
        kept = alive & (jnp.arange(len(best)) < keep) & (best >= threshold)
        first, end = index.places(t + 1, jnp.where(alive, pick(child), 0))
        is_wanted = alive & (pick(child) == wanted[t])
        found = jnp.where(child == wanted[t], ranked, -jnp.inf).max()
        levels.append(
            Level(
                pick(tokens),
                slot[place // gain.shape[2]],
                pick(scores),
                best,
                kept,
                first,
                end,
                (ranked > -jnp.inf).sum(),
                jnp.where(kept, best, jnp.inf).min(),
                jnp.where(is_wanted.any(), jnp.argmax(is_wanted), -1),
                found,
                (ranked > found).sum(),
            )
        )
        documents = jnp.where(alive, index.documents_of(pick(child)[None])[0, :, 0], -1)
        # hypotheses in lexicographic order, those that are dropped behind
        slot = jnp.argsort(jnp.where(kept, place, ranked.size))[: min(width, len(best))]
        state = pick(child), pick(tokens), jnp.where(kept, pick(scores), -jnp.inf)
        node, token, total = (part[slot][None] for part in state)
        cache = beam.gather(cache, (place // gain.shape[2])[slot][None])
    return Walk(tuple(levels), documents)


@functools.partial(jax.jit, static_argnames="net")
def path_scores(
    params: Any,
    source: jax.Array,
    temperature: jax.Array,
    tokens: jax.Array,
    *,
    net: network.Network,
) -> jax.Array:
    """f32[L] log-probability of each prefix of an identifier i32[L] by the model."""
    memory = net.encode(params, source)
    logits = net.logits(params, memory, tokens[None])[0] / temperature
    gains = jnp.take_along_axis(jax.nn.log_softmax(logits), tokens[:, None], axis=1)[:, 0]
    ended = jnp.cumsum(tokens == table.PAD) > 0  # PAD adds nothing in a trie
    return jnp.cumsum(jnp.where(ended, 0.0, gains))


def _tempered(
    params: Any, source: jax.Array, temperature: jax.Array, net: network.Network
) -> tuple[beam.Step, Any]:
    """The step and the cache of a search at a temperature."""
    step, cache = generate.steps(params, source, net)

    def tempered(t: int, token: jax.Array, cache: Any) -> tuple[jax.Array, Any]:
        logits, cache = step(t, token, cache)
        return projection.dense(logits).astype(jnp.float32) / temperature, cache

    return tempered, cache
