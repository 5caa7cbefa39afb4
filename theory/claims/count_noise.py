"""Correct marginals do not repair recall: they add the noise of the corpus."""

import math

import jax
import jax.numpy as jnp
import numpy as np

import theory
from theory import claims, simulate
from zoo.docids import table
from zoo.index import trie
from zoo.search import beam

LEAVES = 10**6  # of a branch


def _signals(params):
    """lambda of marginals over the corpus, and of marginals over the full tree times counts."""
    p, spread = params["keep"], params["spread"]
    exact = params["snr"] / math.sqrt(p * (1 + (1 - p) / spread**2))
    return exact, params["snr"] / math.sqrt(1 + (1 - p) / (p * spread**2))


def predict(params):
    return np.array(
        [
            theory.recall_exact(params["branches"], params["relevant"], params["relevant"], snr)
            for snr in _signals(params)
        ]
    )


def measure(key, params, n):
    """Recall of the beam whose step closure gives log r(T_c and C), and of the one with log r(T_c) #(T_c and C), over corpora drawn anew.

    Sums are drawn directly, as deviations from their means: LEAVES p documents a branch of relevance 1 on average, sd `spread`.
    """
    b, k, p, spread = params["branches"], params["relevant"], params["keep"], params["spread"]
    size, inside, outside = jax.random.split(key, 3)
    # relative deviation of the count
    kept = math.sqrt((1 - p) / (p * LEAVES)) * jax.random.normal(size, (n, b))
    # of the sum over the kept, given the count
    some = spread / math.sqrt(p * LEAVES) * jnp.sqrt(1 + kept) * jax.random.normal(inside, (n, b))
    # of the sum over the others, in means of the whole
    rest = spread * math.sqrt((1 - p) / LEAVES) * jax.random.normal(outside, (n, b))
    lead = jnp.where(jnp.arange(b)[None] < k, params["snr"] * spread / math.sqrt(LEAVES), 0.0)
    posterior = kept + some + lead / p
    counted = jnp.log1p(p * some + rest + lead) + jnp.log1p(kept)
    found = [_hits(logits, k) / k for logits in (posterior, counted)]
    values = np.stack(found, axis=1)
    return simulate.Estimate(values.mean(0), values.std(0, ddof=1) / math.sqrt(n), n)


def _hits(marginal, k):
    """f64[n] relevant branches, the first k, that a beam of k keeps."""
    index = trie.build(table.atomic(marginal.shape[1]))
    logits = jnp.pad(marginal, [(0, 0), (1, 0)])[:, None]
    step = lambda t, token, cache: (logits, cache)
    found = beam.beam_search(
        step, jnp.zeros((len(marginal), 1)), index, width=k, length=1, score="renormalised"
    )
    return np.asarray((index.documents_of(found.leaf)[..., 0] < k).sum(1), np.float64)


def limits():
    told = []
    for keep, spread in ((0.05, 1.0), (0.05, 0.1), (0.5, 1.0), (0.5, 0.5)):
        params = dict(branches=100, relevant=50, keep=keep, spread=spread, snr=1.0)
        exact, counted = predict(params)
        told.append(f"p = {keep}, CV = {spread}: {exact:.2f} and {counted:.2f}")
    plain = theory.recall_exact(100, 50, 50, 1.0)
    return [
        f"recall with exact marginals and with counts, {plain:.2f} with plain sums (50 of 100, lambda = 1): {'; '.join(told)}"
    ]


CLAIM = claims.Claim(
    name="count_noise",
    title="Correct marginals do not repair recall: better only where p < CV^2",
    statement=(
        "Marginals over the corpus have lambda / sqrt(p (1 + (1-p)/CV^2)), CV = sd / mean of the tail: more than lambda iff p < CV^2. "
        "Counts give lambda / sqrt(1 + (1-p)/(p CV^2)): always less."
    ),
    source="derived here",
    assumptions=("Gaussian totals", "recall counts the relevant leaves that the corpus kept"),
    cases=(
        dict(branches=40, relevant=20, keep=0.5, spread=0.5, snr=1.0),
        dict(branches=40, relevant=20, keep=0.05, spread=1.0, snr=0.5),
        dict(branches=40, relevant=20, keep=0.3, spread=0.3, snr=1.0),
    ),
    predict=predict,
    measure=measure,
    control=lambda params: np.full(
        2,
        theory.recall_exact(
            params["branches"], params["relevant"], params["relevant"], params["snr"]
        ),
    ),
    tolerance=0.003,
    n=10_000,
    quick=4000,
    limits=limits,
)
