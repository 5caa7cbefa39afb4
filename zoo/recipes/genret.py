"""GenRet: identifiers that are learned, by one encoder-decoder that names documents and finds them by their names.

Sun et al. 2023, "Learning to Tokenize for Generative Retrieval" (arXiv 2304.04171). Sec. 3.1: tokenizer, retriever and reconstruction.
Sec. 3.2: a position after another; each is warmed up, gets its codes in the main stage, and is fitted to them, while the codes of
earlier positions stay. Sec. 3.3: diverse clustering. `zoo.models.code_tokenizer` has the losses.

Not for learned identifiers alone: `identifiers=kmeans` and `random` put others before the same retriever.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo import options, recipes, records
from zoo.data import batches, grouped
from zoo.docids import balanced, collisions, quantize, table
from zoo.models import code_tokenizer, corpus_text, encoder_decoder, generate, warm_start
from zoo.nets import codebooks, transformer
from zoo.schemes import codes as identifiers
from zoo.text import tokens
from zoo.train import log as logs, loop, optimizers

EVALUATIONS = 4  # of the codes in a main stage
WARM_UP, FIT = 0.25, 0.25  # of the steps of a position; the main stage has the rest


@dataclasses.dataclass(frozen=True)
class Config(options.Writing, options.Reading, options.Answering):
    """Options of GenRet."""

    # learned, or for the same retriever kmeans (residual k-means) or random
    identifiers: str = "learned"
    levels: int = 3  # M, codes of a document
    codes: int = 32  # K of each position, and at most one for identifiers.FEWEST_OF documents
    contrast: float = 0.5  # weights of the terms: a query against its document, vector to vector
    retrieval: float = 0.5  # codes given the query
    commitment: float = 0.5  # codes given the document, in the main and fit stages
    reconstruction: float = 0.1  # a document from its codes, among those of its prefix
    diverse: bool = True  # balanced targets, and clusters of bounded size to begin with
    epsilon: float = balanced.EPSILON  # of the balance; the larger, the softer
    # share of the steps in which positions get their codes; the others fit the retriever to them
    learning: float = 0.4
    generated_share: float = 0.5  # of the queries of a document that has train queries too
    document_length: int = 64
    steps: int = 0  # of all stages together, 0 = by visits
    decay: str = "linear"  # of the last fit; the stages before have a constant rate
    smoothing: float = 0.1  # of targets in the fit stages

    SYSTEM = "genret"
    ONE_OF = {"identifiers": ("learned", "kmeans", "random")}
    LIMITS = {
        **dict.fromkeys(("contrast", "retrieval", "commitment", "reconstruction"), options.AMOUNT),
        "levels": options.SIZE,
        "learning": options.SHARE,
        "codes": (2, math.inf),
        "epsilon": (balanced.LEAST_EPSILON, math.inf),
    }


class Material(NamedTuple):
    """What is learned from, as tokens."""

    documents: np.ndarray  # i32[N, S]
    queries: np.ndarray  # i32[Q, S'], of the train split, then made ones
    owner: np.ndarray  # i64[Q] the document that each asks for
    num_real: int  # queries of the train split
    made_share: float  # of examples with queries, those with made ones
    unknown: int  # token that hides others


def fit(
    collection: records.Collection,
    config: Config,
    key: jax.Array,
    log,
    start: warm_start.Start | None = None,
) -> dict:
    """Tokenizer of texts, codes of documents, and the parameters of the network that gave them and finds them.

    Raises DataError if the plan parts batches.
    """
    if config.identifiers == "learned" and (
        log.execution.accumulate > 1 or jax.process_count() > 1
    ):
        remedy = "train with one process, and without --accumulate"
        raise records.DataError(
            f"genret: codes are shared out among the documents of a whole batch, which cannot be parted; {remedy}"
        )
    if len(collection.corpus) < 2 and config.identifiers != "random":
        raise records.DataError(
            "genret: a code tells documents apart, expected at least 2, got 1; add documents, or use dsi"
        )
    code_key, draw, learn_key, fit_key = jax.random.split(key, 4)
    texts = corpus_text.read(collection, config, log, start=start)
    embedded = corpus_text.embed(texts, config.width)
    material = _material(texts, config)
    num_codes = identifiers.cap_codes(config.codes, len(texts.contents), log)
    shape = transformer.Shape(
        source_vocab=tokens.count(texts.tokenizer),
        target_vocab=1 + config.levels * num_codes,
        target_length=config.levels,
        last_tokens=tuple((t + 1) * num_codes for t in range(config.levels)),
        **{field: getattr(config, field) for field in options.WRITER},
    )
    shape = dataclasses.replace(warm_start.match_shape(shape, start), tied=False)
    params = encoder_decoder.init(
        shape, draw, embeddings=corpus_text.words(embedded, config), start=start
    )
    budget = encoder_decoder.num_steps(config, len(texts.contents))
    if config.identifiers == "learned":
        params, codes = learn(params, material, shape, config, num_codes, budget, learn_key, log)
        # the fit of the last position is the last of all
        share, held = 1 - config.learning + config.learning / config.levels * FIT, config.levels - 1
    else:
        codes, share, held = _given(config, embedded.documents, num_codes, code_key), 1.0, 0
    log.phase(f"fit-{config.levels}")
    ids = _named(None, codes, num_codes)
    shape = dataclasses.replace(
        shape,
        target_vocab=ids.alphabet,
        target_length=config.levels + 1,
        last_tokens=(*shape.last_tokens, ids.alphabet - 1),
    )
    params = codebooks.widened(params, ids.alphabet)
    params = _fit_to(
        ids.tokens,
        params,
        material,
        shape,
        config,
        num_codes,
        held,
        budget,
        share,
        config.decay,
        fit_key,
        log,
    )
    found = code_tokenizer.tokenize(
        params, material.documents, shape=shape, levels=config.levels, num_codes=num_codes
    )
    log.scalars(
        log.reached,
        **code_tokenizer.spread(codes, num_codes),
        kept=float((found == codes).all(axis=1).mean()),
    )
    about = {"codes": codes, "num_codes": np.asarray(num_codes)}
    packed = generate.pack_state(params, shape, ids, texts.tokenizer, collection.corpus)
    return packed | corpus_text.pack_languages(texts) | {"tokenizer_of_documents": about}


def learn(
    params: dict,
    material: Material,
    shape: transformer.Shape,
    config: Config,
    num_codes: int,
    budget: int,
    key: jax.Array,
    log,
) -> tuple[dict, np.ndarray]:
    """Parameters after all but the last fit stage, and codes i32[N, M]."""
    codes = np.zeros((len(material.documents), 0), np.int32)
    share = config.learning / config.levels  # of a position
    weights = code_tokenizer.Weights(
        config.contrast, config.retrieval, config.commitment, config.reconstruction
    )
    remat = dataclasses.replace(shape, remat=log.execution.remat)
    how = dict(num_codes=num_codes, word_dropout=config.word_dropout, unknown=material.unknown)
    for t, position_key in enumerate(jax.random.split(key, config.levels)):
        keys = jax.random.split(position_key, 4)
        log.phase(f"warm-up-{t + 1}")
        loss = code_tokenizer.warm_up(remat, weights, **how)
        batch = _grouped(material, codes, config, keys[0])
        params = _train(
            loss,
            params,
            batch,
            config,
            num_codes,
            t,
            budget,
            share * WARM_UP,
            "constant",
            keys[0],
            log,
        )

        log.phase(f"main-{t + 1}")
        vectors_of = code_tokenizer.states(
            params, material.documents, codes, shape=shape, num_codes=num_codes
        )
        try:
            book = code_tokenizer.initial_codebook(
                vectors_of, codes, keys[1], num_codes=num_codes, diverse=config.diverse
            )
        except ValueError as error:
            raise records.DataError(
                f"genret: no codebook for {len(codes)} documents: {error}"
            ) from None
        params = codebooks.placed(params, t, book)
        loss = code_tokenizer.main(
            remat, weights, epsilon=config.epsilon if config.diverse else 0.0, **how
        )
        batch = _grouped(material, codes, config, keys[2])
        assign = lambda params: code_tokenizer.assign(
            params, material.documents, codes, shape=shape, num_codes=num_codes
        )
        report = lambda params: code_tokenizer.spread(assign(params), num_codes)
        main_share = share * (1 - WARM_UP - FIT)
        params = _train(
            loss,
            params,
            batch,
            config,
            num_codes,
            t,
            budget,
            main_share,
            "constant",
            keys[2],
            log,
            report=report,
        )
        codes = assign(params)
        if t + 1 < config.levels:
            log.phase(f"fit-{t + 1}")
            target = codebooks.tokens(codes, num_codes)
            params = _fit_to(
                target,
                params,
                material,
                shape,
                config,
                num_codes,
                t,
                budget,
                share * FIT,
                "constant",
                keys[3],
                log,
            )
    return params, codes


def open(config: Config, state: dict) -> generate.Opened:
    """Documents by the probability of their identifiers given the query."""
    return generate.open(config, state, corpus_text.reader(config, state))


def examples(
    collection: records.Collection, config: Config, state: dict
) -> dict[str, batches.Source]:
    """What the last stage of `fit` learns from: "index", documents; "retrieve", train queries; "made", queries made of documents."""
    texts = corpus_text.read(collection, config, logs.Log(), state=state)
    return _sources(np.asarray(state["docids"]["tokens"]), _material(texts, config), config)


def tokenize(config: Config, state: dict, texts: Sequence[str]) -> np.ndarray:
    """i32[n, M] codes that the trained tokenizer gives to texts of documents, known or new; nothing is trained."""
    texts = corpus_text.as_read(config, state, texts)
    sources = tokens.encode(state["tokenizer"], texts, length=config.document_length)
    num_codes, shape = (
        int(state["tokenizer_of_documents"]["num_codes"]),
        transformer.Shape.of(state["shape"]),
    )
    return code_tokenizer.tokenize(
        state["params"], sources, shape=shape, levels=config.levels, num_codes=num_codes
    )


def extend(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with more documents, named by `tokenize`; the others keep their names. Counters of codes that recur go on.

    DataError if a document is there already. `zoo.index.growth.add` takes the new rows of its identifiers into a trie of the old.
    """
    known = json.loads(state["corpus_ids"])
    if repeated := set(known) & set(corpus.ids):
        raise records.DataError(
            f"genret: document {min(repeated)!r} is in the corpus already; add those that are new"
        )
    about = state["tokenizer_of_documents"]
    num_codes, fresh = int(about["num_codes"]), tokenize(config, state, corpus.contents())
    ids = _named(table.unpack(state["docids"]), fresh, num_codes)
    shape = transformer.Shape.of(state["shape"])
    shape = dataclasses.replace(
        shape, target_vocab=ids.alphabet, last_tokens=(*shape.last_tokens[:-1], ids.alphabet - 1)
    )
    return dict(state) | {
        "params": codebooks.widened(jax.tree.map(jnp.asarray, state["params"]), ids.alphabet),
        "shape": json.dumps(dataclasses.asdict(shape)),
        "docids": table.pack(ids),
        "corpus_ids": json.dumps([*known, *corpus.ids]),
        "tokenizer_of_documents": about
        | {"codes": np.concatenate([np.asarray(about["codes"]), fresh])},
    }


def _material(texts: corpus_text.Texts, config: Config) -> Material:
    """Tokens of all there is to learn from; a document that nothing asks for asks for itself."""
    alone = sorted(set(range(len(texts.contents))) - {*texts.answers, *texts.origins})
    owner = np.array([*texts.answers, *texts.origins, *alone], np.int64)
    num_real = len(texts.answers)
    made_share = (
        (config.generated_share if texts.made else len(alone) / len(owner)) if num_real else 1.0
    )
    asking = texts.encode(
        [*texts.queries, *texts.made, *(texts.contents[row] for row in alone)], config.query_length
    )
    documents = texts.encode(texts.contents, config.document_length)
    return Material(documents, asking, owner, num_real, made_share, tokens.unknown(texts.tokenizer))


def _given(config: Config, embedded: np.ndarray, num_codes: int, key: jax.Array) -> np.ndarray:
    """Codes that are not learned, of the same size."""
    if config.identifiers == "random":
        return quantize.random(len(embedded), key, levels=config.levels, codes=num_codes)
    try:
        return quantize.rq_kmeans(embedded, key, levels=config.levels, codes=num_codes)[1]
    except ValueError as error:
        raise records.DataError(f"genret: identifiers=kmeans: {error}") from None


def _named(ids: table.Docids | None, codes: np.ndarray, num_codes: int) -> table.Docids:
    """Identifiers of codes i32[N, M], after those of `ids`: position-specific tokens and a counter of documents of the same codes."""
    ends = np.arange(codes.shape[1] + 1) * num_codes
    known = None if ids is None else table.Docids(ids.tokens - ends, ids.alphabet)
    tokens_of = collisions.extend(known, codes, num_codes=num_codes, policy="counter").tokens + ends
    alphabet = max(int(tokens_of.max()) + 1, 0 if ids is None else ids.alphabet)
    return table.build(tokens_of.astype(np.int32), alphabet)


def _grouped(
    material: Material, codes: np.ndarray, config: Config, key: jax.Array
) -> grouped.Grouped:
    seed, made = (
        int(jax.random.randint(key, (), 0, 2**31 - 1)),
        len(material.owner) - material.num_real,
    )
    chance = np.repeat(
        [(1 - material.made_share) / max(material.num_real, 1), material.made_share / max(made, 1)],
        [material.num_real, made],
    )
    chance = np.maximum(chance, 1e-9)  # a document may have no other
    return grouped.Grouped(
        material.documents,
        material.queries,
        material.owner,
        chance,
        codes,
        batch_size=config.batch,
        seed=seed,
    )


def _sources(target: np.ndarray, material: Material, config: Config) -> dict[str, batches.Source]:
    """Examples of a fit stage by kind, those without any left out; target: i32[N, L], the identifiers so far."""
    real, made = slice(None, material.num_real), slice(material.num_real, None)
    kinds = {
        "index": (material.documents, target, config.commitment),
        "retrieve": (material.queries[real], target[material.owner[real]], 1 - material.made_share),
        "made": (material.queries[made], target[material.owner[made]], material.made_share),
    }
    return {
        kind: batches.Source({"source": source, "target": names}, weight)
        for kind, (source, names, weight) in kinds.items()
        if len(names) and weight > 0
    }


def _fit_to(
    target: np.ndarray,
    params,
    material: Material,
    shape,
    config: Config,
    num_codes,
    held,
    budget,
    share,
    decay,
    key,
    log,
) -> dict:
    """Parameters after a fit stage: likelihood of the identifiers so far, given documents (commitment) and queries."""
    sources = _sources(target, material, config).values()
    stream = batches.Batches(
        list(sources), batch_size=config.batch, seed=int(jax.random.randint(key, (), 0, 2**31 - 1))
    )
    remat = dataclasses.replace(shape, remat=log.execution.remat)
    loss = encoder_decoder.likelihood(
        remat,
        smoothing=config.smoothing,
        word_dropout=config.word_dropout,
        unknown=material.unknown,
    )
    return _train(loss, params, stream, config, num_codes, held, budget, share, decay, key, log)


def _train(
    loss,
    params,
    stream,
    config: Config,
    num_codes,
    held,
    budget,
    share,
    decay,
    key,
    log,
    *,
    report=None,
) -> Any:
    """Parameters after a stage of a share of the steps, and of the time; the first `held` codebooks stay as they are."""
    steps = max(1, round(budget * share))
    rate = optimizers.schedule(config.rate, warmup=config.warmup, decay=decay)
    optimizer = optimizers.adamw(rate, weight_decay=config.weight_decay, clip=1.0)
    return loop.train(
        loss,
        params,
        stream,
        optimizers.holding(optimizer, codebooks.held(params, held, num_codes)),
        steps=steps,
        key=key,
        log=log,
        folder=log.checkpoints,
        identity=log.identity,
        seconds=60 * config.minutes * share if config.minutes else math.inf,
        evaluate=report,
        evaluate_every=max(1, steps // EVALUATIONS),
    )


BASE = Config(
    codes=512,
    vocabulary=32_000,
    document_length=128,
    width=768,
    heads=12,
    head_width=64,
    encoder_hidden=2048,
    decoder_hidden=2048,
    encoder_layers=12,
    decoder_layers=12,
    dropout=0.1,
    word_dropout=0.3,
    dtype="bfloat16",
    batch=256,
    rate=5e-4,
    warmup=2000,
    visits=2000.0,
)

RECIPE = recipes.Recipe(
    name="genret",
    paper="Sun et al. 2023, Learning to Tokenize for Generative Retrieval, arXiv 2304.04171",
    presets={
        "tiny": Config(
            levels=2,
            codes=8,
            vocabulary=1000,
            document_length=32,
            width=64,
            heads=2,
            decoder_hidden=512,
            encoder_layers=1,
            word_dropout=0.3,
            batch=64,
            fewest_steps=800,
            most_steps=800,
            warmup=50,
        ),
        "small": Config(),
        "base": BASE,
        "paper": dataclasses.replace(
            BASE,
            vector_start=False,
            queries="seq2seq",
            generated=5,
            word_dropout=0.0,
            smoothing=0.0,
            epsilon=1.0,
            steps=1_500_000,
            warmup=5000,
            decay="constant",
        ),
    },
    fit=fit,
    open=open,
    deviations=(
        "trained from scratch unless --init-from names T5 weights, with their vocabulary, as the paper does",
        "queries are made by rule, or by a generator trained here (queries=seq2seq) and drawn from its 10 likeliest tokens; the paper draws "
        "them from docT5query with top-p 0.8 and temperature 0.8",
        "K is at most a quarter of the number of documents",
        "a batch holds several prefixes whose documents are few, and the reconstruction is among those of one prefix by a mask; "
        "public code has one prefix a batch, filled up with others",
        "targets are balanced over the documents of each prefix in the batch, with epsilon 0.1; paper has 1. A document without siblings there "
        "has its most probable code",
        "the reconstruction has a term for every position, as eq. 5 does; public code has the current one",
        "centroids are scaled by the root of the width, and so are products of vectors in the contrast",
        "clusters have at most 2K documents, or 2N/K where K of those would not hold all; assignment to them is a heuristic",
        "documents of equal codes get a counter, a last token that all have; the paper counts modulo K and shuffles the rest",
        "codebooks of earlier positions are held fixed, not only the codes of documents",
        "stages have shares of the steps: at each position 1/4 warm-up, 1/2 main, 1/4 fit; the last fit is the longest",
        "small has a wide one-layer decoder over the embeddings of words (encoder_layers=0), word dropout, and K = 32",
    ),
    starts=True,
    answering=("beam", "decoding"),
    examples=examples,
    extend=extend,
)
