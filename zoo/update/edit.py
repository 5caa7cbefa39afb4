"""New documents written into the MLPs of a decoder in closed form, after their identifiers exist.

DOME (arXiv 2603.02773): (1) a band of decoder layers; (2) for each pseudo-query and position a
vector delta, added to the output of the band's last layer, so that the identifier's token is
generated, against the target alpha onehot + (1 - alpha) p_original with alpha rising linearly; (3)
the band's output matrices W (out = k W, k the input of W) change by the constrained least squares
of the MEMIT family,

    dW = (lam C + K^T K)^-1 K^T R       K [m, H] new keys, R [m, D] wanted minus current outputs,
                                        C = K0^T K0 / m0 of keys of known documents

of which each layer takes 1 / (layers that remain) of what is missing. GenRecEdit (arXiv 2603.14259)
edits one layer a position (`by="position"`). Everything else keeps its bits.

Deviations: DOME has no public code, and the closed form is that of its family (Meng et al. 2023,
arXiv 2210.07229), not read in the paper. The band is an option, from the middle layer on by
default; the paper finds it by patching activations. Pseudo-queries come from the caller.
GenRecEdit's z is found with cross-entropy and weight decay and stops at the arg-max; here both
settings share the loss of DOME, a fixed number of steps, and one decay. Its step of 0.5 overshoots
in narrow decoders; here steps are relative to the layer's output. Positions beyond the last layer
share it, with the keys of earlier positions protected.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from zoo import options
from zoo.docids import table
from zoo.nets import network
from zoo.options import option
from zoo.records import DataError
from zoo.train import log as logs

BATCH = 64  # pairs of a query and an identifier that are computed at once


@dataclasses.dataclass(frozen=True)
class Config(options.Checked):
    """Options of an edit."""

    by: str = option(
        "band",
        "band: the chosen layers for all positions (DOME); position: layer t for position t "
        "(GenRecEdit)",
        one_of=("band", "position"),
    )
    first_layer: int = option(
        -1, "first decoder layer that is edited; -1 = from the middle on", limits=(-1, 1023)
    )
    num_layers: int = option(0, "layers that are edited; 0 = to the last", limits=options.COUNT)
    queries: int = option(10, "pseudo-queries a document", limits=options.SIZE)
    lam: float = option(
        10_000.0,
        "weight of known keys, in known pairs: 0 forgets them, more keeps old answers and learns "
        "less",
        limits=options.AMOUNT,
    )
    steps: int = option(50, "steps of Adam for each delta", limits=options.SIZE)
    rate: float = option(
        0.1,
        "step size of Adam in units of the layer's output, its root mean square; falls by a cosine",
        limits=(1e-6, 1e3),
    )
    hard: float = option(
        0.3,
        "alpha, share of the one-hot target at the first step; 1 = hard targets alone",
        limits=options.PROBABILITY,
    )
    anneal: bool = option(True, "whether alpha rises to 1; false = it stays")
    decay: float = option(1e-3, "weight of |delta|^2 / |h|^2", limits=options.AMOUNT)
    protected: int = option(4000, "known pairs whose keys are protected", limits=options.COUNT)

    SYSTEM = "edit"


class Pairs(NamedTuple):
    """Sources and the identifiers that they are to be answered with."""

    sources: np.ndarray  # i32[n, S], or f32[n, D] vectors
    targets: np.ndarray  # i32[n, L], 0 = pad


def edit(
    net: network.Network, params: Any, new: Pairs, known: Pairs, config: Config, log: logs.Log
) -> Any:
    """Parameters that answer the sources of `new`; only output matrices of MLPs differ.

    known: pairs whose keys are protected; at most `config.protected` are read.
    Raises DataError for layers that the decoder does not have.
    """
    length = new.targets.shape[1]
    tree = params
    for layers, positions in _plan(config, net.spec.decoder_layers, length):
        tree = _edit(net, tree, new, known, layers, positions, config, log)
    return tree


def solve(keys: np.ndarray, wanted: np.ndarray, known: np.ndarray, lam: float) -> np.ndarray:
    """f64[H, D] dW = (lam C + K^T K)^-1 K^T R of keys f[m, H] and residuals f[m, D].

    known: f[H, H] C, the mean of k k^T over known keys. Directions that neither has are left alone:
    the least-norm solution. O(H^3 + m H^2).
    """
    keys, wanted = np.asarray(keys, np.float64), np.asarray(wanted, np.float64)
    system = lam * np.asarray(known, np.float64) + keys.T @ keys
    # relative to the largest eigenvalue, so that a singular system has a solution
    system[np.diag_indices_from(system)] += 1e-13 * max(np.trace(system), 1e-300)
    return np.linalg.solve(system, keys.T @ wanted)


def _plan(config: Config, num_layers: int, length: int) -> list[tuple[list[int], list[int]]]:
    """(layers, positions) of the edits, in order."""
    first = num_layers // 2 if config.first_layer < 0 else config.first_layer
    last = min(first + config.num_layers, num_layers) if config.num_layers else num_layers
    if config.by == "position":
        first = max(config.first_layer, 0)
    if first >= num_layers:
        raise DataError(
            f"edit: first_layer={first}, but the decoder has {num_layers} layers; take a smaller "
            "one"
        )
    if config.by == "band":
        return [(list(range(first, last)), list(range(length)))]
    return [([min(first + t, num_layers - 1)], [t]) for t in range(length)]


def _edit(
    net: network.Network,
    params: Any,
    new: Pairs,
    known: Pairs,
    layers: Sequence[int],
    positions: Sequence[int],
    config: Config,
    log: logs.Log,
) -> Any:
    """The edit of layers for some positions of the identifiers."""
    place = np.zeros(new.targets.shape[1], bool)
    place[list(positions)] = True
    live = (new.targets != table.PAD) & place[None]
    past = np.zeros_like(place)
    past[: positions[0]] = True  # of earlier edits of the same documents
    vectors = [
        np.asarray(found)
        for (found,) in _batches(
            functools.partial(_deltas, net=net, layer=layers[-1], config=config),
            params,
            new,
            place,
            log=log,
        )
    ]
    goal = _states(net, params, new, layers[-1])[1] + np.concatenate(vectors)
    known = Pairs(*(part[: config.protected] for part in known))
    for number, layer in enumerate(layers):
        keys, now = _states(net, params, new, layer, at=layers[-1])
        # a key from before: of what was added for an earlier position
        old = _covariance(net, params, known, layer, place if config.by == "position" else None)
        weight, cover = config.lam, old
        if past.any():
            earlier = keys[(new.targets != table.PAD) & past[None]].astype(np.float64)
            cover, weight = weight * old + earlier.T @ earlier, 1.0
        change = solve(keys[live], (goal - now)[live] / (len(layers) - number), cover, weight)
        params = _add(params, layer, change)
    return params


@functools.partial(jax.jit, static_argnames=("net", "layer", "config"))
def _deltas(
    params: Any,
    source: jax.Array,
    target: jax.Array,
    place: jax.Array,
    *,
    net: network.Network,
    layer: int,
    config: Config,
) -> tuple[jax.Array]:
    """f32[B, L, D] what is added to the layer's output, so that targets i32[B, L] are generated.

    place: bool[L] positions that are edited.
    """
    mlp = f"decoder_{layer}/mlp"

    def logits(delta: jax.Array) -> jax.Array:
        edited = network.intercept(net, [mlp], lambda path, output: output + delta)
        return edited.logits(params, net.encode(params, source), target)

    state = _read(net, params, source, target, layer)[1]
    live = ((target != table.PAD) & place[None]).astype(jnp.float32)
    zero = jnp.zeros(state.shape, jnp.float32)
    original = jax.nn.softmax(logits(zero))
    onehot = jax.nn.one_hot(target, original.shape[-1])
    scale = live[..., None] * jnp.sqrt(jnp.square(state).mean(-1, keepdims=True))

    def loss(unit: jax.Array, alpha: jax.Array) -> jax.Array:
        wanted = alpha * onehot + (1 - alpha) * original
        # -inf for tokens of other positions, of which none is wanted
        log_p = jnp.where(wanted > 0, jax.nn.log_softmax(logits(unit * scale)), 0.0)
        shrunk = config.decay * jnp.square(unit).mean(-1)
        return (((-wanted * log_p).sum(-1) + shrunk) * live).sum()

    rate = optax.cosine_decay_schedule(config.rate, config.steps, alpha=0.02)
    adam = optax.adam(rate)

    def update(carry: tuple, step: jax.Array) -> tuple[tuple, None]:
        unit, moments = carry
        share = step / max(config.steps - 1, 1) if config.anneal else 0.0
        alpha = config.hard + (1 - config.hard) * share
        change, moments = adam.update(jax.grad(loss)(unit, jnp.asarray(alpha)), moments)
        return (optax.apply_updates(unit, change), moments), None

    (unit, _), _ = jax.lax.scan(update, (zero, adam.init(zero)), jnp.arange(config.steps))
    return (unit * scale,)


def _read(
    net: network.Network, params: Any, source: jax.Array, target: jax.Array, layer: int
) -> tuple[jax.Array, jax.Array]:
    """(input of the layer's MLP, output of the layer), f32[B, L, D], targets teacher-forced."""
    kept = {}

    def keep(path: str, output: jax.Array) -> jax.Array:
        kept[path] = output  # of the methods of a layer the outermost is the last
        return output

    norm, whole = f"decoder_{layer}/mlp_norm", f"decoder_{layer}"
    watched = network.intercept(net, [norm, whole], keep)
    watched.logits(params, net.encode(params, source), target)
    return kept[norm], kept[whole]


@functools.partial(jax.jit, static_argnames=("net", "layer", "at"))
def _keys(
    params: Any, source: jax.Array, target: jax.Array, *, net: network.Network, layer: int, at: int
) -> tuple[jax.Array, jax.Array]:
    """(keys f32[B, L, H] of the layer, output f32[B, L, D] of layer `at`)."""
    x = _read(net, params, source, target, layer)[0]
    weights = params["params"][f"decoder_{layer}"]["mlp"]
    value = x @ weights["value"]["kernel"]
    keys = (
        jax.nn.gelu(x @ weights["gate"]["kernel"], approximate=True) * value
        if "gate" in weights
        else jax.nn.relu(value)
    )
    return keys, _read(net, params, source, target, at)[1]


def _states(
    net: network.Network, params: Any, pairs: Pairs, layer: int, at: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """`_keys` of all pairs."""
    found = _batches(
        functools.partial(_keys, net=net, layer=layer, at=layer if at is None else at),
        params,
        pairs,
    )
    keys, states = zip(*found)
    return np.concatenate(keys), np.concatenate(states)


def _covariance(
    net: network.Network, params: Any, known: Pairs, layer: int, place: np.ndarray | None
) -> np.ndarray:
    """f64[H, H] mean of k k^T over keys of known pairs, of all positions or those of `place`."""
    hidden = params["params"][f"decoder_{layer}"]["mlp"]["out"]["kernel"].shape[0]
    total, count = np.zeros((hidden, hidden)), 0
    live = known.targets != table.PAD
    live = live if place is None else live & place[None]
    first = 0
    reads = functools.partial(_keys, net=net, layer=layer, at=layer)
    for keys, _ in _batches(reads, params, known):
        chosen = keys[live[first : first + len(keys)]].astype(np.float64)
        total, count, first = total + chosen.T @ chosen, count + len(chosen), first + len(keys)
    return total / max(count, 1)


def _batches(function: Any, params: Any, pairs: Pairs, *arrays: Any, log: Any = None):
    """Outputs of function(params, source, target, *arrays) for BATCH pairs at a time, as numpy."""
    count = len(pairs.targets)
    bar = None if log is None else log.progress(count, "edit vectors", "pairs")
    for first in range(0, count, BATCH):
        rows = np.arange(first, min(first + BATCH, count))
        padded = np.resize(rows, BATCH)  # one shape serves all
        found = function(params, pairs.sources[padded], pairs.targets[padded], *arrays)
        yield tuple(np.asarray(part)[: len(rows)] for part in found)
        if bar is not None:
            bar.update(len(rows))
    if bar is not None:
        bar.close()


def _add(params: Any, layer: int, change: np.ndarray) -> Any:
    """The parameters with `change` f64[H, D] added to the output matrix of a layer's MLP."""
    name = f"decoder_{layer}"
    mlp = params["params"][name]["mlp"]
    kernel = np.asarray(mlp["out"]["kernel"])
    edited = (kernel.astype(np.float64) + change).astype(kernel.dtype)
    mlp = mlp | {"out": {"kernel": jnp.asarray(edited)}}
    return params | {"params": params["params"] | {name: params["params"][name] | {"mlp": mlp}}}
