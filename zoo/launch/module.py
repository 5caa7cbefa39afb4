"""The encoder-decoder with t5x's interface: `encode`, `decode` with a flax cache, logical axes.

The parameters have the names of `zoo.nets.transformer`, so checkpoints are exchangeable. AXES maps
each dimension of a parameter to a logical axis, which t5x's standard rules place on a mesh and use
for Adafactor's factors. Heads and hidden sizes must be multiples of the number of devices along the
mesh's model axis; a vocabulary need not be.

Conventions: t5x, docs/usage and models.EncoderDecoderModel (github.com/google-research/t5x,
Apache-2.0).
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen import partitioning

from zoo.exchange import exported
from zoo.nets import transformer
from zoo.records import DataError

# logit of an impossible token: t5x multiplies logits by one-hot targets, and 0 * -inf is nan
FLOOR = -1e9
# a vocabulary that is a multiple of SPLIT_BY is sharded; another is replicated like the axis
# COPIED, which is a column to Adafactor
SPLIT_BY, COPIED = 128, "kv"
AXES = (  # pattern of a parameter's path -> logical axes; the first match wins
    (r"(source|target)_embedding/embedding", ("vocab", "embed")),
    (r"recency/embedding", (COPIED, "embed")),
    (r".*attention/(query|key|value)/kernel", ("embed", "heads", "kv")),
    (r".*attention/out/kernel", ("heads", "kv", "embed")),
    (r".*mlp/out/kernel", ("mlp", "embed")),
    (r".*mlp/\w+/kernel", ("embed", "mlp")),
    (r".*_bias/table", ("relpos_buckets", "heads")),
    (r".*norm/scale", ("embed",)),
    (r"head/kernel", ("embed", "vocab")),
)
PACKED = ("encoder_segment_ids", "decoder_segment_ids", "encoder_positions", "decoder_positions")


def shape(folder: str, **sizes: Any) -> transformer.Shape:
    """Shape of the network over an exported system's vocabularies.

    sizes: fields of `transformer.Shape` that replace those of the exported parameters, unless None.
    Raises DataError for an unknown field.
    """
    sizes = {name: value for name, value in sizes.items() if value is not None}
    fixed = {"source_vocab", "target_vocab", "target_length", "last_tokens"}
    known = [
        field.name for field in dataclasses.fields(transformer.Shape) if field.name not in fixed
    ]
    for name in sizes:
        if name not in known:
            raise DataError(
                f"shape: no size {name!r}; expected one of: {', '.join(known)}; "
                "vocabularies and lengths are those of the export"
            )
    return dataclasses.replace(exported.read(folder).shape, **sizes)


class Transformer(nn.Module):
    """The network of a shape, for `t5x.models.EncoderDecoderModel`.

    Tokens may be floats, which t5x passes for initialisation.
    """

    shape: transformer.Shape

    def setup(self) -> None:
        self.net = self.shape.net()
        nn.share_scope(self, self.net)  # parameters keep the names of the network

    @nn.nowrap
    def init(self, *arguments: Any, **options: Any) -> dict:
        """Variables with the collection "params_axes"."""
        variables = dict(super().init(*arguments, **options))
        return variables | {"params_axes": axes_of(variables["params"])}

    def __call__(
        self,
        encoder_input_tokens: jax.Array,
        decoder_input_tokens: jax.Array,
        decoder_target_tokens: jax.Array,
        *,
        decode: bool = False,
        enable_dropout: bool = True,
        **packed: jax.Array | None,
    ) -> jax.Array:
        """Logits f32[B, L, V] of decoder_target_tokens i32[B, L].

        decoder_input_tokens: i32[B, L], the targets shifted right.
        """
        _refuse_packed(packed)
        encoded = self.encode(encoder_input_tokens, enable_dropout=enable_dropout)
        return self.decode(
            encoded,
            encoder_input_tokens,
            decoder_input_tokens,
            decoder_target_tokens,
            decode=decode,
            enable_dropout=enable_dropout,
        )

    def encode(
        self,
        encoder_input_tokens: jax.Array,
        *,
        enable_dropout: bool = True,
        **packed: jax.Array | None,
    ) -> jax.Array:
        """Encoded source [B, S, D]."""
        _refuse_packed(packed)
        return self.net.encode(encoder_input_tokens.astype(jnp.int32), train=enable_dropout)

    def decode(
        self,
        encoded: jax.Array,
        encoder_input_tokens: jax.Array,
        decoder_input_tokens: jax.Array,
        decoder_target_tokens: jax.Array,
        *,
        decode: bool = False,
        enable_dropout: bool = True,
        max_decode_length: int | None = None,
        **packed: jax.Array | None,
    ) -> jax.Array:
        """Logits of whole identifiers or, with decode, of the cache's position, f32[B, 1, V].

        The collection "cache" holds cached_key and cached_value [B, L, H, Dh] per layer and
        cache_index i32[]. The first call with decode creates an empty cache and returns the logits
        of whole identifiers.
        """
        _refuse_packed(packed)
        source, before = (
            encoder_input_tokens.astype(jnp.int32),
            decoder_input_tokens.astype(jnp.int32),
        )
        memory = self.net.memory(encoded)
        if not decode or not self.has_variable("cache", "cache_index"):
            if decode:
                self._keep(
                    self.shape.empty_cache(len(source), self.shape.target_length),
                    jnp.zeros((), jnp.int32),
                )
            # `net.decode` shifts its targets right
            target = jnp.roll(before, -1, axis=1)
            return jnp.maximum(self.net.decode(target, memory, source, train=enable_dropout), FLOOR)
        t = self.get_variable("cache", "cache_index")
        layers = [
            self.get_variable("cache", f"decoder_{layer}")
            for layer in range(self.shape.decoder_layers)
        ]
        # -> [B, 1, L, H, Dh]
        cache = [
            {name: layer[f"cached_{name}"][:, None] for name in ("key", "value")}
            for layer in layers
        ]
        logits, cache = self.net.step(t, before, cache, memory, source)
        self._keep(cache, t + 1)
        return jnp.maximum(logits, FLOOR)

    def _keep(self, cache: transformer.Cache, t: jax.Array) -> None:
        self.put_variable("cache", "cache_index", t)
        for layer, kept in enumerate(cache):
            self.put_variable(
                "cache",
                f"decoder_{layer}",
                {f"cached_{name}": leaf[:, 0] for name, leaf in kept.items()},
            )


def axes_of(params: dict) -> dict:
    """Logical axes of parameters as in `flax.linen.partitioning`, called NAME_axes for each NAME.

    Raises ValueError for a parameter that no pattern of AXES matches, or with other dimensions.
    """

    def note(path: str, tree: Any) -> Any:
        if hasattr(tree, "items"):
            return {
                name if hasattr(leaf, "items") else f"{name}_axes": note(f"{path}/{name}", leaf)
                for name, leaf in tree.items()
            }
        return partitioning.AxisMetadata(_axes(path.removeprefix("/"), tuple(tree.shape)))

    return note("", params)


def _axes(path: str, sizes: tuple[int, ...]) -> tuple[str, ...]:
    found = next((axes for pattern, axes in AXES if re.fullmatch(pattern, path)), None)
    if found is None or len(found) != len(sizes):
        raise ValueError(
            f"module: parameter {path} of {len(sizes)} dimensions has axes {found}; "
            "add a line to AXES in zoo/launch/module.py"
        )
    return tuple(
        COPIED if axis == "vocab" and size % SPLIT_BY else axis for axis, size in zip(found, sizes)
    )


def _refuse_packed(packed: dict) -> None:
    for name, value in packed.items():
        if name not in PACKED:
            raise TypeError(f"module: no argument {name!r}; expected one of: {', '.join(PACKED)}")
        if value is not None:
            raise ValueError(
                f"module: got {name}, but packed examples are not supported; "
                "set pack = False in every utils.DatasetConfig"
            )
