"""DPR: a dual encoder whose documents are found by the inner product of their vectors with the
query's, the dense peer of generation.

Karpukhin et al. 2020, "Dense Passage Retrieval for Open-Domain Question Answering" (arXiv
2004.04906). Sec. 3.1: two encoders and their inner product; sec. 3.2: a query's own document
against those of the other queries of the batch,

    L = -log exp(q_i . d_i) / sum_j exp(q_i . d_j)                                    (eq. 2)

and exact search over the vectors of all documents. A document that is known to answer query i is
never a wrong answer to it. Documents that come later are encoded by the frozen encoder (`add`).
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from zoo import options, recipes, records
from zoo.index import dense
from zoo.models import corpus_text, dual_encoder, warm_start
from zoo.nets import dual, network
from zoo.options import option
from zoo.text import tokens
from zoo.train import stages
from zoo.update import catalogue


@dataclasses.dataclass(frozen=True)
class Config(options.Encoding, options.Reading):
    """Options of DPR."""

    pooling: str = option(
        "weighted",
        "text vector: state of the first token, mean, or weighted by a learned weight per word",
        one_of=dual.POOLINGS,
    )
    towers: str = option(
        "shared", "one set of weights for queries and documents, or two", one_of=dual.TOWERS
    )
    temperature: float = option(
        0.05,
        "temperature of the cosine; 0 = plain inner products, as in the paper",
        limits=options.AMOUNT,
    )
    vector_start: bool = option(
        True, "initialise word embeddings and weights from the corpus's SVD, not at random"
    )
    # a prompt and a word; a relevant and an irrelevant document
    document_length: int = option(128, limits=(2, math.inf))
    query_length: int = option(32, limits=(2, math.inf))
    batch: int = option(128, limits=(2, math.inf))
    width: int = 256
    head_width: int = 64
    encoder_hidden: int = 512
    word_dropout: float = 0.2
    visits: float = 60.0
    fewest_steps: int = 1000
    rate: float = 1e-3

    SYSTEM = "dpr"


def fit(
    collection: records.Collection,
    config: Config,
    key: jax.Array,
    log,
    start: warm_start.Start | None = None,
) -> dict:
    """Tokenizer, parameters of the encoders, and the vectors of the documents."""
    dual_encoder.refuse_parts(log.execution)
    texts = corpus_text.read(
        collection, config, log, prompts=tuple(dual_encoder.PROMPTS.values()), start=start
    )
    given = dual_encoder.examples(texts, config)
    init_key, train_key = jax.random.split(key)
    shape = dual_encoder.shape_of(
        tokens.count(texts.tokenizer), config, start, vector_width=texts.vector_width
    )
    params = dual_encoder.init(texts, shape, config, init_key, start)
    params = stages.run(
        [dual_encoder.stage(given, shape, config, log)],
        params,
        config,
        train_key,
        log,
        budget=stages.Budget.of(config, len(texts.contents)),
    )
    return pack_state(params, shape, texts, given, collection.corpus)


def open(config: Config, state: dict) -> Callable[[records.Queries, int], records.Ranking]:
    """Documents by the inner product of their vectors with the query's, over the temperature if
    there is one.
    """
    read = corpus_text.reader(config, state, prompt=dual_encoder.PROMPTS[dual.QUERY])
    shape, params = network.of(state).spec, jax.device_put(state["params"])
    index, corpus_ids = dense.build(state["vectors"]), tuple(json.loads(state["corpus_ids"]))

    def ask(queries: records.Queries, k: int) -> records.Ranking:
        vectors = dual_encoder.encode(params, read(queries), shape=shape, side=dual.QUERY)
        documents, scores = dense.search(index, vectors, k)
        scores = scores / np.float32(config.temperature or 1)
        return records.Ranking(queries.ids, corpus_ids, documents, scores)

    return ask


def add(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with more documents, encoded by the encoder as it is.

    Equals encoding all at once.
    """
    prompt = dual_encoder.PROMPTS[dual.DOCUMENT]
    source = corpus_text.read_documents(config, state, corpus.contents(), prompt=prompt)
    shape = network.of(state).spec
    fresh = dual_encoder.encode(state["params"], source, shape=shape, side=dual.DOCUMENT)
    vectors = np.concatenate([state["vectors"], fresh])
    return catalogue.append(state, corpus) | {"vectors": vectors}


def remove(config: Config, state: dict, rows: np.ndarray) -> dict:
    """The state without documents i[n] and their vectors."""
    return catalogue.delete(state, rows) | {"vectors": np.delete(state["vectors"], rows, axis=0)}


def pack_state(
    params: Any,
    shape: dual.Shape,
    texts: corpus_text.Texts,
    given: dual_encoder.Examples,
    corpus: records.Corpus,
) -> dict:
    """The state that `retrieve` reads."""
    return {
        "params": params,
        "vectors": dual_encoder.encode(params, given.documents, shape=shape, side=dual.DOCUMENT),
        network.STATE: network.dump(shape),
        "tokenizer": texts.tokenizer,
        **corpus_text.pack_languages(texts),
        "corpus_ids": json.dumps(corpus.ids),
    }


SMALL = Config()
BASE = Config(
    **options.T5_BASE,
    pooling="mean",
    document_length=256,
    word_dropout=0.0,
    rate=1e-4,
    warmup=1000,
    visits=500.0,
)
PRESETS = {
    "tiny": Config(
        vocabulary=1000,
        document_length=16,
        query_length=16,
        width=64,
        heads=2,
        head_width=32,
        encoder_hidden=64,
        batch=64,
        fewest_steps=400,
        most_steps=400,
        rate=1e-2,
        warmup=10,
        vector_start=False,
        towers="two",
    ),
    "small": SMALL,
    "base": BASE,
    "paper": dataclasses.replace(
        BASE,
        stem=False,
        mlp="relu",
        encoder_hidden=3072,
        pooling="first",
        towers="two",
        temperature=0.0,
        vector_start=False,
        generated=0,
        weight_decay=0.0,
        batch=128,
        rate=1e-5,
        visits=40.0,
    ),
}
DEVIATIONS = (
    "trained from scratch unless --init-from names T5 weights, whose encoder both towers then "
    "have; the paper's encoders are BERT's, with plain GELU MLPs where size paper has plain ReLU",
    "small and base have one tower for both sides, and the cosine over a temperature; the paper "
    "two towers and the plain product",
    "small's text is a bag of words (encoder_layers=0) with a learned weight a word "
    "(pooling=weighted)",
    "word embeddings and weights start from the SVD of the documents and their train queries "
    "(vector_start)",
    "queries made by rule join the training (generated); the paper has none",
    "documents are cut after document_length tokens; the paper splits them into passages of 100 "
    "words",
    "a document that is known to answer a query is left out of its wrong answers (judged, or the "
    "query was made of it)",
)

RECIPE = recipes.Recipe(
    name="dpr",
    paper="Karpukhin et al. 2020, Dense Passage Retrieval for Open-Domain Question Answering, "
    "arXiv 2004.04906",
    presets=PRESETS,
    fit=fit,
    add=add,
    remove=remove,
    open=open,
    deviations=(*DEVIATIONS, "no mined negatives, the paper's in-batch setting; dpr-hn has them"),
    starts=True,
)
