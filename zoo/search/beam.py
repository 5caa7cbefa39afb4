"""The beam search over a step function and an automaton of legal identifiers; no networks here."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from zoo.docids import table
from zoo.index import children, projection, topk
from zoo.search import automaton as automata

BOS = 0  # input token of the first step
NO_LEAF = -1

Cache = Any  # a pytree with leaves [B, K, ...]
Step = Callable[[int, jax.Array, Cache], tuple[jax.Array, Cache]]
# Depth and nodes i32[B, ...] -> f32[B, ...]; or L + 1 arrays, the entry of node n of depth t at
# potential[t][:, n].
Potential = Callable[[int, jax.Array], jax.Array] | Sequence[jax.Array]


class Beams(NamedTuple):
    """Answers to B queries, best first; missing ones: tokens PAD, score -inf, leaf NO_LEAF."""

    token: jax.Array  # i32[B, K, L]
    score: jax.Array  # f32[B, K]
    leaf: jax.Array  # i32[B, K] number of the identifier in the automaton, NO_LEAF if it is unknown


class Prefixes(NamedTuple):
    """Hypotheses of B queries at depth t; dead ones: score -inf, arbitrary tokens and nodes."""

    token: jax.Array  # i32[B, K, t]
    score: jax.Array  # f32[B, K]
    node: jax.Array  # i32[B, K, ...] of the automaton


def beam_search(
    step: Step,
    cache: Cache,
    automaton: automata.Automaton,
    *,
    width: int | Sequence[int],
    length: int,
    score: children.Score,
    potential: Potential | None = None,
) -> Beams:
    """The legal identifiers of highest score, found level by level with `width` hypotheses.

    At level t, at most K_t = min(width, K_{t-1} C_{t-1}) hypotheses are alive, K_0 = 1; the loop is
    unrolled, so each level has shapes of its own.

    Ties go to the identifier that is lower in lexicographic order, also where the beam is cut:
    hypotheses are kept in that order between levels, and of equal ones the first is kept.

    A hypothesis is dead once its score is -inf: its last step was illegal, had logit -inf, or had
    no probability because a logit that the normaliser reads is NaN or +inf. Dead hypotheses stay
    dead and are never answers.

    Args:
      step: step(t, token i32[B, K], cache) -> (logits [B, K, V], cache); the logits may be a
        `projection.Projection`. t is a Python int; token is what was chosen at level t-1, BOS at t
        = 0; K is K_t, so a step must accept any K.
      cache: argument of the first step: at least one leaf, all leaves [B, 1, ...]. After each level
        the leaves are gathered to [B, K_{t+1}, ...], so that entry k holds the history of
        hypothesis k. What all hypotheses of a query share, such as the output of the encoder,
        belongs in the closure.
      automaton: which tokens may follow. Pass it to the jitted caller as an argument.
      width: K, at least 1; may exceed the number of legal identifiers. Or one width per level, the
        last of which holds for the remaining levels: (256, 50) keeps up to 256 first codes, which
        one row of logits scores, and 50 hypotheses from the second level on.
      length: L, number of levels; of a trie, its length.
      score: what a step adds to the score of a hypothesis. "model": log-softmax over the whole
        alphabet, so that scores are the model's log-probabilities of identifiers. "renormalised":
        log-softmax over the legal tokens of each step, which moves mass to siblings and changes
        rankings (arXiv:2504.09935). "logit": the logit itself (RIPOR, arXiv:2311.09134). PAD after
        the end of an identifier adds 0 in all three.
      potential: a bound on what is still to come below each node, per query (PAG, arXiv:2404.14600,
        plans ahead with the best lexical score below a node). Hypotheses are chosen, and answers
        ordered, by score + potential; scores do not contain it. -inf forbids a node. Children are
        then ranked by expanding all of them.

    Returns:
      Beams with exactly as many columns as the width of the last level.
    """
    found = _levels(
        step, cache, automaton, width=width, length=length, score=score, potential=potential
    )
    *_, (last, key) = found
    return answers(automaton, last, width=widths(width, length)[-1], key=key)


def beam_prefixes(
    step: Step,
    cache: Cache,
    automaton: automata.Automaton,
    *,
    width: int | Sequence[int],
    length: int,
    score: children.Score,
    potential: Potential | None = None,
) -> tuple[Prefixes, ...]:
    """The hypotheses of `beam_search` at each depth 1 .. length, best first, K_t columns each.

    Where every prefix of an identifier is an identifier too, as for n-grams, these are the partial
    hypotheses that SEAL scores documents by (arXiv:2204.10628, sec. 3.2). Arguments: see
    `beam_search`.
    """
    found = _levels(
        step, cache, automaton, width=width, length=length, score=score, potential=potential
    )
    return tuple(best_first(prefixes, key) for prefixes, key in found)


def answers(
    automaton: automata.Automaton, last: Prefixes, *, width: int, key: jax.Array | None = None
) -> Beams:
    """Beams of hypotheses of the last depth, by descending key f32[B, K] (default: score)."""
    last = best_first(last, key)
    alive = last.score > -jnp.inf
    leaf = automaton.leaf(last.token.shape[2], last.node)
    beams = Beams(
        jnp.where(alive[..., None], last.token, table.PAD),
        last.score,
        jnp.where(alive, leaf, NO_LEAF),
    )
    missing = width - last.score.shape[1]
    return Beams(
        *(
            jnp.pad(x, [(0, 0), (0, missing)] + [(0, 0)] * (x.ndim - 2), constant_values=fill)
            for x, fill in zip(beams, (table.PAD, -jnp.inf, NO_LEAF))
        )
    )


def best_first(prefixes: Prefixes, key: jax.Array | None = None) -> Prefixes:
    """The hypotheses by descending key f32[B, K] (default: score); ties keep their order."""
    key = prefixes.score if key is None else key
    _, place = jax.lax.top_k(key, key.shape[1])
    return Prefixes(*gather(tuple(prefixes), place))


def distinct(beams: Beams) -> Beams:
    """The beams best first, each identifier once; the rest is dead."""
    same = (beams.token[:, :, None] == beams.token[:, None]).all(axis=3)
    again = (same & jnp.tril(jnp.ones(same.shape[1:], bool), -1)[None]).any(axis=2)
    score = jnp.where(again, -jnp.inf, beams.score)
    score, place = jax.lax.top_k(score, score.shape[1])
    token, leaf = gather((beams.token, beams.leaf), place)
    alive = score > -jnp.inf
    return Beams(
        jnp.where(alive[..., None], token, table.PAD), score, jnp.where(alive, leaf, NO_LEAF)
    )


def widths(width: int | Sequence[int], length: int) -> tuple[int, ...]:
    """Number of hypotheses that may be kept at each of `length` levels."""
    each = tuple(width) if isinstance(width, Sequence) else (width,)
    return (*each, *each[-1:] * (length - len(each)))[:length]


def _levels(
    step, cache, automaton, *, width, length, score, potential
) -> Iterator[tuple[Prefixes, jax.Array]]:
    """Hypotheses of each depth in lexicographic order, and the keys f32[B, K] that chose them."""
    each = widths(width, length)
    check(cache, width=min(each, default=0), length=length, score=score)
    batch = jax.tree.leaves(cache)[0].shape[0]
    node = automaton.start(batch)  # -> [B, K], as are token and total below
    token = jnp.full((batch, 1), BOS, jnp.int32)
    total = jnp.zeros((batch, 1), jnp.float32)
    history = jnp.zeros((batch, 1, 0), jnp.int32)
    if potential is None and hasattr(automaton, "choose"):
        choose = functools.partial(automaton.choose, score=score)
    else:
        choose = functools.partial(best_children, automaton, score=score, potential=potential)
    for t in range(length):
        logits, cache = step(t, token, cache)
        total, token, node, parent = choose(
            t, node, total, projection.single(logits), width=each[t]
        )
        if parent is not None:
            cache, history = gather((cache, history), parent)
        history = jnp.concatenate([history, token[..., None]], axis=2)
        yield Prefixes(history, total, node), keys(potential, t + 1, node, total)


def check(cache: Cache, *, width: int, length: int, score: children.Score = "model") -> None:
    """Raises ValueError for arguments that no search can start from."""
    leaves = jax.tree.leaves(cache)
    if not leaves or any(leaf.ndim < 2 or leaf.shape[1] != 1 for leaf in leaves):
        shapes = [leaf.shape for leaf in leaves]
        raise ValueError(f"search: expected a cache with leaves [B, 1, ...], got {shapes}")
    if width < 1 or length < 1:
        raise ValueError(
            f"search: expected width and length of at least 1, got {width} and {length}"
        )
    if score not in typing.get_args(children.Score):
        names = ", ".join(typing.get_args(children.Score))
        raise ValueError(f"search: expected score to be one of {names}, got {score!r}")


def best_children(
    automaton: automata.Automaton,
    t: int,
    node: jax.Array,
    before: jax.Array,
    logits: jax.Array,
    *,
    width: int,
    score: children.Score,
    potential: Potential | None = None,
) -> children.Winners:
    """Like `Choosing.choose`, by expanding all children; the best by score + potential."""
    gain, token, child = score_children(automaton, t, node, logits, score=score)
    total = before[..., None] + gain
    key = keys(potential, t + 1, child, total)
    num_children = gain.shape[2]
    # -> [B, K C]
    total, token, child, key = (
        x.reshape(len(node), -1, *x.shape[3:])
        for x in (jnp.where(key > -jnp.inf, total, -jnp.inf), token, child, key)
    )
    _, place = topk.top_k(key, min(width, key.shape[1]))  # of equal ones the first
    place = jnp.sort(place, axis=1)  # back to lexicographic order
    total, token, child = gather((total, token, child), place)
    return children.Winners(total, token, child, place // num_children)


def score_children(
    automaton: automata.Automaton,
    t: int,
    node: jax.Array,
    logits: jax.Array,
    *,
    score: children.Score,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Gain f32 (never NaN or +inf), token and node [B, K, C] of the children of nodes i32[B, K]."""
    logits = projection.dense(logits).astype(jnp.float32)
    if score == "model":
        logits = jax.nn.log_softmax(logits, axis=-1)
    gain, token, child = automaton.expand(t, node, logits)
    if score == "renormalised":
        gain = jax.nn.log_softmax(gain, axis=-1)
    return jnp.where(gain < jnp.inf, gain, -jnp.inf), token, child


def keys(potential: Potential | None, t: int, node: jax.Array, total: jax.Array) -> jax.Array:
    """Total f32[B, ...] + potential of nodes i32[B, ...] of depth t; -inf for dead and NaN."""
    if potential is None:
        return total
    if callable(potential):
        bound = potential(t, node)
    else:
        bound = jax.vmap(lambda row, index: row.at[index].get(mode="clip"))(potential[t], node)
    key = jnp.where(total > -jnp.inf, total + bound, -jnp.inf)
    return jnp.where(jnp.isnan(key), -jnp.inf, key)


def gather(tree: Any, beam: jax.Array) -> Any:
    """Leaves [B, K, ...] -> [B, K', ...] with the hypotheses beam i32[B, K']."""
    pick = jax.vmap(lambda rows, index: rows.at[index].get(mode="promise_in_bounds"))
    return jax.tree.map(lambda leaf: pick(leaf, beam), tree)
