"""The best children of the hypotheses of a beam, without scoring every token.

Returns the top `width` of score + log-probability over all children; ties go to the first in
lexicographic order. The memory traffic depends on the form of the level. A light level gathers C
logits per hypothesis. A split level reads the logits once in vectors, takes the maximum over the
children in each block of 32 tokens, does the same for the children of each light node, and looks
inside the `width` best blocks only; this is exact, see `topk.top_k`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from zoo.docids import table
from zoo.index import bitmaps, level as levels, projection, topk

BLOCK = levels.BLOCK

# What a step adds to the score of a hypothesis: the model's log-probability of the token, its
# log-probability among the legal tokens of the step, or its logit.
Score = Literal["model", "renormalised", "logit"]


class Winners(NamedTuple):
    """The W = min(width, number of children) best, in lexicographic order.

    Score -inf = no child; the other fields are then arbitrary.
    """

    score: jax.Array  # f32[B, W]
    token: jax.Array  # i32[B, W]
    node: jax.Array  # i32[B, W] of the next depth
    parent: jax.Array | None  # i32[B, W] hypothesis that each continues; None = each its own, W = K


def best(
    level: levels.Level,
    node: jax.Array,
    before: jax.Array,
    logits: jax.Array | projection.Projection,
    *,
    width: int,
    score: Score,
    mask: bitmaps.Mask | None = None,
) -> Winners:
    """The best children of nodes i32[B, K] with scores f32[B, K]; never a top-k over K V."""
    if score == "logit":
        logits = _without_nan(logits)
    wide = (
        isinstance(logits, projection.Projection)
        and logits.num_blocks(level.form.words * BLOCK) > 1
    )
    find = (
        _best_of_wide
        if level.form.heavy and wide
        else _best_of_split
        if level.form.heavy
        else _best_of_light
    )
    if find is _best_of_split:
        logits = projection.dense(logits)
    return find(level, node, before, logits, width, score, mask)


def children(
    level: levels.Level, node: jax.Array, num_places: int, mask: bitmaps.Mask | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The first `num_places` children i32[B, K, C] of nodes i32[B, K], their tokens, and a mask.

    The mask bool[B, K, C] is true for children that exist and are allowed.
    """
    first, end = level.first(node)[..., None], level.first(node + 1)[..., None]
    offset = jax.lax.broadcasted_iota(jnp.int32, (*node.shape, num_places), 2)
    real = first + offset < end
    child = jnp.minimum(first + offset, len(level.token) - 1)
    if mask is not None and mask.child is not None:
        real &= bitmaps.bit_of(mask.child, child)
    if mask is not None and mask.gone is not None:
        gone = bitmaps.gone_of(
            level,
            node,
            mask.gone,
            -(-num_places // BLOCK),
            lambda child, parent_first: child - parent_first,
        )
        real &= ~bitmaps.bits(gone).reshape(*node.shape, -1)[..., :num_places]
    return child, level.tokens(child), real


def logits_of(logits: jax.Array, token: jax.Array, real: jax.Array) -> jax.Array:
    """f32[B, K, C] logits of tokens i32[B, K, C]; -inf where not real, 0 for PAD.

    PAD after the end of an identifier is forced, so it carries no information.
    """
    if isinstance(logits, projection.Projection):
        value = logits.read(token)
    else:
        value = jnp.take_along_axis(logits, token, axis=-1, mode="promise_in_bounds")
    return jnp.where(real, jnp.where(token == table.PAD, 0.0, value), -jnp.inf)


def best_of_all(
    before: jax.Array, logits: jax.Array, *, width: int, score: Score
) -> tuple[jax.Array, jax.Array]:
    """The `width` largest of before f32[B, K] + score of logits f32[B, K, V]; every token is legal.

    Also returns their indices i32 in [0, K V), ascending. Equivalent to `lax.top_k` over the
    flattened scores (first index wins ties), without materialising them.
    """
    batch, _, alphabet = logits.shape
    if score == "logit":
        logits = jnp.where(logits < jnp.inf, logits, -jnp.inf)
    normaliser = _normaliser(logits, score)
    chunks = _chunked(logits, 0, -(-alphabet // BLOCK), fill=-jnp.inf)
    largest = topk.unordered(topk.ordered(chunks).max(axis=3))
    bound = _total(before[..., None], largest, normaliser[..., None])
    num_chunks = bound.shape[2]
    bound = bound.reshape(batch, -1)
    chunk = jnp.sort(topk.top_k(bound, min(width, bound.shape[1]))[1], axis=1)  # -> [B, Q]
    parent = chunk // num_chunks
    token = (chunk % num_chunks)[..., None] * BLOCK + jax.lax.broadcasted_iota(
        jnp.int32, (*chunk.shape, BLOCK), 2
    )
    value = jnp.where(token < alphabet, _read(logits, parent, token), -jnp.inf)
    total = _total(
        topk.pick(before, parent)[..., None], value, topk.pick(normaliser, parent)[..., None]
    ).reshape(batch, -1)
    place = jnp.sort(topk.top_k(total, min(width, total.shape[1]))[1], axis=1)
    return topk.pick(total, place), topk.pick(
        (parent[..., None] * alphabet + token).reshape(batch, -1), place
    )


def _best_of_light(level, node, before, logits, width, score, mask) -> Winners:
    num_places = level.form.light
    child, token, real = children(level, node, num_places, mask)
    value = logits_of(logits, token, real)
    normaliser = (
        jax.nn.logsumexp(value, axis=-1) if score == "renormalised" else _normaliser(logits, score)
    )
    total = _total(before[..., None], value, normaliser[..., None], token)
    if num_places == 1 and node.shape[1] <= width:
        return Winners(total[..., 0], token[..., 0], child[..., 0], None)
    total, token, child = (x.reshape(len(node), -1) for x in (total, token, child))
    if total.shape[1] <= width:  # all stay
        return Winners(
            total, token, child, jax.lax.broadcasted_iota(jnp.int32, total.shape, 1) // num_places
        )
    place = jnp.sort(topk.top_k(total, width)[1], axis=1)  # back to lexicographic order
    return Winners(
        topk.pick(total, place),
        topk.pick(token, place),
        topk.pick(child, place),
        place // num_places,
    )


def _best_of_split(level, node, before, logits, width, score, mask) -> Winners:
    batch, beams = node.shape
    words = bitmaps.rows(level, node, mask)  # -> [B, K, w]
    bound = _largest_of_words(level, logits, words)
    normaliser = (
        _normaliser_of_words(level, logits, words)
        if score == "renormalised"
        else _normaliser(logits, score)
    )
    # chunks that hold the children of a light node, before the words of a heavy one
    own = -(-level.form.light // BLOCK)
    if own:
        heavy, _ = level.row(node)
        _, token, real = children(level, node, own * BLOCK, mask)
        real &= ~heavy[..., None]
        value = logits_of(logits, token, real)
        if score == "renormalised":
            normaliser = jnp.where(heavy, normaliser, jax.nn.logsumexp(value, axis=-1))
    bound = _total(before[..., None], bound, normaliser[..., None])
    if own:
        total = _total(before[..., None], value, normaliser[..., None], token)
        bound = jnp.concatenate(
            [total.reshape(batch, beams, own, BLOCK).max(axis=-1), bound], axis=-1
        )
        words = jnp.concatenate([bitmaps.pack(real), words], axis=-1)
    num_chunks = bound.shape[2]
    bound, words = bound.reshape(batch, -1), words.reshape(batch, -1)
    if bound.shape[1] <= width:
        chunk = jax.lax.broadcasted_iota(jnp.int32, bound.shape, 1)  # -> [B, Q]
    else:
        chunk = jnp.sort(topk.top_k(bound, width)[1], axis=1)

    parent, word = chunk // num_chunks, chunk % num_chunks - own
    first = topk.pick(level.first(node), parent)[..., None]
    inside = jax.lax.broadcasted_iota(jnp.int32, (*chunk.shape, BLOCK), 2)  # -> [B, Q, 32]
    token = word[..., None] * BLOCK + inside
    place = jnp.clip(first + token + own * BLOCK, 0, len(level.token) - 1)  # of a light node
    token += level.form.low
    if own:
        token = jnp.where(word[..., None] < 0, level.tokens(place), token)
    value = jnp.where(token == table.PAD, 0.0, _read(logits, parent, token))
    value = jnp.where(bitmaps.bits(topk.pick(words, chunk)).reshape(token.shape), value, -jnp.inf)
    total = _total(
        topk.pick(before, parent)[..., None], value, topk.pick(normaliser, parent)[..., None], token
    ).reshape(batch, -1)
    place = jnp.sort(topk.top_k(total, min(width, total.shape[1]))[1], axis=1)  # -> [B, W]

    parent, word, inside = (
        topk.pick(parent, place // BLOCK),
        topk.pick(word, place // BLOCK),
        place % BLOCK,
    )
    rank = bitmaps.rank(level, topk.pick(node, parent), word, inside)
    offset = jnp.where(word < 0, (word + own) * BLOCK + inside, rank)
    child = jnp.minimum(topk.pick(level.first(node), parent) + offset, len(level.token) - 1)
    return Winners(
        topk.pick(total, place), topk.pick(token.reshape(batch, -1), place), child, parent
    )


def _best_of_wide(level, node, before, logits, width, score, mask) -> Winners:
    """Like `_best_of_split` for logits computed block by block.

    Ties at the cut go to lower tokens.
    """
    batch, beams = node.shape
    words = bitmaps.rows(level, node, mask)
    low, span = level.form.low, level.form.words * BLOCK
    heavy, _ = level.row(node)
    _, token, real = children(level, node, max(level.form.light, 1), mask)
    value = logits_of(logits, token, real & ~heavy[..., None])

    def legal(tokens):  # -> [B, K, T] of tokens i32[T]
        place = tokens - low
        return (
            jnp.take(words, place // BLOCK, axis=2)
            >> (place % BLOCK).astype(jnp.uint32)[None, None]
        ) & 1 == 1

    if score == "renormalised":
        normaliser = jnp.where(
            heavy, logits.normaliser(low, span, legal), jax.nn.logsumexp(value, axis=-1)
        )
    else:
        normaliser = _normaliser(logits, score)
    offset = jnp.where(jnp.isfinite(normaliser), before - normaliser, -jnp.inf)
    gain = _total(before[..., None], value, normaliser[..., None], token)
    total, chosen = logits.largest(low, span, legal, offset, width)
    parent = chosen // span
    light_parent = jnp.broadcast_to(jax.lax.broadcasted_iota(jnp.int32, gain.shape, 1), gain.shape)
    total, token, parent = (
        jnp.concatenate([heavy, light.reshape(batch, -1)], axis=1)
        for heavy, light in ((total, gain), (chosen % span + low, token), (parent, light_parent))
    )
    place = topk.top_k(total, min(width, total.shape[1]))[1]
    total, token, parent = (topk.pick(x, place) for x in (total, token, parent))
    order = jnp.lexsort((token, parent), axis=1)  # back to lexicographic order
    total, token, parent = (topk.pick(x, order) for x in (total, token, parent))
    child = jnp.maximum(level.find(topk.pick(node, parent), token), 0)
    return Winners(total, token, child, parent)


def _without_nan(logits: jax.Array | projection.Projection) -> jax.Array | projection.Projection:
    """Logits with NaN and +inf replaced by -inf; a projection does this while it is read."""
    if isinstance(logits, projection.Projection):
        return logits
    return jnp.where(logits < jnp.inf, logits, -jnp.inf)


def _normaliser(logits, score):
    """f32[B, K] subtracted from every logit, if it does not depend on the legal tokens."""
    return jnp.zeros(logits.shape[:2]) if score == "logit" else projection.normaliser(logits)


def _total(before, value, normaliser, token=None):
    """before + log-probability; -inf where the normaliser is not finite.

    That is the case if a logit is NaN or +inf, or all are -inf.
    """
    forced = False if token is None else token == table.PAD
    gain = jnp.where(forced, 0.0, value - normaliser)
    possible = (value > -jnp.inf) & (value < jnp.inf)
    return jnp.where(possible & (forced | jnp.isfinite(normaliser)), before + gain, -jnp.inf)


def _read(logits, parent, token):
    """f32[B, Q, 32] logits of tokens i32[B, Q, 32] after hypotheses i32[B, Q]."""
    read = jax.vmap(lambda rows, row, column: rows.at[row[:, None], column].get(mode="clip"))
    return read(logits, parent, token)


def _chunked(logits, low, num_words, fill):
    """f32[B, K, num_words, 32] the logits of tokens from `low`."""
    span = num_words * BLOCK
    logits = logits[..., low : low + span]
    logits = jnp.pad(logits, [(0, 0), (0, 0), (0, span - logits.shape[2])], constant_values=fill)
    return logits.reshape(*logits.shape[:2], num_words, BLOCK)


def _in_words(level, logits):
    return _chunked(logits, level.form.low, level.form.words, fill=0)


def _largest_of_words(level, logits, words):
    """f32[B, K, w] maximal logit per block of 32 tokens among the set bits; -inf without any."""
    least = topk.ordered(jnp.float32(-jnp.inf))
    return topk.unordered(
        jnp.where(bitmaps.bits(words), topk.ordered(_in_words(level, logits)), least).max(axis=3)
    )


def _normaliser_of_words(level, logits, words):
    """f32[B, K] log-sum-exp of the logits at the set bits."""
    return jax.nn.logsumexp(
        jnp.where(bitmaps.bits(words), _in_words(level, logits), -jnp.inf), axis=(2, 3)
    )
