"""Marginals over the corpus: less signal from noise, and no lead for removed relevant leaves."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

import theory
from theory import claims, simulate
from zoo.docids import table
from zoo.index import trie
from zoo.search import beam

LEAVES = 10**6  # per branch


def _signals(params):
    """lambda of marginals over the corpus, and of marginals over the full tree times counts."""
    p, spread = params["keep"], params["spread"]
    exact = params["snr"] / math.sqrt(p * (1 + (1 - p) / spread**2))
    return exact, params["snr"] / math.sqrt(1 + (1 - p) / (p * spread**2))


def predict(params):
    """Recall of the surviving relevant leaves with exact marginals, with counts, with plain sums.

    Plain sums and counts give all k branches their lead, those of removed leaves too: decoys.
    Exact marginals give it to the R ~ Bin(k, p) survivors only.
    """
    b, k, p = params["branches"], params["relevant"], params["keep"]
    exact, counted = _signals(params)
    survivors = np.arange(1, k + 1)
    chance = stats.binom.pmf(survivors, k, p)
    # recall is smooth in R: a dozen values serve
    likely = survivors[chance > 1e-7]
    few = np.unique(np.linspace(likely[0], likely[-1], 12).round().astype(int))
    by_number = np.interp(survivors, few, [theory.recall_exact(b, int(r), k, exact) for r in few])
    mean = chance @ by_number / chance.sum()
    return np.array([mean, *(theory.recall_exact(b, k, k, x) for x in (counted, params["snr"]))])


def measure(key, params, n):
    """The same by beam search over random corpora, from sums drawn for each branch.

    LEAVES p documents per branch with relevance 1 on average, standard deviation `spread`; sums
    are deviations from their means.
    """
    b, k, p, spread = params["branches"], params["relevant"], params["keep"], params["spread"]
    size, inside, outside, survival = jax.random.split(key, 4)
    alive = jax.random.bernoulli(survival, p, (n, b)) & (jnp.arange(b)[None] < k)
    # relative deviation of the count
    kept = math.sqrt((1 - p) / (p * LEAVES)) * jax.random.normal(size, (n, b))
    # of the sum over the kept leaves, given the count
    some = spread / math.sqrt(p * LEAVES) * jnp.sqrt(1 + kept) * jax.random.normal(inside, (n, b))
    # of the sum over the removed leaves, relative to the mean of the full branch
    rest = spread * math.sqrt((1 - p) / LEAVES) * jax.random.normal(outside, (n, b))
    lead = jnp.where(jnp.arange(b)[None] < k, params["snr"] * spread / math.sqrt(LEAVES), 0.0)
    posterior = kept + some + jnp.where(alive, lead, 0.0) / p
    plain = jnp.log1p(p * some + rest + lead)
    ranked = posterior, plain + jnp.log1p(kept), plain
    found = np.stack([_recalls(logits, np.asarray(alive), k) for logits in ranked], axis=1)
    found = found[np.asarray(alive).any(1)]
    count = len(found)
    return simulate.Estimate(found.mean(0), found.std(0, ddof=1) / math.sqrt(count), count)


def _recalls(marginal, alive, k):
    """f64[n] share of the branches marked alive bool[n, b] that a beam of k keeps."""
    index = trie.build(table.atomic(marginal.shape[1]))
    logits = jnp.pad(marginal, [(0, 0), (1, 0)])[:, None]
    step = lambda t, token, cache: (logits, cache)
    found = beam.beam_search(
        step, jnp.zeros((len(marginal), 1)), index, width=k, length=1, score="renormalised"
    )
    hits = np.take_along_axis(alive, np.asarray(index.documents_of(found.leaf)[..., 0]), axis=1)
    return hits.sum(1) / np.maximum(alive.sum(1), 1)


def _boundary(kappa, keep):
    """CV^2 from which exact marginals beat plain sums, for small lambda."""
    return keep * (1 - keep) / (((1 - keep * kappa) / (1 - kappa)) ** 2 - keep)


def limits():
    shown = []
    for keep, spread in ((0.05, 1.0), (0.05, 0.1), (0.5, 1.0), (0.5, 0.5)):
        params = dict(branches=100, relevant=50, keep=keep, spread=spread, snr=1.0)
        exact, counted, _ = predict(params)
        shown.append(f"p = {keep}, CV = {spread}: {exact:.2f} and {counted:.2f}")
    plain = theory.recall_exact(100, 50, 50, 1.0)
    edges = ", ".join(f"{_boundary(0.5, keep):.3f} at p = {keep}" for keep in (0.05, 0.5, 0.9))
    return [
        f"recall with exact marginals and with counts, {plain:.2f} with plain sums (50 of 100, "
        f"lambda = 1): {'; '.join(shown)}",
        f"exact marginals beat plain sums from CV^2 = {edges} (kappa = 1/2, small lambda)",
    ]


CLAIM = claims.Claim(
    name="count_noise",
    title="Correct marginals repair recall only where the tail is uneven enough; counts never do",
    statement=(
        "Marginals over the corpus have lambda / sqrt(p (1 + (1-p)/CV^2)), CV = sd / mean of the "
        "tail, and give a lead to the p k survivors only. They beat plain sums iff "
        "p (1 + (1-p)/CV^2) < ((1 - p kappa) / (1 - kappa))^2 for small lambda. "
        "Counts give lambda / sqrt(1 + (1-p)/(p CV^2)), always less, and keep the decoys."
    ),
    formula=(r"p (1 + \frac{1-p}{CV^2}) < \frac{(1 - p \kappa)^2}{(1 - \kappa)^2}"),
    meaning=(
        "Do not add counts to raise recall: they calibrate probabilities and add noise to ranks. "
        "After deletions, removed relevant documents act as decoys, which only knowledge of the "
        "survivors (look-ahead, max-marginals) takes out of the beam."
    ),
    source="derived here",
    assumptions=("Gaussian totals", "recall counts the relevant leaves that the corpus kept"),
    cases=(
        dict(branches=100, relevant=50, keep=0.5, spread=0.5, snr=1.0),
        dict(branches=40, relevant=20, keep=0.2, spread=1.0, snr=0.5),
        dict(branches=40, relevant=20, keep=0.3, spread=0.3, snr=1.0),
    ),
    predict=predict,
    measure=measure,
    control=claims.off(predict),
    tolerance=0.004,  # sums of 10^6 leaves
    n=10_000,
    quick=5000,
    limits=limits,
)
