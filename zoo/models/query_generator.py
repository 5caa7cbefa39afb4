"""Generated queries: an encoder-decoder trained on the collection's train pairs, or other sources.

Nogueira and Lin 2019, "From doc2query to docTTTTTquery": document -> query by maximum likelihood,
and top-k sampling for each document; Zhuang et al. 2022 (arXiv 2206.10128, DSI-QG) index documents
by such queries. Queries of other splits than train are never read.

Deviations: trained from scratch, with one sub-word embedding table for documents and queries that
is initialised from the SVD of the corpus, unless T5 weights are given; no cross-encoder ranks the
candidates (DSI-QG has one). Queries that BM25 does not lead back to their document, junk and
duplicates are dropped (`zoo.models.query_filter`), so a document may get fewer queries.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo import options as options_, records
from zoo.data import batches, files
from zoo.models import encoder_decoder, generate as seq2seq, query_filter, warm_start
from zoo.nets import network, transformer
from zoo.options import option
from zoo.search import nucleus
from zoo.text import rules, tokens, vectors
from zoo.train import stages

RULES, SEQ2SEQ = "rules", "seq2seq"
DOCUMENTS = 32  # per batch of samples
SHAPE = (*warm_start.SIZES, "dropout", "dtype", "mlp")  # options that are sizes of the network
SPARE = 2  # samples per wanted query, since some repeat


@dataclasses.dataclass(frozen=True)
class Config(options_.Writing):
    """Options of the generator."""

    vocabulary: int = option(
        4000, "size of the sub-word vocabulary; its logits dominate a step", limits=options_.SIZE
    )
    document_length: int = option(64, "tokens read per document", limits=options_.SIZE)
    # a word and the end
    query_length: int = option(24, "maximal tokens of a generated query", limits=(2, math.inf))
    decoder_hidden: int = 256
    encoder_layers: int = 1
    dropout: float = 0.1
    word_dropout: float = 0.0
    batch: int = 64
    visits: float = option(30.0, "epochs: how often each train pair is seen")
    fewest_steps: int = 500
    most_steps: int = 200_000
    rate: float = 2e-3
    top_k: int = option(
        10, "tokens are sampled from this many most likely ones; 0 = all", limits=options_.COUNT
    )
    top_p: float = option(
        1.0, "probability mass of the tokens that are sampled from", limits=(1e-6, 1.0)
    )
    temperature: float = option(1.0, "sampling temperature", limits=(1e-3, math.inf))
    round_trip: int = option(
        10,
        "a generated query is kept if BM25 has its document among so many first answers; 0 = "
        "always",
        limits=options_.COUNT,
    )

    SYSTEM = "queries"


def make_queries(
    kind: str,
    collection: records.Collection,
    *,
    per_document: int,
    seed: int,
    log,
    count_train: bool = False,
) -> tuple[list[str], list[int]]:
    """Generated queries and the row of the document of each, in the order of the documents.

    What was kept, its share and examples of what was dropped go to `log.facts["queries"]`.

    Args:
      kind: rules (`zoo.text.rules`, by kind of document), seq2seq (trains a generator first; a
        document that it has no query for gets those of the rules), or the folder of
        `zoo queries generate`.
      count_train: the train queries of a document count among its `per_document`, so that
        documents without any get the most; each gets at least one.
    """
    if not per_document:
        return [], []
    corpus = collection.corpus
    if kind == SEQ2SEQ:
        config = Config()
        state = fit(collection, config, jax.random.key(seed), log)
        log.phase("queries")
        made = generate_queries(state, config, corpus, count=per_document, seed=seed, log=log)
    if kind in (RULES, SEQ2SEQ):
        ruled = rules.by_rules(corpus, per_document=per_document, seed=seed)
        if kind == RULES:
            found = query_filter.keep(corpus, *ruled, first=0)
            log.facts["queries"] = found.report
            made = found.queries, found.rows
        made = _complete(made, ruled)
    else:
        made = read(kind, corpus, per_document=per_document)
    room = np.full(len(corpus), per_document)
    if count_train:
        answers = np.asarray(encoder_decoder.pairs(collection)[1], np.int64)
        room = np.maximum(room - np.bincount(answers, minlength=len(corpus)), 1)
    return _cap(*made, room)


def _cap(texts: list[str], rows: list[int], room: np.ndarray) -> tuple[list[str], list[int]]:
    """The first room[row] queries of each document."""
    left, kept = room.tolist(), []
    for number, row in enumerate(rows):
        if left[row] > 0:
            left[row] -= 1
            kept.append(number)
    return [texts[number] for number in kept], [rows[number] for number in kept]


def _complete(
    made: tuple[list[str], list[int]], ruled: tuple[list[str], list[int]]
) -> tuple[list[str], list[int]]:
    """Queries, and those of the rules for documents that have none, in the order of documents."""
    have = set(made[1])
    both = [*zip(*made), *((text, row) for text, row in zip(*ruled) if row not in have)]
    both.sort(key=lambda pair: pair[1])  # stable
    return [text for text, _ in both], [row for _, row in both]


def read(
    folder: str | os.PathLike, corpus: records.Corpus, *, per_document: int
) -> tuple[list[str], list[int]]:
    """The first queries of each document in the train split of a folder in the BEIR layout.

    Raises DataError if none of them is of this corpus.
    """
    if not pathlib.Path(folder).is_dir():
        raise records.DataError(
            f"queries: expected {RULES}, {SEQ2SEQ}, or a folder that `zoo queries generate` "
            f"wrote, got {os.fspath(folder)!r}"
        )
    found = files.read_beir(folder)
    rows, taken = corpus.rows(), {}
    texts, places = encoder_decoder.pairs(found)
    for text, place in zip(texts, places):
        if (name := found.corpus.ids[place]) in rows:
            taken.setdefault(rows[name], []).append(text)
    if not taken:
        raise records.DataError(
            f"{folder}: its train queries are of no document of this collection; "
            "generate them from it"
        )
    kept = [(text, row) for row in sorted(taken) for text in taken[row][:per_document]]
    return [text for text, _ in kept], [row for _, row in kept]


def fit(
    collection: records.Collection,
    config: Config,
    key: jax.Array,
    log,
    start: warm_start.Start | None = None,
) -> dict:
    """{"params", "network", "tokenizer"} of a generator fitted to the train pairs.

    Raises DataError if there are none, or `start` does not generate text.
    """
    queries, rows = encoder_decoder.pairs(collection)
    if not queries:
        raise records.DataError(
            f"{collection.name}: a query generator learns from train queries, found none; "
            "make queries by rule"
        )
    if start is not None and (start.names is not None or not start.shape.shared):
        raise records.DataError(
            f"{start.where}: writes identifiers, and a query generator starts from weights that "
            "write text; name those of T5"
        )
    contents = collection.corpus.contents()
    tokenizer = (
        tokens.train([*contents, *queries], size=config.vocabulary)
        if start is None
        else warm_start.reader(start, ())
    )
    size = max(tokens.count(tokenizer), 0 if start is None else start.shape.source_vocab)
    read = tokens.encode(tokenizer, contents, length=config.document_length)
    target = tokens.encode(tokenizer, queries, length=config.query_length)
    # the longest and its end
    target = target[:, : int((target != tokens.PAD).sum(axis=1).max()) + 1]
    pairs = batches.Source({"source": read[np.asarray(rows)], "target": target}, 1.0)
    shape = transformer.Shape(
        source_vocab=size,
        target_vocab=size,
        target_length=target.shape[1],
        shared=True,
        **{field: getattr(config, field) for field in SHAPE},
    )
    words = _initial_words(tokenizer, contents, size, config.width) if start is None else None
    if start is not None:
        start = start._replace(keeps=frozenset({"source", "target"}))
    net = network.build(warm_start.match_shape(shape, start))
    init_key, train_key = jax.random.split(key)
    unknown = tokens.unknown(tokenizer)
    stage = encoder_decoder.stage(
        net, [pairs], config, log, name="query generator", unknown=unknown
    )
    params = stages.run(
        [stage],
        encoder_decoder.init(net, init_key, embeddings=words, start=start),
        config,
        train_key,
        log,
        budget=stages.Budget.of(config, len(queries)),
    )
    return {"params": params, network.STATE: network.dump(net.spec), "tokenizer": tokenizer}


def _initial_words(tokenizer: str, contents: list[str], size: int, width: int) -> np.ndarray:
    """f32[size, D] SVD vectors of words, as long as random rows: the table is also the output."""
    words = vectors.tfidf_svd(
        tokens.whole(tokenizer, contents), vocabulary=size, dim=width, seed=0
    ).words
    lengths = np.linalg.norm(words, axis=1, keepdims=True)
    return np.where(
        lengths > 0,
        words / np.maximum(lengths, 1e-9) * math.sqrt(width),
        np.random.default_rng(0).normal(size=words.shape),
    )


def generate_queries(
    state: Mapping[str, Any],
    config: Config,
    corpus: records.Corpus,
    *,
    count: int,
    seed: int,
    log,
    kept: pathlib.Path | None = None,
) -> tuple[list[str], list[int]]:
    """At most `count` different queries for each document, and its row; reproducible by seed.

    Only those that `query_filter.keep` keeps; its report goes to `log.facts["queries"]`.

    kept: file of the sampled batches, from which an interrupted command resumes.
    """
    net, tokenizer = network.of(state), state["tokenizer"]
    params = jax.device_put(state["params"])
    source = tokens.encode(tokenizer, corpus.contents(), length=config.document_length)
    texts = _resume(kept)
    with log.progress(
        len(corpus), "queries", "documents", start=min(len(texts) * DOCUMENTS, len(corpus))
    ) as bar:
        for number in range(len(texts), -(-len(corpus) // DOCUMENTS)):
            rows = np.arange(number * DOCUMENTS, min((number + 1) * DOCUMENTS, len(corpus)))
            key = jax.random.fold_in(jax.random.key(seed), number)
            drawn = _draw(
                params,
                jnp.asarray(source[np.resize(rows, DOCUMENTS)]),
                key,
                (config.temperature, config.top_p),
                net=net,
                num=SPARE * count,
                end=tokens.end(tokenizer),
                top_k=config.top_k,
            )
            drawn = np.asarray(drawn)[: len(rows)]
            flat = tokens.decode(tokenizer, drawn.reshape(-1, drawn.shape[-1]))
            texts.append(
                [
                    list(dict.fromkeys(filter(None, flat[i : i + SPARE * count])))
                    for i in range(0, len(flat), SPARE * count)
                ]
            )
            if kept is not None:
                with open(kept, "a", encoding="utf-8") as out:
                    out.write(json.dumps(texts[-1], ensure_ascii=False) + "\n")
            bar.update(len(rows))
    found = [
        (text, row)
        for row, own in enumerate(own for batch in texts for own in batch)
        for text in own
    ]
    filtered = query_filter.keep(
        corpus, [text for text, _ in found], [row for _, row in found], first=config.round_trip
    )
    log.facts["queries"] = filtered.report
    return _cap(filtered.queries, filtered.rows, np.full(len(corpus), count))


def _resume(kept: pathlib.Path | None) -> list[list[list[str]]]:
    """Batches of an interrupted command, without a truncated last one."""
    if kept is None or not kept.exists():
        return []
    lines = [
        line
        for line in kept.read_text(encoding="utf-8").splitlines(keepends=True)
        if line.endswith("\n")
    ]
    kept.write_text("".join(lines), encoding="utf-8")
    try:
        return [json.loads(line) for line in lines]
    except (ValueError, RecursionError) as error:
        raise records.DataError(
            f"{kept}: changed since it was written ({error}); remove the folder"
        ) from None


@functools.partial(jax.jit, static_argnames=("net", "num", "end", "top_k"))
def _draw(
    params: dict,
    source: jax.Array,
    key: jax.Array,
    sampling: tuple[float, float],
    *,
    net: network.Network,
    num: int,
    end: int,
    top_k: int,
) -> jax.Array:
    """i32[B, num, L] texts for source i32[B, S]; sampling: temperature and top-p."""
    temperature, top_p = sampling
    length = net.spec.target_length
    step, cache = seq2seq.steps(params, source, net, places=length)
    likely = lambda logits: nucleus.truncated(logits / temperature, top_k=top_k, top_p=top_p)
    return nucleus.draw(step, cache, key, num=num, length=length, end=end, likely=likely)
