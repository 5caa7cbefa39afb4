"""Each search as a function of one request, so that a decoder is a name and its options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from zoo.index import children, trie
from zoo.search import automaton as automata, beam, best_first, diverse, guided, sampling


class Request(NamedTuple):
    """Arguments of `decoders.Decode`."""

    model: tuple[beam.Step, beam.Cache, Any]  # step, cache, and what is legal
    k: int
    width: int | Sequence[int]
    length: int
    key: Any  # jax.Array of decoders that draw, else None
    potential: beam.Potential | None = None  # of decoders that plan

    @property
    def last(self) -> int:
        """Width of the last level."""
        return beam.widths(self.width, self.length)[-1]


class Answers(NamedTuple):
    """Answers to B queries, and whether they are proven the k most probable legal identifiers."""

    beams: beam.Beams  # k columns or more
    proven: jax.Array  # bool[B]; False for decoders that prove nothing


class Enumerated(NamedTuple):
    """What is legal for `run_tabled`: a trie whose identifiers are all scored first."""

    index: trie.Trie
    where: guided.Nodes


def all_scores(
    step: beam.Step, cache: beam.Cache, index: automata.Automaton, *, num_leaves: int, length: int
) -> jax.Array:
    """f32[B, num_leaves] log-probability of every identifier, by a beam as wide as the trie."""
    beams = beam.beam_search(step, cache, index, width=num_leaves, length=length, score="model")
    blank = jnp.full(num_leaves + 1, -jnp.inf)  # NO_LEAF = -1 writes to the last place
    return jax.vmap(lambda leaf, score: blank.at[leaf].set(score))(beams.leaf, beams.score)[:, :-1]


def run_beam(request: Request, *, score: children.Score) -> Answers:
    """`beam.beam_search`; proves nothing."""
    found = beam.beam_search(
        *request.model,
        width=request.width,
        length=request.length,
        score=score,
        potential=request.potential,
    )
    return _unproven(found)


def run_tabled(request: Request, *, guide: Callable) -> Answers:
    """A beam over the scores of all identifiers; guide: `guided.lookahead` or `max_marginal`."""
    step, cache, (index, where) = request.model
    num_leaves, length = len(where.parent[-1]), request.length
    scores = all_scores(step, cache, index, num_leaves=num_leaves, length=length)
    guided_index = guide(index, where, scores[:, where.leaf])
    beams = beam.beam_search(
        lambda t, token, cache: (jnp.zeros((*token.shape, index.alphabet)), cache),
        jnp.zeros((len(scores), 1)),
        guided_index,
        width=request.last,
        length=length,
        score="model",
    )
    exact = isinstance(guided_index, guided.MaxMarginal) and request.last >= request.k
    return Answers(beams, jnp.full(len(scores), exact))


def run_best_first(
    request: Request, *, sweeps: int, frontier: int, score: children.Score
) -> Answers:
    """`best_first.best_first` with blocks of the last width."""
    found = best_first.best_first(
        *request.model,
        k=request.k,
        width=request.last,
        length=request.length,
        score=score,
        limits=best_first.Limits(sweeps, frontier),
    )
    return Answers(found.beams, found.proven)


def run_diverse(request: Request, *, groups: int, **options: Any) -> Answers:
    """`diverse.diverse_beam_search`; the last width is rounded up to a multiple of the groups."""
    width = -(-request.last // groups) * groups
    return _unproven(
        diverse.diverse_beam_search(
            *request.model, width=width, groups=groups, length=request.length, **options
        )
    )


def run_sampled(request: Request, **options: Any) -> Answers:
    """k draws of `sampling.sample_distinct`, scored by perturbed log-probability."""
    beams, perturbed = sampling.sample_distinct(
        *request.model, request.key, width=request.k, length=request.length, **options
    )
    return _unproven(beams._replace(score=perturbed))


def run_nucleus(request: Request, *, temperature: float, **options: Any) -> Answers:
    """As many draws of `sampling.sample` as the last width, each identifier once."""
    every = jnp.full(request.last, temperature, jnp.float32)
    drawn = sampling.sample(
        *request.model, request.key, temperature=every, length=request.length, **options
    )
    return _unproven(beam.distinct(drawn))


def run_reverse_annealed(request: Request, *, score: children.Score, **curve: float) -> Answers:
    """k draws of `sampling.reverse_anneal`, scored by 1 / rank; curve: of `sampling.rising`."""
    rising = sampling.rising(request.k, **curve)
    beams = sampling.reverse_anneal(
        *request.model, request.key, temperature=rising, length=request.length, score=score
    )
    by_rank = jnp.where(beams.score > -jnp.inf, 1 / (1 + jnp.arange(request.k)), -jnp.inf)
    return _unproven(beams._replace(score=by_rank))


def _unproven(beams: beam.Beams) -> Answers:
    return Answers(beams, jnp.zeros(len(beams.score), bool))
