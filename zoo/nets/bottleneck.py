"""Auto-encoders with a residual-quantised bottleneck: a vector becomes a sum of codes, one a level.

RQ-VAE: Zeghidour et al. 2021 (arXiv 2107.03312) for the residual levels, TIGER (arXiv 2305.05065)
for items.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

RESIDUAL_GRADS = ("stop", "pass", "cumulative")
ESTIMATORS = ("straight_through", "rotation")

stop = jax.lax.stop_gradient


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of an auto-encoder and where its gradients go."""

    width: int  # D of the vectors
    hidden: tuple[int, ...] = (512, 256, 128)  # of the encoder; the decoder has them in reverse
    code_width: int = 32  # d
    levels: int = 3  # L
    codes: int = 256  # C of each level
    # a linear path beside each MLP; the MLPs' outputs start at zero
    linear: bool = True
    residual_grad: str = "pass"  # of RESIDUAL_GRADS, see `quantize`
    estimator: str = "straight_through"  # of ESTIMATORS


class Quantized(NamedTuple):
    """Vectors z f32[B, d] after the bottleneck."""

    codes: jax.Array  # i32[B, L]
    output: jax.Array  # f32[B, d] sum of the codes; gradients reach z by the estimator
    inputs: jax.Array  # f32[B, L, d] what each level approximates
    chosen: jax.Array  # f32[B, L, d] by what; inputs - chosen is the residual after the level


class RqVae(nn.Module):
    """MLP encoder, residual codebooks, MLP decoder; ReLU between layers, the last of each linear.

    With `shape.linear`, x W ("inward") is added to the encoded and q W' ("outward") to the decoded.
    """

    shape: Shape

    def setup(self) -> None:
        s = self.shape
        _one_of("residual_grad", s.residual_grad, RESIDUAL_GRADS)
        _one_of("estimator", s.estimator, ESTIMATORS)
        last: dict[str, Any] = dict(kernel_init=nn.initializers.zeros) if s.linear else {}
        self.encoder = [*map(nn.Dense, s.hidden), nn.Dense(s.code_width, **last)]
        self.decoder = [*map(nn.Dense, reversed(s.hidden)), nn.Dense(s.width, **last)]
        if s.linear:
            self.inward, self.outward = (
                nn.Dense(s.code_width, use_bias=False),
                nn.Dense(s.width, use_bias=False),
            )
        uniform = lambda key, shape: jax.random.uniform(
            key, shape, minval=-1 / s.codes, maxval=1 / s.codes
        )
        self.codebooks = self.param("codebooks", uniform, (s.levels, s.codes, s.code_width))

    def __call__(self, vectors: jax.Array) -> tuple[jax.Array, Quantized]:
        """Reconstruction f32[B, D] of vectors f32[B, D], and what the bottleneck did."""
        quantized = self.quantize(vectors)
        return self.decode(quantized.output), quantized

    def encode(self, vectors: jax.Array) -> jax.Array:
        """f32[B, d] of vectors f32[B, D], before the bottleneck."""
        z = _mlp(self.encoder, vectors)
        return z + self.inward(vectors) if self.shape.linear else z

    def quantize(self, vectors: jax.Array) -> Quantized:
        """The bottleneck for vectors f32[B, D]."""
        s = self.shape
        return quantize(
            self.encode(vectors),
            self.codebooks,
            residual_grad=s.residual_grad,
            estimator=s.estimator,
        )

    def decode(self, output: jax.Array) -> jax.Array:
        """f32[B, D] of f32[B, d] behind the bottleneck."""
        decoded = _mlp(self.decoder, output)
        return decoded + self.outward(output) if self.shape.linear else decoded


def quantize(
    z: jax.Array, codebooks: jax.Array, *, residual_grad: str, estimator: str
) -> Quantized:
    """Residual quantisation: code l is the nearest to r_l = z - e_1 - ... - e_(l-1).

    The first code wins ties.

    Args:
      z: f32[B, d]; codebooks: f32[L, C, d].
      residual_grad: where the gradients of the level losses |sg(r_l) - e_l|^2 and
        |r_l - sg(e_l)|^2 on (inputs, chosen) go:
        stop        r_(l+1) = sg(r_l - e_l): the encoder gets that of level 1 alone (several
                    published implementations subtract the straight-through output: equivalent)
        pass        r_(l+1) = r_l - sg(e_l): the encoder gets all levels, a code its own level
        cumulative  z against e_1 + ... + e_l: the encoder as under pass, and the loss of level l
                    also reaches codes 1 .. l-1
      estimator: the gradient from the output q = e_1 + ... + e_L to z:
        straight_through  that of the output, unchanged (arXiv 1308.3432)
        rotation          rotated and scaled as z is to q (arXiv 2410.06424, eq. 4)

    O(B L C d).
    """
    squares = jnp.square(stop(codebooks)).sum(axis=-1)
    residual, columns, inputs, chosen = z, [], [], []
    for level, codebook in enumerate(codebooks):
        code = jnp.argmin(squares[level][None] - 2 * stop(residual) @ stop(codebook).T, axis=-1)
        inputs.append(residual)
        chosen.append(codebook[code])
        columns.append(code.astype(jnp.int32))
        residual = residual - stop(chosen[-1])
        if residual_grad == "stop":
            residual = stop(residual)
    inputs, chosen = jnp.stack(inputs, axis=1), jnp.stack(chosen, axis=1)  # -> [B, L, d]
    total = stop(chosen).sum(axis=1)
    if residual_grad == "cumulative":
        inputs, chosen = jnp.broadcast_to(z[:, None], chosen.shape), jnp.cumsum(chosen, axis=1)
    output = z + stop(total - z) if estimator == "straight_through" else _rotate(z, total)
    return Quantized(jnp.stack(columns, axis=1), output, inputs, chosen)


def _rotate(z: jax.Array, target: jax.Array) -> jax.Array:
    """f32[B, d] sg(lambda R) z = target; R rotates z / |z| to target / |target| in their plane.

    R = I - 2 r r' + 2 q p' with p, q the unit vectors of z and target and r = (p + q) / |p + q|;
    sec. 4.2 of arXiv 2410.06424.
    """
    unit = lambda x: x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-6)
    p, q = unit(stop(z)), unit(stop(target))
    r = unit(p + q)
    scale = jnp.linalg.norm(stop(target), axis=-1, keepdims=True) / jnp.maximum(
        jnp.linalg.norm(stop(z), axis=-1, keepdims=True), 1e-6
    )
    inner = lambda a, b: (a * b).sum(axis=-1, keepdims=True)
    return scale * (z - 2 * inner(r, z) * r + 2 * inner(p, z) * q)


def _mlp(layers: list[nn.Dense], x: jax.Array) -> jax.Array:
    for layer in layers[:-1]:
        x = nn.relu(layer(x))
    return layers[-1](x)


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(
            f"bottleneck: expected {option} to be one of {', '.join(allowed)}, got {value!r}"
        )
