"""GENRE: an encoder-decoder that generates the title of the answer, word by word.

De Cao et al. 2021, "Autoregressive Entity Retrieval" (arXiv 2010.00904). Sec. 3: a document is
called by its title, in the vocabulary of the text; sequence-to-sequence training from query to
title, with label smoothing. Sec. 3.2: beam search constrained by a trie of titles. One table of
tokens serves source, target and output, so that words of the query can be copied into a title.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import numpy as np

from zoo import options, recipes, records
from zoo.data import batches
from zoo.docids import table, text
from zoo.models import corpus_text, encoder_decoder, generate, ngram_writer, warm_start
from zoo.nets import network, transformer
from zoo.options import option
from zoo.ranking import collect
from zoo.schemes import scheme as schemes
from zoo.text import tokens
from zoo.train import stages
from zoo.update import grow

RETRIEVE = "[retrieve]"


@dataclasses.dataclass(frozen=True)
class Config(options.Writing, options.Reading, options.Answering):
    """Options of GENRE."""

    title_length: int = option(
        32, "maximal tokens of a title, or of the text in its place, with its end", limits=(2, 1000)
    )
    duplicates: str = option(
        "counter",
        "equal titles: counter (told apart by their closing token, in row order) or refuse",
        one_of=text.POLICIES,
    )
    length_penalty: float = option(
        0.0, "power of the length that scores are divided by", limits=(0.0, math.inf)
    )
    encoder_layers: int = 1
    decoder_hidden: int = 512
    dropout: float = 0.1
    word_dropout: float = 0.1

    SYSTEM = "genre"


def fit(
    collection: records.Collection,
    config: Config,
    key: jax.Array,
    log,
    start: warm_start.Start | None = None,
) -> dict:
    """Tokenizer, titles as identifiers, and the parameters."""
    name_key, init_key, train_key = jax.random.split(key, 3)
    texts = corpus_text.read(collection, config, log, prompts=(RETRIEVE,), start=start)
    log.phase("identifiers")
    corpus = ngram_writer.stemmed(config, collection.corpus, texts.languages)
    naming = naming_of(config, texts.tokenizer)
    named, ids = naming.fit(corpus, None, name_key, log)
    examples = list(_sources(texts, config, ids.tokens).values())
    if not examples:
        raise records.DataError(
            "genre: nothing to learn from: no train queries and generated=0; raise generated"
        )
    start = None if start is None else start._replace(keeps=frozenset({"source", "target"}))
    size = max(ids.alphabet, 0 if start is None else start.shape.source_vocab)
    ids = table.Docids(ids.tokens, size)
    shape = transformer.Shape(
        **encoder_decoder.sizes_of(config, texts.tokenizer, ids)
        | {"source_vocab": size, "shared": True, "tied": True}
    )
    net = network.build(warm_start.match_shape(shape, start))
    words = None
    if config.vector_start:
        read = tokens.whole(texts.tokenizer, texts.contents)
        words = ngram_writer.initial_words(read, size, config.width)
    stage = encoder_decoder.stage(
        net, examples, config, log, unknown=tokens.unknown(texts.tokenizer)
    )
    params = stages.run(
        [stage],
        encoder_decoder.init(net, init_key, embeddings=words, start=start),
        config,
        train_key,
        log,
        budget=stages.Budget.of(config, len(ids)),
        docids=ids.tokens,
    )
    state = generate.pack_state(params, net, ids, texts.tokenizer, collection.corpus)
    return state | corpus_text.pack_languages(texts) | {"scheme": named}


def naming_of(config: Config, tokenizer: str = "") -> schemes.Scheme:
    """How documents are named (sec. 3): by title, or the beginning of the text without one."""
    return schemes.scheme(
        "title", length=config.title_length, duplicates=config.duplicates, tokenizer=tokenizer
    )


def open(config: Config, state: dict) -> generate.Opened:
    """Documents by the probability of their titles given the query."""
    read = corpus_text.reader(config, state, prompt=RETRIEVE)
    found = collect.by_leaf(length_penalty=config.length_penalty)
    return generate.open(config, generate.load(state), read, collect=found)


def add(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with more documents, which are named and not learned."""
    as_read = lambda column: tuple(corpus_text.as_read(config, state, column))
    read = records.Corpus(corpus.ids, as_read(corpus.titles), as_read(corpus.texts))
    return grow.add(state, corpus, grow.assign(state, read, naming_of(config), None))


def _sources(
    texts: corpus_text.Texts, config: Config, named: np.ndarray
) -> dict[str, batches.Source]:
    """Examples by kind: train queries and, "made", generated ones; named: i32[N, L]."""
    share = 0.0
    if texts.made:
        share = config.generated_share if texts.queries else 1.0
    kinds = {
        "retrieve": (texts.queries, texts.answers, 1 - share),
        "made": (texts.made, texts.origins, share),
    }
    return {
        kind: batches.Source(
            {
                "source": texts.encode(queries, config.query_length, RETRIEVE),
                "target": named[np.asarray(rows, np.int64)],
            },
            weight,
        )
        for kind, (queries, rows, weight) in kinds.items()
        if len(rows) and weight > 0
    }


SMALL = Config()
BASE = Config(**options.T5_BASE, decoder_hidden=2048, decoder_layers=12, rate=3e-4, warmup=2000)

RECIPE = recipes.Recipe(
    name="genre",
    paper="De Cao et al. 2021, Autoregressive Entity Retrieval, arXiv 2010.00904",
    presets={
        "tiny": Config(**options.TINY, title_length=6, fewest_steps=600, most_steps=600),
        "small": SMALL,
        "base": BASE,
        "paper": dataclasses.replace(
            BASE,
            stem=False,
            vector_start=False,
            generated=0,
            word_dropout=0.0,
            length_penalty=1.0,
            beam=10,
            rate=3e-5,
            warmup=500,
            steps=200_000,
        ),
    },
    fit=fit,
    open=open,
    deviations=(
        "trained from scratch unless --init-from names T5 weights; the paper starts from "
        "BART-large",
        "one table of tokens, which starts from the corpus's SVD (vector_start)",
        "a document without a title is called by the beginning of its text, as in the "
        "reproductions on NQ320K; every page of the paper has a title",
        "equal titles end in different closing tokens (duplicates=counter), which nothing in the "
        "text tells apart; titles are unique in the paper",
        "words are stemmed but in paper",
        "queries made by rule or by a trained generator join the training (generated); the paper "
        "has none, and pre-trains on entity linking instead",
        "gradients are clipped at 1, the paper's at .1; its learning rate decays polynomially, "
        "ours linearly",
        "mention detection and the dynamic constraints of entity linking (sec. 3.3) are left out",
    ),
    starts=True,
    answering=("beam", "decoding", "length_penalty"),
    add=add,
    remove=grow.remove,
)
