"""Networks as pure functions, and their descriptions as JSON: a fitted state says which it holds.

    net = network.build({"kind": "gru", "num_items": 40})
    params = net.init(key)
    hidden = net.encode(params, items)

Kinds: t5 and nci are encoder-decoders that generate identifiers, llama a causal language model that
continues a prompt by them, rows generates them from a vector; causal and gru read the items of a
history and score every item as the next one; dual encodes queries and documents as vectors; rqvae
encodes vectors as codes.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
from flax import linen as nn

from zoo.nets import bottleneck, causal, dual, heads, llama, recurrent, rows, transformer
from zoo.records import DataError

WIDE = 2048  # alphabets from here on have their logits computed where they are read
STATE = "network"  # entry of a fitted state that describes its network


def _absent(*arguments: Any, **options: Any) -> NoReturn:
    raise TypeError("network: this kind of network generates nothing")


class Network(NamedTuple):
    """A network whose parameters are an argument. `build` returns equal ones for equal specs."""

    spec: Any  # frozen dataclass of sizes, of the class in KINDS; hashable
    init: Callable[[jax.Array], Any]  # key -> params
    # (params, inputs, *, train=False, rngs=None) -> memory; inputs: i32[B, S], 0 = pad
    encode: Callable[..., Any]
    # (params, memory, target, *, train=False, rngs=None). An encoder-decoder: f32[B, L, V] of
    # target i32[B, L], position i sees target[:, :i]. An item network, whose memory are hidden
    # states [..., D]: f32[..., C] of the candidates target i32[..., C], f32[..., N] if None.
    logits: Callable[..., jax.Array]
    # (params, memory, t, token i32[B, K], cache) -> (f32[B, K, V] or Factors, cache) of position t
    # after token at t - 1 (0 at t = 0); only of kinds that generate
    step: Callable[..., tuple] = _absent
    # (batch, places=0) -> cache of the first step, leaves [B, 1, ...]; it grows with every step,
    # unless it has places for all L positions
    empty_cache: Callable[..., Any] = _absent


class Memory(NamedTuple):
    """A source as an encoder-decoder remembers it; not tiled over beams."""

    layers: Any  # transformer.Memory
    source: jax.Array  # i32[B, S], of which the pads are masked


class Factors(NamedTuple):
    """Logits hidden @ kernel that are not computed yet."""

    hidden: jax.Array  # f32[B, K, D]
    kernel: jax.Array  # f32[D, V]


def parse(spec: Mapping[str, Any] | str) -> Any:
    """The frozen dataclass of a spec {"kind": one of KINDS, its fields}, or of its JSON.

    Raises DataError for another kind or other fields.
    """
    fields = dict(json.loads(spec) if isinstance(spec, str) else spec)
    kind = fields.pop("kind", None)
    if kind not in KINDS:
        raise DataError(f"network: expected a kind of {', '.join(KINDS)}, got {kind!r}")
    for name, value in fields.items():
        if isinstance(value, Mapping):  # the spec of a part
            fields[name] = parse(value)
        elif isinstance(value, list):
            fields[name] = tuple(value)
    try:
        return KINDS[kind][0](**fields)
    except TypeError as error:
        raise DataError(
            f"network: no {kind} network has these sizes ({error}); fit again"
        ) from None


def dump(spec: Any) -> str:
    """JSON that `parse` reads."""
    return json.dumps(_fields(spec))


def _fields(spec: Any) -> dict[str, Any]:
    kind = next(name for name, (own, _) in KINDS.items() if own is type(spec))
    values = {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)}
    parts = {name: _fields(part) for name, part in values.items() if dataclasses.is_dataclass(part)}
    return {"kind": kind} | values | parts


def build(spec: Any) -> Network:
    """The network of a spec: of a dataclass, a mapping or JSON, see `parse`."""
    return _build(parse(spec) if isinstance(spec, (str, Mapping)) else spec)


def of(state: Mapping[str, Any]) -> Network:
    """The network of a fitted state. Raises DataError if an earlier version fitted it."""
    if STATE not in state:
        raise DataError("fitted by an earlier version, which did not record its network; fit again")
    return build(state[STATE])


def with_remat(network: Network, remat: bool) -> Network:
    """The network that recomputes the inside of its layers, if any, in the backward pass."""
    if not hasattr(network.spec, "remat"):
        return network
    return build(dataclasses.replace(network.spec, remat=remat))


def intercept(network: Network, at: Sequence[str], edit: Callable[[str, Any], Any]) -> Network:
    """The network with outputs of its modules replaced, to patch or to read activations.

    at: paths of modules, such as "decoder_0/mlp". edit: (path, output) -> output.
    """

    def within(function: Callable) -> Callable:
        def call(*arguments: Any, **options: Any) -> Any:
            with nn.intercept_methods(_interceptor(frozenset(at), edit)):
                return function(*arguments, **options)

        return call

    return network._replace(
        encode=within(network.encode), logits=within(network.logits), step=within(network.step)
    )


def _interceptor(at: frozenset[str], edit: Callable[[str, Any], Any]) -> Callable:
    def interceptor(next_fun: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
        output = next_fun(*args, **kwargs)
        path = "/".join(context.module.path)
        hit = path in at and context.method_name != "setup"
        return edit(path, output) if hit else output

    return interceptor


def _encoder_decoder(spec: transformer.Shape) -> Network:
    net = spec.net()

    def init(key: jax.Array) -> Any:
        source = jnp.zeros((1, 1), jnp.int32)
        if spec.vector_width:
            source = jnp.zeros((1, spec.vector_width))
        return jax.jit(net.init)(key, source, jnp.zeros((1, spec.target_length), jnp.int32))

    def encode(params: Any, inputs: jax.Array, *, train: bool = False, rngs: Any = None) -> Memory:
        encoded = net.apply(params, inputs, train=train, rngs=rngs, method="encode")
        return Memory(net.apply(params, encoded, method="memory"), inputs)

    def logits(
        params: Any, memory: Memory, target: jax.Array, *, train: bool = False, rngs: Any = None
    ) -> Any:
        # the encoder drew its masks from these
        rngs = {name: jax.random.fold_in(key, 1) for name, key in (rngs or {}).items()}
        return net.apply(params, target, *memory, train=train, rngs=rngs, method="decode")

    def step(params: Any, memory: Memory, t: Any, token: jax.Array, cache: Any) -> tuple:
        if spec.target_vocab < WIDE or spec.last_tokens:
            return net.apply(params, t, token, cache, *memory, method="step")
        hidden, cache = net.apply(params, t, token, cache, *memory, method="extend")
        kernel = transformer.output_kernel(params, spec)
        return Factors(hidden.astype(jnp.float32), kernel), cache

    return Network(spec, init, encode, logits, step, spec.empty_cache)


def _items(make: Callable[[Any], nn.Module]) -> Callable[[Any], Network]:
    def network(spec: Any) -> Network:
        net = make(spec)

        def logits(
            params: Any,
            memory: jax.Array,
            target: jax.Array | None = None,
            *,
            train: bool = False,
            rngs: Any = None,
        ) -> Any:
            if target is None:
                return net.apply(params, memory, method="scores")
            return net.apply(params, memory, target, method="scores_of")

        return Network(
            spec,
            lambda key: jax.jit(net.init)(key, jnp.zeros((1, 1), jnp.int32)),
            lambda params, inputs, *, train=False, rngs=None: net.apply(
                params, inputs, train=train, rngs=rngs
            ),
            logits,
        )

    return network


def _rows(spec: rows.Shape) -> Network:
    return Network(
        spec,
        lambda key: rows.init(spec, key),
        rows.encode,
        rows.logits,
        rows.step,
        rows.empty_cache,
    )


def _llama(spec: llama.Shape) -> Network:
    net = llama.Llama(spec)

    def encode(params: Any, inputs: jax.Array, *, train: bool = False, rngs: Any = None) -> Any:
        return net.apply(params, inputs, method="read")

    def logits(
        params: Any,
        memory: llama.Memory,
        target: jax.Array,
        *,
        train: bool = False,
        rngs: Any = None,
    ) -> jax.Array:
        states: Any = net.apply(params, target, memory, method="states")
        return llama.logits(params, spec, states)

    def step(params: Any, memory: llama.Memory, t: Any, token: jax.Array, cache: Any) -> tuple:
        hidden, cache = net.apply(params, t, token, cache, memory, method="extend")
        if spec.target_vocab < WIDE:
            return llama.logits(params, spec, hidden), cache
        return Factors(hidden.astype(jnp.float32), llama.output_rows(params, spec).T), cache

    return Network(
        spec,
        functools.partial(llama.init, spec),
        encode,
        logits,
        step,
        functools.partial(llama.empty_cache, spec),
    )


def _dual(spec: dual.Shape) -> Network:
    """Memory: vectors f32[B, D] of texts of one side, dual.QUERY or dual.DOCUMENT; texts are tokens
    i32[B, S] or vectors f32[B, D'].
    """
    net, width = dual.DualEncoder(spec), spec.encoder.vector_width
    blank = jnp.zeros((1, width)) if width else jnp.zeros((1, 1), jnp.int32)

    def encode(
        params: Any, inputs: jax.Array, *, side: str, train: bool = False, rngs: Any = None
    ) -> Any:
        return net.apply(params, inputs, side=side, train=train, rngs=rngs, method="vectors")

    def logits(params: Any, memory: jax.Array, target: jax.Array, **options: Any) -> jax.Array:
        return memory @ target.T  # of document vectors f32[C, D]

    return Network(spec, lambda key: jax.jit(net.init)(key, blank, blank), encode, logits)


def _rqvae(spec: bottleneck.Shape) -> Network:
    """Memory: vectors f32[B, d] before the bottleneck, of vectors f32[B, D]; it has no logits."""
    net = bottleneck.RqVae(spec)
    blank = jnp.zeros((1, spec.width))
    encode = lambda params, inputs, **options: net.apply(params, inputs, method="encode")
    return Network(spec, lambda key: jax.jit(net.init)(key, blank), encode, _absent)


# kind -> class of its spec, and spec -> Network
KINDS: dict[str, tuple[type, Callable[[Any], Network]]] = {
    "t5": (transformer.Shape, _encoder_decoder),
    "nci": (heads.PrefixShape, _encoder_decoder),
    "llama": (llama.Shape, _llama),
    "rows": (rows.Shape, _rows),
    "causal": (causal.Shape, _items(causal.CausalItems)),
    "gru": (recurrent.Shape, _items(recurrent.RecurrentItems)),
    "dual": (dual.Shape, _dual),
    "rqvae": (bottleneck.Shape, _rqvae),
}


@functools.cache
def _build(spec: Any) -> Network:
    return next(make for own, make in KINDS.values() if own is type(spec))(spec)
