"""GenRet: learned identifiers; one encoder-decoder both assigns them and retrieves by them.

Sun et al. 2023, "Learning to Tokenize for Generative Retrieval" (arXiv 2304.04171). Sec. 3.1:
tokenizer, retriever and reconstruction. Sec. 3.2: one position after another; each is warmed up,
gets its codes in the main stage, and is fitted to them, while earlier codes do not change. Sec.
3.3: diverse clustering. `zoo.models.code_tokenizer` has the losses, `zoo.models.code_stages` the
stages. `identifiers=kmeans` and `random` are baselines of the same retriever.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import jax
import numpy as np

from zoo import options, recipes, records
from zoo.data import batches
from zoo.models import (
    code_stages,
    code_tokenizer,
    corpus_text,
    encoder_decoder,
    generate,
    warm_start,
)
from zoo.nets import codebooks, network
from zoo.options import option
from zoo.schemes import codes as identifiers, scheme as schemes
from zoo.train import log as logs, stages
from zoo.update import grow

WARM_UP, FIT = 0.25, 0.25  # of the steps of a position; the main stage has the rest


@dataclasses.dataclass(frozen=True)
class Config(code_stages.Config, options.Answering):
    """Options of GenRet."""

    identifiers: str = option(
        "learned",
        "learned, or for the same retriever kmeans (residual k-means) or random",
        one_of=("learned", "kmeans", "random"),
    )
    levels: int = option(3, "M, codes per document", limits=(1, 1024))
    codes: int = option(
        32, "K, codes per position; at most one for every 4 documents", limits=(2, math.inf)
    )
    learning: float = option(
        0.4,
        "fraction of the steps that learn codes; the others fit the retriever to them",
        limits=options.SHARE,
    )
    document_length: int = 64
    steps: int = option(0, "training steps of all stages together; 0 = computed from visits")
    decay: str = option(
        "linear", "learning-rate schedule of the last fit; the stages before keep a constant rate"
    )
    smoothing: float = option(0.1, "label smoothing of the fit stages")

    SYSTEM = "genret"


def fit(
    collection: records.Collection,
    config: Config,
    key: jax.Array,
    log: logs.Log,
    start: warm_start.Start | None = None,
) -> dict:
    """Tokenizer of texts, codes of documents, and the network that names and finds them.

    Raises DataError if the execution splits batches, or the collection has one document.
    """
    _refuse(config, len(collection.corpus), log)
    code_key, init_key, learn_key, fit_key = jax.random.split(key, 4)
    texts = corpus_text.read(collection, config, log, start=start)
    embedded = corpus_text.embed(texts, config.width)
    num_codes = identifiers.cap_codes(config.codes, len(texts.contents), log)
    model = code_stages.create(
        texts, config, log, num_codes=num_codes, levels=config.levels, start=start
    )
    words = corpus_text.words(embedded, config)
    params = encoder_decoder.init(
        network.build(model.shape), init_key, embeddings=words, start=start
    )
    budget = stages.Budget.of(config, len(texts.contents))
    codes, share, held = None, 1.0, 0
    if config.identifiers == "learned":
        params, codes = learn(params, model, config, budget, learn_key, log)
        # the fit of the last position is the last of all
        share, held = 1 - config.learning + config.learning / config.levels * FIT, config.levels - 1
    naming = naming_of(config, num_codes, codes)
    vectors = None
    if naming.needs_vectors:
        vectors = corpus_text.naming_vectors(config, collection.corpus, embedded, log)
    named, ids = naming.fit(collection.corpus, vectors, code_key, log)
    codes = codes_of(ids.tokens, num_codes)

    model = model._replace(shape=code_stages.with_counter(model.shape, ids.alphabet))
    params = codebooks.widen(params, ids.alphabet)
    last = code_stages.fit(model, params, ids.tokens, share=share, held=held)
    last = last._replace(name=f"fit-{config.levels}", decay=config.decay)
    params = stages.run([last], params, config, fit_key, log, budget=budget, docids=ids.tokens)

    found = code_tokenizer.tokenize(
        params,
        model.material.documents,
        shape=model.shape,
        levels=config.levels,
        num_codes=model.num_codes,
    )
    log.scalars(
        log.reached,
        **code_tokenizer.spread(codes, model.num_codes),
        kept=float((found == codes).all(axis=1).mean()),
    )
    state = generate.pack_state(
        params, network.build(model.shape), ids, texts.tokenizer, collection.corpus
    )
    state |= {"num_codes": np.asarray(num_codes)}
    return state | corpus_text.pack_naming(texts, config, naming, named, embedded)


def codes_of(named: np.ndarray, num_codes: int) -> np.ndarray:
    """i32[N, M] codes of identifiers i32[N, M + 1], without their counters."""
    return (named[:, :-1] - codebooks.tokens(0 * named[:, :-1], num_codes)).astype(np.int32)


def learn(
    params: dict,
    model: code_stages.Model,
    config: Config,
    budget: stages.Budget,
    key: jax.Array,
    log: logs.Log,
) -> tuple[dict, np.ndarray]:
    """Parameters after all but the last fit stage, and codes i32[N, M]; sec. 3.2."""
    documents, num_codes = model.material.documents, model.num_codes
    codes = np.zeros((len(documents), 0), np.int32)
    share = config.learning / config.levels  # of a position
    train = lambda stage, params, key: stages.run([stage], params, config, key, log, budget=budget)
    for t, position_key in enumerate(jax.random.split(key, config.levels)):
        keys = jax.random.split(position_key, 4)
        stage = code_stages.warm_up(model, params, codes, share=share * WARM_UP)
        params = train(stage, params, keys[0])

        states = code_tokenizer.states(
            params, documents, codes, shape=model.shape, num_codes=num_codes
        )
        try:
            book = code_tokenizer.initial_codebook(
                states, codes, keys[1], num_codes=num_codes, diverse=config.diverse
            )
        except ValueError as error:
            raise records.DataError(
                f"genret: no codebook for {len(codes)} documents: {error}"
            ) from None
        params = codebooks.place(params, t, book)
        main = share * (1 - WARM_UP - FIT)
        num_steps = budget.steps_of(main)
        stage = code_stages.main(model, params, codes, share=main, num_steps=num_steps)
        params = train(stage, params, keys[2])
        codes = code_stages.assign(model, params, codes)

        if t + 1 < config.levels:
            target = codebooks.tokens(codes, num_codes)
            stage = code_stages.fit(model, params, target, share=share * FIT, held=t)
            params = train(stage, params, keys[3])
    return params, codes


def open(config: Config, state: dict) -> generate.Opened:
    """Documents by the probability of their identifiers given the query."""
    return generate.open(config, generate.load(state), corpus_text.reader(config, state))


def examples(
    collection: records.Collection, config: Config, state: dict
) -> dict[str, batches.Source]:
    """Examples of the last stage: "index", "retrieve" (train queries) and "made" (generated)."""
    texts = corpus_text.read(collection, config, logs.Log(), state=state)
    material = code_stages.read(texts, config)
    return code_stages.sources(np.asarray(state["docids"]["tokens"]), material, config)


def tokenize(config: Config, state: dict, texts: Sequence[str]) -> np.ndarray:
    """i32[n, M] codes of texts of documents, known or new, by the fitted tokenizer."""
    sources = corpus_text.read_documents(config, state, texts)
    return code_tokenizer.tokenize(
        state["params"],
        sources,
        shape=network.of(state).spec,
        levels=config.levels,
        num_codes=int(state["num_codes"]),
    )


def add(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with more documents, named by `tokenize` or as kmeans and random name documents."""
    learned = config.identifiers == "learned"
    codes = tokenize(config, state, corpus.contents()) if learned else None
    naming = naming_of(config, int(state["num_codes"]), codes)
    vectors = corpus_text.new_vectors(config, state, naming, corpus)
    return grow.add(state, corpus, grow.assign(state, corpus, naming, vectors))


def naming_of(config: Config, num_codes: int, codes: np.ndarray | None = None) -> schemes.Scheme:
    """How documents are named; codes: i32[n, M] of learned identifiers, by the network."""
    if config.identifiers == "learned":
        if codes is None:
            raise ValueError("genret: expected the codes that the network gives, got None")
        return schemes.position_specific(schemes.of_given(codes, num_codes))
    name = {"kmeans": "rq", "random": "random"}[config.identifiers]
    return schemes.position_specific(schemes.scheme(name, levels=config.levels, codes=num_codes))


def _refuse(config: Config, num_documents: int, log: logs.Log) -> None:
    if config.identifiers == "learned" and (
        log.execution.accumulate > 1 or jax.process_count() > 1
    ):
        raise records.DataError(
            "genret: codes are balanced over the documents of a whole batch, which cannot be "
            "split; train with one process and without --accumulate"
        )
    if num_documents < 2 and config.identifiers != "random":
        raise records.DataError(
            "genret: codes tell documents apart, expected at least 2 documents, got 1; "
            "add documents, or use dsi"
        )


BASE = Config(
    beam=100,
    **options.T5_BASE,
    codes=512,
    document_length=128,
    decoder_hidden=2048,
    decoder_layers=12,
    word_dropout=0.3,
    rate=5e-4,
    warmup=2000,
    visits=2000.0,
)

RECIPE = recipes.Recipe(
    name="genret",
    paper="Sun et al. 2023, Learning to Tokenize for Generative Retrieval, arXiv 2304.04171",
    presets={
        "tiny": Config(
            **options.TINY,
            levels=2,
            codes=8,
            document_length=32,
            decoder_hidden=512,
            encoder_layers=1,
            word_dropout=0.3,
            fewest_steps=800,
            most_steps=800,
            warmup=50,
        ),
        "small": Config(),
        "base": BASE,
        "paper": dataclasses.replace(
            BASE,
            stem=False,
            **options.T5_FIRST,
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
        "trained from scratch unless --init-from names T5 weights, with their vocabulary, as the "
        "paper does",
        "queries are made by rule, or by a generator trained here (queries=seq2seq) and sampled "
        "from its 10 most likely tokens; the paper samples from docT5query with top-p 0.8 and "
        "temperature 0.8",
        "K is at most a quarter of the number of documents",
        "a batch holds several prefixes with few documents, and a mask restricts the "
        "reconstruction to one prefix; public code has one prefix a batch, filled up with others",
        "targets are balanced over the documents of each prefix in the batch, with epsilon 0.1; "
        "the paper has 1. A document without siblings there has its most probable code",
        "the reconstruction has a term for every position, as eq. 5 does; public code has the "
        "current one",
        "centroids are scaled by the root of the width, and so are inner products in the contrast",
        "clusters have at most 2K documents, or 2N/K if K of those would not hold all; "
        "the assignment is a heuristic",
        "documents that share their codes get a counter, a last token that all have; the paper "
        "counts modulo K and shuffles the rest",
        "codebooks of earlier positions are held fixed, not only the codes of documents",
        "stages have shares of the steps: at each position 1/4 warm-up, 1/2 main, 1/4 fit; "
        "the last fit is the longest",
        "small has a wide one-layer decoder over the embeddings of words (encoder_layers=0), "
        "word dropout, and K = 32",
    ),
    starts=True,
    answering=("beam", "decoding"),
    examples=examples,
    add=add,
    remove=grow.remove,
)
