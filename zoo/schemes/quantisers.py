"""Schemes of codes of vectors, with a policy for documents of equal codes.

    rqvae      codes of a trained auto-encoder (zoo.schemes.rqvae), TIGER's
    rqkmeans   residual k-means
    pq         product quantisation
    lsh        sides of random hyperplanes
    random     codes that do not depend on the document: the control
    atomic     the scheme atomic: one code per document; levels, codes and collisions do not apply

New documents are encoded by the fitted quantiser. Code c is token c + 1;
`scheme.position_specific` gives every position its own tokens. The state holds the quantiser
("fitted"), its options ("about") and the number of tokens per position after the fit ("sizes").
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from zoo import options, records
from zoo.docids import collisions as policies, quantize, table
from zoo.options import option
from zoo.records import DataError
from zoo.schemes import rqvae

KINDS = ("rqvae", "rqkmeans", "pq", "lsh", "random", "atomic")
WITHOUT_VECTORS = ("random", "atomic")  # kinds that read none
WITHOUT_DISTANCES = ("lsh", *WITHOUT_VECTORS)  # kinds whose codes stand for no vector
ABOUT = ("kind", "levels", "codes", "collisions")  # options that the state keeps


@dataclasses.dataclass(frozen=True)
class Config(options.Checked):
    """Options of identifiers made of codes.

    Only rqvae reads `training`, without levels and codes.
    """

    kind: str = option("rqvae", "quantiser", one_of=KINDS)
    levels: int = option(3, "codes per document; atomic has 1", limits=(1, 1024))
    codes: int = option(
        256,
        "codes per level; lsh expects a power of two, atomic has as many as documents",
        limits=options.SIZE,
    )
    collisions: str = option(
        "counter",
        "documents with equal codes: counter (a last token), sinkhorn (reassigns the last code) "
        "or refuse",
        one_of=policies.POLICIES,
    )
    training: rqvae.Config = option(rqvae.Config(), "options of rqvae")

    SYSTEM = "identifiers"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind == "lsh" and self.codes & (self.codes - 1):
            raise DataError(
                f"identifiers: lsh has a power of two codes, got {self.codes}; "
                f"choose {1 << (self.codes - 1).bit_length()}"
            )
        # atomic has no collisions
        if self.collisions == "sinkhorn" and self.kind in ("lsh", "random"):
            raise DataError(
                f"identifiers: {self.kind} has no distances for sinkhorn; "
                "choose collisions counter or refuse"
            )


def fit(
    corpus: records.Corpus, vectors: np.ndarray | None, key: jax.Array, log: Any, *, config: Config
) -> tuple[dict, table.Docids]:
    """State and identifiers of documents with vectors f32[N, D].

    Raises DataError for vectors that are all equal, and for collisions that the policy does not
    resolve.
    """
    try:
        fitted, codes = _fit(corpus, vectors, config, key, log)
        ids = policies.collide(
            codes,
            num_codes=config.codes,
            policy=config.collisions,
            costs=_costs(config.kind, fitted, vectors),
        )
    except ValueError as error:
        raise DataError(f"identifiers: {error}") from None
    about = {name: getattr(config, name) for name in ABOUT}
    sizes = np.full(ids.tokens.shape[1], config.codes, np.int32)
    if config.collisions == "counter":
        sizes[-1] = ids.tokens[:, -1].max()
    return {"about": json.dumps(about), "fitted": fitted, "sizes": sizes}, ids


def assign(
    state: Mapping[str, Any],
    corpus: records.Corpus,
    vectors: np.ndarray | None,
    taken: table.Docids,
) -> table.Docids:
    """Identifiers of new documents with vectors f32[n, D]; the quantiser does not change."""
    about = json.loads(state["about"])
    try:
        codes = _encode(about, state["fitted"], corpus, vectors)
        both = policies.extend(
            taken,
            codes,
            num_codes=about["codes"],
            policy=about["collisions"],
            costs=_costs(about["kind"], state["fitted"], vectors),
        )
    except ValueError as error:
        raise DataError(f"identifiers: {error}") from None
    return table.Docids(both.tokens[len(taken) :], both.alphabet)


def encode(state: Mapping[str, Any], vectors: np.ndarray) -> np.ndarray:
    """Codes i32[n, levels] of vectors f32[n, D], before collisions are resolved.

    Raises DataError for random codes, which do not follow from vectors.
    """
    kind = json.loads(state["about"])["kind"]
    if kind not in ENCODERS:
        raise DataError(
            f"identifiers: {kind} codes do not follow from vectors; choose {', '.join(ENCODERS)}"
        )
    return ENCODERS[kind](state["fitted"], np.asarray(vectors, np.float32))


def relative_error(
    state: Mapping[str, Any], vectors: np.ndarray, codes: np.ndarray
) -> float | None:
    """Error of vectors f32[N, D] when they are decoded from their codes.

    None for codes that stand for no vector.
    """
    kind = json.loads(state["about"])["kind"]
    if kind in WITHOUT_DISTANCES:
        return None
    decode = rqvae.decode if kind == "rqvae" else _decode
    return quantize.relative_error(vectors, decode(state["fitted"], codes))


def _fit(
    corpus: records.Corpus, vectors: np.ndarray | None, config: Config, key: jax.Array, log: Any
) -> tuple[dict, np.ndarray]:
    levels, codes = config.levels, config.codes
    if config.kind == "random":
        seed = np.asarray(jax.random.randint(key, (), 0, 2**31 - 1))
        return {"seed": seed}, quantize.random(len(corpus), key, levels=levels, codes=codes)
    if vectors is None:
        raise ValueError(f"{config.kind}: expected vectors of the documents, got None")
    if config.kind == "rqvae":
        training = dataclasses.replace(config.training, levels=levels, codes=codes)
        fitted = rqvae.fit(vectors, training, key, log)
        return fitted, rqvae.encode(fitted, vectors)
    if config.kind == "lsh":
        planes, found = quantize.lsh(vectors, key, levels=levels, bits=codes.bit_length() - 1)
        return planes._asdict(), found
    quantiser = {"rqkmeans": quantize.rq_kmeans, "pq": quantize.product}[config.kind]
    codebooks, found = quantiser(vectors, key, levels=levels, codes=codes)
    return {"codebooks": codebooks}, found


def _encode(
    about: Mapping[str, Any],
    fitted: Mapping[str, Any],
    corpus: records.Corpus,
    vectors: np.ndarray | None,
) -> np.ndarray:
    if about["kind"] != "random":
        return ENCODERS[about["kind"]](fitted, np.asarray(vectors, np.float32))
    # a stream of its own for each document, so that adding in parts or at once is the same
    streams = (
        np.random.default_rng([int(fitted["seed"]), zlib.crc32(name.encode("utf-8", "replace"))])
        for name in corpus.ids
    )
    return np.array([s.integers(0, about["codes"], about["levels"]) for s in streams], np.int32)


def _quantise(fitted: Mapping[str, Any], vectors: np.ndarray) -> np.ndarray:
    return quantize.encode(vectors, fitted["codebooks"])


def _sides(fitted: Mapping[str, Any], vectors: np.ndarray) -> np.ndarray:
    return quantize.lsh_encode(vectors, quantize.Hyperplanes(**fitted))


def _decode(fitted: Mapping[str, Any], codes: np.ndarray) -> np.ndarray:
    return quantize.decode(codes, fitted["codebooks"])


ENCODERS = {"rqvae": rqvae.encode, "rqkmeans": _quantise, "pq": _quantise, "lsh": _sides}


def _costs(
    kind: str, fitted: Mapping[str, Any], vectors: np.ndarray | None
) -> policies.Costs | None:
    """Squared distances to the codes of a level, if the codes stand for vectors."""
    if kind in WITHOUT_DISTANCES:
        return None
    points = np.asarray(vectors, np.float32)
    codebooks = fitted["params"]["params"]["codebooks"] if kind == "rqvae" else fitted["codebooks"]
    if kind == "rqvae":
        points, codebooks = rqvae.latents(fitted, points), np.asarray(codebooks)
    return lambda rows, codes: quantize.distances(points[rows], codes, codebooks[: codes.shape[1]])
