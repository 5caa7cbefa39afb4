"""Stages of an encoder-decoder that learns the identifiers of documents, one position at a time.

GenRet (arXiv 2304.04171), sec. 3.2. Codes i32[N, T] are those of the positions before T; position T
is warmed up, gets its codes in the main stage, and is then fitted to them. The losses are those of
`zoo.models.code_tokenizer`, and earlier codebooks do not change.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np

from zoo import options
from zoo.data import batches, grouped
from zoo.docids import balanced
from zoo.models import code_tokenizer, corpus_text, encoder_decoder, warm_start
from zoo.nets import codebooks, network, transformer
from zoo.options import option
from zoo.text import embed, tokens
from zoo.train import log as logs, loop, stages

EVALUATIONS = 4  # of the codes in a main stage


@dataclasses.dataclass(frozen=True)
class Config(options.Writing, options.Reading):
    """Options of the stages."""

    contrast: float = option(
        0.5, "weight of the contrast between a query and its document", limits=options.AMOUNT
    )
    retrieval: float = option(
        0.5, "weight of the codes' cross-entropy given the query", limits=options.AMOUNT
    )
    commitment: float = option(
        0.5,
        "weight of the codes' cross-entropy given the document, in main and fit stages",
        limits=options.AMOUNT,
    )
    reconstruction: float = option(
        0.1,
        "weight of finding a document by its codes among those of its prefix",
        limits=options.AMOUNT,
    )
    diverse: bool = option(True, "balance the targets, and bound the sizes of initial clusters")
    epsilon: float = option(
        balanced.EPSILON,
        "entropy of the balanced targets: higher is softer",
        limits=(balanced.LEAST_EPSILON, math.inf),
    )


class Material(NamedTuple):
    """Training data as tokens."""

    documents: np.ndarray  # i32[N, S]
    queries: np.ndarray  # i32[Q, S'], of the train split, then generated ones
    owner: np.ndarray  # i64[Q] the document that each asks for
    num_real: int  # queries of the train split
    made_share: float  # share of generated queries among the examples with queries
    unknown: int  # token that hides others


class Model(NamedTuple):
    """What all stages of a training have in common."""

    material: Material
    shape: transformer.Shape
    num_codes: int  # K of each position
    config: Config
    log: logs.Log


def read(texts: corpus_text.Texts, config: Config) -> Material:
    """Tokens of all examples; a document that no query asks for is a query for itself."""
    alone = sorted(set(range(len(texts.contents))) - {*texts.answers, *texts.origins})
    owner = np.array([*texts.answers, *texts.origins, *alone], np.int64)
    num_real = len(texts.answers)
    made_share = (
        (config.generated_share if texts.made else len(alone) / len(owner)) if num_real else 1.0
    )
    queries = texts.encode(
        [*texts.queries, *texts.made, *(texts.contents[row] for row in alone)], config.query_length
    )
    documents = texts.encode(texts.contents, config.document_length, side=embed.DOCUMENT)
    unknown = tokens.unknown(texts.tokenizer)
    return Material(documents, queries, owner, num_real, made_share, unknown)


def create(
    texts: corpus_text.Texts,
    config: Config,
    log: logs.Log,
    *,
    num_codes: int,
    levels: int,
    start: warm_start.Start | None = None,
) -> Model:
    """The network whose identifiers are `levels` codes, without a counter, and its examples."""
    shape = transformer.Shape(
        source_vocab=tokens.count(texts.tokenizer),
        target_vocab=1 + levels * num_codes,
        target_length=levels,
        last_tokens=tuple((t + 1) * num_codes for t in range(levels)),
        vector_width=texts.vector_width,
        **{field: getattr(config, field) for field in options.WRITER},
    )
    # the head holds the codebooks
    shape = dataclasses.replace(warm_start.match_shape(shape, start), tied=False)
    return Model(read(texts, config), shape, num_codes, config, log)


def with_counter(shape: transformer.Shape, alphabet: int) -> transformer.Shape:
    """The shape with one more position: the counter of documents that share their codes."""
    return dataclasses.replace(
        shape,
        target_vocab=alphabet,
        target_length=shape.target_length + 1,
        last_tokens=(*shape.last_tokens, alphabet - 1),
    )


def warm_up(model: Model, params: Any, codes: np.ndarray, *, share: float) -> stages.Stage:
    """q_T learns to find its d_T before position T has codes; the codes before are generated."""
    loss = code_tokenizer.warm_up(_remat(model), _weights(model.config), **_reading(model))
    return _stage(model, params, codes, loss, name="warm-up", share=share)


def main(
    model: Model, params: Any, codes: np.ndarray, *, share: float, num_steps: int
) -> stages.Stage:
    """Position T gets its codes, from the codebook that `params` hold for it (sec. 3.2).

    num_steps: of the stage, to evaluate the codes EVALUATIONS times.
    """
    config = model.config
    loss = code_tokenizer.main(
        _remat(model),
        _weights(config),
        epsilon=config.epsilon if config.diverse else 0.0,
        **_reading(model),
    )
    hooks = loop.Hooks(
        evaluate=lambda params: code_tokenizer.spread(
            assign(model, params, codes), model.num_codes
        ),
        evaluate_every=max(1, num_steps // EVALUATIONS),
    )
    return _stage(model, params, codes, loss, name="main", share=share)._replace(hooks=hooks)


def fit(model: Model, params: Any, target: np.ndarray, *, share: float, held: int) -> stages.Stage:
    """Likelihood of identifiers i32[N, L], given documents (commitment) and queries.

    held: positions whose codebooks do not change; the stage is that of position `held`.
    """
    stage = encoder_decoder.stage(
        network.build(model.shape),
        list(sources(target, model.material, model.config).values()),
        model.config,
        model.log,
        name=f"fit-{held + 1}",
        unknown=model.material.unknown,
    )
    hold = codebooks.hold(params, held, model.num_codes)
    return stage._replace(share=share, hold=hold, decay="constant")


def sources(target: np.ndarray, material: Material, config: Config) -> dict[str, batches.Source]:
    """Examples of a fit stage by kind, without empty ones; target: i32[N, L] identifiers."""
    real, made = slice(None, material.num_real), slice(material.num_real, None)
    kinds = {
        "index": (material.documents, target, config.commitment),
        "retrieve": (material.queries[real], target[material.owner[real]], 1 - material.made_share),
        "made": (material.queries[made], target[material.owner[made]], material.made_share),
    }
    return {
        kind: batches.Source({"source": source, "target": names}, weight)
        for kind, (source, names, weight) in kinds.items()
        if len(names) and weight > 0
    }


def assign(model: Model, params: Any, codes: np.ndarray) -> np.ndarray:
    """i32[N, T + 1] codes i32[N, T] of the documents, and the most probable one after them."""
    return code_tokenizer.assign(
        params, model.material.documents, codes, shape=model.shape, num_codes=model.num_codes
    )


def _stage(
    model: Model, params: Any, codes: np.ndarray, loss: loop.Loss, *, name: str, share: float
) -> stages.Stage:
    """A stage of position T over documents in groups of equal codes."""
    position = codes.shape[1]
    return stages.Stage(
        f"{name}-{position + 1}",
        sources=(),
        loss=loss,
        share=share,
        hold=codebooks.hold(params, position, model.num_codes),
        decay="constant",
        batches=lambda sources, **sizes: _group(model.material, codes, **sizes),
    )


def _group(material: Material, codes: np.ndarray, *, batch_size: int, seed: int) -> grouped.Grouped:
    num_made = len(material.owner) - material.num_real
    # a document may have no other query
    chance = np.repeat(
        [
            (1 - material.made_share) / max(material.num_real, 1),
            material.made_share / max(num_made, 1),
        ],
        [material.num_real, num_made],
    )
    return grouped.Grouped(
        material.documents,
        material.queries,
        material.owner,
        np.maximum(chance, 1e-9),
        codes,
        batch_size=batch_size,
        seed=seed,
    )


def _remat(model: Model) -> transformer.Shape:
    return dataclasses.replace(model.shape, remat=model.log.execution.remat)


def _weights(config: Config) -> code_tokenizer.Weights:
    return code_tokenizer.Weights(
        config.contrast, config.retrieval, config.commitment, config.reconstruction
    )


def _reading(model: Model) -> dict[str, Any]:
    return {
        "num_codes": model.num_codes,
        "word_dropout": model.config.word_dropout,
        "unknown": model.material.unknown,
    }
