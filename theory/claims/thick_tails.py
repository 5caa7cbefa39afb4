"""T10: which tails are thick: power laws with finite variance halve recall, heavier ones do not."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from theory import claims, simulate
from zoo.docids import table
from zoo.index import trie
from zoo.search import beam

RANKS = 500  # whose places are followed one by one; the rest is Gaussian
GRID = 2**13  # points of the density of a branch's total


@functools.partial(jax.jit, static_argnames=("branches", "relevant"))
def _recall(scores, key, index, *, branches, relevant):
    """f32[] first-step recall of a query: `scores` by rank at random leaves, best k relevant."""
    order = jax.random.permutation(key, len(scores))  # leaf of each rank
    branch = order // (len(scores) // branches)
    totals = jax.ops.segment_sum(scores, branch, branches)
    logits = jnp.pad(jnp.log(totals), (1, 0), constant_values=-jnp.inf)[None, None]
    found = beam.beam_search(
        lambda t, token, cache: (logits, cache),
        jnp.zeros((1, 1)),
        index,
        width=relevant,
        length=1,
        score="renormalised",
    )
    kept = jnp.zeros(branches, bool).at[index.documents_of(found.leaf)[0, :, 0]].set(True)
    return kept[branch[:relevant]].mean()


def _by_beam(params, key, n):
    size = params["branches"] * params["leaves"]
    scores = jnp.asarray(
        np.arange(1, size + 1, dtype=np.float64) ** -params["exponent"], jnp.float32
    )
    index = trie.build(table.atomic(params["branches"]))
    one = functools.partial(_recall, branches=params["branches"], relevant=params["relevant"])
    values = np.array([one(scores, k, index) for k in jax.random.split(key, n)], np.float64)
    return simulate.Estimate(values.mean(), values.std(ddof=1) / np.sqrt(n), n)


def predict(params):
    """Mean over relevant ranks of P(fewer than K other branches are expected to be larger).

    A branch holds rank r with probability 1/b: its total is a sum of Bernoulli(1/b) times r^-s.
    All branches have as many leaves, so scores count from the mean of the rest.
    """
    b, k, size = params["branches"], params["relevant"], params["branches"] * params["leaves"]
    scores = np.arange(1, size + 1, dtype=np.float64) ** -params["exponent"]
    scores -= scores[RANKS:].mean()
    density, step = _density(scores, b)
    places = step * np.arange(GRID)
    found = []
    for rank in range(k):
        # f = (1 - 1/b) g + shift(g)/b for the density g of a total without this rank
        without = density
        for _ in range(4):
            without = (density - _shifted(without, scores[rank] / step) / b) / (1 - 1 / b)
        above = 1 - np.cumsum(without) + without / 2
        own = np.interp(places + scores[rank], places, above, right=0.0)
        survives = (b - 1) * np.clip(own, 0, 1) < k - 0.5
        found.append(without @ survives)
    return np.mean(found)


def _density(scores, b):
    """f64[GRID] density of the total of a branch from its low end, and the step of the grid."""
    rest = math.sqrt((scores[RANKS:] ** 2).sum() / b * (1 - 1 / b))
    step = (scores[0] + 8 * math.sqrt((scores**2).sum() / b) + 12 * rest) / GRID
    density = stats.norm.pdf(np.arange(GRID) * step, 6 * rest, max(rest, step))
    density /= density.sum()
    for score in scores[:RANKS]:
        density = (1 - 1 / b) * density + _shifted(density, score / step) / b
    return density, step


def _shifted(density, by):
    """The density moved up by a number of steps, between two grid points in proportion."""
    whole, part = int(by), by - int(by)
    moved = np.zeros_like(density)
    if whole < GRID - 1:
        moved[whole:] = (1 - part) * density[: GRID - whole]
        moved[whole + 1 :] += part * density[: GRID - whole - 1]
    return moved


def limits():
    shown = []
    for exponent in (0.2, 0.4):
        found = [
            _by_beam(
                dict(branches=40, relevant=20, leaves=size, exponent=exponent),
                jax.random.key(5),
                40,
            )
            for size in (100, 1000, 5000)
        ]
        shown.append(f"s = {exponent}: {', '.join(f'{f.mean:.3f}' for f in found)}")
    return [
        "below s = 1/2 recall decays to 1/2 (leaves per branch 100, 1,000, 5,000; 20 of 40): "
        f"{'; '.join(shown)}; at s = 1/2 only logarithmically"
    ]


def figure(axes, key, n):
    """Recall over the size of branches for several exponents."""
    sizes = np.array([30, 100, 300, 1000, 4000])
    for exponent in (0.2, 0.4, 0.6, 1.0):
        found = [
            _by_beam(dict(branches=40, relevant=20, leaves=int(size), exponent=exponent), key, 40)
            for size in sizes
        ]
        axes.errorbar(
            sizes,
            [f.mean for f in found],
            [2 * f.stderr for f in found],
            marker=".",
            label=f"rank^-{exponent:g}",
        )
    axes.axhline(0.5, color="k", linewidth=0.8)
    axes.set(
        xlabel="leaves per branch, n",
        ylabel="first-step recall of the top k, k = 20 in 40 branches",
        xscale="log",
        ylim=(0.45, 1.02),
    )
    axes.legend()


CLAIM = claims.Claim(
    name="thick_tails",
    title="Many moderate documents halve recall; a heavy power law does not",
    statement=(
        "For relevance ~ rank^-s at random places, the first-step recall of a beam of sums decays "
        "to 1/2 iff s < 1/2 (finite variance of a leaf); otherwise it tends to more, as computed "
        "from the law of a branch's total."
    ),
    formula=(
        r"\rho_1 = \frac{1}{k} \sum_{r \le k} P[\#\{j : T_j > r^{-s} + T\} < K], "
        r"T = \sum_r \xi_r r^{-s}"
    ),
    meaning=(
        "A few very relevant documents are easy for a beam. Collections with many nearly equal "
        "candidates (near-duplicates, broad queries) are where prefixes mislead."
    ),
    source="T10, derived here",
    assumptions=("random placement", "relevant = the k best", "b = 100, k = 50"),
    cases=tuple(
        dict(branches=100, relevant=50, leaves=100, exponent=s) for s in (0.3, 0.6, 0.75, 1.0, 1.5)
    ),
    predict=predict,
    measure=lambda key, params, n: _by_beam(params, key, n),
    control=claims.off(predict, -0.03),
    tolerance=0.008,  # the branches of a query are not quite independent
    n=1000,
    quick=300,
    limits=limits,
    figure=figure,
)
