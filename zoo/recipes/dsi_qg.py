"""DSI-QG: DSI whose documents are the queries that a generator expects of them, so that indexing
and retrieval read the same kind of text.

Zhuang et al. 2022, "Bridging the Gap Between Indexing and Retrieval for Differentiable Search Index
with Query Generation" (arXiv 2206.10128). Sec. 3.2: n queries are drawn for each document; sec.
3.3: a cross-encoder may rank them and the best m are kept; sec. 3.1: the pairs (generated query,
identifier) are all that the index is taught, identifiers are arbitrary integers as strings.
Everything else is DSI, `zoo.recipes.dsi`.
"""

from __future__ import annotations

import dataclasses

import jax

from zoo import recipes, records
from zoo.models import warm_start
from zoo.options import option
from zoo.recipes import dsi
from zoo.update import grow


@dataclasses.dataclass(frozen=True)
class Config(dsi.Config):
    """Options of DSI-QG: those of DSI with other defaults."""

    identifiers: str = "semantic"
    index_ratio: float = 0.0  # the words of a document itself are not read
    generated_share: float = option(
        1.0, "fraction of examples with generated queries; below 1 adds the train queries"
    )

    SYSTEM = "dsi-qg"


def fit(
    collection: records.Collection,
    config: Config,
    key: jax.Array,
    log,
    start: warm_start.Start | None = None,
) -> dict:
    """As `dsi.fit`; DataError without generated queries."""
    if not config.generated:
        raise records.DataError(
            "dsi-qg: learns from generated queries, got generated=0; raise it, or use dsi"
        )
    return dsi.fit(collection, config, key, log, start)


BASE = Config(
    **dataclasses.asdict(dsi.BASE)
    | {"identifiers": "naive", "index_ratio": 0.0, "generated_share": 1.0, "generated": 100}
)
TINY = dsi.RECIPE.presets["tiny"]

RECIPE = recipes.Recipe(
    name="dsi-qg",
    paper="Zhuang et al. 2022, Bridging the Gap Between Indexing and Retrieval for Differentiable "
    "Search Index with Query Generation, arXiv 2206.10128",
    presets={
        "tiny": Config(
            **dataclasses.asdict(TINY)
            | {"identifiers": "semantic", "index_ratio": 0.0, "generated_share": 1.0}
        ),
        "small": Config(),
        "base": BASE,
        "paper": dataclasses.replace(
            BASE,
            stem=False,
            mlp="relu",
            encoder_hidden=3072,
            decoder_hidden=3072,
            vector_start=False,
            weight_decay=0.0,
            queries="seq2seq",
            word_dropout=0.0,
            batch=128,
            steps=1_000_000,
            rate=5e-4,
            warmup=100_000,
            decay="linear",
            beam=20,
            smoothing=0.0,
            decoding="free",
        ),
    },
    fit=fit,
    open=dsi.open,
    deviations=(
        "queries are made by rule, or by a generator trained here (queries=seq2seq); the paper "
        "draws them from docT5query or mT5",
        "small names documents by their clusters (identifiers=semantic); the paper's arbitrary "
        "integers, those of base and paper, take it far longer to learn",
        "generated queries are not ranked by a cross-encoder: all are kept",
        "trained from scratch unless --init-from names T5 weights, with their vocabulary, as the "
        "paper does",
        "digits are tokens of a vocabulary of the identifiers' own, and a string that is shorter "
        "than others is closed by a token",
        "the search is constrained to identifiers that exist (decoding=trie); the paper's is to "
        "digits, and drops what names nothing",
        "source embeddings start from the SVD of the documents and their train queries "
        "(vector_start); the paper's are T5's",
        "small has a wide one-layer decoder over the embeddings of words (encoder_layers=0) and "
        "word dropout",
    ),
    answering=("beam", "decoding"),
    add=dsi.add,
    remove=grow.remove,
    starts=True,
)
