"""Parameters of encoder-decoders over a larger alphabet of identifiers.

The caller decides what the rows of new tokens start from; usually the mean of their siblings, the
tokens at the same place of an identifier: a new token then scores as the average of them.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from zoo.nets import heads, transformer


def target(
    params: dict,
    shape: transformer.Shape,
    wider: transformer.Shape,
    siblings: np.ndarray,
    output: np.ndarray | None = None,
) -> dict:
    """Parameters of `wider.net()` from those of `shape.net()`, with rows for the new tokens.

    Args:
      wider: the shape with a greater target_vocab and, if it has them, last_tokens.
      siblings: i[s] tokens whose mean a new row is.
      output: f32[n, D] what logits of the n new tokens are the products with, in place of the mean.
    """
    num_new = wider.target_vocab - shape.target_vocab
    tree = dict(params["params"])
    name = "source_embedding" if shape.shared else "target_embedding"
    table = tree[name]["embedding"]
    fresh = _mean(table, siblings, num_new)
    if output is not None and shape.tied:
        fresh = jnp.asarray(output) * shape.width**0.5
    tree[name] = {"embedding": jnp.concatenate([table, fresh])}
    if "head" in tree:
        kernel = tree["head"]["kernel"]
        fresh = _mean(kernel.T, siblings, num_new) if output is None else jnp.asarray(output)
        tree["head"] = {"kernel": jnp.concatenate([kernel, fresh.T], axis=1)}
    if isinstance(wider, heads.PrefixShape):  # no change to what the adaptor does: zeros
        weights = jnp.asarray(tree["adaptor_out"])
        missing = heads.columns_of(wider).shape[1] - weights.shape[1]
        tree["adaptor_out"] = jnp.pad(weights, ((0, 0), (0, missing), (0, 0), (0, 0)))
    return params | {"params": tree}


def source(params: dict, first: int, num_new: int, siblings: np.ndarray) -> dict:
    """Parameters with n new source tokens from `first` on, the mean of siblings i[s]."""
    tree = dict(params["params"])
    table = tree["source_embedding"]["embedding"]
    parts = [table[:first], _mean(table, siblings, num_new), table[first:]]
    tree["source_embedding"] = {"embedding": jnp.concatenate(parts)}
    return params | {"params": tree}


def _mean(table: jax.Array, rows: np.ndarray, count: int) -> jax.Array:
    """f32[count, D] the mean of rows of f32[V, D], count times."""
    mean = jnp.asarray(table)[np.asarray(rows)].mean(axis=0, keepdims=True)
    return jnp.repeat(mean, count, axis=0)
