"""The best tokens that follow n-grams of an FM-index, exactly, without testing every token."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from zoo.index import topk, wavelet


class Found(NamedTuple):
    """The children of nodes found so far, per node in increasing order of token."""

    total: jax.Array  # f32[B, K, C] score, -inf = no child
    token: jax.Array  # i32[B, K, C]
    beyond: jax.Array  # f32[B, K] most that a child not among them can score, -inf = there is none
    least: jax.Array  # f32[B] the `width` best found of a query score at least this


def best(
    column: wavelet.Wavelet,
    node: jax.Array,
    score: jax.Array,
    gain: jax.Array,
    *,
    width: int,
    tested: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The `width` children of largest score + gain: score f32[B, W], token and parent i32[B, W].

    Sorted by (parent, token). The children of a narrow node, of at most 2 m rows with m =
    max(tested, width), are read off its rows. Of a wide node, the m tokens of largest gain are
    tried. Any other child gains at most as much as the last of those; while such a child could win
    or tie, the wide node with the largest possible gain is expanded in full, one node at a time. So
    the result is exact for any `tested`, and the first wins ties. A model that knows the corpus
    rarely pays for a full expansion.

    Cost: 2 m D gathers per node, V = 2^D, and 2 V per full expansion; a top-m over V per node.

    Args:
      column: tokens after the rows, 0 = none.
      node: i32[B, K, 2], first row and end.
      score: f32[B, K]; gain: f32[B, K, V], not NaN, -inf for tokens that must not follow, such as
        0.
    """
    batch, beams, alphabet = gain.shape
    found = _tried(column, node, score, gain, width, min(max(tested, width), alphabet))

    def open_nodes(found):
        return (found.beyond > -jnp.inf) & (found.beyond >= found.least[:, None])

    def look(found):
        most = jnp.argmax(jnp.where(open_nodes(found), found.beyond, -jnp.inf))
        query, beam = most // beams, most % beams
        legal = can_follow(column, node[query, beam], alphabet)
        total = jnp.where(legal, score[query, beam] + gain[query, beam], -jnp.inf)
        total, token = jax.lax.top_k(total, min(width, alphabet))
        token, total = jax.lax.sort((token, total), num_keys=1)
        spare = (0, found.total.shape[2] - len(total))
        totals = found.total.at[query, beam].set(jnp.pad(total, spare, constant_values=-jnp.inf))
        return Found(
            totals,
            found.token.at[query, beam].set(jnp.pad(token, spare)),
            found.beyond.at[query, beam].set(-jnp.inf),
            found.least.at[query].set(_least(totals[query][None], width)[0]),
        )

    found = jax.lax.while_loop(lambda found: open_nodes(found).any(), look, found)
    total = found.total.reshape(batch, -1)
    place = jnp.sort(topk.top_k(total, min(width, total.shape[1]))[1], axis=1)
    return (
        topk.pick(total, place),
        topk.pick(found.token.reshape(batch, -1), place),
        place // found.token.shape[2],
    )


def can_follow(column: wavelet.Wavelet, node: jax.Array, alphabet: int) -> jax.Array:
    """bool[..., V]: which tokens follow nodes i32[..., 2]. Cost: 2 V gathers per node."""
    place = column.follow_all(node)[..., :alphabet]
    return place[..., 0, :] < place[..., 1, :]


def _tried(column, node, score, gain, width: int, most: int) -> Found:
    batch, beams, alphabet = gain.shape
    low, high = node[..., :1], node[..., 1:]
    narrow = high - low <= 2 * most  # -> [B, K, 1]
    nothing = jnp.zeros((batch * beams, most)), jnp.zeros((batch * beams, most), jnp.int32)
    rows = gain.reshape(-1, alphabet)
    # all are narrow from a few tokens on
    top = jax.lax.cond(narrow.all(), lambda: nothing, lambda: tuple(topk.top_k(rows, most)))
    value, token = (x.reshape(batch, beams, most) for x in top)
    row = low + jax.lax.broadcasted_iota(jnp.int32, (batch, beams, 2 * most), 2)
    ends = jnp.concatenate([jnp.broadcast_to(end, token.shape) for end in (low, high)], axis=2)
    place = jnp.where(narrow, jnp.minimum(row, high), ends)  # a row after the last is a place too
    symbol, place = column.walk(jnp.concatenate([token, token], axis=2), place, read=narrow)
    occurs = place[..., :most] < place[..., most:]
    real = jnp.where(narrow, row < high, jnp.concatenate([occurs, jnp.zeros_like(occurs)], axis=2))
    symbol = jnp.sort(jnp.where(real, symbol, alphabet), axis=2)
    real = (symbol < alphabet) & jnp.concatenate(
        [jnp.ones_like(real[..., :1]), symbol[..., 1:] != symbol[..., :-1]], axis=2
    )
    gained = jnp.take_along_axis(
        gain, jnp.minimum(symbol, alphabet - 1), axis=2, mode="promise_in_bounds"
    )
    total = jnp.where(real, score[..., None] + gained, -jnp.inf)
    whole = narrow[..., 0] | (most == alphabet)
    return Found(
        total, symbol, jnp.where(whole, -jnp.inf, score + value[..., -1]), _least(total, width)
    )


def _least(total: jax.Array, width: int) -> jax.Array:
    """f32[B] the `width`-th largest of f32[B, K, C]; -inf if there are fewer."""
    total = total.reshape(len(total), -1)
    return (
        topk.top_k(total, width)[0][:, -1]
        if total.shape[1] >= width
        else jnp.full(len(total), -jnp.inf)
    )
