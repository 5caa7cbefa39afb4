"""Dual encoders: training examples, the contrastive loss, and vectors of texts."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from zoo import options, records
from zoo.data import batches
from zoo.index import dense
from zoo.models import corpus_text, encoder_decoder, warm_start
from zoo.nets import dual, network, transformer
from zoo.objectives import ranking
from zoo.text import embed, tokens
from zoo.train import execution as executions, log as logs, loop, stages

# first token of a text, which tells a shared tower its side
PROMPTS = {dual.QUERY: "[query]", dual.DOCUMENT: "[document]"}


class Examples(NamedTuple):
    """Queries with a relevant document each, train queries first, and all known relevant pairs."""

    texts: list[str]  # n
    queries: np.ndarray  # i32[n, S]
    answers: np.ndarray  # i64[n] rows of relevant documents
    weights: np.ndarray  # f64[n] relative sampling frequencies
    documents: np.ndarray  # i32[N, S'] tokens of the documents
    known: np.ndarray  # i64[m] sorted query number x N + row of every relevant pair
    numbers: np.ndarray  # i64[n] number of each query, equal for equal texts
    num_train: int  # train queries
    unknown: int = tokens.UNKNOWN  # token that hides others


def examples(texts: corpus_text.Texts, config) -> Examples:
    """Examples of train queries and generated ones. Raises DataError without either."""
    share = (config.generated_share if texts.queries else 1.0) if texts.made else 0.0
    if not texts.queries and not texts.made:
        raise records.DataError(
            f"{config.SYSTEM}: nothing to learn from: no train queries and generated=0; "
            "raise generated"
        )
    kinds = [(texts.queries, texts.answers, 1 - share), (texts.made, texts.origins, share)]
    kinds = [kind for kind in kinds if kind[0] and kind[2] > 0]
    asked = [text for given, _, _ in kinds for text in given]
    answers = np.concatenate([np.asarray(rows, np.int64) for _, rows, _ in kinds])
    number = {text: n for n, text in enumerate(dict.fromkeys(asked))}
    numbers = np.array([number[text] for text in asked], np.int64)
    return Examples(
        texts=asked,
        queries=texts.encode(asked, config.query_length, PROMPTS[dual.QUERY]),
        answers=answers,
        weights=np.concatenate(
            [np.full(len(given), weight / len(given)) for given, _, weight in kinds]
        ),
        documents=texts.encode(
            texts.contents, config.document_length, PROMPTS[dual.DOCUMENT], side=embed.DOCUMENT
        ),
        known=np.unique(numbers * len(texts.contents) + answers),
        numbers=numbers,
        num_train=len(texts.queries) if share < 1 else 0,
        unknown=tokens.unknown(texts.tokenizer),
    )


def init(
    texts: corpus_text.Texts,
    shape: dual.Shape,
    config,
    key: jax.Array,
    start: warm_start.Start | None = None,
) -> Any:
    """Initial parameters: random, or SVD vectors, or the encoder of `start` in each tower; if texts
    are vectors, the identity, which ranks as they do.
    """
    params = network.build(shape).init(key)
    if config.vector_start and not texts.encoder:
        words = corpus_text.embed(texts, config.width).words
        size = np.linalg.norm(words, axis=1)
        for tower in params["params"].values():
            tower["encoder"]["source_embedding"]["embedding"] = jnp.asarray(words / words.std())
            # states are normalised: the weights restore the lengths of the words
            if "weight" in tower:
                tower["weight"] = jnp.asarray(size / size.mean())
    if start is not None:
        for tower in params["params"].values():
            tower["encoder"] = warm_start.copy_weights(
                {"params": tower["encoder"]}, start, jax.random.fold_in(key, 1)
            )["params"]
    return params


def refuse_parts(execution: executions.Execution) -> None:
    """Raises DataError if the execution splits batches: a batch's documents are its negatives."""
    if execution.accumulate > 1 or jax.process_count() > 1:
        raise records.DataError(
            "dual encoder: the negatives of a query are the documents of its whole batch, which "
            "cannot be split; train with one process and without --accumulate"
        )


def stage(
    examples: Examples,
    shape: dual.Shape,
    config: options.Encoding,
    log: logs.Log,
    *,
    name: str = "train",
    mine: Callable[[Any], np.ndarray] | None = None,
    share: float = 1.0,
) -> stages.Stage:
    """A stage by `contrast`.

    mine: params -> i64[n, H] hard negatives of each example beside those in its batch, -1 = none;
        no hard negatives if None.
    """
    without = np.zeros((len(examples.answers), 0), np.int64)

    def sources(params: Any) -> list[batches.Source]:
        negatives = without if mine is None else mine(params)
        by_weight = [
            np.flatnonzero(examples.weights == weight) for weight in np.unique(examples.weights)
        ]
        return [
            batches.Source(
                {
                    "source": examples.queries[rows],
                    "right": examples.answers[rows],
                    "number": examples.numbers[rows],
                    "wrong": negatives[rows],
                },
                float(examples.weights[rows].sum()),
            )
            for rows in by_weight
        ]

    encoder = dataclasses.replace(shape.encoder, remat=log.execution.remat)
    shape = dataclasses.replace(shape, encoder=encoder)
    return stages.Stage(
        name,
        sources,
        contrast(shape, config, unknown=examples.unknown),
        share=share,
        batches=lambda sources, **sizes: WithDocuments(batches.Batches(sources, **sizes), examples),
    )


@functools.lru_cache(maxsize=32)  # equal losses share their compiled step
def contrast(shape: dual.Shape, config, *, unknown: int = tokens.UNKNOWN) -> loop.Loss:
    """Contrastive loss, eq. 2 of DPR; document i is relevant to query i.

    Batches are {"source": i32[B, S], "document": i32[C, S'], "allowed": bool[B, C]}.
    """
    net = dual.DualEncoder(shape)

    def loss(params, batch, key):
        drop, hide, hide_documents = jax.random.split(key, 3)
        source = encoder_decoder.drop_words(batch["source"], hide, config.word_dropout, unknown)
        document = encoder_decoder.drop_words(
            batch["document"], hide_documents, config.word_dropout, unknown
        )
        found = net.apply(params, source, document, train=True, rngs={"dropout": drop})
        scores = cast(jax.Array, found) / (config.temperature or 1.0)
        scores = jnp.where(batch["allowed"], scores, -jnp.inf)
        right = jnp.arange(len(source))
        return ranking.softmax(scores, right).mean(), {
            "first_in_batch": (scores.argmax(axis=1) == right).mean()
        }

    return loss


class WithDocuments:
    """Batches of queries with in-batch documents and hard negatives."""

    def __init__(self, stream: batches.Batches, given: Examples) -> None:
        self._stream, self._given = stream, given

    def __iter__(self) -> WithDocuments:
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        batch = next(self._stream)
        # -> [C], the relevant document of query i at i
        rows = np.concatenate([batch["right"], batch["wrong"].T.reshape(-1)])
        known = np.isin(
            batch["number"][:, None] * len(self._given.documents) + np.maximum(rows, 0),
            self._given.known,
        )
        allowed = ~known & (rows >= 0) | np.eye(len(batch["right"]), len(rows), dtype=bool)
        return {
            "source": batch["source"],
            "document": self._given.documents[np.maximum(rows, 0)],
            "allowed": allowed,
        }

    def position(self) -> dict:
        return self._stream.position()

    def seek(self, position: dict) -> None:
        self._stream.seek(position)


def encode(params: Any, source: np.ndarray, *, shape: dual.Shape, side: str) -> np.ndarray:
    """f32[n, D] vectors of texts i32[n, S]."""
    params = jax.device_put(params)
    at_once = (
        (rows, _encode(params, source[np.resize(rows, size)], shape=shape, side=side))
        for rows, size in dense.batches(len(source))
    )
    return np.concatenate([np.asarray(vectors)[: len(rows)] for rows, vectors in at_once])


@functools.partial(jax.jit, static_argnames=("shape", "side"))
def _encode(params: Any, source: jax.Array, *, shape: dual.Shape, side: str) -> jax.Array:
    return network.build(shape).encode(params, source, side=side)


def shape_of(
    vocabulary: int, config, start: warm_start.Start | None = None, *, vector_width: int = 0
) -> dual.Shape:
    """The shape of the encoders for a vocabulary of this size, in the family of `start`.

    vector_width: of texts that are vectors, 0 = tokens.
    """
    encoder = transformer.Shape(
        source_vocab=vocabulary,
        vector_width=vector_width,
        target_vocab=1,
        target_length=1,
        **{field: getattr(config, field) for field in options.SHAPE},
    )
    return dual.Shape(
        warm_start.match_shape(encoder, start),
        config.pooling,
        config.towers,
        normalised=config.temperature > 0,
    )
