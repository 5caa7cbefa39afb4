"""Synthetic worlds: relevance over docid trees, random corpora, sparse relevance under a tail.

Relevance r(d) is f64[N], non-negative, sum 1, leaves in lexicographic docid order. For the cost of
the constraint, corpora keep a random part of the leaves; for beam search the model is
`SparseThick`. Both after arXiv 2504.09935; the second is our reconstruction of its data model,
which its abstract and slides do not give.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from theory import checks, tails
from zoo.docids import table

# ---------------------------------------------------------------- trees


@dataclasses.dataclass(frozen=True, eq=False)
class Tree:
    """A docid tree of any shape, with all N leaves at depth m.

    A short identifier ends in a chain of only children.
    """

    # m arrays; parents[t] is i64[nodes at depth t+1], ascending, index into depth t
    parents: tuple[np.ndarray, ...]
    relevance: np.ndarray  # f64[N], sum 1, leaves from left to right

    @property
    def depth(self) -> int:
        return len(self.parents)

    @functools.cached_property
    def masses(self) -> tuple[np.ndarray, ...]:
        """r(T_v) for the nodes of each depth 0 .. m; f64[nodes at that depth]."""
        return self.sums(self.relevance)

    @functools.cached_property
    def counts(self) -> tuple[np.ndarray, ...]:
        """Leaves below the nodes of each depth 0 .. m; i64[nodes at that depth]."""
        return self.sums(np.ones(len(self.relevance), np.int64))

    def sums(self, leaves: np.ndarray) -> tuple[np.ndarray, ...]:
        """Totals below the nodes of each depth 0 .. m of an array over the leaves, [N]."""
        levels = [leaves]
        for parent in reversed(self.parents):
            first = np.flatnonzero(np.diff(parent, prepend=-1))
            levels.append(np.add.reduceat(levels[-1], first))
        return tuple(levels[::-1])


def full(branching: int, depth: int, relevance: np.ndarray) -> Tree:
    """The full tree of `branching`**`depth` leaves with this relevance, of any scale.

    Raises:
      ValueError: for sizes below 1, a length other than branching**depth, negative or infinite
        values, or no positive value.
    """
    num_leaves = checks.num_leaves("full", branching, depth)
    return Tree(
        tuple(np.arange(branching ** (t + 1)) // branching for t in range(depth)),
        checks.normalised("full", relevance, num_leaves),
    )


def from_docids(ids: table.Docids, scores: np.ndarray | None = None) -> Tree:
    """The tree of a table of identifiers, of unequal length too; leaves in `ids.order`.

    Args:
      ids: N identifiers of at most L tokens.
      scores: f[N] relevance of each document in the order of the table, any scale; default equal.

    Raises:
      ValueError: when two documents share an identifier, or as `full` does.
    """
    tokens = ids.tokens[ids.order]
    # [N-1, L], a node of depth t+1 begins
    new = np.logical_or.accumulate(tokens[1:] != tokens[:-1], axis=1)
    if len(tokens) > 1 and not new[:, -1].all():
        raise ValueError(
            "from_docids: expected one document per identifier, got two with the same; append a "
            "tie-break token"
        )
    # number of each prefix
    node = np.concatenate([np.zeros((1, tokens.shape[1]), np.int64), np.cumsum(new, axis=0)])
    parents, above = [], np.zeros(len(tokens), np.int64)
    for t in range(tokens.shape[1]):
        first = np.flatnonzero(np.diff(node[:, t], prepend=-1))
        parents.append(above[first])
        above = node[:, t]
    scores = np.ones(len(ids)) if scores is None else np.asarray(scores, np.float64)
    return Tree(tuple(parents), checks.normalised("from_docids", scores, len(ids))[ids.order])


# ---------------------------------------------------------------- relevance


def uniform(branching: int, depth: int) -> np.ndarray:
    """f64[N] 1/N everywhere."""
    num_leaves = checks.num_leaves("uniform", branching, depth)
    return np.full(num_leaves, 1 / num_leaves)


def zipf(
    branching: int, depth: int, *, exponent: float = 1.0, placement: str = "sorted", seed: int = 0
) -> np.ndarray:
    """f64[N] proportional to rank^-exponent.

    placement: "sorted", leaf d has rank d+1; or "random", ranks permuted by `seed`.
    """
    num_leaves = checks.num_leaves("zipf", branching, depth)
    if placement not in ("sorted", "random"):
        raise ValueError(f'zipf: expected placement "sorted" or "random", got {placement!r}')
    weights = np.arange(1, num_leaves + 1, dtype=np.float64) ** -float(exponent)
    if placement == "random":
        weights = np.random.default_rng(seed).permutation(weights)
    return checks.normalised("zipf", weights, num_leaves)


def dirichlet(branching: int, depth: int, *, concentration: float, seed: int = 0) -> np.ndarray:
    """f64[N] draw of a symmetric Dirichlet; a small `concentration` puts all on few leaves."""
    num_leaves = checks.num_leaves("dirichlet", branching, depth)
    checks.positive("dirichlet", "concentration", concentration)
    # log Gamma(a) = log Gamma(a+1) + log(U)/a: a direct draw underflows to exact zeros for small a
    rng = np.random.default_rng(seed)
    log = (
        np.log(rng.standard_gamma(concentration + 1, num_leaves))
        + np.log1p(-rng.random(num_leaves)) / concentration
    )
    return checks.normalised("dirichlet", np.exp(np.maximum(log - log.max(), -500)), num_leaves)


def spike(branching: int, depth: int, *, mass: float, leaf: int = 0) -> np.ndarray:
    """f64[N] `mass` in (0, 1) on one leaf, the rest spread evenly."""
    num_leaves = checks.num_leaves("spike", branching, depth)
    if not 0 < mass < 1 or not 0 <= leaf < num_leaves or num_leaves < 2:
        raise ValueError(
            f"spike: expected mass in (0, 1), leaf in 0 .. {num_leaves - 1} and at least 2 leaves, "
            f"got {mass} and {leaf}"
        )
    weights = np.full(num_leaves, (1 - mass) / (num_leaves - 1))
    weights[leaf] = mass
    return weights


def lognormal_branches(branching: int, depth: int, *, sigma: float, seed: int = 0) -> np.ndarray:
    """f64[N] product over the path of exp(sigma x), x standard normal per node."""
    num_leaves = checks.num_leaves("lognormal_branches", branching, depth)
    if not 0 <= sigma <= 20:
        raise ValueError(f"lognormal_branches: expected sigma in [0, 20], got {sigma}")
    rng = np.random.default_rng(seed)
    log = np.zeros(1)
    for t in range(depth):
        log = np.repeat(log, branching) + sigma * rng.standard_normal(branching ** (t + 1))
    return checks.normalised("lognormal_branches", np.exp(log - log.max()), num_leaves)


# ------------------------------ corpora: draw(key, num_leaves) -> bool[num_leaves], True = in it


@dataclasses.dataclass(frozen=True)
class Kept:
    """Each leaf is kept independently with probability `keep` (iid-p)."""

    keep: float  # p in (0, 1]

    def __post_init__(self):
        checks.share("Kept", self.keep)

    def draw(self, key: jax.Array, num_leaves: int) -> jax.Array:
        return jax.random.bernoulli(key, self.keep, (num_leaves,))


@dataclasses.dataclass(frozen=True)
class FixedSize:
    """A uniformly random set of `size` leaves (fixed-M)."""

    size: int  # M

    def __post_init__(self):
        checks.positive("FixedSize", "size", self.size)

    def draw(self, key: jax.Array, num_leaves: int) -> jax.Array:
        if self.size > num_leaves:
            raise ValueError(
                f"FixedSize: expected at most {num_leaves} leaves, got size {self.size}; "
                "enlarge the tree"
            )
        return jax.random.permutation(key, num_leaves) < self.size


@dataclasses.dataclass(frozen=True)
class BranchCorrelated:
    """Beta-binomial inclusion: each root branch draws its own share, of mean `keep`.

    Two leaves of a branch correlate by `correlation`.
    """

    keep: float  # p in (0, 1)
    correlation: float  # rho in [0, 1)
    branching: int  # root branches, of num_leaves / branching leaves each

    def __post_init__(self):
        checks.share("BranchCorrelated", self.keep)
        checks.num_leaves("BranchCorrelated", self.branching, 1)
        if not 0 <= self.correlation < 1 or (self.correlation > 0 and self.keep == 1):
            raise ValueError(
                "BranchCorrelated: expected correlation in [0, 1) and keep < 1, "
                f"got {self.correlation} and {self.keep}"
            )

    def draw(self, key: jax.Array, num_leaves: int) -> jax.Array:
        if num_leaves % self.branching:
            raise ValueError(
                f"BranchCorrelated: expected a multiple of {self.branching} leaves, "
                f"got {num_leaves}"
            )
        if self.correlation == 0:
            return Kept(self.keep).draw(key, num_leaves)
        share, inside = jax.random.split(key)
        strength = 1 / self.correlation - 1  # of a beta law whose correlation is 1 / (strength + 1)
        shares = jax.random.beta(
            share, self.keep * strength, (1 - self.keep) * strength, (self.branching, 1)
        )
        return jax.random.bernoulli(
            inside, shares, (self.branching, num_leaves // self.branching)
        ).reshape(num_leaves)


@dataclasses.dataclass(frozen=True, eq=False)
class Heterogeneous:
    """Leaf d is kept independently with probability keep[d]."""

    keep: np.ndarray  # f[N] in [0, 1]

    def __post_init__(self):
        if (
            np.ndim(self.keep) != 1
            or not ((np.asarray(self.keep) >= 0) & (np.asarray(self.keep) <= 1)).all()
        ):
            raise ValueError(
                "Heterogeneous: expected keep of shape [N] in [0, 1], one probability per leaf"
            )

    def draw(self, key: jax.Array, num_leaves: int) -> jax.Array:
        if len(self.keep) != num_leaves:
            raise ValueError(
                f"Heterogeneous: expected {len(self.keep)} leaves, one per probability, "
                f"got {num_leaves}"
            )
        return jax.random.bernoulli(key, jnp.asarray(self.keep, jnp.float32), (num_leaves,))


# ---------------------------------------------------------------- sparse relevance under a tail


@dataclasses.dataclass(frozen=True)
class SparseThick:
    """Model ST(b, k, n, c, F): k relevant leaves with score c in k distinct random branches.

    All other scores are iid from a tail F.
    """

    branching: int  # b root branches
    relevant: int  # k <= b
    leaves: int  # n leaves per branch, b^(m-1) in a full tree
    score: float  # c
    tail: tails.Tail  # F

    def __post_init__(self):
        if not 1 <= self.relevant <= self.branching or self.leaves < 1:
            got = f"{self.relevant} relevant, {self.branching} branches, {self.leaves} leaves"
            raise ValueError(
                f"SparseThick: expected 1 <= relevant <= branching and leaves >= 1, got {got}"
            )

    @property
    def kappa(self) -> float:
        """Share of branches that hold a relevant leaf, k / b."""
        return self.relevant / self.branching

    @property
    def snr(self) -> float:
        """lambda = (c - mu) / (tau sqrt n): one relevant leaf against the noise of its branch."""
        return (self.score - self.tail.mean) / (self.tail.sd * math.sqrt(self.leaves))

    def draw(self, key: jax.Array, num_queries: int) -> tuple[jax.Array, jax.Array]:
        """Standardised totals of the root branches, and the branches with a relevant leaf.

        (r(T_i) - n mu) / (tau sqrt n), exact for every n: a branch sums n - 1 tail scores and one
        more leaf, which is relevant (c) or not (from F).

        Returns f32[num_queries, b], bool[num_queries, b] with k True per row. Cost
        O(num_queries b) for any n, if the tail is closed under addition.
        """
        shape = num_queries, self.branching
        rest, last, place = jax.random.split(key, 3)
        total = self.tail.leaves(last, shape) / math.sqrt(self.leaves)
        ranks = jnp.argsort(jax.random.uniform(place, shape), axis=1)
        holds = (
            jnp.zeros(shape, bool)
            .at[jnp.arange(num_queries)[:, None], ranks[:, : self.relevant]]
            .set(True)
        )
        total = jnp.where(holds, self.snr, total)
        if self.leaves > 1:
            share = math.sqrt((self.leaves - 1) / self.leaves)
            total = total + share * self.tail.sums(rest, self.leaves - 1, shape)
        return total, holds
