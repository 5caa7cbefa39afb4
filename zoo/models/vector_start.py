"""What systems start from whose rows are document vectors: vectors, queries, BM25, dev queries."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, TypeVar

import numpy as np

from zoo import options, records
from zoo.index import lexical
from zoo.models import development, lexical_plan, query_generator, row_training, text_vectors
from zoo.options import option
from zoo.text import embed

Chosen = TypeVar("Chosen", bound="Frozen")

ALPHAS = (0.0, 0.005, 0.01, 0.02, 0.04, 0.1)  # that are tried on dev queries
UNTUNED = 0.01  # without dev queries


@dataclasses.dataclass(frozen=True)
class Frozen(options.Checked):
    """Options of systems that read texts by a frozen encoder."""

    encoder: str = option(
        text_vectors.AUTO,
        "minilm (all-MiniLM-L6-v2), the folder of a BERT or MPNet, tfidf (TF-IDF and SVD), or "
        "auto: minilm where it is installed and most letters are Latin",
    )
    encoder_width: int = option(384, "dimensions of tfidf", limits=options.SIZE)

    def __post_init__(self) -> None:
        super().__post_init__()
        known = self.encoder in text_vectors.ENCODERS or embed.is_encoder(self.encoder)
        if not known:
            raise records.DataError(
                f"{self.SYSTEM}: option encoder expects one of {', '.join(text_vectors.ENCODERS)}, "
                f"or the folder of an encoder, got {self.encoder!r}"
            )


@dataclasses.dataclass(frozen=True)
class Config(Frozen):
    """Options of systems whose rows start from document vectors."""

    lexical_rank: int = option(
        256, "dimensions of BM25's SVD beside the encoder's; 0 = none", limits=options.COUNT
    )
    alpha: float = option(
        -1.0,
        "weight of the SVD's BM25 beside the cosine; -1 = chosen on dev queries",
        limits=(-1.0, 1e3),
    )
    queries: str = option(
        "rules",
        "source of generated queries: rules, seq2seq (trains a generator), or the folder of "
        "`zoo queries generate`",
    )


def frozen_presets(kind: type[Chosen]) -> dict[str, Chosen]:
    """The sizes of a system of which nothing is trained; kind: a `Frozen`."""
    return {
        "tiny": kind(encoder="tfidf", encoder_width=64),
        "small": kind(),
        "base": kind(),
        "paper": kind(encoder="minilm"),
    }


def presets(kind: type[Chosen]) -> dict[str, Chosen]:
    """The sizes of a system whose rows are trained; kind: a `Config` and a `row_training.Config`.

    No paper describes these systems: paper equals base.
    """
    tiny: dict[str, Any] = dict(encoder="tfidf", encoder_width=32, lexical_rank=32, hidden=32)
    tiny |= dict(batch=64, fewest_steps=300, most_steps=300, rate=1e-2, kept=1.0)
    large: dict[str, Any] = dict(hidden=2048, generated=8, most_steps=5000, batch=256)
    return {"tiny": kind(**tiny), "small": kind(), "base": kind(**large), "paper": kind(**large)}


class Start(NamedTuple):
    """A collection as vectors."""

    given: development.Development
    space: text_vectors.Space
    documents: np.ndarray  # f32[N, D]
    examples: row_training.Examples
    dev: np.ndarray  # f32[B, D] dev queries
    # BM25 of documents and, if there are any, of documents with the train queries that are kept
    indexes: list[lexical.Index]
    words: list[np.ndarray]  # f32[B, N] scores of the dev queries by each index
    seen: np.ndarray  # bool[N, 1] documents with a train query
    floor: np.ndarray  # f64[B] nDCG@10 of the dev queries by the encoder alone


def begin(collection: records.Collection, config: Any, log: Any) -> Start:
    """Vectors of documents and queries, and BM25 indexes. config: of `Config` and `generated`."""
    given = development.split(collection)
    made, origins = query_generator.make_queries(
        config.queries, collection, per_document=config.generated, seed=0, log=log
    )
    log.phase("vectors")
    contents = collection.corpus.contents()
    index = lexical.build(contents)
    components = text_vectors.components(index, config.lexical_rank)
    found = text_vectors.fit(collection.corpus, config.encoder, log, width=config.encoder_width)
    terms = text_vectors.lexical_part(index, components)
    encode = lambda texts: text_vectors.of_queries(found.state, texts, log)
    counts = lambda texts: lexical.bags(index, texts) @ components
    dev = encode(given.dev), counts(given.dev)
    indexes = [index]
    if given.queries:
        expanded = lexical_plan.expand(contents, given.queries, given.answers)
        indexes.append(lexical.build(expanded))
    words = [lexical_plan.scores(each, given.dev) for each in indexes if given.dev]
    cosine = dev[0] @ found.documents.T if given.dev else np.zeros((0, len(contents)), np.float32)
    floor = given.gains(cosine)
    alpha = _alpha(config, given, cosine, terms, dev[1], words, floor)
    space = text_vectors.Space(found.state, index, components, np.asarray(alpha, np.float32))
    vectors = lambda texts: _vectors(space, encode(texts), counts(texts), found.documents)
    log.facts |= {"encoder": found.state["how"], "alpha": alpha, "dev": given.kind}
    return Start(
        given,
        space,
        space.join(found.documents, terms),
        row_training.Examples(
            vectors(given.queries), given.answers, vectors(made), np.asarray(origins, np.int64)
        ),
        vectors(given.dev),
        indexes,
        words,
        row_training.seen_of(len(contents), given.answers),
        floor,
    )


def _vectors(space: Any, dense: np.ndarray, terms: Any, like: np.ndarray) -> np.ndarray:
    if not len(dense):
        return np.zeros((0, like.shape[1] + space.components.shape[1]), np.float32)
    return space.join(dense, terms)


def _alpha(
    config: Any,
    given: development.Development,
    cosine: np.ndarray,
    terms: np.ndarray,
    counts: np.ndarray,
    words: list[np.ndarray],
    floor: np.ndarray,
) -> float:
    if config.alpha >= 0 or not terms.shape[1]:
        return max(config.alpha, 0.0)
    if not given.dev:
        return UNTUNED
    lexical_scores = counts @ terms.T
    value = lambda alpha: _value(
        cosine + np.float32(alpha) * lexical_scores, words, config, given, floor
    )
    return ALPHAS[int(np.argmax([value(alpha) for alpha in ALPHAS]))]


def _value(
    sequence: np.ndarray, words: list[np.ndarray], config: Any, given: Any, floor: np.ndarray
) -> float:
    """Value on dev queries of scores f32[B, N] and what the system adds to them.

    BM25 at its best weight if the system has it in its score: what is best alone need not be.
    """
    grid = lexical_plan.COARSE if config.lexical else lexical_plan.NOTHING
    return lexical_plan.choose(sequence, words, given, grid, floor)[2]


def learn(
    start: Start, config: Any, key: Any, log: Any, *, budget: Any, share: float = 1.0
) -> dict:
    """Rows and the MLP of `rows`, trained, at the share that ranks the dev queries best.

    Without train queries the rows are the document vectors.
    """
    if not start.given.queries:
        blank = row_training.untrained(start.documents, config.hidden, key)
        return row_training.at_share(blank, start.documents, start.seen, 0.0)
    params = row_training.fit_rows(
        start.documents, start.examples, config, key, log, budget=budget, share=share
    )
    kept = config.kept
    at_share = lambda share: row_training.at_share(params, start.documents, start.seen, share)
    if kept < 0 and not start.given.dev:
        kept = 0.0
    if kept < 0:
        values = [
            _value(
                row_training.scores(at_share(each), start.dev),
                start.words,
                config,
                start.given,
                start.floor,
            )
            for each in row_training.SHARES
        ]
        kept = row_training.SHARES[
            int(np.argmax(values))
        ]  # the first: training must earn its place
    log.facts |= {"kept": kept}
    return at_share(kept)


def plan(start: Start, found: Any, collection: records.Collection, log: Any) -> dict:
    """BM25 that is added, chosen on dev queries, as part of a state (`lexical_plan.pack`).

    The index of the state has all train queries, also those that were held out.
    """
    indexes = start.indexes
    sequence = np.zeros((0, 0), np.float32)
    if start.given.dev:
        sequence = row_training.scores(found, start.dev)
    number, scale, value = lexical_plan.choose(
        sequence, start.words, start.given, floor=start.floor
    )
    log.facts |= {
        "bm25": "documents and train queries" if len(indexes) > 1 and number else "documents",
        "scale": scale.kind,
        "weight": scale.weight,
        "dev_value": round(value, 4),
    }
    index = indexes[number]
    if len(indexes) > 1 and number:
        held_in = development.all_pairs(collection)
        index = lexical.build(lexical_plan.expand(collection.corpus.contents(), *held_in))
    return lexical_plan.pack(index, scale)
