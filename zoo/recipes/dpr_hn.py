"""DPR-HN: DPR that also learns from mined hard negatives, documents that look like answers and are
none.

Karpukhin et al. 2020 (arXiv 2004.04906), sec. 3.2 and 5.2: to each query one wrong document that
BM25 ranks high; a second round with those that the first round's own encoder ranks high is that of
the follow-ups (Xiong et al. 2020, ANCE, arXiv 2007.00808, sec. 4; the authors' later "adversarial"
checkpoint). In both, a document is a negative of a query if it is among the first `depth` and

    it is not judged to answer the query, nor was the query made of it, its text is not that of the
    right document, and in the second round, s(q, d) < s(q, right) - (1 - ceiling) |s(q, right)|:
    what the encoder prefers is likely an answer that nobody judged (the rule of NV-Retriever, arXiv
    2407.15831, sec. 3.2, with its 95 %).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from zoo import options, recipes, records
from zoo.index import dense, lexical
from zoo.models import corpus_text, dual_encoder, warm_start
from zoo.nets import dual
from zoo.options import option
from zoo.recipes import dpr
from zoo.text import tokens
from zoo.train import stages

ROUNDS = {"bm25": "train on BM25's negatives", "own": "train on its own negatives"}


@dataclasses.dataclass(frozen=True)
class Config(dpr.Config):
    """Options of DPR-HN: those of DPR and of mining."""

    negatives: int = option(1, "mined negatives per query", limits=options.SIZE)
    depth: int = option(50, "negatives are drawn from this many first answers", limits=options.SIZE)
    ceiling: float = option(
        0.95,
        "the encoder's own negatives score below this fraction of the relevant document's score",
        limits=options.PROBABILITY,
    )
    own_share: float = option(
        0.5,
        "fraction of training in the second round, with the encoder's own negatives",
        limits=options.PROBABILITY,
    )

    SYSTEM = "dpr-hn"


def fit(
    collection: records.Collection,
    config: Config,
    key: jax.Array,
    log,
    start: warm_start.Start | None = None,
) -> dict:
    """As `dpr.fit`, in two stages."""
    dual_encoder.refuse_parts(log.execution)
    texts = corpus_text.read(
        collection, config, log, prompts=tuple(dual_encoder.PROMPTS.values()), start=start
    )
    given = dual_encoder.examples(texts, config)
    init_key, train_key, mine_key = jax.random.split(key, 3)
    shape = dual_encoder.shape_of(
        tokens.count(texts.tokenizer), config, start, vector_width=texts.vector_width
    )
    seed = int(jax.random.randint(mine_key, (), 0, 2**31 - 1))
    rows = np.arange(given.num_train or len(given.answers))

    def mine(miner: str, params: Any) -> np.ndarray:
        """i64[n, H] of `dual_encoder.stage`; only train queries have mined negatives."""
        log.phase(f"mine, {miner}")
        ranked = (
            by_bm25(texts, given, rows, config)
            if miner == "bm25"
            else by_encoder(params, shape, given, rows, config)
        )
        negatives = np.full((len(given.answers), config.negatives), -1, np.int64)
        negatives[rows] = draw_negatives(*ranked, texts, given, rows, config.negatives, seed=seed)
        log.scalars(0, mined=(negatives[rows] >= 0).mean())
        return negatives

    rounds = [
        dual_encoder.stage(
            given, shape, config, log, name=name, mine=functools.partial(mine, miner), share=share
        )
        for (miner, name), share in zip(ROUNDS.items(), (1 - config.own_share, config.own_share))
        if share
    ]
    params = stages.run(
        rounds,
        dual_encoder.init(texts, shape, config, init_key, start),
        config,
        train_key,
        log,
        budget=stages.Budget.of(config, len(texts.contents)),
    )
    return dpr.pack_state(params, shape, texts, given, collection.corpus)


def by_bm25(
    texts: corpus_text.Texts, given: dual_encoder.Examples, rows: np.ndarray, config: Config
) -> tuple[np.ndarray, np.ndarray]:
    """Documents i32[n, depth] that BM25 finds for the examples at rows i64[n], and whether each may
    be wrong, bool[n, depth]: yes.
    """
    documents, _ = lexical.search(
        lexical.build(texts.contents), [given.texts[row] for row in rows], config.depth
    )
    return documents, documents >= 0


def by_encoder(
    params: Any, shape: dual.Shape, given: dual_encoder.Examples, rows: np.ndarray, config: Config
) -> tuple[np.ndarray, np.ndarray]:
    """The same of the encoder's own ranking, where a document may be wrong if its score is below
    the ceiling.
    """
    vectors = dual_encoder.encode(params, given.documents, shape=shape, side=dual.DOCUMENT)
    asked = dual_encoder.encode(params, given.queries[rows], shape=shape, side=dual.QUERY)
    documents, scores = dense.search(dense.build(vectors), asked, config.depth)
    right = (asked * vectors[given.answers[rows]]).sum(axis=1)
    return documents, scores < (right - (1 - config.ceiling) * np.abs(right))[:, None]


def draw_negatives(
    documents: np.ndarray,
    doubtless: np.ndarray,
    texts: corpus_text.Texts,
    given: dual_encoder.Examples,
    rows: np.ndarray,
    count: int,
    *,
    seed: int,
) -> np.ndarray:
    """i64[n, count] negatives of the examples at rows i64[n], drawn from rankings i32[n, depth] by
    the rule above; -1 where there are fewer.
    """
    number = {text: row for row, text in enumerate(texts.contents)}
    # documents of one text have one number
    same = np.array([number[text] for text in texts.contents])
    known = np.isin(given.numbers[rows, None] * len(same) + np.maximum(documents, 0), given.known)
    fits = (
        (documents >= 0)
        & doubtless
        & ~known
        & (same[documents] != same[given.answers[rows]][:, None])
    )
    chances = np.where(fits, np.random.default_rng(seed).random(documents.shape), np.inf)
    drawn = np.argsort(chances, axis=1, kind="stable")[:, :count]
    found = np.where(
        np.take_along_axis(fits, drawn, axis=1), np.take_along_axis(documents, drawn, axis=1), -1
    )
    return np.pad(found, ((0, 0), (0, count - found.shape[1])), constant_values=-1)


def _preset(size: str, **options) -> Config:
    return Config(**dataclasses.asdict(dpr.PRESETS[size]) | options)


RECIPE = recipes.Recipe(
    name="dpr-hn",
    paper="Karpukhin et al. 2020, Dense Passage Retrieval for Open-Domain Question Answering, "
    "arXiv 2004.04906; with own negatives, ANCE, arXiv 2007.00808",
    presets={
        "tiny": _preset("tiny"),
        "small": _preset("small"),
        "base": _preset("base"),
        "paper": _preset("paper", own_share=0.0, depth=100),
    },
    fit=fit,
    add=dpr.add,
    remove=dpr.remove,
    open=dpr.open,
    starts=True,
    deviations=(
        *dpr.DEVIATIONS,
        "negatives are drawn once a round from the first `depth` of a ranking; the paper takes "
        "the first of BM25's that lacks the answer",
        "the own negatives are mined once, after the first round; ANCE mines them anew while it "
        "trains",
        "only train queries have mined negatives where there are any; queries made by rule then "
        "have those of the batch",
        "documents that the encoder scores above ceiling x the right one's score are no negatives "
        "(the rule of NV-Retriever)",
    ),
)
