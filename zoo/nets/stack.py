"""A stack of equal layers: unrolled, or in training one scan over their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

# layers from which on a stack is one scan in training: XLA then compiles one layer instead of all
SCANNED = 6


def apply_layer(layer: Any, *arrays: Any, train: bool) -> jax.Array:
    """The layer's output, recomputed in the backward pass if `shape.remat` (arXiv 1604.06174)."""
    run = lambda layer, *arrays: layer(*arrays, train=train)
    return nn.remat(run)(layer, *arrays) if train and layer.shape.remat else run(layer, *arrays)


def apply(
    layers: Sequence[Any], x: jax.Array, own: Sequence[Any] | None, *arrays: Any, train: bool
) -> jax.Array:
    """Output of layers of one class: of each on the output of the one before.

    In training SCANNED or more layers are one `lax.scan` over their parameters, which are stacked
    for it: a stack of 12 compiles several times faster, and equals the unrolled one but for the
    draws of dropout. Parameters are stored layer by layer either way.

    Args:
      own: what each layer reads besides, after x.
      arrays: what all layers read, after that.
    """
    if not train or len(layers) < SCANNED or layers[0].is_initializing():
        for number, layer in enumerate(layers):
            read = () if own is None else (own[number],)
            x = apply_layer(layer, x, *read, *arrays, train=train)
        return x
    shape = layers[0].shape
    alone = type(layers[0])(shape, parent=None)
    keys = jnp.stack([layer.make_rng("dropout") for layer in layers]) if shape.dropout else None

    def body(x: jax.Array, given: Any) -> tuple[jax.Array, None]:
        params, read, key = given
        read = () if own is None else (read,)
        rngs = {} if key is None else {"dropout": key}
        return alone.apply({"params": params}, x, *read, *arrays, train=True, rngs=rngs), None

    cast = lambda leaf: leaf.astype(shape.dtype) if leaf.ndim > 1 else leaf  # as each layer does
    params = [jax.tree.map(cast, layer.variables["params"]) for layer in layers]
    stacked = (_stack(params), None if own is None else _stack(own), keys)
    return jax.lax.scan(jax.checkpoint(body) if shape.remat else body, x, stacked)[0]


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
