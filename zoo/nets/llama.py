"""Causal language models of Llama's family in linen: a prompt is read once, its beams share it.

Pre-norm layers of grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245) with rotary
positions (Su et al. 2021, arXiv 2104.09864) and a gated SiLU MLP (Shazeer 2020, arXiv 2002.05202),
as of Llama (Touvron et al. 2023, arXiv 2302.13971) and SmolLM2; Qwen2 adds biases to queries, keys
and values, Qwen3 a norm to each head of queries and keys. Every matrix of a layer may have a
low-rank adapter (LoRA, Hu et al. 2021, arXiv 2106.09685, sec. 4.1). All layers are one scan.

Tokens here are those of the tokenizer plus one, in prompts and in identifiers: 0 is the pad of a
prompt, and in an identifier the token that ends a text.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from zoo.nets import grouped, layers

AXES: Any = nn.broadcast, nn.broadcast, 0  # of what a layer reads beside x
MATRICES = "query", "key", "value", "out", "gate", "up", "down"  # of a layer


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of a language model."""

    vocabulary: int  # tokens of the tokenizer
    end: int  # the tokenizer's token that ends a text
    target_length: int  # L, most tokens that are generated
    extra: int = 0  # tokens of identifiers that follow those of the tokenizer
    width: int = 64  # D
    layers: int = 2
    heads: int = 4  # H, of queries
    key_heads: int = 2  # G, of keys and values; a divisor of H
    head_width: int = 16  # Dh, even
    hidden: int = 192  # of the MLPs
    base: float = 10_000.0  # of the rotary wavelengths
    # of Llama 3: factor, lowest and highest frequency factor, length it was trained at; () = none
    scaling: tuple[float, ...] = ()
    epsilon: float = 1e-5  # of the norms
    tied: bool = True  # the head is the table of embeddings
    biases: bool = False  # of queries, keys and values
    head_norms: bool = False  # of queries and keys
    rank: int = 0  # of the adapters; 0 = none
    alpha: float = 16.0  # adapters are scaled by alpha / rank
    adapted: tuple[str, ...] = ("query", "value")  # which of MATRICES have adapters
    dtype: str = "float32"  # of activations; parameters, softmax and logits are float32
    remat: bool = False  # recompute the inside of layers in the backward pass

    def __post_init__(self) -> None:
        if self.heads % self.key_heads or self.head_width % 2:
            raise ValueError(
                "shape: expected heads divisible by key_heads and an even head_width, got "
                f"heads={self.heads}, key_heads={self.key_heads}, head_width={self.head_width}"
            )
        unknown = sorted(set(self.adapted) - set(MATRICES))
        if unknown:
            raise ValueError(
                f"shape: adapted expects some of {', '.join(MATRICES)}, got {unknown[0]!r}"
            )

    @property
    def target_vocab(self) -> int:
        """V, rows of the table of embeddings."""
        return self.vocabulary + 1 + self.extra

    @property
    def source_vocab(self) -> int:
        """The same."""
        return self.target_vocab

    @property
    def speeds(self) -> np.ndarray:
        """f64[Dh / 2] radians a position."""
        return grouped.frequencies(self.head_width, self.base, self.scaling)


class Memory(NamedTuple):
    """A prompt as the tokens after it read it: all of it but its last token."""

    key: jax.Array  # [layers, B, S, G, Dh]
    value: jax.Array  # [layers, B, S, G, Dh]
    mask: jax.Array  # f32[B, S], MASKED from the last token of the prompt on
    last: jax.Array  # i32[B] last token
    length: jax.Array  # i32[B] tokens before it


class Adapted(nn.Module):
    """x @ kernel, with a bias or a low-rank adapter (alpha / rank) x @ lora_in @ lora_out."""

    shape: Shape
    features: int
    name_: str  # one of MATRICES
    bias: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        s, inward = self.shape, x.shape[-1]
        rows = x.reshape(-1, inward)
        kernel = self.param("kernel", nn.initializers.normal(inward**-0.5), (inward, self.features))
        y = rows @ kernel.astype(s.dtype)
        if self.bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y = y + bias.astype(s.dtype)[None]
        if s.rank and self.name_ in s.adapted:
            normal = nn.initializers.normal(inward**-0.5)
            first = self.param("lora_in", normal, (inward, s.rank)).astype(s.dtype)
            second = self.param("lora_out", nn.initializers.zeros, (s.rank, self.features))
            y = y + (s.alpha / s.rank) * (rows @ first @ second.astype(s.dtype))
        return y.reshape(*x.shape[:-1], self.features)


class Norm(nn.Module):
    """x / rms(x) * scale, computed in float32."""

    epsilon: float
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        x = x.astype(jnp.float32)
        x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + self.epsilon)
        return (x * jnp.expand_dims(scale, range(x.ndim - 1))).astype(self.dtype)


class Layer(nn.Module):
    """Attention and MLP, each behind a norm and beside a residual."""

    shape: Shape

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        turns: tuple[jax.Array, jax.Array],
        reach: grouped.Reach,
        past: grouped.Past,
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """[B, Q, D] of x [B, Q, D] at turns f32[B or 1, Q or 1, Dh / 2], and keys and values.

        Keys and values are those of x, or the extended cache.
        """
        s = self.shape
        matrix = lambda name, features, bias=False: Adapted(s, features, name, bias, name=name)
        norm = lambda name: Norm(s.epsilon, s.dtype, name=name)
        rows = norm("attention_norm")(x)
        split = lambda name, heads: matrix(name, heads * s.head_width, s.biases)(rows).reshape(
            *x.shape[:2], heads, s.head_width
        )
        query, key, value = (
            split("query", s.heads),
            split("key", s.key_heads),
            split("value", s.key_heads),
        )
        if s.head_norms:
            query, key = norm("query_norm")(query), norm("key_norm")(key)
        query, key = grouped.rotate(query, turns), grouped.rotate(key, turns)
        query = query.reshape(*x.shape[:2], s.key_heads, -1, s.head_width) * s.head_width**-0.5
        read, kept = grouped.attend(query, key, value, reach, past)
        x = x + matrix("out", s.width)(read.reshape(*x.shape[:2], -1))
        rows = norm("mlp_norm")(x)
        inner = nn.silu(matrix("gate", s.hidden)(rows)) * matrix("up", s.hidden)(rows)
        return x + matrix("down", s.width)(inner), kept


class Llama(nn.Module):
    """Hidden states of tokens; `read` a prompt, then `states` of whole texts or `extend` them."""

    shape: Shape

    def setup(self) -> None:
        s = self.shape
        table = nn.initializers.normal(s.width**-0.5)
        self.embedding = self.param("embedding", table, (s.target_vocab, s.width))
        if not s.tied:
            self.head = self.param("head", table, (s.target_vocab, s.width))
        layer = nn.remat(Layer, prevent_cse=False) if s.remat else Layer
        self.layers = nn.scan(
            layer,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=AXES,
            length=s.layers,
        )(s)
        self.norm = Norm(s.epsilon, s.dtype)

    def __call__(self, source: jax.Array, target: jax.Array) -> jax.Array:
        """[B, L, D] of target i32[B, L] after prompts i32[B, S], 0 = pad behind."""
        return self.states(target, self.read(source))

    def read(self, source: jax.Array) -> Memory:
        """The memory of prompts i32[B, S]."""
        s = self.shape
        position = jnp.arange(source.shape[1])
        length = jnp.maximum((source != 0).sum(axis=1) - 1, 0)
        causal = jnp.where(position[None, :] > position[:, None], layers.MASKED, 0.0)
        x = self._embed(source)
        angles = grouped.turns(position[None], s.speeds)
        _, (key, value) = self.layers(x, angles, grouped.Reach(None, causal), grouped.Past())
        last = jnp.take_along_axis(source, length[:, None], axis=1)[:, 0]
        mask = jnp.where(position[None] >= length[:, None], layers.MASKED, 0.0)
        return Memory(key, value, mask, last, length)

    def states(self, target: jax.Array, memory: Memory) -> jax.Array:
        """The head's input [B, L, D]; position i has read target[:, :i]."""
        position = jnp.arange(target.shape[1])
        causal = jnp.where(position[None, :] > position[:, None], layers.MASKED, 0.0)
        tokens = jnp.concatenate([memory.last[:, None], target[:, :-1]], axis=1)
        angles = grouped.turns(memory.length[:, None] + position[None], self.shape.speeds)
        past = grouped.Past((memory.key, memory.value))
        x, _ = self.layers(self._embed(tokens), angles, grouped.Reach(memory.mask, causal), past)
        return self.norm(x)

    def extend(
        self, t: jax.Array | int, token: jax.Array, cache: dict[str, jax.Array], memory: Memory
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The head's input [B, K, D] of position t after token i32[B, K], and the cache.

        cache: key, value [B, K, layers, P, G, Dh].
        """
        token = jnp.where(jnp.asarray(t) == 0, memory.last[:, None], token)
        angles = grouped.turns(memory.length[:, None] + t, self.shape.speeds)
        place = jnp.arange(self.shape.target_length)
        reach = grouped.Reach(memory.mask, jnp.where(place > t, layers.MASKED, 0.0), jnp.asarray(t))
        key, value = (jnp.moveaxis(cache[name], 2, 0) for name in ("key", "value"))
        past = grouped.Past((memory.key, memory.value), (key, value))
        x, kept = self.layers(self._embed(token), angles, reach, past)
        key, value = (jnp.moveaxis(part, 0, 2) for part in kept)
        return self.norm(x), {"key": key, "value": value}

    def _embed(self, tokens: jax.Array) -> jax.Array:
        # the end of a text has one row, whether it is written 0 or by its own number
        rows = jnp.where(tokens == self.shape.end + 1, 0, tokens)
        return jnp.take(self.embedding, rows, axis=0).astype(self.shape.dtype)


def init(shape: Shape, key: jax.Array) -> Any:
    """Random parameters."""
    source, target = jnp.ones((1, 1), jnp.int32), jnp.zeros((1, shape.target_length), jnp.int32)
    return jax.jit(Llama(shape).init)(key, source, target)


def output_rows(params: Any, shape: Shape) -> jax.Array:
    """f32[V, D] of the head."""
    return params["params"]["embedding" if shape.tied else "head"]


def logits(params: Any, shape: Shape, states: jax.Array) -> jax.Array:
    """f32[..., V] of states [..., D]; -inf for the end by its own number, which is 0 here."""
    rows = output_rows(params, shape).astype(states.dtype)
    flat = jnp.matmul(
        states.reshape(-1, shape.width), rows.T, preferred_element_type=jnp.float32
    ).reshape(*states.shape[:-1], -1)
    token = jax.lax.broadcasted_iota(jnp.int32, flat.shape, flat.ndim - 1)
    return jnp.where(token == shape.end + 1, -jnp.inf, flat)


def empty_cache(shape: Shape, batch: int, places: int = 0) -> dict[str, jax.Array]:
    """The cache of the first `extend`, leaves [B, 1, layers, P, G, Dh]."""
    size = (batch, 1, shape.layers, places, shape.key_heads, shape.head_width)
    return {name: jnp.zeros(size, shape.dtype) for name in ("key", "value")}


def only_adapters(params: Any) -> Any:
    """bool tree: True for what training holds when it tunes the adapters alone."""
    return jax.tree.map_with_path(
        lambda path, _: not str(getattr(path[-1], "key", "")).startswith("lora_"), params
    )


def merge(params: Any, shape: Shape) -> Any:
    """The parameters of `replace(shape, rank=0)`, adapters added into their matrices."""

    def within(tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        if "lora_in" in tree:
            low = jnp.einsum("lir,lro->lio", tree["lora_in"], tree["lora_out"])
            kernel = tree["kernel"] + (shape.alpha / shape.rank) * low
            return {
                name: kernel if name == "kernel" else leaf
                for name, leaf in tree.items()
                if not name.startswith("lora_")
            }
        return {name: within(leaf) for name, leaf in tree.items()}

    return within(params)


def widen(params: Any, shape: Shape, extra: int, key: jax.Array) -> tuple[Any, Shape]:
    """Parameters and shape with this many extra tokens; new rows are drawn like the others."""
    tables = {"embedding"} if shape.tied else {"embedding", "head"}
    tree = dict(params["params"])
    for name in tables:
        rows = tree[name]
        drawn = jax.random.normal(key, (extra - shape.extra, shape.width)) * rows.std(axis=0)[None]
        tree[name] = jnp.concatenate([rows, rows.mean(axis=0)[None] + drawn])
    return params | {"params": tree}, dataclasses.replace(shape, extra=extra)
