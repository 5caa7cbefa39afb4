"""ZeroGR: a causal language model that answers an instruction with the name of a document.

Sun et al. 2025, "ZeroGR: A Generalizable and Scalable Framework for Zero-Shot Generative Retrieval"
(ICLR 2026). A document is named by its core terms in a few words. The model learns, for each
corpus, from queries made of its documents, and from the documents themselves, after an instruction
that states the task. The trie holds the shortest prefix that no other name begins with.
Reverse-annealed decoding draws names one after the other at rising temperature.
"""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from zoo import options, recipes, records
from zoo.data import batches
from zoo.docids import table, text
from zoo.index import trie
from zoo.models import encoder_decoder, generate, language_model, query_generator
from zoo.nets import llama, network
from zoo.options import option
from zoo.schemes import scheme as schemes
from zoo.text import language
from zoo.train import stages
from zoo.update import grow

INSTRUCTION = "Given a query, name the document that answers it."


@dataclasses.dataclass(frozen=True)
class Config(language_model.Speaking, options.Answering):
    """Options of ZeroGR."""

    instruction: str = option(INSTRUCTION, "the task in words, read before every query")
    names: str = option(
        "phrases",
        "names of documents: phrases (of highest TF-IDF), title (phrases where there is none), or "
        "a JSONL file of id and name",
    )
    name_length: int = option(16, "maximal tokens of a name, with its end", limits=(2, 1000))
    queries: str = option(
        "rules",
        "source of generated queries: rules, seq2seq (trains a generator), or the folder of "
        "`zoo queries generate`",
    )
    generated: int = option(16, "generated queries per document; 0 = none", limits=options.COUNT)
    generated_share: float = option(
        0.5,
        "fraction of the queries that are generated, if there are train queries",
        limits=options.PROBABILITY,
    )
    document_share: float = option(
        0.2, "fraction of the examples whose query is a document", limits=options.PROBABILITY
    )
    document_length: int = option(64, "tokens read of a document", limits=options.SIZE)
    query_length: int = option(64, "tokens read of a query", limits=options.SIZE)
    batch: int = 32
    rate: float = 1e-3
    visits: float = 30.0

    SYSTEM = "zerogr"


def fit(collection: records.Collection, config: Config, key: jax.Array, log) -> dict:
    """Names of all documents, and a language model that says them."""
    model_key, train_key = jax.random.split(key)
    log.phase("language model")
    asked, answers = encoder_decoder.pairs(collection)
    contents = collection.corpus.contents()
    base = language_model.start(
        config, [*contents, *asked], model_key, log, length=config.name_length
    )
    log.phase("identifiers")
    naming = naming_of(config, base.tokenizer)
    named, ids = naming.fit(collection.corpus, None, model_key, log)
    # some models have more rows than their tokenizer has tokens
    ids = table.Docids(ids.tokens, max(ids.alphabet, base.shape.target_vocab))
    params, shape = llama.widen(
        base.params, base.shape, ids.alphabet - base.shape.target_vocab, model_key
    )
    shape = dataclasses.replace(shape, target_length=ids.tokens.shape[1])
    net = network.build(shape)
    made = query_generator.make_queries(
        config.queries,
        collection,
        per_document=config.generated,
        seed=0,
        log=log,
        count_train=config.generated_share < 1,
    )
    sources = _sources(config, base.tokenizer, contents, (asked, answers), made, ids)
    loss = encoder_decoder.likelihood(
        network.with_remat(net, log.execution.remat), smoothing=config.smoothing, word_dropout=0.0
    )
    hold = llama.only_adapters(params) if config.rank else None
    stage = stages.Stage("train", sources, loss, hold=hold)
    budget = stages.Budget.of(config, len(ids))
    params = stages.run([stage], params, config, train_key, log, budget=budget, docids=ids.tokens)
    if config.rank:
        params, net = (
            llama.merge(params, shape),
            network.build(dataclasses.replace(shape, rank=0)),
        )
    state = generate.pack_state(params, net, ids, base.tokenizer, collection.corpus)
    return state | {"scheme": named, "template": base.template}


def naming_of(config: Config, tokenizer: str) -> schemes.Scheme:
    """How documents are named: in words of the language model."""
    return schemes.scheme(
        "phrases", tokenizer=tokenizer, names=config.names, length=config.name_length
    )


def _sources(
    config: Config,
    tokenizer: str,
    contents: list[str],
    asked: tuple[list[str], list[int]],
    made: tuple[list[str], list[int]],
    ids: table.Docids,
) -> list[batches.Source]:
    """Train queries, generated ones, and documents as queries; kinds without any are left out."""
    queries = 1 - config.document_share
    share = (config.generated_share if asked[0] else 1.0) if made[0] else 0.0
    kinds = (
        (*asked, config.query_length, queries * (1 - share)),
        (*made, config.query_length, queries * share),
        (contents, range(len(contents)), config.document_length, config.document_share),
    )
    found = [
        batches.Source(
            {
                "source": language.prompts(tokenizer, config.instruction, texts, length=length),
                "target": ids.tokens[np.asarray(rows, np.int64)],
            },
            weight,
        )
        for texts, rows, length, weight in kinds
        if len(rows) and weight > 0
    ]
    if not found:
        raise records.DataError(
            "zerogr: nothing to learn from: no train queries, generated=0 and document_share=0; "
            "raise one of the two"
        )
    return found


def open(config: Config, state: dict) -> generate.Opened:
    """Documents by the probability of the beginnings of their names that are theirs alone."""
    model = generate.load(state)
    ids = text.shortest_prefixes(model.ids)
    shape = dataclasses.replace(model.net.spec, target_length=ids.tokens.shape[1])
    model = model._replace(net=network.build(shape), ids=ids, index=trie.build(ids))
    tokenizer, length = state["tokenizer"], config.query_length

    def read(queries: records.Queries) -> np.ndarray:
        return language.prompts(tokenizer, config.instruction, queries.texts, length=length)

    return generate.open(config, model, read)


def add(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with more documents, which are named and not learned."""
    fresh = grow.assign(state, corpus, naming_of(config, state["tokenizer"]), None)
    shape = network.of(state).spec
    missing = fresh.alphabet - shape.target_vocab
    if missing > 0:  # one more document of equal name than there was
        params, shape = llama.widen(
            state["params"], shape, shape.extra + missing, jax.random.key(0)
        )
        state = state | {"params": params, network.STATE: network.dump(shape)}
    return grow.add(state, corpus, fresh)


SMALL = Config(rank=16)
# sizes of SmolLM2-135M, and of Llama-3.2-1B
BASE = Config(
    weights="",
    beam=100,
    vocabulary=49_152,
    width=576,
    layers=30,
    heads=9,
    key_heads=3,
    head_width=64,
    hidden=1536,
    dtype="bfloat16",
    batch=128,
    rate=3e-4,
)

RECIPE = recipes.Recipe(
    name="zerogr",
    paper="Sun et al. 2025, ZeroGR: A Generalizable and Scalable Framework for Zero-Shot "
    "Generative Retrieval",
    presets={
        "tiny": Config(
            weights="",
            instruction="Name it.",
            vocabulary=600,
            width=64,
            heads=4,
            key_heads=2,
            head_width=16,
            hidden=256,
            generated=4,
            document_length=16,
            query_length=16,
            name_length=10,
            batch=64,
            rate=3e-3,
            fewest_steps=400,
            most_steps=400,
        ),
        "small": SMALL,
        "base": BASE,
        "paper": dataclasses.replace(
            BASE,
            vocabulary=128_256,
            width=2048,
            layers=16,
            heads=32,
            key_heads=8,
            hidden=8192,
            batch=16,
            rate=5e-5,
            visits=80.0,
            decoding="reverse-annealed",
        ),
    },
    fit=fit,
    open=open,
    deviations=(
        "small starts from SmolLM2-135M with adapters where it is installed; base and paper are "
        "trained from scratch unless weights names a model, the paper starts from Llama-3.2",
        "names are phrases of highest TF-IDF, titles, or those of a file; the paper's come from a "
        "language model that was distilled from a larger one",
        "queries are made by rule or by a generator trained on the collection; the paper's "
        "generator is a language model of its own that reads the instruction",
        "one instruction a fit, by option; the paper has one a task",
        "the ranking term of the authors' program, which the paper does not describe, is left out",
        "the beam is decoded by default but in paper; decoding=reverse-annealed is the paper's",
        "equal names end in different closing tokens; the paper's are told apart by chance",
        "epochs are counted over documents, 80 of them for 5 over 16 generated queries each",
    ),
    answering=("beam", "decoding", "instruction", "query_length"),
    add=add,
    remove=grow.remove,
)
