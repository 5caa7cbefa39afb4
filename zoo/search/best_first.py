"""Best-first search: the exact top k of a step function, with a certificate.

The probability of a prefix is the sum of those of all identifiers that begin with it, so it bounds
each of them: a prefix below the k-th best identifier found so far needs no expansion, and when none
is left above it the k found are the top k. A beam throws such prefixes away unseen (it keeps the K
largest of a level, though top identifiers may hide below smaller sums: arXiv:2504.09935); here they
wait.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from zoo.docids import table
from zoo.index import children
from zoo.search import automaton as automata, beam


class Limits(NamedTuple):
    """Where a search stops without a proof."""

    # passes down the levels; the number of nodes of the largest level / width is enough for a
    # proof, and far fewer are in practice
    sweeps: int = 16
    # prefixes of a level that wait; of more, the least probable are dropped
    frontier: int = 4096


class Found(NamedTuple):
    """Answers to B queries and what is known of them."""

    beams: beam.Beams  # of exactly k columns
    # f32[B] most that an identifier left out could score if it belonged to the top k, -inf = there
    # is none
    bound: jax.Array
    expanded: jax.Array  # i32[B] prefixes that the model was asked about

    @property
    def proven(self) -> jax.Array:
        """bool[B] whether these are the top k; if not, those above `bound` are the best."""
        return self.bound == -jnp.inf


class _Open(NamedTuple):
    """Prefixes of one depth that wait, F of them; score -inf = nothing there."""

    score: jax.Array  # f32[B, F]
    token: jax.Array  # i32[B, F] last token
    node: jax.Array  # i32[B, F] in the automaton
    parent: jax.Array  # i32[B, F] where the pool of the depth above has its parent


class _State(NamedTuple):
    open: tuple[_Open, ...]  # L, by depth
    # L, by depth: (cache, path i32[B, P, t]) after prefixes that were expanded; the last is above
    # the root
    pool: tuple[Any, ...]
    best: beam.Beams  # k best identifiers so far, for `leaf` their nodes
    lost: jax.Array  # f32[B] best prefix that found no room to wait
    expanded: jax.Array  # i32[B]
    sweep: jax.Array  # i32


class _Level(NamedTuple):
    """Sizes of one depth."""

    width: int  # prefixes expanded at a time
    waiting: int  # F
    kept: int  # P
    num_children: int  # C
    cache: Any  # shapes of what `step` returns


def best_first(
    step: beam.Step,
    cache: beam.Cache,
    automaton: automata.Automaton,
    *,
    k: int,
    width: int,
    length: int,
    score: children.Score,
    limits: Limits = Limits(),
) -> Found:
    """The k identifiers of highest probability, proven where the limits suffice.

    A sweep goes down the levels and expands, at each, the `width` most probable prefixes that wait
    and are not below the k-th best identifier so far. The first sweep is a beam search; those that
    follow expand what it would have thrown away, until nothing is left or the sweeps are used up. A
    level where no query has anything to expand costs nothing. A prefix more probable than the k-th
    best must be expanded by every exact search; width 1 expands few others, wide sweeps take fewer
    steps.

    What it fixes: recall of the top k by the model's own score. What it does not: the score itself.
    With score="model" that is the model's probability of the identifier, proportional to its
    posterior given that it is in the corpus; with "renormalised" every prefix still bounds what is
    below it, but the scores are those of the renormalised model. Sums of logits may rise from a
    prefix to a longer one, so score="logit" is refused.

    Ties go to the lower identifier, for which prefixes that equal the k-th best are expanded too:
    where very many do, as for a model that is uniform, sweeps run out.

    Args:
      step, cache, automaton, length, score: as for `beam_search`. `step` is traced twice a level.
        Scores must not rise from a prefix to a longer one: log-probabilities do not, nor does any
        automaton of `zoo.search`.
      k: answers; may exceed the number of identifiers.
      width: prefixes of a level that are expanded together.
      limits: of time and memory; `bound` says what they cost.

    Returns Found. Memory: sweeps x width caches and `frontier` x 16 bytes per query and level.
    """
    beam.check(cache, width=width, length=length, score=score)
    if score == "logit":
        raise ValueError(
            "best_first: a sum of logits does not bound what is below a prefix; "
            "expected score model or renormalised"
        )
    if min(k, *limits) < 1:
        raise ValueError(
            f"best_first: expected k, sweeps and frontier of at least 1, got {(k, *limits)}"
        )
    batch = jax.tree.leaves(cache)[0].shape[0]
    expand = functools.partial(beam.score_children, score=score)
    levels = _levels(step, cache, automaton, expand, width, length, limits)
    expand_node = functools.partial(expand, automaton)
    visits = [
        functools.partial(_visit, step, expand_node, t, level=level, last=t == length - 1)
        for t, level in enumerate(levels)
    ]

    def sweep(state: _State) -> _State:
        for t, visit in enumerate(visits):
            useful = _largest_useful(state, state.open[t].score.max(axis=1)) > -jnp.inf
            state = jax.lax.cond(useful.any(), visit, lambda same: same, state)
        return state._replace(sweep=state.sweep + 1)

    def unfinished(state: _State) -> jax.Array:
        return (state.sweep < limits.sweeps) & (
            _largest_useful(state, _largest_open(state)) > -jnp.inf
        ).any()

    state = jax.lax.while_loop(
        unfinished, sweep, _initial(automaton, cache, levels, batch, k, length)
    )
    token, total, node = state.best
    alive = total > -jnp.inf
    beams = beam.Beams(
        jnp.where(alive[..., None], token, table.PAD),
        total,
        jnp.where(alive, automaton.leaf(length, node), beam.NO_LEAF),
    )
    bound = _largest_useful(state, jnp.maximum(_largest_open(state), state.lost))
    return Found(beams, bound, state.expanded)


def _visit(
    step: beam.Step, expand: Callable, t: int, state: _State, *, level: _Level, last: bool
) -> _State:
    """Expands prefixes of depth t."""
    floor = state.best.score[:, -1:]
    score, place = jax.lax.top_k(state.open[t].score, level.width)
    _, token, node, parent = _pick(state.open[t], place)
    opened = [*state.open]
    opened[t] = opened[t]._replace(
        score=jax.vmap(lambda row, index: row.at[index].set(-jnp.inf))(opened[t].score, place)
    )
    score = jnp.where(score >= floor, score, -jnp.inf)  # the rest can hold no answer
    above, paths = state.pool[t - 1]
    path = _pick(paths, parent)
    path = jnp.concatenate([path, token[..., None]], axis=2) if t else path
    if 0 < t and last:  # identifiers are about to be compared: in lexicographic order
        (score, token, node, parent), path = _sorted(
            ((score, token, node, parent), path), [path[..., i] for i in range(t)]
        )

    logits, kept = step(t, token, _pick(above, parent))
    gain, child_token, child = expand(t, node, logits)
    total = score[..., None] + gain  # -> [B, W, C]
    total = jnp.where(total >= floor[..., None], total, -jnp.inf)
    total, child_token, child = (x.reshape(len(x), -1) for x in (total, child_token, child))
    state = state._replace(expanded=state.expanded + (score > -jnp.inf).sum(axis=1))
    if last:
        best = _merge(state.best, total, child_token, child, path, level.num_children)
        return state._replace(open=tuple(opened), best=best)

    slot = state.sweep * level.width if level.kept > level.width else 0
    write = lambda old, new: jax.lax.dynamic_update_slice_in_dim(old, new, slot, axis=1)
    pool = [*state.pool]
    pool[t] = jax.tree.map(write, pool[t], (kept, path))
    origin = jnp.broadcast_to(
        slot + jnp.repeat(jnp.arange(level.width), level.num_children), total.shape
    )
    opened[t + 1], lost = _join(
        opened[t + 1], _Open(total, child_token, child, origin.astype(jnp.int32))
    )
    return state._replace(open=tuple(opened), pool=tuple(pool), lost=jnp.maximum(state.lost, lost))


def _levels(
    step, cache, automaton, expand: Callable, width: int, length: int, limits: Limits
) -> list[_Level]:
    """Sizes of all levels, by abstract evaluation."""
    levels, waiting, num_nodes = [], 1, 1
    batch = jax.tree.leaves(cache)[0].shape[0]
    for t in range(length):
        w = min(width, waiting)
        index = jax.ShapeDtypeStruct((batch, w), jnp.int32)
        cache = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((batch, w, *leaf.shape[2:]), leaf.dtype), cache
        )
        logits, cache = jax.eval_shape(functools.partial(step, t), index, cache)
        num_children = jax.eval_shape(
            lambda a, n, x: expand(a, t, n, x)[0], automaton, index, logits
        ).shape[2]
        # one visit sees them all, or each sweep may make one
        kept = w if num_nodes <= w else limits.sweeps * w
        levels.append(_Level(w, waiting, kept, num_children, cache))
        waiting, num_nodes = min(limits.frontier, kept * num_children), num_nodes * num_children
    return levels


def _initial(
    automaton: automata.Automaton,
    cache: beam.Cache,
    levels: list[_Level],
    batch: int,
    k: int,
    length: int,
) -> _State:
    """Nothing found, the root waits."""

    def nothing(num: int) -> _Open:
        score, zeros = jnp.full((batch, num), -jnp.inf), jnp.zeros((batch, num), jnp.int32)
        return _Open(score, zeros, zeros, zeros)

    token = jnp.full((batch, 1), beam.BOS, jnp.int32)
    root = _Open(
        jnp.zeros((batch, 1)), token, automaton.start(batch), jnp.zeros((batch, 1), jnp.int32)
    )
    blank = lambda num: lambda leaf: jnp.zeros((batch, num, *leaf.shape[2:]), leaf.dtype)
    pool = [
        (jax.tree.map(blank(level.kept), level.cache), jnp.zeros((batch, level.kept, t), jnp.int32))
        for t, level in enumerate(levels[:-1])
    ] + [(cache, jnp.zeros((batch, 1, 0), jnp.int32))]
    best = beam.Beams(
        jnp.zeros((batch, k, length), jnp.int32),
        jnp.full((batch, k), -jnp.inf),
        jnp.zeros((batch, k), jnp.int32),
    )
    waiting = (root, *(nothing(level.waiting) for level in levels[1:]))
    return _State(
        waiting,
        tuple(pool),
        best,
        jnp.full(batch, -jnp.inf),
        jnp.zeros(batch, jnp.int32),
        jnp.int32(0),
    )


def _largest_open(state: _State) -> jax.Array:
    return functools.reduce(jnp.maximum, (prefixes.score.max(axis=1) for prefixes in state.open))


def _largest_useful(state: _State, score: jax.Array) -> jax.Array:
    """f32[B] scores, -inf where nothing of that score can be among the k best."""
    return jnp.where(score >= state.best.score[:, -1], score, -jnp.inf)


def _join(waiting: _Open, fresh: _Open) -> tuple[_Open, jax.Array]:
    """The best of both that find room, and the best score f32[B] that does not."""
    room = waiting.score.shape[1]
    both = jax.tree.map(lambda *pair: jnp.concatenate(pair, axis=1), waiting, fresh)
    score, place = jax.lax.top_k(both.score, room + 1)
    return _pick(both, place[:, :room]), score[:, room]


def _merge(best: beam.Beams, total, token, child, path, num_children: int) -> beam.Beams:
    """The k best of the known identifiers and the new ones [B, W C], in lexicographic order."""
    k = best.score.shape[1]
    score, place = jax.lax.top_k(total, min(k, total.shape[1]))  # of equal ones the first
    token, child, path = (
        _pick(token, place),
        _pick(child, place),
        _pick(path, place // num_children),
    )
    found = beam.Beams(jnp.concatenate([path, token[..., None]], axis=2), score, child)
    both = jax.tree.map(lambda *pair: jnp.concatenate(pair, axis=1), best, found)
    both = _sorted(both, [-both.score, *(both.token[..., i] for i in range(both.token.shape[2]))])
    return jax.tree.map(lambda leaf: leaf[:, :k], both)


def _sorted(tree: Any, keys: list[jax.Array]) -> Any:
    """Leaves [B, W, ...] in the order of keys [B, W], the first key first."""
    place = jnp.broadcast_to(jnp.arange(keys[0].shape[1]), keys[0].shape)
    return _pick(tree, jax.lax.sort((*keys, place), dimension=1, num_keys=len(keys))[-1])


def _pick(tree: Any, place: jax.Array) -> Any:
    """Leaves [B, F, ...] -> [B, W, ...] at places i32[B, W]."""
    pick = jax.vmap(lambda rows, index: rows.at[index].get(mode="promise_in_bounds"))
    return jax.tree.map(lambda leaf: pick(leaf, place), tree)
