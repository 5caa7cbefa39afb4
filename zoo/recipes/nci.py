"""NCI: a neural corpus indexer, whose decoder reads each token of an identifier in the light of the
prefix before it.

Wang et al. 2022, "A Neural Corpus Indexer for Document Retrieval" (arXiv 2206.02743). Sec. 3.1:
identifiers by hierarchical k-means, with tokens of each position's own. Sec. 3.2: queries generated
from documents, spans of documents, and real queries. Sec. 3.3: the prefix-aware weight-adaptive
decoder (`zoo.nets.heads`). Sec. 3.4: cross-entropy + alpha x the divergence of two passes through
dropout (eq. 6), beam search over the tree of identifiers.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from zoo import options, recipes, records
from zoo.data import batches
from zoo.docids import table
from zoo.models import corpus_text, encoder_decoder, generate, warm_start
from zoo.nets import heads, network
from zoo.objectives import sequence
from zoo.options import option
from zoo.ranking import collect
from zoo.schemes import scheme as schemes
from zoo.text import embed, tokens
from zoo.train import loop, stages
from zoo.update import grow


@dataclasses.dataclass(frozen=True)
class Config(options.Writing, options.Reading, options.Answering):
    """Options of NCI."""

    branching: int = option(30, "k of the hierarchical k-means", limits=(2, math.inf))
    leaf_size: int = option(30, "c, the maximal number of documents in a leaf", limits=options.SIZE)
    vectors: str = option(
        "auto",
        "vectors that are clustered: auto (of the encoder, else tfidf), tfidf (TF-IDF and SVD), "
        "minilm (all-MiniLM-L6-v2), the folder of an encoder, or FILE.npy",
    )
    query_share: float = option(
        0.4,
        "fraction of the examples that are train queries, if there are any",
        limits=options.PROBABILITY,
    )
    generated_share: float = option(
        0.6,
        "fraction of generated queries among the other examples; the rest are document passages",
    )
    generated: int = 15
    spans: int = option(
        10,
        "passages of document_length tokens per longer document, plus one per 3000 tokens",
        limits=options.COUNT,
    )
    consistency: float = option(
        0.15,
        "alpha, weight of the divergence between two dropout passes; 0 = one pass",
        limits=options.AMOUNT,
    )
    document_length: int = 64
    decoder_hidden: int = 2048
    adaptor_layers: int = option(
        1, "layers of the prefix-aware weight-adaptive decoder's adaptor", limits=options.SIZE
    )
    word_dropout: float = 0.4  # each pass masks other words
    smoothing: float = 0.0
    length_penalty: float = option(
        0.0,
        "scores are divided by (length + 1) to this power; no effect if all lengths are equal",
        limits=options.AMOUNT,
    )

    SYSTEM = "nci"

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
    texts = corpus_text.read(collection, config, log, start=start)
    embedded = corpus_text.embed(texts, config.width)

    log.phase("identifiers")
    naming = naming_of(config)
    vectors = corpus_text.naming_vectors(config, collection.corpus, embedded, log)
    named, ids = naming.fit(collection.corpus, vectors, name_key, log)

    sources = _sources(texts, config, ids)
    start = warm_start.writing(start, ids.tokens)
    shape = heads.PrefixShape(
        **encoder_decoder.sizes_of(config, texts.tokenizer, ids),
        vector_width=texts.vector_width,
        last_tokens=schemes.last_tokens(named, ids.alphabet),
        adaptor_layers=config.adaptor_layers,
    )
    net = network.build(warm_start.match_shape(shape, start))
    init_key, train_key = jax.random.split(train_key)
    words = corpus_text.words(embedded, config)
    params = encoder_decoder.init(net, init_key, embeddings=words, start=start)
    loss = consistent(
        network.with_remat(net, log.execution.remat),
        config,
        unknown=tokens.unknown(texts.tokenizer),
    )
    params = stages.run(
        [stages.Stage("train", sources, loss)],
        params,
        config,
        train_key,
        log,
        budget=stages.Budget.of(config, len(ids)),
        docids=ids.tokens,
    )
    state = generate.pack_state(params, net, ids, texts.tokenizer, collection.corpus)
    return state | corpus_text.pack_naming(texts, config, naming, named, embedded)


def naming_of(config: Config) -> schemes.Scheme:
    """The scheme of sec. 3.1: clusters; a document alone in its cluster gets no number."""
    clusters = schemes.scheme(
        "clusters",
        branching=config.branching,
        leaf_size=config.leaf_size,
        shorten=without_lone_leaves,
    )
    return schemes.position_specific(clusters)


def add(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with more documents, which are named and not learned."""
    naming = naming_of(config)
    vectors = corpus_text.new_vectors(config, state, naming, corpus)
    return grow.add(state, corpus, grow.assign(state, corpus, naming, vectors))


def _sources(texts: corpus_text.Texts, config: Config, ids: table.Docids) -> list[batches.Source]:
    """Train queries, generated queries, and pieces of documents (sec. 3.2), without empty ones."""
    query_share = config.query_share if texts.queries else 0.0
    made_share = (1 - query_share) * config.generated_share if texts.made else 0.0
    read, rows = pieces(texts, length=config.document_length, number=config.spans, seed=0)
    return [
        batches.Source(
            {"source": source, "target": ids.tokens[np.asarray(answers, np.int64)]}, weight
        )
        for source, answers, weight in (
            (texts.encode(texts.queries, config.query_length), texts.answers, query_share),
            (texts.encode(texts.made, config.query_length), texts.origins, made_share),
            (read, rows, 1 - query_share - made_share),
        )
        if len(answers) and weight > 0
    ]


@functools.lru_cache(maxsize=32)  # equal losses share their compiled step
def consistent(net: network.Network, config: Config, *, unknown: int = tokens.UNKNOWN) -> loop.Loss:
    """Loss of batches {"source", "target"}: cross-entropy, halved over two passes, + alpha x their
    symmetric divergence (eq. 6).
    """
    once = encoder_decoder.likelihood(
        net, smoothing=config.smoothing, word_dropout=config.word_dropout, unknown=unknown
    )
    if not config.consistency:
        return once

    def loss(params, batch, key):
        # one program, two draws of dropout
        source, target = (jnp.concatenate([batch[name]] * 2) for name in ("source", "target"))
        drop, hide = jax.random.split(key)
        source = encoder_decoder.drop_words(source, hide, config.word_dropout, unknown)
        logits = encoder_decoder.predict(net, params, source, target, drop)
        likelihood = sequence.cross_entropy(logits, target, smoothing=config.smoothing).mean()
        first, second = jnp.split(logits, 2)
        divergence = sequence.disagreement(first, second, batch["target"]).mean()
        metrics = {
            "identifiers_right": encoder_decoder.exact(logits, target),
            "divergence": divergence,
        }
        return likelihood + config.consistency * divergence, metrics

    return loss


def open(config: Config, state: dict) -> generate.Opened:
    """Documents by the probability of their identifiers given the query, divided by a power of the
    length if `length_penalty` says so.
    """
    return generate.open(
        config,
        generate.load(state),
        corpus_text.reader(config, state),
        collect=collect.by_leaf(length_penalty=config.length_penalty),
    )


def pieces(
    texts: corpus_text.Texts, *, length: int, number: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Beginnings i32[n, length] of all documents and random spans of the longer ones, and the row
    of each i64[n].

    A document of more than `length` tokens has number + tokens / 3000 spans; each draws from a
    stream of its own. A pretrained encoder reads whole documents alone: f32[N, D].
    """
    beginnings = texts.encode(texts.contents, length, side=embed.DOCUMENT)
    if texts.encoder:
        return beginnings, np.arange(len(beginnings))
    spans, rows = [beginnings], list(range(len(beginnings)))
    for row, words in enumerate(tokens.whole(texts.tokenizer, texts.contents)):
        if number and len(words) > length:
            count = number + len(words) // 3000
            firsts = np.random.default_rng([seed, row]).integers(0, len(words) - length + 1, count)
            spans.append(words[firsts[:, None] + np.arange(length)])
            rows += [row] * count
    return np.concatenate(spans), np.array(rows, np.int64)


def without_lone_leaves(ids: table.Docids) -> table.Docids:
    """The identifiers without the last token of documents that are alone in their leaf, which their
    cluster names already.
    """
    last = ids.lengths - 1
    clusters = ids.tokens.copy()
    clusters[np.arange(len(ids)), last] = table.PAD
    _, group, size = np.unique(clusters, axis=0, return_inverse=True, return_counts=True)
    alone = (size[group.reshape(-1)] == 1) & (last > 0)
    kept = np.where(alone[:, None], clusters, ids.tokens)
    return table.build(kept[:, : np.count_nonzero(kept, axis=1).max()], ids.alphabet)


BASE = Config(
    beam=100,
    **options.T5_BASE,
    decoder_hidden=2048,
    decoder_layers=6,
    adaptor_layers=4,
    word_dropout=0.3,
    rate=5e-4,
    warmup=2000,
    visits=2000.0,
)

RECIPE = recipes.Recipe(
    name="nci",
    paper="Wang et al. 2022, A Neural Corpus Indexer for Document Retrieval, arXiv 2206.02743",
    presets={
        "tiny": Config(
            **options.TINY,
            branching=10,
            leaf_size=10,
            decoder_hidden=256,
            word_dropout=0.3,
            fewest_steps=400,
            most_steps=400,
            document_length=16,
            query_length=16,
        ),
        "small": Config(),
        "base": BASE,
        "paper": dataclasses.replace(
            BASE,
            stem=False,
            **options.T5_FIRST,
            weight_decay=1e-4,
            vectors="minilm",
            vector_start=False,
            queries="seq2seq",
            word_dropout=0.0,
            batch=512,
            rate=2e-4,
            visits=500.0,
            length_penalty=0.8,
        ),
    },
    fit=fit,
    open=open,
    deviations=(
        "trained from scratch unless --init-from names T5 weights; the paper takes the encoder of "
        "T5 and draws the decoder, here both are taken",
        "queries are made by rule, or by a generator trained here (queries=seq2seq); the paper "
        "draws them from docT5query",
        "documents are clustered on TF-IDF and SVD vectors, with their train queries, or on "
        "all-MiniLM-L6-v2; the paper has BERT",
        "one learning rate; the paper has 2e-4 for the encoder and 1e-4 for the decoder",
        "the consistency of two passes is the paper's symmetric divergence (eq. 6); its public "
        "code trains a contrastive loss in its place",
        "words are hidden in training (word_dropout), others in each of the two passes; the "
        "paper's passes differ in dropout alone, which small has none of",
        "the adaptor's matrices start at zero, so training begins with the head that is tied to "
        "the table of tokens",
        "small has a decoder over the embeddings of words (encoder_layers=0), one layer, and an "
        "adaptor of one layer; the paper 12, 6 and 4",
        "small ranks by probability (length_penalty=0); the paper divides by a power of the length",
    ),
    answering=("beam", "decoding", "length_penalty"),
    starts=True,
    add=add,
    remove=grow.remove,
)
