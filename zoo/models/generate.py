"""What systems share that generate an identifier with an encoder-decoder: fitting it to pairs, and answering with it."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo import options, records
from zoo.data import batches
from zoo.docids import table
from zoo.index import filters, level, projection, trie
from zoo.models import warm_start
from zoo.nets import transformer
from zoo.objectives import sequence
from zoo.search import decoders, sampling
from zoo.text import tokens
from zoo.train import loop, optimizers

QUERY_BATCHES = 1, 8, 64  # sizes that a batch of queries is filled to
FILTERED = "trie", "renormalised"  # decoders that leave out documents of each query as they search
WIDE = 2048  # alphabets from here on have their logits computed where they are read
MANY = 8  # batches of queries that are worth a compilation for each class of lengths


def pairs(collection: records.Collection, split: str = "train") -> tuple[list[str], list[int]]:
    """Texts of a split's queries and the row of a relevant document each; none if there is no such split."""
    if split not in collection.qrels:
        return [], []
    queries, qrels = collection.split(split)
    texts, rows = dict(zip(queries.ids, queries.texts)), collection.corpus.rows()
    found = [(texts[query], rows[document]) for query, document in qrels.pairs()]
    return [text for text, _ in found], [row for _, row in found]


def shape_of(
    config,
    tokenizer: str,
    ids: table.Docids,
    *,
    kind: type[transformer.Shape] = transformer.Shape,
    **more: Any,
) -> transformer.Shape:
    """The encoder-decoder of a config's sizes (`options.Writing`) that reads what the tokenizer gives and writes these identifiers."""
    sizes = {field: getattr(config, field) for field in options.WRITER}
    return kind(
        source_vocab=tokens.count(tokenizer),
        target_vocab=ids.alphabet,
        target_length=ids.tokens.shape[1],
        **sizes,
        **more,
    )


def likelihood(
    shape: transformer.Shape,
    *,
    smoothing: float,
    word_dropout: float,
    unknown: int = tokens.UNKNOWN,
    z_loss: float = 0.0,
) -> loop.Loss:
    """Loss of batches {"source": i32[B, S], "target": i32[B, L]}: mean negative log-likelihood of the identifiers.

    word_dropout: share of source tokens that are replaced by the token `unknown`.
    """
    net = shape.net()

    def loss(params, batch, key):
        drop, hide = jax.random.split(key)
        source, target = hidden(batch["source"], hide, word_dropout, unknown), batch["target"]
        logits = net.apply(params, source, target, train=True, rngs={"dropout": drop})
        value = sequence.cross_entropy(logits, target, smoothing=smoothing, z_loss=z_loss).mean()
        return value, {"identifiers_right": exact(logits, target)}

    return loss


def hidden(
    source: jax.Array, key: jax.Array, share: float, unknown: int = tokens.UNKNOWN
) -> jax.Array:
    """Source i32[B, S] with a share of its tokens replaced by the unknown token."""
    if not share:
        return source
    chosen = jax.random.bernoulli(key, share, source.shape) & (source != tokens.PAD)
    return jnp.where(chosen, unknown, source)


def exact(logits: jax.Array, target: jax.Array) -> jax.Array:
    """f32[] share of identifiers i32[B, L] whose every token is the most probable by logits f32[B, L, V]."""
    return jnp.all((logits.argmax(-1) == target) | (sequence.counted(target) == 0), axis=-1).mean()


def fit(
    sources: Sequence[batches.Source],
    num_documents: int,
    shape: transformer.Shape,
    config,
    key: jax.Array,
    log,
    *,
    embeddings=None,
    judge=None,
    loss: loop.Loss | None = None,
    start: warm_start.Start | None = None,
    docids: np.ndarray | None = None,
) -> dict:
    """Parameters of an encoder-decoder fitted to the sources; config has the options of `options.Writing`, and `optimizer` and `z_loss` if it likes.

    embeddings: f32[source_vocab, D] that the source embeddings start from; drawn at random if None.
    judge: a `zoo.train.best.Judge` of the parameters; the last ones are kept if None.
    loss: of batches; `likelihood` if None.
    docids: i32[N, L] what the documents are called; kept with the checkpoints, and a run with others does not go on from them.
    start: weights that the parameters start from; all are drawn if None. The shape is to be `starting.shaped`.
    """
    draw, order, train_key = jax.random.split(key, 3)
    params = begun(shape, draw, embeddings=embeddings, start=start)
    unknown = (
        tokens.unknown(start.tokenizer) if start is not None and start.tokenizer else tokens.UNKNOWN
    )
    stream = batches.Batches(
        sources, batch_size=config.batch, seed=int(jax.random.randint(order, (), 0, 2**31 - 1))
    )
    steps = num_steps(config, num_documents)
    rate = optimizers.schedule(config.rate, warmup=config.warmup, decay=config.decay)
    return loop.train(
        loss
        or likelihood(
            dataclasses.replace(shape, remat=log.plan.remat),
            smoothing=config.smoothing,
            word_dropout=config.word_dropout,
            unknown=unknown,
            z_loss=getattr(config, "z_loss", 0.0),
        ),
        params,
        stream,
        optimizers.of(
            getattr(config, "optimizer", "adamw"), rate, weight_decay=config.weight_decay, clip=1.0
        ),
        steps=steps,
        key=train_key,
        log=log,
        folder=log.checkpoints,
        identity=log.identity,
        attached=None if docids is None else {"docids": docids},
        seconds=60 * config.minutes if config.minutes else math.inf,
        judge=judge,
    )


def begun(
    shape: transformer.Shape,
    key: jax.Array,
    *,
    embeddings: np.ndarray | None = None,
    start: warm_start.Start | None = None,
) -> dict:
    """Parameters before training: drawn, but for source embeddings f32[source_vocab, D] and for what the weights have."""
    blank = jnp.zeros((1, 1), jnp.int32), jnp.zeros((1, shape.target_length), jnp.int32)
    params = jax.jit(shape.net().init)(key, *blank)
    if embeddings is not None:
        params["params"]["source_embedding"]["embedding"] = jnp.asarray(embeddings, jnp.float32)
    return (
        params if start is None else warm_start.grafted(params, start, jax.random.fold_in(key, 1))
    )


def num_steps(config, num_documents: int) -> int:
    """config.steps if above 0, else as many as show each document `config.visits` times on average, within the limits."""
    if config.steps > 0:
        return config.steps
    return int(
        np.clip(
            round(config.visits * num_documents / config.batch),
            config.fewest_steps,
            config.most_steps,
        )
    )


@functools.partial(jax.jit, static_argnames=("shape", "decoding", "k", "width", "first"))
def generate(
    params: dict,
    source: jax.Array,
    legal,
    *,
    shape: transformer.Shape,
    decoding: str,
    k: int,
    width: int,
    first: int = 0,
) -> decoders.Answers:
    """Identifiers for source i32[B, S] by a decoder of `zoo.search.decoders`, to which `legal` belongs."""
    step, cache = steps(params, source, shape)
    return decoders.decode(
        decoding, step, cache, legal, k=k, width=width, length=shape.target_length, first=first
    )


@functools.partial(jax.jit, static_argnames=("shape", "k"))
def draw(
    params: dict,
    source: jax.Array,
    legal,
    key: jax.Array,
    *,
    shape: transformer.Shape,
    temperature: float,
    k: int,
) -> decoders.Answers:
    """k identifiers for source i32[B, S], drawn without replacement; scores are perturbed log-probabilities."""
    step, cache = steps(params, source, shape)
    beams, perturbed = sampling.sample_distinct(
        step,
        cache,
        legal,
        key,
        width=k,
        length=shape.target_length,
        temperature=temperature,
        renormalize=True,
    )
    return decoders.Answers(beams._replace(score=perturbed), jnp.zeros(len(source), bool))


def steps(params: dict, source: jax.Array, shape: transformer.Shape, *, places: int = 0) -> tuple:
    """(step, cache) of a search for source i32[B, S]; what is known of the source is not tiled over hypotheses.

    places: of the cache, see `transformer.Shape.empty_cache`; a loop whose steps are one program needs all L.
    """
    net = shape.net()
    memory = net.apply(params, net.apply(params, source, method="encode"), method="memory")

    def step(t, token, cache):
        if shape.target_vocab < WIDE or shape.last_tokens:
            return net.apply(params, t, token, cache, memory, source, method="step")
        hidden, cache = net.apply(params, t, token, cache, memory, source, method="extend")
        return projection.Projection(
            hidden.astype(jnp.float32), transformer.output_kernel(params, shape)
        ), cache

    return step, shape.empty_cache(source.shape[0], places)


def retrieve(
    config,
    state: dict,
    queries: records.Queries,
    k: int,
    *,
    prompt: str = "",
    kind: type[transformer.Shape] = transformer.Shape,
) -> records.Ranking:
    """Documents whose identifiers the model finds most probable for texts; state as `packed` makes it, `kind` as in `search`."""
    sources = tokens.encode(
        state["tokenizer"], queries.texts, length=config.query_length, prompt=prompt
    )
    return search(config, state, sources, queries.ids, k, kind=kind)


def search(
    config,
    state: dict,
    sources: np.ndarray,
    names: Sequence[str],
    k: int,
    *,
    excluded: np.ndarray | None = None,
    allowed: np.ndarray | None = None,
    temperature: float = 0.0,
    first: int = 0,
    kind: type[transformer.Shape] = transformer.Shape,
) -> records.Ranking:
    """Documents whose identifiers the model finds most probable for sources i32[B, S] of queries called names.

    state: "params", "shape" (JSON), "docids" ("tokens", "alphabet") and "corpus_ids" (JSON), as `packed` makes it.
    excluded: i32[B, E] rows of documents that are no answers to each query, -1 = none; allowed: bool[N] documents that are answers
    to any; both by decoders of FILTERED only.
    temperature: above 0, answers are drawn without replacement at this temperature from what `config.decoding`, one of FILTERED,
    allows, in this order; scores are then the perturbed log-probabilities. The same queries give the same draws.
    first: hypotheses kept at the first level, where that is more than the beam.
    kind: of the shape that the state holds; it says which network has the parameters.
    """
    shape = kind.of(state["shape"])
    ids = table.Docids(np.asarray(state["docids"]["tokens"]), int(state["docids"]["alphabet"]))
    index = trie.build(ids)
    legal = decoders.constraint(
        config.decoding, index if allowed is None else filters.keep(index, allowed), ids
    )
    wanted = min(k, len(ids))
    width = max(config.beam, wanted)
    cache = jax.eval_shape(lambda: shape.empty_cache(1, shape.target_length))
    batch = decoders.queries_at_once(
        config.decoding, index, cache, width=width, most=QUERY_BATCHES[-1]
    )
    documents = np.full((len(names), k), -1, np.int32)
    scores = np.full((len(names), k), -np.inf, np.float32)
    invalid = generated = proven = 0
    params = jax.device_put(state["params"])
    for rows, length, size in _query_batches(sources, batch):
        # the last batch repeats rows: one shape serves all
        source = jnp.asarray(sources[np.resize(rows, size), :length])
        answers = (
            legal if excluded is None else _without(legal, ids, excluded[np.resize(rows, size)])
        )
        if temperature:
            key = jax.random.fold_in(jax.random.key(0), int(rows[0]))
            beams, sure = draw(
                params, source, answers, key, shape=shape, temperature=temperature, k=wanted
            )
        else:
            beams, sure = generate(
                params,
                source,
                answers,
                shape=shape,
                decoding=config.decoding,
                k=wanted,
                width=width,
                first=first,
            )
        if config.decoding == "free":
            found = table.lookup(ids, np.asarray(beams.token))
        else:
            # a leaf that is excluded is not reached
            found = np.asarray(index.documents_of(beams.leaf))[..., 0]
        score = np.asarray(beams.score)
        alive = np.isfinite(score)
        found = np.where(alive, found, -1)
        proven += int(np.asarray(sure)[: len(rows)].sum())
        generated += int(alive[: len(rows)].sum())
        invalid += int((alive & (found < 0))[: len(rows)].sum())
        best = np.argsort(found < 0, axis=1, kind="stable")[:, :k]
        found, score = (np.take_along_axis(x, best, axis=1)[: len(rows)] for x in (found, score))
        place = rows[:, None], np.arange(found.shape[1])[None]
        documents[place], scores[place] = found, np.where(found >= 0, score, -np.inf)
    corpus_ids = tuple(json.loads(state["corpus_ids"]))
    return records.Ranking(
        tuple(names),
        corpus_ids,
        documents,
        scores,
        invalid / max(generated, 1),
        proven / max(len(names), 1),
    )


def _without(legal: trie.Trie, ids: table.Docids, rows: np.ndarray) -> trie.Trie:
    return _exclude(legal, ids.tokens[np.maximum(rows, 0)], rows)


_exclude = jax.jit(filters.without)


def _query_batches(sources: np.ndarray, most: int) -> Iterator[tuple[np.ndarray, int, int]]:
    """(rows, length that they are cut to, size that they are filled to): sources i32[B, S] in batches of few shapes.

    Few queries go in one batch of the least of QUERY_BATCHES. Many are grouped by the class of their length, padding being
    most of what a model would read.
    """
    lengths = (sources != tokens.PAD).sum(axis=1)
    classes = np.array(
        batches.length_classes(lengths) if len(sources) >= MANY * most else (sources.shape[1],)
    )
    kind = np.searchsorted(classes, lengths)
    size = next((size for size in QUERY_BATCHES if len(sources) <= size <= most), most)
    for which in np.unique(kind):
        rows = np.flatnonzero(kind == which)
        for first in range(0, len(rows), size):
            yield rows[first : first + size], int(classes[which]), size


def padded(histories: records.Histories) -> np.ndarray:
    """i32[B, E] items of each history, -1 behind; E is the longest, rounded up so that few programs serve all."""
    size = level.width_class(max(int(histories.lengths.max(initial=1)), 1))
    rows = np.full((len(histories), size), -1, np.int32)
    rows[histories.users, np.arange(len(histories.items)) - histories.starts[histories.users]] = (
        histories.items
    )
    return rows


def widened(ranking: records.Ranking, k: int) -> records.Ranking:
    """The ranking with k columns, the new ones without answers."""
    missing = [(0, 0), (0, k - ranking.documents.shape[1])]
    documents = np.pad(ranking.documents, missing, constant_values=-1)
    return dataclasses.replace(
        ranking,
        documents=documents,
        scores=np.pad(ranking.scores, missing, constant_values=-np.inf),
    )


def packed(
    params: dict,
    shape: transformer.Shape,
    ids: table.Docids,
    tokenizer: str,
    corpus: records.Corpus,
) -> dict:
    """The state that `search` reads, and the tokenizer of queries."""
    return {
        "params": params,
        "shape": json.dumps(dataclasses.asdict(shape)),
        "docids": {"tokens": ids.tokens, "alphabet": np.asarray(ids.alphabet)},
        "tokenizer": tokenizer,
        "corpus_ids": json.dumps(corpus.ids),
    }
