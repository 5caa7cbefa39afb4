"""Tree: a generator of (cluster, document) whose output rows start as document vectors, so that
before any training it ranks as exact dense search does, and BM25 guides its beam.

Ours, of parts: rows that start from the vectors of a dense retriever, and prefixes scored by their
best document, of RIPOR (Zeng et al. 2024, "Scalable and Effective Generative Information
Retrieval", arXiv 2311.09134); the best lexical score below a prefix as its potential, of PAG (Zeng
et al. 2024, arXiv 2404.14600).

1. Vectors: those of a frozen encoder beside BM25 in few dimensions, `zoo.models.text_vectors`.
2. Identifiers: one of sqrt(N) balanced clusters, then the document, `zoo.schemes.cells`.
3. Rows: trained listwise with the start as teacher, `zoo.models.row_training`; only documents with
   train queries move, and dev queries choose how much of it is kept.
4. Prefixes: the rows of clusters learn the scores of their best documents. The sum of a path's
   logits does not depend on them (`zoo.nets.rows`), so the tree costs a narrow beam alone.
5. Search: score = sequence + weight * BM25, the index and the weight chosen on dev queries.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jax
import numpy as np

from zoo import options, recipes, records
from zoo.docids import table
from zoo.index import lexical
from zoo.models import generate, lexical_plan, row_training, text_vectors, vector_start
from zoo.nets import network, rows
from zoo.options import option
from zoo.schemes import scheme as schemes
from zoo.train import stages
from zoo.update import catalogue, grow

BUDGET = 2**28  # bytes of rows that a batch of queries reads
CLUSTERS = 0.25  # of the steps train the first level


@dataclasses.dataclass(frozen=True)
class Config(row_training.Config, vector_start.Config, options.Answering):
    """Options of the tree."""

    clusters: int = option(0, "clusters; 0 = the square root of N", limits=options.COUNT)
    lexical: float = option(
        -1.0,
        "weight of BM25 in the score and in the beam; 0 = none, -1 = chosen on dev queries",
        limits=(-1.0, 1e6),
    )
    beam: int = option(10, "clusters that are searched", limits=options.SIZE)
    decoding: str = "logit"

    SYSTEM = "tree"


def fit(collection: records.Collection, config: Config, key: jax.Array, log: Any) -> dict:
    """Vectors, identifiers, rows, and BM25 with its weight."""
    name_key, row_key, cluster_key = jax.random.split(key, 3)
    start = vector_start.begin(collection, config, log)
    log.phase("identifiers")
    named, ids = naming_of(config).fit(collection.corpus, start.documents, name_key, log)
    budget = stages.Budget.of(config, len(start.given.queries) or len(ids))
    found = vector_start.learn(start, config, row_key, log, budget=budget, share=1 - CLUSTERS)
    clusters = row_training.fit_clusters(
        found,
        (np.asarray(named["centroids"]), ids.tokens[:, 0] - 1),
        start.examples,
        config,
        cluster_key,
        log,
        budget=budget,
        share=CLUSTERS,
    )
    log.phase("weights")
    codes, places = map(int, named["sizes"])
    shape = rows.Shape(start.documents.shape[1], codes, places, config.hidden)
    return {
        "params": jax.device_get(dict(found) | clusters),
        network.STATE: network.dump(shape),
        "docids": table.pack(ids),
        "scheme": named,
        "space": start.space._asdict(),
        "lexical": vector_start.plan(start, found, collection, log),
        "corpus_ids": json.dumps(collection.corpus.ids),
    }


def open(config: Config, state: dict) -> generate.Opened:
    """Documents by the logits of their identifiers, and BM25."""
    model = generate.load(state)
    shape = model.net.spec
    places = rows.places(model.ids.tokens, shape)
    model = model._replace(params=dict(model.params) | {"places": jax.device_put(places)})
    space = text_vectors.Space(**state["space"])
    opened = generate.open(config, model, lambda queries: space.queries(queries.texts))
    row_bytes = 4 * min(config.beam, shape.clusters) * shape.places * shape.width
    return dataclasses.replace(
        opened,
        plan=lexical_plan.open(
            state["lexical"], weight=config.lexical, unit=float(state["params"]["temperature"])
        ),
        fixed=True,
        queries_at_once=lambda width: max(1, min(BUDGET // row_bytes, generate.QUERY_BATCHES[-1])),
    )


def add(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with more documents: each a row of its vector in the nearest cluster."""
    if "scheme" not in state:
        raise records.DataError(
            "fitted by an earlier version, which kept nothing to name new documents by; fit again"
        )
    space = text_vectors.Space(**state["space"])
    vectors = space.new_documents(corpus)
    fresh = grow.assign(state, corpus, naming_of(config), vectors)
    ids = table.join(table.unpack(state["docids"]), fresh)
    shape = network.of(state).spec
    shape = dataclasses.replace(shape, places=ids.alphabet - 1 - shape.clusters)
    document = np.concatenate([np.asarray(state["params"]["document"]), vectors])
    lexical_state = dict(state["lexical"])
    lexical_state["index"] = lexical.extend(lexical_state["index"], corpus.contents())
    return catalogue.append(state, corpus) | {
        "docids": table.pack(ids),
        network.STATE: network.dump(shape),
        "params": dict(state["params"]) | {"document": document},
        "lexical": lexical_state,
    }


def remove(config: Config, state: dict, rows: np.ndarray) -> dict:
    """The state without documents i[n], whose identifiers are not used again."""
    lexical_state = dict(state["lexical"])
    lexical_state["index"] = lexical.remove(lexical_state["index"], rows)
    document = np.delete(np.asarray(state["params"]["document"]), rows, axis=0)
    return grow.remove(config, state, rows) | {
        "params": dict(state["params"]) | {"document": document},
        "lexical": lexical_state,
    }


def naming_of(config: Config) -> schemes.Scheme:
    """Cluster, then document, with tokens of their own for both."""
    return schemes.position_specific(schemes.scheme("cells", clusters=config.clusters))


RECIPE = recipes.Recipe(
    name="tree",
    paper="after Zeng et al. 2024, Scalable and Effective Generative Information Retrieval "
    "(RIPOR), arXiv 2311.09134, and Planning Ahead in Generative Retrieval (PAG), arXiv 2404.14600",
    presets=vector_start.presets(Config),
    fit=fit,
    open=open,
    deviations=(
        "two tokens, a cluster and the document, so N rows of parameters as a dense index has; "
        "RIPOR has 32 residual codes, which lose most of the vectors on small collections",
        "the encoder is frozen and an MLP turns the query's vector into both states; RIPOR and PAG "
        "tune T5",
        "listwise cross-entropy and KL to the start's own ranking; RIPOR and PAG have margins of a "
        "cross-encoder",
        "the first level is trained after the documents, by the softmax of each cluster's best "
        "document; RIPOR lengthens prefixes by a curriculum",
        "the lexical scores are BM25's of whole documents, not of 64 terms that T5 picks (PAG's "
        "set identifiers), and all documents stay in the tree",
        "paper equals base: no paper describes this system",
    ),
    answering=("beam", "decoding", "lexical"),
    add=add,
    remove=remove,
)
