"""Laws of the scores of irrelevant leaves: moments, samples, and samples of sums."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from scipy import special

MOST_SUMMED = 4096  # leaves that are added one by one where the sum has no law in closed form


@dataclasses.dataclass(frozen=True)
class Tail:
    """The law F of a leaf's score, with the moments that the theorems use."""

    name: str
    mean: float  # mu
    sd: float  # tau > 0
    third: float  # rho3 = E|g - mu|^3
    low: float  # no score is below it; -inf for a law without a lower end
    # (key, shape) -> f32[shape] standardised, (g - mu) / tau
    leaves: Callable[[jax.Array, tuple[int, ...]], jax.Array]
    # (key, n, shape) -> f32[shape] (S_n - n mu) / (tau sqrt n)
    sums: Callable[[jax.Array, int, tuple[int, ...]], jax.Array]


def gaussian(mean: float, sd: float) -> Tail:
    """Normal scores; their sums are normal for any number of leaves."""
    _above("gaussian", "sd", sd, 0)

    def sums(key, num_leaves, shape):
        _above("sums", "num_leaves", num_leaves, 0)
        return jax.random.normal(key, shape)

    third = 2 * math.sqrt(2 / math.pi) * sd**3
    return Tail("gaussian", mean, sd, third, -math.inf, jax.random.normal, sums)


def gamma(mean: float, sd: float) -> Tail:
    """Gamma scores of shape (mean/sd)^2; the sum of n is a Gamma of n times the shape."""
    _above("gamma", "mean", mean, 0)
    _above("gamma", "sd", sd, 0)
    alpha = (mean / sd) ** 2
    # E|g - mu|^3 = 2 E(g - mu)_+^3 - E(g - mu)^3 in units of the scale, with E[g^j; g > mu] by the
    # upper incomplete gamma
    moment = [
        math.exp(special.gammaln(alpha + j) - special.gammaln(alpha))
        * special.gammaincc(alpha + j, alpha)
        for j in range(4)
    ]
    above = moment[3] - 3 * alpha * moment[2] + 3 * alpha**2 * moment[1] - alpha**3 * moment[0]
    third = (2 * above - 2 * alpha) * (sd**2 / mean) ** 3

    def sums(key, num_leaves, shape):
        _above("sums", "num_leaves", num_leaves, 0)
        return _standard_gamma(key, alpha * num_leaves, shape)

    return Tail(
        "gamma", mean, sd, third, 0.0, lambda key, shape: _standard_gamma(key, alpha, shape), sums
    )


def uniform(low: float, high: float) -> Tail:
    """Scores uniform on [low, high]; sums of up to `MOST_SUMMED` leaves."""
    _above("uniform", "high", high, low)
    half = (high - low) / 2

    def leaves(key, shape):
        return math.sqrt(3) * jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)

    return Tail(
        "uniform",
        low + half,
        half / math.sqrt(3),
        half**3 / 4,
        low,
        leaves,
        functools.partial(_summed, "uniform", leaves),
    )


def bounded(alpha: float, beta: float, *, most: float = 1.0) -> Tail:
    """Scores `most` times Beta(alpha, beta); sums of up to `MOST_SUMMED` leaves."""
    for name, value in (("alpha", alpha), ("beta", beta), ("most", most)):
        _above("bounded", name, value, 0)
    mean = alpha / (alpha + beta)
    sd = math.sqrt(mean * (1 - mean) / (alpha + beta + 1))
    raw, above = [1.0], [special.betaincc(alpha, beta, mean)]  # E g^j and E[g^j; g > mean]
    for j in range(3):
        raw.append(raw[-1] * (alpha + j) / (alpha + beta + j))
        above.append(raw[-1] * special.betaincc(alpha + j + 1, beta, mean))
    centred = [m[3] - 3 * mean * m[2] + 3 * mean**2 * m[1] - mean**3 * m[0] for m in (raw, above)]

    def leaves(key, shape):
        return (jax.random.beta(key, alpha, beta, shape) - mean) / sd

    third = (2 * centred[1] - centred[0]) * most**3
    return Tail(
        "bounded",
        most * mean,
        most * sd,
        third,
        0.0,
        leaves,
        functools.partial(_summed, "bounded", leaves),
    )


def _summed(name, leaves, key, num_leaves, shape):
    _above("sums", "num_leaves", num_leaves, 0)
    if num_leaves > MOST_SUMMED:
        raise ValueError(
            f"sums: expected at most {MOST_SUMMED} leaves of a {name} tail, got {num_leaves}; "
            "use gaussian or gamma"
        )

    def add(total, key):
        return total + leaves(key, shape), None

    total, _ = jax.lax.scan(add, jnp.zeros(shape), jax.random.split(key, num_leaves))
    return total / math.sqrt(num_leaves)


def _standard_gamma(key: jax.Array, alpha: float, shape: tuple[int, ...]) -> jax.Array:
    """f32[shape] (G - alpha) / sqrt(alpha), G ~ Gamma(alpha); as precise at alpha = 1e12 as at 1.

    Marsaglia and Tsang (2000): G = d (1 + c x)^3, d = alpha - 1/3, c = 1 / (3 sqrt d), x normal,
    accepted when the log of a uniform is below d (3 log1p(y) - 3 y + 1.5 y^2 - y^3), y = c x.
    Centred algebraically, so no large numbers are subtracted.
    """
    if alpha < 100:
        return (jax.random.gamma(key, alpha, shape) - alpha) / math.sqrt(alpha)

    def again(carry):
        key, sums, done = carry
        key, normal, coin = jax.random.split(key, 3)
        fresh, log_accept = _proposal(jax.random.normal(normal, shape), alpha)
        accept = jnp.log1p(-jax.random.uniform(coin, shape)) < log_accept
        return key, jnp.where(done, sums, fresh), done | accept

    start = key, jnp.zeros(shape), jnp.zeros(shape, bool)
    return jax.lax.while_loop(lambda carry: ~carry[2].all(), again, start)[1]


def _proposal(x: jax.Array, alpha: float) -> tuple[jax.Array, jax.Array]:
    """Standardised gamma value of x normal, alpha >= 100, and the log of its acceptance."""
    d = alpha - 1 / 3
    c = 1 / (3 * math.sqrt(d))
    # |y| < .2 here, so that this series of 3 log1p(y) - 3 y + 1.5 y^2 - y^3 is exact to f32
    y = c * x
    series = -3 * y**4 * (1 / 4 - y * (1 / 5 - y * (1 / 6 - y * (1 / 7 - y * (1 / 8 - y / 9)))))
    # (d ((1 + c x)^3 - 1) - 1/3) / sqrt(alpha), with d c = sqrt(d) / 3
    value = math.sqrt(d / alpha) * (x + c * x**2 + c**2 * x**3 / 3) - 1 / (3 * math.sqrt(alpha))
    return value, series * d


def _above(where: str, name: str, value: float, bound: float) -> None:
    if not (math.isfinite(value) and value > bound):
        raise ValueError(f"{where}: expected {name} > {bound}, got {value}")
