"""Monte Carlo of both theorems, with standard errors.

Jitted and streamed in blocks: memory O(N + block) for any number of draws. `kl` draws corpora and
walks the tree; `recall` draws queries and searches with `zoo.search.beam.beam_search` on a real
`zoo.index.trie.Trie`. Several devices share the draws; the same key, number of draws and number of
devices give the same numbers. The quantities are those of arXiv 2504.09935.
"""

from __future__ import annotations

import concurrent.futures
import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from theory import worlds
from zoo.docids import table
from zoo.index import trie
from zoo.search import beam

BLOCK_LEAVES = 2**20  # leaves drawn at a time on a device
BLOCK_SCORES = 2**22  # branch scores drawn at a time on a device
PATTERN = 2**16  # places at which the pattern of the last bit may start
STREAMS = 2  # of draws; a single device that is a CPU works on them at once
DECODERS = ("masked", "counted", "exact")


class Estimate(NamedTuple):
    """A mean over draws, its standard error, and the number of draws that count."""

    mean: np.ndarray
    stderr: np.ndarray
    n: int


# ---------------------------------------------------------------- KL of constrained decoding


def kl(
    relevance: np.ndarray,
    branching: int,
    depth: int,
    corpora,
    key: jax.Array,
    *,
    num_corpora: int,
    decoder: str = "masked",
    reverse: bool = False,
) -> Estimate:
    """KL of each decoding step over random corpora that are not empty, f64[m] in nats.

    S_c is the share of the mass below child c that is in the corpus, f_c the decoder's knowledge of
    it (masked: whether anything is left; counted: the share of the leaves; exact: S_c), and P(c) is
    proportional to r_c f_c. KL[P||Q] = log E_P[X] - E_P[log X] for X = S / f (T1), and KL[Q||P] =
    E_P[X log X] / E_P[X] - log E_P[X]. Nodes are weighted by the probability that P (for the
    reverse, Q) reaches them.

    Args:
      relevance: f[N], N = branching**depth, any scale.
      corpora: `worlds.Kept`, `FixedSize`, `BranchCorrelated` or `Heterogeneous`.
      num_corpora: draws; rounded up to whole blocks on each device.
      decoder: one of DECODERS.
      reverse: KL[Q||P] instead.

    Raises:
      ValueError: for relevance, sizes or a decoder out of range.

    Inf where an alive child has no relevance left but had some. Sums are in f32: relative error
    about 1e-5.
    """
    if decoder not in DECODERS:
        raise ValueError(f"kl: expected a decoder of {', '.join(DECODERS)}, got {decoder!r}")
    if num_corpora < 2:
        raise ValueError(
            f"kl: expected num_corpora of at least 2 for a standard error, got {num_corpora}"
        )
    tree = worlds.full(branching, depth, relevance)
    num_leaves = len(tree.relevance)
    masses = [np.maximum(mass, np.finfo(np.float64).tiny) for mass in tree.masses]
    weights = [
        jnp.asarray(tree.masses[t + 1] / np.repeat(masses[t], branching), jnp.float32)
        for t in range(depth)
    ]
    together = min(max(1, BLOCK_LEAVES // num_leaves), -(-num_corpora // _streams()))
    walk = functools.partial(_steps, branching=branching, decoder=decoder, reverse=reverse)

    def draw(weights, key):
        alive = _leaves(corpora, key, together, num_leaves)
        return (
            jax.vmap(lambda leaves: walk(leaves, weights))(alive)
            if together > 1
            else walk(alive[0], weights)[None]
        )

    return _averaged(draw, weights, key, together, num_corpora, depth)


def _leaves(corpora, key: jax.Array, together: int, num_leaves: int) -> jax.Array:
    """bool[together, num_leaves] of one block."""
    if (
        isinstance(corpora, worlds.Kept)
        and together * num_leaves >= BLOCK_LEAVES // 2
        and num_leaves % 4 == 0
        and corpora.keep >= 1 / 32
    ):
        return _kept_bytes(key, corpora.keep, together * num_leaves).reshape(together, num_leaves)
    return jax.vmap(lambda key: corpora.draw(key, num_leaves))(jax.random.split(key, together))


def _kept_bytes(key: jax.Array, keep: float, size: int) -> jax.Array:
    """bool[size], each True with probability `keep`, at the cost of one random byte.

    A byte below floor(256 p) is True; one equal to it is True where a fixed random pattern of
    frequency 256 p - floor(256 p), read from a random offset, is set. Each block has exactly the
    wanted law; blocks share the pattern.
    """
    bits, place = jax.random.split(key)
    words = jax.random.bits(bits, (size // 4,), jnp.uint32)
    bytes_ = jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(size)
    whole = math.floor(256 * keep)
    if whole == 256:
        return jnp.ones(size, bool)
    yes = bytes_ < jnp.uint8(whole)
    rest = 256 * keep - whole
    if rest < 1e-9:
        return yes
    pattern = jax.random.bernoulli(jax.random.key(0), rest, (size + PATTERN,))
    first = jax.random.randint(place, (), 0, PATTERN)
    return yes | ((bytes_ == jnp.uint8(whole)) & jax.lax.dynamic_slice(pattern, (first,), (size,)))


def _steps(
    alive: jax.Array, weights: list[jax.Array], *, branching: int, decoder: str, reverse: bool
) -> jax.Array:
    """f32[m] KL of each step for one corpus bool[N]; NaN if it is empty.

    weights[t]: f32[b^(t+1)] r_c / r_v.
    """
    depth = len(weights)
    rows = lambda x: x.reshape(-1, branching)
    share = {depth: alive}  # of mass; bool at the leaves
    some = {depth: alive}
    count = {depth: alive}  # share of leaves
    for t in range(depth - 1, -1, -1):
        below = rows(share[t + 1])
        share[t] = (
            jnp.where(below, rows(weights[t]), 0).sum(1)
            if t == depth - 1
            else (below * rows(weights[t])).sum(1)
        )
        some[t] = rows(some[t + 1]).any(1)
        if decoder == "counted":
            count[t] = rows(count[t + 1]).mean(1, dtype=jnp.float32)
    scale = jnp.maximum(share[0][0], 1e-30)  # X is centred, so that logs are of numbers near 1
    reach = jnp.ones(1)
    steps = []
    for t in range(depth - 1):
        seen = (
            some[t + 1].astype(jnp.float32)
            if decoder == "masked"
            else (count if decoder == "counted" else share)[t + 1]
        )
        knows, left, prior = rows(seen), rows(share[t + 1]), rows(weights[t])
        chosen = prior * knows
        chosen = chosen / jnp.maximum(chosen.sum(1, keepdims=True), 1e-37)  # P(c|v)
        x = left / jnp.where(knows > 0, knows, 1) / (scale if decoder == "masked" else 1)
        y, log = x - 1, jnp.where(x < 0.5, jnp.log(x), jnp.log1p(x - 1))
        live = chosen > 0
        mean = jnp.where(live, chosen * y, 0).sum(1)  # E_P[X] - 1
        if reverse:
            wanted = jnp.where(live, chosen * (1 + y), 0) / jnp.maximum(1 + mean, 1e-37)[:, None]
            gap = jnp.where(wanted > 0, wanted * log, 0).sum(1) - jnp.log1p(mean)
            onward = wanted
        else:
            gap = jnp.where(live, chosen * (y - log), 0).sum(1) - (mean - jnp.log1p(mean))
            onward = chosen
        steps.append(jnp.where(reach > 0, reach * gap, 0).sum())
        reach = (reach[:, None] * onward).reshape(-1)
    return jnp.where(some[0][0], jnp.stack([*steps, jnp.zeros(())]), jnp.nan)


# ---------------------------------------------------------------- recall of beam search


def recall(world: worlds.SparseThick, key: jax.Array, *, width: int, num_queries: int) -> Estimate:
    """First-step recall: share of the k relevant branches that a beam of `width` keeps.

    By `beam_search` on the trie of the b branches; the step closure returns the standardised
    totals, exact for any number of leaves per branch: n = 1e12 is one number. Later steps only lose
    relevant leaves: an upper bound on the recall of the whole search (T6).
    """
    found = functools.partial(_found, world, width)
    return _over_queries(lambda hits: hits.sum(-1) / world.relevant, found, world, key, num_queries)


def any_relevant(
    world: worlds.SparseThick, key: jax.Array, *, width: int, num_queries: int
) -> Estimate:
    """Share of queries in which a relevant branch survives step 1: an upper bound on precision@1.

    At depth 2, with relevant scores above the tail, it equals precision@1 of the whole search (T7).
    """
    found = functools.partial(_found, world, width)
    return _over_queries(
        lambda hits: hits.any(-1).astype(jnp.float32), found, world, key, num_queries
    )


def _found(
    world: worlds.SparseThick, width: int, key: jax.Array, index: trie.Trie, num_queries: int
) -> jax.Array:
    """bool[num_queries, K]: whether each branch of the beam holds a relevant leaf."""
    marginal, holds = world.draw(key, num_queries)
    # token 0 is PAD; ranks are those of the marginals themselves
    logits = jnp.pad(marginal, [(0, 0), (1, 0)])[:, None]
    step = lambda t, token, cache: (logits, cache)
    found = beam.beam_search(
        step,
        jnp.zeros((num_queries, 1)),
        index,
        width=min(width, world.branching),
        length=1,
        score="renormalised",
    )
    return jnp.take_along_axis(holds, index.documents_of(found.leaf)[..., 0], axis=1)


def _over_queries(
    measure, found, world: worlds.SparseThick, key: jax.Array, num_queries: int
) -> Estimate:
    if num_queries < 2:
        raise ValueError(
            f"recall: expected num_queries of at least 2 for a standard error, got {num_queries}"
        )
    index = trie.build(table.atomic(world.branching))
    together = min(max(1, BLOCK_SCORES // world.branching), -(-num_queries // _streams()))
    averaged = _averaged(
        lambda index, key: measure(found(key, index, together))[:, None],
        index,
        key,
        together,
        num_queries,
        1,
    )
    return Estimate(averaged.mean[0], averaged.stderr[0], averaged.n)


# ---------------------------------------------------------------- draws in blocks on all devices


def _streams() -> int:
    return max(jax.device_count(), STREAMS)


def _averaged(draw, arrays, key: jax.Array, together: int, wanted: int, size: int) -> Estimate:
    """Mean and standard error of draw(arrays, key) -> f32[together, size] over blocks.

    Rows with a NaN do not count. Devices share the blocks; a single device runs two streams.
    """
    keys = jax.random.split(key, (_streams(), -(-wanted // (together * _streams()))))

    # -> count f32[], total and square f32[size] less the centre f32[size], which squares need to
    # keep their digits
    def stream(arrays, keys):
        first = draw(arrays, keys[0])
        centre = jnp.where(jnp.isfinite(first), first, 0).mean(0)

        def sums(values):
            counts = ~jnp.isnan(values).any(1, keepdims=True)
            values = jnp.where(counts, values - centre[None], 0)
            return counts.sum(dtype=jnp.float32), values.sum(0), (values**2).sum(0)

        def add(total, key):
            return tuple(a + b for a, b in zip(total, sums(draw(arrays, key)))), None

        return *jax.lax.scan(add, sums(first), keys[1:])[0], centre

    if jax.device_count() == 1:
        run = jax.jit(stream).lower(arrays, keys[0]).compile()
        with concurrent.futures.ThreadPoolExecutor(len(keys)) as pool:
            parts = list(
                pool.map(lambda mine: jax.block_until_ready(run(arrays, mine)), list(keys))
            )
        sums = [np.stack([np.asarray(part[i], np.float64) for part in parts]) for i in range(4)]
    else:
        mesh = jax.sharding.Mesh(np.array(jax.devices()), ("draws",))
        spec = PartitionSpec("draws")
        run = jax.jit(
            jax.shard_map(
                jax.vmap(stream, (None, 0)),
                mesh=mesh,
                in_specs=(PartitionSpec(), spec),
                out_specs=spec,
                check_vma=False,
            )
        )
        sums = [np.asarray(x, np.float64) for x in run(arrays, keys)]
    count, total, square, centre = sums[0][:, None], *sums[1:]
    n = count.sum()
    if n < 2:
        raise ValueError(
            "simulate: fewer than two draws had a document in the corpus; draw more, or keep more"
        )
    means = centre + total / np.maximum(count, 1)
    mean = (count * means).sum(0) / n
    with np.errstate(invalid="ignore"):  # of an infinite mean
        variance = (square - total**2 / np.maximum(count, 1) + count * (means - mean) ** 2).sum(
            0
        ) / (n - 1)
    return Estimate(mean, np.sqrt(np.maximum(variance, 0) / n), int(n))
