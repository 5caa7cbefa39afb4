"""Training of encoder-decoders that generate identifiers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo import options, records
from zoo.data import batches
from zoo.docids import table
from zoo.models import warm_start
from zoo.nets import network
from zoo.objectives import sequence
from zoo.text import tokens
from zoo.train import log as logs, loop, stages


def pairs(collection: records.Collection, split: str = "train") -> tuple[list[str], list[int]]:
    """Texts of the queries of a split, and a relevant document's row for each; empty without it."""
    if split not in collection.qrels:
        return [], []
    queries, qrels = collection.split(split)
    texts, rows = dict(zip(queries.ids, queries.texts)), collection.corpus.rows()
    found = [(texts[query], rows[document]) for query, document in qrels.pairs()]
    return [text for text, _ in found], [row for _, row in found]


def sizes_of(config: options.Writing, tokenizer: str, ids: table.Docids) -> dict[str, Any]:
    """Fields of a `transformer.Shape` from this tokenizer's tokens to these identifiers."""
    return {
        "source_vocab": tokens.count(tokenizer),
        "target_vocab": ids.alphabet,
        "target_length": ids.tokens.shape[1],
        **{field: getattr(config, field) for field in options.WRITER},
    }


@functools.lru_cache(maxsize=32)  # equal losses share their compiled step
def likelihood(
    net: network.Network,
    *,
    smoothing: float,
    word_dropout: float,
    unknown: int = tokens.UNKNOWN,
    z_loss: float = 0.0,
) -> loop.Loss:
    """Mean negative log-likelihood of {"source": i32[B, S], "target": i32[B, L]} batches.

    word_dropout: fraction of source tokens replaced by the token `unknown`.
    """

    def loss(params, batch, key):
        drop, hide = jax.random.split(key)
        source, target = drop_words(batch["source"], hide, word_dropout, unknown), batch["target"]
        logits = predict(net, params, source, target, drop)
        value = sequence.cross_entropy(logits, target, smoothing=smoothing, z_loss=z_loss).mean()
        return value, {"identifiers_right": exact(logits, target)}

    return loss


def predict(
    net: network.Network, params: dict, source: jax.Array, target: jax.Array, key: jax.Array
) -> jax.Array:
    """Logits f32[B, L, V] of target i32[B, L] given source i32[B, S], with dropout of the key."""
    rngs = {"dropout": key}
    memory = net.encode(params, source, train=True, rngs=rngs)
    return net.logits(params, memory, target, train=True, rngs=rngs)


def drop_words(
    source: jax.Array, key: jax.Array, share: float, unknown: int = tokens.UNKNOWN
) -> jax.Array:
    """Source i32[B, S] with a fraction of its tokens replaced by the unknown token.

    Vectors f32[B, D] are returned as they are.
    """
    if not share or jnp.issubdtype(source.dtype, jnp.floating):
        return source
    chosen = jax.random.bernoulli(key, share, source.shape) & (source != tokens.PAD)
    return jnp.where(chosen, unknown, source)


def exact(logits: jax.Array, target: jax.Array) -> jax.Array:
    """f32[] fraction of identifiers i32[B, L] that logits f32[B, L, V] predict exactly."""
    return jnp.all(
        (logits.argmax(-1) == target) | (sequence.count_mask(target) == 0), axis=-1
    ).mean()


def stage(
    net: network.Network,
    sources: Sequence[batches.Source],
    config: options.Writing,
    log: logs.Log,
    *,
    name: str = "train",
    unknown: int = tokens.UNKNOWN,
    z_loss: float = 0.0,
) -> stages.Stage:
    """A stage by `likelihood`, over all steps."""
    loss = likelihood(
        network.with_remat(net, log.execution.remat),
        smoothing=config.smoothing,
        word_dropout=config.word_dropout,
        unknown=unknown,
        z_loss=z_loss,
    )
    return stages.Stage(name, sources, loss)


def init(
    net: network.Network,
    key: jax.Array,
    *,
    embeddings: np.ndarray | None = None,
    start: warm_start.Start | None = None,
) -> dict:
    """Initial parameters: random, except `embeddings` for the source table and what `start` has.

    embeddings: f32[source_vocab, D].
    """
    params = net.init(key)
    if embeddings is not None:
        params["params"]["source_embedding"]["embedding"] = jnp.asarray(embeddings, jnp.float32)
    return (
        params
        if start is None
        else warm_start.copy_weights(params, start, jax.random.fold_in(key, 1))
    )
