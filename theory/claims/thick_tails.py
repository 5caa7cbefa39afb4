"""T10: which tails are thick: power laws with finite variance halve recall, heavier ones do not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from theory import claims, simulate
from zoo.docids import table
from zoo.index import trie
from zoo.search import beam

# for b = 100, k = 50 and many leaves; NumPy, found beforehand
LIMITS = {0.6: 0.83, 0.75: 0.905, 1.0: 0.96, 1.5: 0.997}


@functools.partial(jax.jit, static_argnames=("branches", "relevant"))
def _recall(scores, key, index, *, branches, relevant):
    """f32[] recall of one query: relevance `scores` by rank, descending, placed at random; relevant = the first ranks."""
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
    return LIMITS[params["exponent"]]


def limits():
    told = []
    for exponent in (0.2, 0.4):
        found = [
            _by_beam(
                dict(branches=40, relevant=20, leaves=size, exponent=exponent),
                jax.random.key(5),
                40,
            )
            for size in (100, 1000, 5000)
        ]
        told.append(f"s = {exponent}: {', '.join(f'{f.mean:.3f}' for f in found)}")
    return [
        f"below s = 1/2 recall decays to 1/2 (leaves a branch 100, 1,000, 5,000; 20 of 40): {'; '.join(told)}; at s = 1/2 only logarithmically"
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
        xlabel="leaves a branch, n",
        ylabel="recall of the top k, k = 20 in 40 branches",
        xscale="log",
        ylim=(0.45, 1.02),
    )
    axes.legend()


CLAIM = claims.Claim(
    name="thick_tails",
    title="Many moderate documents halve recall; a heavy power law does not",
    statement="For relevance ~ rank^-s at random places, the recall of a beam of sums decays to 1/2 iff s < 1/2; else it tends to more.",
    source="T10, derived here; the limits for s > 1/2 are numerical",
    assumptions=("random placement", "relevant = the k best", "b = 100, k = 50"),
    cases=tuple(
        dict(branches=100, relevant=50, leaves=2000, exponent=s) for s in (0.6, 0.75, 1.0, 1.5)
    ),
    predict=predict,
    measure=lambda key, params, n: _by_beam(params, key, n),
    control=lambda params: predict(params) - 0.12,
    tolerance=0.03,  # n is finite
    n=100,
    quick=40,
    limits=limits,
    figure=figure,
)
