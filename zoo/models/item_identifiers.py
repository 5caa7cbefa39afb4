"""Identifiers of items: codes of their text vectors, with those of co-occurring items beside them.

Sec. 3.1 of TIGER (arXiv 2305.05065): item texts -> vectors -> codes of a quantiser, a counter after
them if several items share their codes.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import numpy as np

from zoo import options, records
from zoo.docids import collisions, table
from zoo.models import item_vectors
from zoo.options import option
from zoo.schemes import codes as codes_, quantisers, rqvae as rqvae_, scheme as schemes
from zoo.text import embed
from zoo.train import log as logs


@dataclasses.dataclass(frozen=True)
class Naming(options.Checked):
    """Options of a recommender that generates identifiers of items."""

    identifiers: str = option(
        "rqkmeans", "quantiser of the item vectors; rqvae is the paper's", one_of=quantisers.KINDS
    )
    vectors: str = option(
        "tfidf",
        "item vectors: tfidf (TF-IDF and SVD), minilm (all-MiniLM-L6-v2), or FILE.npy, a row per "
        "item",
    )
    rqvae: str = option(
        "",
        "options of identifiers=rqvae, NAME=VALUE,..., as hidden=512x256x128,code_width=32; "
        f"names: {', '.join(sorted(rqvae_.OPTIONS))}",
    )
    neighbours: float = option(
        0.0,
        "weight of co-occurrence vectors beside those of the text; 0 = text alone",
        limits=options.AMOUNT,
    )
    levels: int = option(3, "codes per item", limits=(1, 1024))
    codes: int = option(256, "codes per level, capped at one per 4 items", limits=(2, math.inf))
    collisions: str = option(
        "counter",
        "items with equal codes: counter (a last token, the paper's), sinkhorn (reassigns the "
        "last code) or refuse",
        one_of=collisions.POLICIES,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        embed.refuse_embedding(self.SYSTEM, self.vectors)
        rqvae_.parse(self.rqvae)
        if self.collisions == "sinkhorn" and self.identifiers in ("lsh", "random"):
            remedy = "set collisions=counter"
            raise records.DataError(
                f"{self.SYSTEM}: identifiers={self.identifiers} has no distances to share out "
                f"codes by (collisions=sinkhorn); {remedy}"
            )


def fit(
    corpus: records.Corpus,
    learned: records.Histories,
    config: Naming,
    key: jax.Array,
    log: logs.Log,
) -> tuple[dict, table.Docids]:
    """The state that `of_new` reads, and the identifiers of all items; learned: of training."""
    log.phase("identifiers")
    state, vectors, codes = {}, None, len(corpus)
    if config.identifiers not in quantisers.WITHOUT_VECTORS:
        state["embedder"], vectors = item_vectors.fit(
            corpus,
            learned,
            log,
            embedding=config.vectors,
            neighbours=config.neighbours,
            system=config.SYSTEM,
        )
    if config.identifiers != "atomic":
        codes = codes_.cap_codes(config.codes, codes, log, power_of_two=config.identifiers == "lsh")
    state["scheme"], ids = _scheme(config, codes).fit(corpus, vectors, key, log)
    return state | {"num_codes": np.asarray(codes)}, ids


def of_new(
    config: Naming, state: dict, corpus: records.Corpus
) -> tuple[schemes.Scheme, np.ndarray | None]:
    """The scheme that names new items, and their vectors f32[n, D] by their texts, if it reads any.

    New items have no co-occurrences.
    """
    naming = _scheme(config, int(state["num_codes"]))
    if not naming.needs_vectors:
        return naming, None
    return naming, item_vectors.of_new(state, corpus, neighbours=config.neighbours)


def _scheme(config: Naming, codes: int) -> schemes.Scheme:
    """How items are named, with this many codes at each level."""
    training = rqvae_.parse(config.rqvae)
    chosen = quantisers.Config(
        config.identifiers, config.levels, codes, config.collisions, training
    )
    return schemes.position_specific(schemes.of_codes(chosen))
