"""Identifiers of documents by what their vectors say: one entry to all quantisers, for systems and for `zoo docids`.

    rqvae      codes of a trained auto-encoder (zoo.schemes.rqvae), TIGER's
    rqkmeans   residual k-means
    pq         product quantisation
    lsh        sides of random hyperplanes
    random     independent of the vectors: the control
    atomic     a code of its own for each document: no structure at all, and nothing to generalise by

A tokenizer is a nested dict of arrays and text, as the state of a system is, and can be a part of one.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jax
import numpy as np

from zoo import options
from zoo.docids import collisions, quantize, table as docids
from zoo.options import option
from zoo.records import DataError
from zoo.schemes import rqvae

KINDS = ("rqvae", "rqkmeans", "pq", "lsh", "random", "atomic")
WITHOUT_VECTORS = ("random", "atomic")  # kinds that read none
WITHOUT_DISTANCES = ("lsh", *WITHOUT_VECTORS)  # kinds whose codes stand for no vector
FEWEST_OF = 4  # documents to a code, on average


@dataclasses.dataclass(frozen=True)
class Config(options.Checked):
    """Options of identifiers made of codes; only rqvae reads `training`, without levels and codes."""

    kind: str = option("rqvae", "quantiser", one_of=KINDS)
    levels: int = option(3, "codes per document; atomic has 1", limits=options.SIZE)
    codes: int = option(
        256,
        "codes per level; lsh expects a power of two, atomic has as many as documents",
        limits=options.SIZE,
    )
    collisions: str = option(
        "counter",
        "documents with equal codes: counter (a last token), sinkhorn (reassigns the last code) "
        "or refuse",
        one_of=collisions.POLICIES,
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


def fit(vectors: np.ndarray, config: Config, key: jax.Array, log: Any) -> dict:
    """Tokenizer of vectors f32[N, D]: {"about": JSON, "fitted": what encodes, "codes": i32[N, L], "tokens", "alphabet"}.

    Raises DataError for vectors that cannot be told apart, and for collisions that the policy does not resolve.
    """
    if config.kind == "atomic":
        config = dataclasses.replace(config, levels=1, codes=len(vectors), collisions="refuse")
    try:
        fitted, codes = _fitted(vectors, config, key, log)
        ids = collisions.collide(
            codes,
            num_codes=config.codes,
            policy=config.collisions,
            costs=_costs(config.kind, fitted, vectors),
        )
    except ValueError as error:
        raise DataError(f"identifiers: {error}") from None
    about = {
        "kind": config.kind,
        "levels": config.levels,
        "codes": config.codes,
        "collisions": config.collisions,
    }
    state = {
        "about": json.dumps(about),
        "codes": codes,
        "tokens": ids.tokens,
        "alphabet": np.asarray(ids.alphabet),
    }
    return state | ({"fitted": fitted} if fitted else {})


def encode(state: dict, vectors: np.ndarray) -> np.ndarray:
    """Codes i32[M, L] of new vectors f32[M, D], by codebooks that do not change. DataError under kinds that read none."""
    kind = json.loads(state["about"])["kind"]
    if kind in WITHOUT_VECTORS:
        raise DataError(
            f"identifiers: {kind} codes do not follow from vectors; fit again, or choose {', '.join(KINDS[:4])}"
        )
    return _encoded(kind, state["fitted"], np.asarray(vectors, np.float32))


def names(state: dict) -> docids.Docids:
    """The identifiers of the documents that the tokenizer was fitted to."""
    return docids.Docids(np.asarray(state["tokens"]), int(state["alphabet"]))


def extend(state: dict, vectors: np.ndarray) -> docids.Docids:
    """The identifiers of the fit, unchanged, and after them those of new documents with vectors f32[M, D]."""
    about, codes = json.loads(state["about"]), encode(state, vectors)
    costs = _costs(about["kind"], state["fitted"], vectors)
    try:
        return collisions.extend(
            names(state), codes, num_codes=about["codes"], policy=about["collisions"], costs=costs
        )
    except ValueError as error:
        raise DataError(f"identifiers: {error}") from None


def stats(state: dict) -> quantize.Stats:
    """How the codes of the fit, before collisions were resolved, are spread."""
    return quantize.stats(np.asarray(state["codes"]), num_codes=json.loads(state["about"])["codes"])


def codes_of(config: Any, state: dict) -> np.ndarray | None:
    """What a fitted system's identifiers say of the content, i[N, levels]: without the counter of collisions; None if it has none."""
    if "docids" not in state:
        return None
    tokens = np.asarray(state["docids"]["tokens"])
    return tokens[:, : getattr(config, "levels", tokens.shape[1])]


def cap_codes(codes: int, num_documents: int, log, *, power_of_two: bool = False) -> int:
    """`codes` of a level, or one for FEWEST_OF documents where that is less, which is told: emptier ones say nothing of what they hold.

    power_of_two: the lesser number is one, as LSH needs.
    """
    most = max(2, num_documents // FEWEST_OF)
    most = 1 << (most.bit_length() - 1) if power_of_two else most
    if codes > most:
        log.warn(
            f"codes={codes} is more than {num_documents} documents fill, {FEWEST_OF} to a code; each level has {most}"
        )
    return min(codes, most)


def num_codes_of(config: Any, state: dict) -> int | None:
    """How many codes each level has to choose from: few documents may have had fewer than the config says. None if it does not say."""
    found = state.get("tokenizer_of_documents", state).get("num_codes")
    return getattr(config, "codes", None) if found is None else int(found)


def spread(codes: np.ndarray, num_codes: int | None = None) -> quantize.Stats:
    """As `stats`, of codes i[N, L] whose numbers need not begin at 0; num_codes: as many as the fullest level has, where None."""
    numbered = np.stack(
        [np.unique(column, return_inverse=True)[1].reshape(-1) for column in codes.T], axis=1
    )
    return quantize.stats(numbered, num_codes=num_codes or int(numbered.max()) + 1)


def relative_error(state: dict, vectors: np.ndarray) -> float | None:
    """Of what the codes of the fit say of its vectors f32[N, D]; None for codes that stand for no vector."""
    kind, codes = json.loads(state["about"])["kind"], np.asarray(state["codes"])
    if kind in WITHOUT_DISTANCES:
        return None
    decoded = (
        rqvae.decode(state["fitted"], codes)
        if kind == "rqvae"
        else quantize.decode(codes, state["fitted"]["codebooks"])
    )
    return quantize.relative_error(vectors, decoded)


def report(state: dict) -> str:
    """Statistics as a table, one line a level, and a line of what they come to."""
    found = stats(state)
    lines = ["level   usage  perplexity  prefixes  bits so far"]
    for level, values in enumerate(
        zip(found.usage, found.perplexity, found.prefixes, found.entropy), start=1
    ):
        usage, perplexity, prefixes, bits = values
        lines.append(f"{level:5d}  {usage:6.3f}  {perplexity:10.1f}  {prefixes:8,d}  {bits:11.2f}")
    rows = len(state["codes"])
    told_apart = np.log2(rows)
    lines.append(
        f"{rows:,} documents ({told_apart:.2f} bits), {found.colliding:.1%} share their codes with another, "
        f"at most {found.most_alike} the same"
    )
    if found.collapsed:
        lines.append(f"collapsed: level {', '.join(str(level + 1) for level in found.collapsed)}")
    return "\n".join(lines)


def _fitted(
    vectors: np.ndarray, config: Config, key: jax.Array, log: Any
) -> tuple[dict, np.ndarray]:
    if config.kind == "rqvae":
        state = rqvae.fit(
            vectors,
            dataclasses.replace(config.training, levels=config.levels, codes=config.codes),
            key,
            log,
        )
        return state, rqvae.encode(state, vectors)
    if config.kind == "atomic":
        return {}, np.arange(len(vectors), dtype=np.int32)[:, None]
    if config.kind == "random":
        return {}, quantize.random(len(vectors), key, levels=config.levels, codes=config.codes)
    if config.kind == "lsh":
        planes, codes = quantize.lsh(
            vectors, key, levels=config.levels, bits=config.codes.bit_length() - 1
        )
        return planes._asdict(), codes
    quantiser = {"rqkmeans": quantize.rq_kmeans, "pq": quantize.product}[config.kind]
    codebooks, codes = quantiser(vectors, key, levels=config.levels, codes=config.codes)
    return {"codebooks": codebooks}, codes


def _encoded(kind: str, fitted: dict, vectors: np.ndarray) -> np.ndarray:
    if kind == "rqvae":
        return rqvae.encode(fitted, vectors)
    if kind == "lsh":
        return quantize.lsh_encode(vectors, quantize.Hyperplanes(**fitted))
    return quantize.encode(vectors, fitted["codebooks"])


def _costs(kind: str, fitted: dict, vectors: np.ndarray) -> collisions.Costs | None:
    """Squared distances to the codes of a level, where the codes have a place."""
    if kind in WITHOUT_DISTANCES:
        return None
    if kind == "rqvae":
        vectors, codebooks = (
            rqvae.latents(fitted, vectors),
            np.asarray(fitted["params"]["params"]["codebooks"]),
        )
    else:
        vectors, codebooks = np.asarray(vectors, np.float32), fitted["codebooks"]
    return lambda rows, codes: quantize.distances(vectors[rows], codes, codebooks[: codes.shape[1]])
