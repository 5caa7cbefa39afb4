"""The one beam search. It knows a step closure and an automaton of legal identifiers, and nothing of networks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from zoo.docids import table
from zoo.index import children, projection, topk
from zoo.search import automaton as automata

BOS = 0  # the token that the first step is given
NO_LEAF = -1

Cache = Any  # a pytree with leaves [B, K, ...]
Step = Callable[[int, jax.Array, Cache], tuple[jax.Array, Cache]]


class Beams(NamedTuple):
    """Answers to B queries, best first; where there are fewer than K: tokens PAD, score -inf, leaf NO_LEAF."""

    token: jax.Array  # i32[B, K, L]
    score: jax.Array  # f32[B, K] sum of log-probabilities
    # i32[B, K] number of the identifier in the automaton, NO_LEAF where it knows none
    leaf: jax.Array


def beam_search(
    step: Step,
    cache: Cache,
    automaton: automata.Automaton,
    *,
    width: int | Sequence[int],
    length: int,
    renormalize: bool,
) -> Beams:
    """Identifiers of highest probability among those that are legal, found level by level with `width` hypotheses.

    At level t, K_t = min(width, K_{t-1} C_{t-1}) hypotheses are alive at most, K_0 = 1; the loop is unrolled, so the
    shapes of each level are its own.

    Ties go to the identifier that is lower in lexicographic order, also where the beam is cut: hypotheses stand in that
    order between levels, and of equal ones the first is kept.

    A hypothesis is dead once its score is -inf: its last step was not legal, had logit -inf, or has no probability because
    a logit that its normaliser reads is NaN or +inf. The dead stay dead and are never answers.

    Args:
      step: step(t, token i32[B, K], cache) -> (logits [B, K, V], cache); the logits may be a `projection.Projection`. t is a Python int; token is what was chosen at
        level t-1, BOS at t = 0; K is K_t, so a step serves any K.
      cache: what step gets at t = 0, at least one leaf, leaves [B, 1, ...]. After each level the leaves are gathered to
        [B, K_{t+1}, ...], so that entry k holds the history of hypothesis k. What all hypotheses of a query share, such as
        the encoder's output, belongs in the closure.
      automaton: says which tokens may follow. Pass it to the jitted caller as an argument.
      width: K, at least 1; may exceed the number of legal identifiers. Or one for each level, the last of which holds for the
        rest: (256, 50) keeps up to 256 first codes, which one row of logits scores, and 50 hypotheses from the second on.
      length: L, number of levels; of a trie, its length.
      renormalize: False: log-softmax over the whole alphabet, of which the legal tokens are then read: the score is the
        model's log-probability of the identifier. True: log-softmax over the legal tokens of each step: mass is moved to
        siblings, and rankings differ (arXiv:2504.09935). PAD after the end of an identifier adds 0 either way.

    Returns:
      Beams of exactly `width` columns, of the last level's.
    """
    *_, last = _levels(step, cache, automaton, width=width, length=length, renormalize=renormalize)
    return answers(automaton, last, width=widths(width, length)[-1])


class Prefixes(NamedTuple):
    """Hypotheses of B queries at depth t, best first; the dead have score -inf, the rest of theirs is arbitrary."""

    token: jax.Array  # i32[B, K, t]
    score: jax.Array  # f32[B, K] sum of log-probabilities
    node: jax.Array  # i32[B, K, ...] of the automaton


def beam_prefixes(
    step: Step,
    cache: Cache,
    automaton: automata.Automaton,
    *,
    width: int | Sequence[int],
    length: int,
    renormalize: bool,
) -> tuple[Prefixes, ...]:
    """What `beam_search` keeps at each depth 1 .. length, in this order: L of Prefixes with K_t columns.

    Where every prefix of an identifier is one, as for n-grams, these are the partial hypotheses that SEAL scores documents by
    (arXiv:2204.10628, sec. 3.2). Arguments as of `beam_search`.
    """
    found = _levels(step, cache, automaton, width=width, length=length, renormalize=renormalize)
    return tuple(best_first(prefixes) for prefixes in found)


def answers(automaton: automata.Automaton, last: Prefixes, *, width: int) -> Beams:
    """Beams of the hypotheses at the last depth, in any order."""
    last = best_first(last)
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


def best_first(prefixes: Prefixes) -> Prefixes:
    """The same, of highest score first; of equal ones in the order that they stand in."""
    score, place = jax.lax.top_k(prefixes.score, prefixes.score.shape[1])
    token, node = gather((prefixes.token, prefixes.node), place)
    return Prefixes(token, score, node)


def widths(width: int | Sequence[int], length: int) -> tuple[int, ...]:
    """Hypotheses that may be kept at each of `length` levels."""
    each = tuple(width) if isinstance(width, Sequence) else (width,)
    return (*each, *each[-1:] * (length - len(each)))[:length]


def _levels(step, cache, automaton, *, width, length, renormalize) -> Iterator[Prefixes]:
    each = widths(width, length)
    check(cache, width=min(each, default=0), length=length)
    batch = jax.tree.leaves(cache)[0].shape[0]
    node = automaton.start(batch)  # -> [B, K], as are token and score below
    token = jnp.full((batch, 1), BOS, jnp.int32)
    score = jnp.zeros((batch, 1), jnp.float32)
    history = jnp.zeros((batch, 1, 0), jnp.int32)
    choose = (
        automaton.choose
        if hasattr(automaton, "choose")
        else functools.partial(best_children, automaton)
    )
    for t in range(length):
        logits, cache = step(t, token, cache)
        score, token, node, parent = choose(
            t, node, score, projection.single(logits), width=each[t], renormalize=renormalize
        )
        if parent is not None:
            cache, history = gather((cache, history), parent)
        history = jnp.concatenate([history, token[..., None]], axis=2)
        yield Prefixes(history, score, node)


def check(cache: Cache, *, width: int, length: int) -> None:
    """Raises ValueError for arguments that no search can start from."""
    leaves = jax.tree.leaves(cache)
    if not leaves or any(leaf.ndim < 2 or leaf.shape[1] != 1 for leaf in leaves):
        raise ValueError(
            f"search: expected a cache with leaves [B, 1, ...], got {[leaf.shape for leaf in leaves]}"
        )
    if width < 1 or length < 1:
        raise ValueError(
            f"search: expected width and length of at least 1, got {width} and {length}"
        )


def best_children(
    automaton: automata.Automaton,
    t: int,
    node: jax.Array,
    score: jax.Array,
    logits: jax.Array,
    *,
    width: int,
    renormalize: bool,
) -> children.Winners:
    """What `Choosing.choose` returns, of all the children that an automaton expands to."""
    gain, token, child = score_children(automaton, t, node, logits, renormalize=renormalize)
    num_children = gain.shape[2]
    # -> [B, K C]
    total, token, child = (
        x.reshape(len(node), -1, *x.shape[3:]) for x in (score[..., None] + gain, token, child)
    )
    _, place = topk.top_k(total, min(width, total.shape[1]))  # of equal ones the first
    place = jnp.sort(place, axis=1)  # back to lexicographic order
    return children.Winners(*gather((total, token, child), place), place // num_children)


def score_children(
    automaton: automata.Automaton, t: int, node: jax.Array, logits: jax.Array, *, renormalize: bool
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Log-probability f32, token and node [B, K, C] of every child of nodes i32[B, K] of depth t; no child has NaN."""
    logits = projection.dense(logits).astype(jnp.float32)
    if renormalize:
        score, token, child = automaton.expand(t, node, logits)
        score = jax.nn.log_softmax(score, axis=-1)
    else:
        score, token, child = automaton.expand(t, node, jax.nn.log_softmax(logits, axis=-1))
    return jnp.where(jnp.isnan(score), -jnp.inf, score), token, child


def gather(tree: Any, beam: jax.Array) -> Any:
    """Leaves [B, K, ...] -> [B, K', ...] with the hypotheses beam i32[B, K']."""
    pick = jax.vmap(lambda rows, index: rows.at[index].get(mode="promise_in_bounds"))
    return jax.tree.map(lambda leaf: pick(leaf, beam), tree)
