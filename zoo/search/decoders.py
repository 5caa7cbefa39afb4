"""Decoders by name, for a model that is known step by step: what they rank by, what each fixes and what it does not.

- `trie`: log-softmax over the whole alphabet, then mask. Fixes identifiers that do not exist; scores stay the model's. Not
  recall: a beam ranks prefixes by sums, and half of the top k may fall (arXiv:2504.09935).
- `renormalised`: mask, then log-softmax over children. Fixes the mass lost to what does not exist. Not recall; and the
  mass goes to siblings whatever has survived below them: KL > 0.
- `counted`: `guided.Counted`, the model's probability x documents below. Fixes most of that KL. Not recall, which counts may
  lower. It takes the model to know nothing of the corpus; for one trained on just these documents it counts them twice.
- `lookahead`: `guided.Lookahead` on the scores of all identifiers. Fixes all of that KL: scores are the posterior given the
  corpus. Not recall of the beam. Costs a score of every identifier.
- `max-marginal`: `guided.MaxMarginal` on the scores of all identifiers. Fixes recall: the exact top k. At the same cost.
- `best-first`: `best_first`, blocks of `width` prefixes. Fixes recall: the exact top k, and says whether that is proven. Not
  a model whose scores are nearly uniform: everything must be opened.
- `free`: no constraint, fixes nothing: the baseline of some papers; identifiers may not exist.

All but best-first are beams. None makes a wrong model right: "top k" is by the model's own probability.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from zoo import records
from zoo.docids import table
from zoo.index import trie
from zoo.search import automaton as automata, beam, best_first, guided

TABLED = ("lookahead", "max-marginal")  # these score every identifier first
NAMES = ("trie", "renormalised", "counted", *TABLED, "best-first", "free")
SWEEPS, FRONTIER = 16, 4096  # of best-first
BUDGET = 2 * 2**30  # bytes that the prefixes of a batch may take


class Answers(NamedTuple):
    """Answers to B queries, and whether they are known to be the k most probable of all legal identifiers."""

    beams: beam.Beams  # k columns or more
    proven: jax.Array  # bool[B]; False where a decoder proves nothing


class Enumerated(NamedTuple):
    """A trie whose identifiers are all to be scored before the search."""

    index: trie.Trie
    where: guided.Nodes


def require(name: str) -> None:
    """Raises DataError naming the decoders that exist if this one does not."""
    if name not in NAMES:
        raise records.DataError(f"no decoding {name!r}; expected one of: {', '.join(NAMES)}")


def constraint(name: str, index: trie.Trie, ids: table.Docids) -> Any:
    """What `decode` is to be given as `legal`: a pytree, built on the host. index: the trie of ids."""
    require(name)
    if name == "free":
        return automata.Free()
    if name == "counted":
        return guided.counted(index)
    return Enumerated(index, guided.nodes(ids)) if name in TABLED else index


def decode(
    name: str,
    step: beam.Step,
    cache: beam.Cache,
    legal: Any,
    *,
    k: int,
    width: int,
    length: int,
    first: int = 0,
) -> Answers:
    """The answers of a decoder. Jit it with `name` and the sizes static.

    step, cache, length: as for `beam_search`. legal: of `constraint`. k: answers wanted, at most `width`. width: of the
    beam; of best-first, prefixes expanded together, and it returns k columns. first: of the beam at the first level, where it is wider and
    prefixes are not scored beforehand anyway.
    """
    require(name)
    batch = jax.tree.leaves(cache)[0].shape[0]
    if name == "best-first":
        found = best_first.best_first(
            step,
            cache,
            legal,
            k=k,
            width=width,
            length=length,
            score="model",
            sweeps=SWEEPS,
            frontier=FRONTIER,
        )
        return Answers(found.beams, found.proven)
    if name in TABLED:
        index, where = legal
        scores = all_scores(step, cache, index, num_leaves=len(where.parent[-1]), length=length)[
            :, where.leaf
        ]
        guide = guided.lookahead if name == "lookahead" else guided.max_marginal
        legal, cache = guide(index, where, scores), jnp.zeros((batch, 1))
        step = lambda t, token, cache: (jnp.zeros((*token.shape, index.alphabet)), cache)
    each = (width if name in TABLED else max(first, width), width)[-length:]
    beams = beam.beam_search(
        step,
        cache,
        legal,
        width=each,
        length=length,
        score="renormalised" if name == "renormalised" else "model",
    )
    return Answers(beams, jnp.full(batch, name == "max-marginal" and width >= k))


def all_scores(
    step: beam.Step, cache: beam.Cache, index: automata.Automaton, *, num_leaves: int, length: int
) -> jax.Array:
    """f32[B, num_leaves] log-probability of every identifier, by every prefix once: a beam as wide as the trie. The oracle."""
    beams = beam.beam_search(step, cache, index, width=num_leaves, length=length, score="model")
    blank = jnp.full(num_leaves + 1, -jnp.inf)  # NO_LEAF = -1 writes to the last place
    return jax.vmap(lambda leaf, score: blank.at[leaf].set(score))(beams.leaf, beams.score)[:, :-1]


def queries_at_once(
    name: str, index: trie.Trie, cache: beam.Cache, *, width: int, most: int
) -> int:
    """Queries of one batch, at most `most`, so that their prefixes stay within BUDGET. cache: leaves [B, 1, ...], shapes do.

    Raises DataError for a decoder that would not fit even one.
    """
    require(name)
    leaves = jax.tree.leaves(cache)
    prefix = sum(leaf.dtype.itemsize * math.prod(leaf.shape[2:]) for leaf in leaves)  # bytes
    if name == "best-first":
        prefixes, remedy = index.length * SWEEPS * width, "lower the beam"
    elif name in TABLED:
        prefixes, remedy = (
            min(len(index.documents), math.prod(index.fanout[:-1])),
            "choose best-first",
        )
        # before and after the gather; logits, their softmax, the children
        prefix = 2 * prefix + 24 * index.alphabet
    else:
        return most
    fit = BUDGET // (prefixes * prefix)
    if fit < 1:
        size = f"{prefixes * prefix / 2**30:.1f} GiB a query for {prefixes:,} prefixes"
        raise records.DataError(
            f"decoding {name!r} would take {size}, over {BUDGET / 2**30:.0f}; {remedy}"
        )
    return min(most, fit)
