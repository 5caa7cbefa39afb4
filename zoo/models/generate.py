"""What systems share that generate an identifier with an encoder-decoder: fitting it to pairs, and answering with it."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from zoo import records
from zoo.data import batches
from zoo.docids import table
from zoo.index import filters, projection, trie
from zoo.nets import transformer
from zoo.search import decoders, sampling
from zoo.text import tokens

QUERY_BATCHES = 1, 8, 64  # sizes that a batch of queries is filled to
FILTERED = "trie", "renormalised"  # decoders that leave out documents of each query as they search
WIDE = 2048  # alphabets from here on have their logits computed where they are read
MANY = 8  # batches of queries that are worth a compilation for each class of lengths


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
        score="renormalised",
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
    ids = table.unpack(state["docids"])
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
    rows, tokens_of = table.gather(ids, rows)
    return _exclude(legal, tokens_of, rows)


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


def pack_state(
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
        "docids": table.pack(ids),
        "tokenizer": tokenizer,
        "corpus_ids": json.dumps(corpus.ids),
    }
