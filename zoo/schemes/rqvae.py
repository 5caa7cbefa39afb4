"""RQ-VAE as a tokenizer of vectors: codebooks start from k-means, unused codes are restarted.

TIGER (arXiv 2305.05065), sec. 3.1 and 4. Not a system by itself: it makes the codes of systems that
name items by their content.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from zoo import options as options_
from zoo.data import batches
from zoo.docids import quantize
from zoo.nets import bottleneck, network
from zoo.objectives import codes as objectives
from zoo.options import option
from zoo.records import DataError
from zoo.train import loop, optimizers, stages

SEEN = 32768  # maximal vectors of initialisation, restarts and evaluations
BLOCK = 4096  # vectors that are encoded at once


@dataclasses.dataclass(frozen=True)
class Config(options_.Checked):
    """Options of the tokenizer."""

    hidden: tuple[int, ...] = option(
        (512, 256, 128), "widths of the MLPs' hidden layers, as 512,256", limits=options_.SIZE
    )
    linear: bool = option(
        True, "add a linear path to each MLP, initialised from the principal components"
    )
    code_width: int = option(
        192, "d, width of the codebooks; 32 in the paper", limits=options_.SIZE
    )
    levels: int = option(3, "codes per document", limits=(1, 1024))
    codes: int = option(256, "codes per level", limits=options_.SIZE)
    residual_grad: str = option(
        "pass", "gradient of the residuals between levels", one_of=bottleneck.RESIDUAL_GRADS
    )
    estimator: str = option(
        "straight_through", "gradient estimator of the quantiser", one_of=bottleneck.ESTIMATORS
    )
    reduction: str = option(
        "sum", "reduction of the loss over features and levels", one_of=("sum", "mean")
    )
    commitment: float = option(0.25, "beta, weight of the commitment loss", limits=options_.AMOUNT)
    batch: int = option(1024, "vectors per training step", limits=options_.SIZE)
    steps: int = option(3000, "training steps", limits=options_.SIZE)
    minutes: float = option(
        0.0,
        "time limit of training; 0 = none; the result then depends on the machine's speed",
        limits=options_.AMOUNT,
    )
    rate: float = option(1e-3, "peak learning rate", limits=options_.AMOUNT)
    warmup: int = option(100, "steps of linear learning-rate warm-up", limits=options_.COUNT)
    decay: str = option("cosine", "learning-rate schedule after warm-up", one_of=optimizers.DECAYS)
    weight_decay: float = option(1e-4, "weight decay of AdamW", limits=options_.AMOUNT)
    restart_every: int = option(
        50,
        "steps between moves of unused codes to random residuals; 0 = never",
        limits=options_.COUNT,
    )
    evaluate_every: int = option(500, "steps between two evaluations", limits=options_.SIZE)

    SYSTEM = "rqvae"


def parse(text: str) -> Config:
    """The defaults with options of a text NAME=VALUE,...; `hidden` is widths joined by x.

    >>> parse("hidden=512x256,code_width=32").hidden
    (512, 256)

    Raises DataError as `options.replace`, and for levels and codes, which a system has itself.
    """
    split = (part.partition("=") for part in text.split(",") if part)
    options = {name: value for name, _, value in split}
    for name in ("levels", "codes"):
        if name in options:
            raise DataError(f"rqvae: {name} is an option of the system itself; set it there")
    if "hidden" in options:
        options["hidden"] = options["hidden"].replace("x", ",")
    return configured(options)


def configured(options: Mapping[str, Any]) -> Config:
    """The defaults with options replaced, values as text; `hidden` is widths with commas.

    DataError as `options.replace`.
    """
    options = dict(options)
    if isinstance(widths := options.pop("hidden", None), str):
        try:
            options["hidden"] = tuple(int(width) for width in widths.split(",") if width)
        except ValueError:
            raise DataError(
                f"rqvae: option hidden expects widths with commas, as 512,256, got {widths!r}"
            ) from None
    return options_.replace(Config(), options, system="rqvae")


OPTIONS = {field.name for field in dataclasses.fields(Config)} - {"levels", "codes"}


def fit(vectors: np.ndarray, config: Config, key: jax.Array, log: Any) -> dict:
    """State of a tokenizer fitted to vectors f32[N, D]; what `encode`, `decode` and `latents` read.

    At each evaluation the log gets, by level, the share of codes in use and their perplexity, the
    relative error and the share of vectors that collide. Warns if a level has collapsed.

    Raises ValueError for vectors that no quantiser takes (see `quantize.rq_kmeans`).
    """
    vectors = quantize.checked("rqvae", vectors, levels=config.levels, codes=config.codes)
    draw, seeds, train_key, restart_key, sample = jax.random.split(key, 5)
    shape = bottleneck.Shape(
        width=vectors.shape[1], **{field: getattr(config, field) for field in SHAPE}
    )
    mean = vectors.mean(axis=0)
    scale = np.float32(1 / np.sqrt(np.square(vectors - mean).mean()))
    scaled = (vectors - mean) * scale
    seen = jnp.asarray(
        scaled
        if len(scaled) <= SEEN
        else scaled[np.asarray(jax.random.permutation(sample, len(scaled))[:SEEN])]
    )

    params = _init(draw, seeds, scaled, seen, shape)
    source = np.arange(1, len(scaled) + 1, dtype=np.int32)[:, None]
    hooks = loop.Hooks(
        evaluate=functools.partial(_report, seen=seen, shape=shape, log=log),
        evaluate_every=config.evaluate_every,
        amend=(
            lambda params, done: _restart_codes(
                params, seen, jax.random.fold_in(restart_key, done), shape=shape
            )
        )
        if config.restart_every
        else None,
        amend_every=config.restart_every,
    )
    reduction = cast(objectives.Reduction, config.reduction)  # an option of these two values
    stage = stages.Stage(
        "rqvae",
        [batches.Source({"source": source, "vector": scaled}, 1.0)],
        loss_function(shape, commitment=config.commitment, reduction=reduction),
        hooks=hooks,
    )
    training = options_.Training(
        **{field: getattr(config, field) for field in TRAINING},
        batch=min(config.batch, len(scaled)),
    )
    params = stages.run([stage], params, training, train_key, log)
    return {"params": params, network.STATE: network.dump(shape), "mean": mean, "scale": scale}


def encode(state: Mapping[str, Any], vectors: np.ndarray) -> np.ndarray:
    """Codes i32[N, L] of vectors f32[N, D], of the fit or new."""
    return np.asarray(
        _apply(
            state["params"], _scaled(state, vectors), shape=_shape(state), method="quantize"
        ).codes
    )


def latents(state: Mapping[str, Any], vectors: np.ndarray) -> np.ndarray:
    """f32[N, d] encoded vectors, which the codebooks quantise.

    Codebooks: f32[L, C, d] in `state["params"]["params"]["codebooks"]`.
    """
    return np.asarray(
        _apply(state["params"], _scaled(state, vectors), shape=_shape(state), method="encode")
    )


def decode(state: Mapping[str, Any], codes: np.ndarray) -> np.ndarray:
    """f32[N, D] vectors that codes i32[N, L] stand for."""
    output = quantize.decode(codes, state["params"]["params"]["codebooks"])
    return (
        np.asarray(
            _apply(state["params"], jnp.asarray(output), shape=_shape(state), method="decode")
        )
        / state["scale"]
        + state["mean"]
    )


def _init(
    draw: jax.Array, seeds: jax.Array, scaled: np.ndarray, seen: jax.Array, shape: bottleneck.Shape
) -> dict:
    """Initial parameters: linear paths along the principal directions, codebooks by k-means."""
    params = _random(draw, shape=shape)
    if shape.linear:
        directions = _principal(scaled, shape.code_width)
        params["params"]["inward"]["kernel"], params["params"]["outward"]["kernel"] = (
            directions,
            directions.T,
        )
    encoded = _apply(params, seen, shape=shape, method="encode")
    params["params"]["codebooks"] = jnp.asarray(
        quantize.rq_kmeans(encoded, seeds, levels=shape.levels, codes=shape.codes)[0]
    )
    return params


@functools.partial(jax.jit, static_argnames="shape")
def _random(key: jax.Array, *, shape: bottleneck.Shape) -> Any:
    """Parameters before anything is seen."""
    return bottleneck.RqVae(shape).init(key, jnp.zeros((1, shape.width)))


@functools.lru_cache(maxsize=32)  # equal losses share their compiled step
def loss_function(
    shape: bottleneck.Shape, *, commitment: float, reduction: objectives.Reduction
) -> loop.Loss:
    """Loss of batches {"vector": f32[B, D]}."""
    net = bottleneck.RqVae(shape)

    def loss(params, batch, key):
        decoded, quantized = cast(
            tuple[jax.Array, bottleneck.Quantized], net.apply(params, batch["vector"])
        )
        return objectives.rq_vae(
            batch["vector"],
            decoded,
            quantized.inputs,
            quantized.chosen,
            commitment=commitment,
            reduction=reduction,
        )

    return loss


@functools.partial(jax.jit, static_argnames="shape")
def _restart_codes(
    params: dict, vectors: jax.Array, key: jax.Array, *, shape: bottleneck.Shape
) -> dict:
    """Parameters with every code that no vector [N, D] uses moved to a random vector's residual."""
    codebooks = params["params"]["codebooks"]
    encoded = bottleneck.RqVae(shape).apply(params, vectors, method="encode")
    residual = cast(jax.Array, encoded)
    moved = []
    for codebook, draw in zip(codebooks, jax.random.split(key, shape.levels)):
        code = bottleneck.quantize(
            residual, codebook[None], residual_grad="stop", estimator="straight_through"
        ).codes[:, 0]
        dead = jnp.bincount(code, length=shape.codes) == 0
        rows = jax.random.permutation(draw, len(vectors))[: shape.codes]
        moved.append(jnp.where(dead[:, None], residual[rows], codebook))
        residual = residual - codebook[code]
    return {"params": params["params"] | {"codebooks": jnp.stack(moved)}}


def _report(
    params: dict, *, seen: jax.Array, shape: bottleneck.Shape, log: Any
) -> dict[str, float]:
    decoded, quantized = _apply(params, seen, shape=shape, method="__call__")
    found = quantize.stats(np.asarray(quantized.codes), num_codes=shape.codes)
    if found.collapsed:
        which = ", ".join(
            f"level {level + 1} uses {found.usage[level]:.0%} of its codes, perplexity "
            f"{found.perplexity[level]:.1f}"
            for level in found.collapsed
        )
        log.warn(
            f"the codes are collapsing: {which}; restart unused codes (restart_every), or lower "
            "the rate"
        )
    by_level = {f"usage_{level + 1}": share for level, share in enumerate(found.usage)}
    by_level |= {f"perplexity_{level + 1}": value for level, value in enumerate(found.perplexity)}
    error = quantize.relative_error(np.asarray(seen), np.asarray(decoded))
    return by_level | {
        "relative_error": error,
        "colliding": found.colliding,
        "collapsed_levels": len(found.collapsed),
    }


def _principal(vectors: np.ndarray, count: int) -> jax.Array:
    """f32[D, d] orthonormal directions of most variance of centred vectors [N, D].

    Past the D-th, zeros.
    """
    directions = np.linalg.eigh(vectors.T @ vectors)[1][:, ::-1][:, :count]
    return jnp.asarray(np.pad(directions, ((0, 0), (0, count - directions.shape[1]))))


def _apply(params: dict, rows: jax.Array, *, shape: bottleneck.Shape, method: str) -> Any:
    """A method of the net over rows [N, ...], block by block."""
    parts = []
    for first in range(0, len(rows), BLOCK):
        block = rows[first : first + BLOCK]
        padded = jnp.pad(block, ((0, min(BLOCK, len(rows)) - len(block)), (0, 0)))
        parts.append(
            jax.tree.map(
                lambda leaf: leaf[: len(block)], _block(params, padded, shape=shape, method=method)
            )
        )
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


@functools.partial(jax.jit, static_argnames=("shape", "method"))
def _block(params: dict, rows: jax.Array, *, shape: bottleneck.Shape, method: str) -> Any:
    return bottleneck.RqVae(shape).apply(params, rows, method=method)


def _scaled(state: Mapping[str, Any], vectors: np.ndarray) -> jax.Array:
    return jnp.asarray((np.asarray(vectors, np.float32) - state["mean"]) * state["scale"])


def _shape(state: Mapping[str, Any]) -> bottleneck.Shape:
    return network.of(state).spec


# fields of bottleneck.Shape, and of options.Training
SHAPE = ("hidden", "linear", "code_width", "levels", "codes", "residual_grad", "estimator")
TRAINING = ("steps", "minutes", "rate", "warmup", "decay", "weight_decay")
