"""Why new documents are not generated: what a decoder does at each position of their identifiers.

Zhang et al. 2025 (arXiv 2504.17519) find that numeric identifiers of old documents are generated in
place of new ones, although single tokens of new identifiers are often right.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo import records
from zoo.docids import table
from zoo.nets import network

BATCH = 64  # sources that are read at once


class ByPosition(NamedTuple):
    """Means over the identifiers that reach a position; nan where none does."""

    accuracy: np.ndarray  # f64[L] share of most likely tokens that are right, prefix given
    entropy: np.ndarray  # f64[L] of the next token, in nats


def by_position(
    net: network.Network, params: Any, sources: np.ndarray, targets: np.ndarray
) -> ByPosition:
    """Accuracy and entropy of the next token for sources i32[n, S] and identifiers i32[n, L].

    The decoder is not constrained to identifiers that exist.
    """
    right, spread = [], []
    for first in range(0, len(targets), BATCH):
        rows = np.arange(first, min(first + BATCH, len(targets)))
        padded = np.resize(rows, BATCH)  # one shape serves all
        found = _measure(params, sources[padded], targets[padded], net=net)
        right.append(np.asarray(found[0])[: len(rows)])
        spread.append(np.asarray(found[1])[: len(rows)])
    live = targets != table.PAD
    count = live.sum(axis=0)
    mean = lambda parts: np.divide(
        np.where(live, np.concatenate(parts), 0.0).sum(axis=0, dtype=np.float64),
        count,
        out=np.full(len(count), np.nan),
        where=count > 0,
    )
    return ByPosition(mean(right), mean(spread))


def old_share(ranking: records.Ranking, num_old: int) -> float:
    """Share of first answers that are one of the first `num_old` documents of the system."""
    firsts = ranking.documents[:, 0]
    answered = firsts >= 0
    return float((answered & (firsts < num_old)).sum() / max(answered.sum(), 1))


@functools.partial(jax.jit, static_argnames="net")
def _measure(
    params: Any, source: jax.Array, target: jax.Array, *, net: network.Network
) -> tuple[jax.Array, jax.Array]:
    logits = net.logits(params, net.encode(params, source), target)
    log_p = jax.nn.log_softmax(logits)
    # -inf for tokens of other positions
    entropy = -jnp.where(log_p > -jnp.inf, jnp.exp(log_p) * log_p, 0.0).sum(-1)
    return logits.argmax(-1) == target, entropy
