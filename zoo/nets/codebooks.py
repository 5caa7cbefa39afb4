"""Codebooks of an encoder-decoder with position-specific identifier tokens.

Code c of position t is token 1 + t K + c, with K codes per position. Its vector E_t[c], a row of
the codebook f32[K, D], is a column of the output head; the decoder reads another vector, a row of
the input embeddings. A shape with `last_tokens` restricts the head to the tokens of a position.
"""

from __future__ import annotations

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

Codes = TypeVar("Codes", np.ndarray, jax.Array)

HEAD, INPUTS = ("head", "kernel"), ("target_embedding", "embedding")  # f32[D, V] and f32[V, D]


def tokens(codes: Codes, num_codes: int) -> Codes:
    """i32[..., T] tokens of codes i32[..., T] of positions 0, 1, ...; the last may exceed K."""
    return codes + np.broadcast_to(
        1 + num_codes * np.arange(codes.shape[-1], dtype=np.int32), codes.shape
    )


def codebook(params: dict, position: int, num_codes: int) -> jax.Array:
    """f32[K, D] E_t."""
    return params["params"][HEAD[0]][HEAD[1]][:, _rows(position, num_codes)].T


def place(params: dict, position: int, vectors: np.ndarray | jax.Array) -> dict:
    """Parameters with vectors f32[K, D] as E_t."""
    kernel = params["params"][HEAD[0]][HEAD[1]]
    return _replace(params, HEAD, kernel.at[:, _rows(position, len(vectors))].set(vectors.T))


def hold(params: dict, positions: int, num_codes: int) -> dict:
    """Broadcastable pytree of bool: parameters that belong to codebooks of the first positions."""
    none = jax.tree.map(lambda leaf: jnp.zeros((1,) * leaf.ndim, bool), params)
    token = jnp.arange(params["params"][HEAD[0]][HEAD[1]].shape[1])
    return _replace(none, HEAD, ((token >= 1) & (token <= positions * num_codes))[None])


def widen(params: dict, alphabet: int) -> dict:
    """Parameters for an alphabet of at least V tokens; new tokens start as copies of the last."""
    kernel, table = params["params"][HEAD[0]][HEAD[1]], params["params"][INPUTS[0]][INPUTS[1]]
    missing = max(alphabet - len(table), 0)
    params = _replace(params, HEAD, jnp.pad(kernel, ((0, 0), (0, missing)), mode="edge"))
    return _replace(params, INPUTS, jnp.pad(table, ((0, missing), (0, 0)), mode="edge"))


def _rows(position: int, num_codes: int) -> slice:
    return slice(1 + position * num_codes, 1 + (position + 1) * num_codes)


def _replace(params: dict, path: tuple[str, str], leaf: jax.Array) -> dict:
    inner = params["params"]
    return params | {"params": inner | {path[0]: inner[path[0]] | {path[1]: leaf}}}
