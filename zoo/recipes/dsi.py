"""DSI: one encoder-decoder that holds a corpus in its weights and generates the identifier of the
answer.

Tay et al. 2022, "Transformer Memory as a Differentiable Search Index" (arXiv 2202.06991). Sec. 3.1:
indexing, document tokens -> identifier (direct indexing, the first S tokens), and retrieval, query
-> identifier, are mixed in one run and told apart by a prompt. Sec. 3.2: atomic, naive string and
semantically structured identifiers. Sec. 3.3: cross-entropy, beam search.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import numpy as np

from zoo import options, recipes, records
from zoo.data import batches
from zoo.models import corpus_text, encoder_decoder, generate, warm_start
from zoo.nets import network, transformer
from zoo.options import option
from zoo.schemes import scheme as schemes
from zoo.text import embed, tokens
from zoo.train import log as logs, stages
from zoo.update import grow

INDEX, RETRIEVE = "[index]", "[retrieve]"  # prompts of the two tasks


@dataclasses.dataclass(frozen=True)
class Config(options.Writing, options.Reading, options.Answering):
    """Options of DSI."""

    identifiers: str = option(
        "semantic",
        "semantic (paths of hierarchical k-means), naive (digits) or atomic (a token per document)",
        one_of=("semantic", "naive", "atomic"),
    )
    branching: int = option(10, "k of the hierarchical k-means", limits=(2, math.inf))
    leaf_size: int = option(
        100, "c, the maximal number of documents in a leaf", limits=options.SIZE
    )
    vectors: str = option(
        "auto",
        "vectors that are clustered: auto (of the encoder, else tfidf), tfidf (TF-IDF and SVD), "
        "minilm (all-MiniLM-L6-v2), the folder of an encoder, or FILE.npy",
    )
    index_ratio: float = option(
        0.3, "indexing examples per retrieval example", limits=options.AMOUNT
    )
    z_loss: float = option(
        0.0, "weight of the squared log-normaliser in the loss", limits=options.AMOUNT
    )
    # a prompt and a word
    document_length: int = option(32, limits=(2, math.inf))
    query_length: int = option(32, limits=(2, math.inf))

    SYSTEM = "dsi"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vectors != embed.AUTO:
            embed.refuse_embedding(self.SYSTEM, self.vectors)


def fit(
    collection: records.Collection,
    config: Config,
    key: jax.Array,
    log,
    start: warm_start.Start | None = None,
) -> dict:
    """Tokenizer, identifiers and the parameters of the encoder-decoder."""
    name_key, train_key = jax.random.split(key)
    texts = corpus_text.read(collection, config, log, prompts=(INDEX, RETRIEVE), start=start)
    embedded = corpus_text.embed(texts, config.width)

    log.phase("identifiers")
    naming = naming_of(config)
    vectors = corpus_text.naming_vectors(config, collection.corpus, embedded, log)
    named, ids = naming.fit(collection.corpus, vectors, name_key, log)

    sources = list(_sources(texts, config, ids.tokens).values())
    if not sources:
        raise records.DataError(
            f"{config.SYSTEM}: nothing to learn from: no train queries, generated=0 and "
            "index_ratio=0; raise one of the two"
        )
    start = warm_start.writing(start, ids.tokens)
    shape = transformer.Shape(
        **encoder_decoder.sizes_of(config, texts.tokenizer, ids), vector_width=texts.vector_width
    )
    net = network.build(warm_start.match_shape(shape, start))
    init_key, train_key = jax.random.split(train_key)
    words = corpus_text.words(embedded, config)
    params = encoder_decoder.init(net, init_key, embeddings=words, start=start)
    unknown = tokens.unknown(texts.tokenizer)
    stage = encoder_decoder.stage(net, sources, config, log, unknown=unknown, z_loss=config.z_loss)
    params = stages.run(
        [stage],
        params,
        config,
        train_key,
        log,
        budget=stages.Budget.of(config, len(ids)),
        docids=ids.tokens,
    )
    state = generate.pack_state(params, net, ids, texts.tokenizer, collection.corpus)
    return state | corpus_text.pack_naming(texts, config, naming, named, embedded)


def open(config: Config, state: dict) -> generate.Opened:
    """Documents by the probability of their identifiers given the query."""
    read = corpus_text.reader(config, state, prompt=RETRIEVE)
    return generate.open(config, generate.load(state), read)


def examples(
    collection: records.Collection, config: Config, state: dict
) -> dict[str, batches.Source]:
    """What `fit` learns from: "index", documents; "retrieve", train queries.

    "made", queries made of documents, by a generator trained anew if queries=seq2seq.
    """
    texts = corpus_text.read(collection, config, logs.Log(), state=state)
    return _sources(texts, config, np.asarray(state["docids"]["tokens"]))


def _sources(
    texts: corpus_text.Texts, config: Config, named: np.ndarray
) -> dict[str, batches.Source]:
    """Examples by kind, those without any left out; named: i32[N, L], what documents are called."""
    retrieval_share = 1 / (1 + config.index_ratio)
    made_share = (config.generated_share if texts.queries else 1.0) if texts.made else 0.0
    kinds = {
        "index": (
            texts.encode(texts.contents, config.document_length, INDEX, side=embed.DOCUMENT),
            np.arange(len(named)),
            1 - retrieval_share,
        ),
        "retrieve": (
            texts.encode(texts.queries, config.query_length, RETRIEVE),
            texts.answers,
            retrieval_share * (1 - made_share),
        ),
        "made": (
            texts.encode(texts.made, config.query_length, RETRIEVE),
            texts.origins,
            retrieval_share * made_share,
        ),
    }
    return {
        kind: batches.Source(
            {"source": source, "target": named[np.asarray(rows, np.int64)]}, weight
        )
        for kind, (source, rows, weight) in kinds.items()
        if len(rows) and weight > 0
    }


def naming_of(config: Config) -> schemes.Scheme:
    """How documents are named (sec. 3.2)."""
    if config.identifiers != "semantic":
        return schemes.scheme(config.identifiers)
    clusters = schemes.scheme("clusters", branching=config.branching, leaf_size=config.leaf_size)
    return schemes.position_specific(clusters)


def add(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with more documents, which are named and not learned.

    Under atomic, the row of a new token starts from what the network makes of the document's text,
    read as a query.
    """
    naming = naming_of(config)
    vectors = corpus_text.new_vectors(config, state, naming, corpus)
    fresh = grow.assign(state, corpus, naming, vectors)
    output = None
    if config.identifiers == "atomic":
        read = corpus_text.reader(config, state, prompt=RETRIEVE)
        texts = records.Queries(corpus.ids, tuple(corpus.contents()))
        output = grow.rows_from_states(state, read(texts))
    return grow.add(state, corpus, fresh, output=output)


SMALL = Config()
BASE = Config(
    beam=100,
    **options.T5_BASE,
    document_length=64,
    decoder_hidden=2048,
    decoder_layers=12,
    word_dropout=0.3,
    rate=1e-3,
    warmup=2000,
    visits=2000.0,
)

RECIPE = recipes.Recipe(
    name="dsi",
    paper="Tay et al. 2022, Transformer Memory as a Differentiable Search Index, arXiv 2202.06991",
    presets={
        "tiny": Config(
            **options.TINY,
            decoder_hidden=512,
            encoder_layers=1,
            word_dropout=0.3,
            fewest_steps=600,
            most_steps=600,
        ),
        "small": SMALL,
        "base": BASE,
        "paper": dataclasses.replace(
            BASE,
            stem=False,
            **options.T5_FIRST,
            vectors="minilm",
            vector_start=False,
            smoothing=0.0,
            optimizer="adafactor",
            index_ratio=32.0,
            generated=0,
            document_length=32,
            word_dropout=0.0,
            batch=128,
            steps=1_000_000,
            warmup=100_000,
            decay="rsqrt",
            decoding="free",
        ),
    },
    fit=fit,
    open=open,
    deviations=(
        "trained from scratch unless --init-from names T5 weights, with their vocabulary, as the "
        "paper does",
        "source and identifiers have vocabularies of their own; digits of semantic identifiers "
        "are position-specific tokens",
        "the last digit of a semantic identifier is one token of up to c values; the paper writes "
        "that number in decimal digits",
        "documents are clustered on TF-IDF and SVD vectors, with their train queries, or on "
        "all-MiniLM-L6-v2; the paper has an 8-layer BERT",
        "source embeddings start from the same SVD (vector_start)",
        "queries made by rule, or by a trained generator (queries=seq2seq), join the retrieval "
        "task (generated); the paper has none",
        "the search is constrained to identifiers that exist (decoding=trie); the paper's is free",
        "small has a wide one-layer decoder over the embeddings of words (encoder_layers=0), "
        "index_ratio 0.3, word dropout and stems",
        "Adafactor in paper does not scale updates by the size of parameters; the rate and the "
        "warm-up are one point of the paper's grid",
    ),
    starts=True,
    answering=("beam", "decoding"),
    examples=examples,
    add=add,
    remove=grow.remove,
)
