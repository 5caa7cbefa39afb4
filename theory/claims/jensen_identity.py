"""T1: what one constrained step costs is a Jensen gap."""

import jax
import numpy as np

from theory import claims, decoded, worlds

CORPORA = 4  # each is a separate trie, which compiles


def corpora(params):
    """bool[CORPORA, N] non-empty corpora of the case, for both prediction and measurement."""
    law = worlds.Kept(params["keep"])
    size = params["branching"] ** params["depth"]
    drawn = np.stack(
        [
            law.draw(key, size)
            for key in jax.random.split(jax.random.key(params["corpora"]), 4 * CORPORA)
        ]
    )
    return drawn[drawn.any(1)][:CORPORA]


def _first_step(params, leaves):
    """Mass below each root branch."""
    return leaves.reshape(params["branching"], -1).sum(1)


def predict(params):
    """Mean over the corpora of log E_P[S] - E_P[log S] at the root."""
    relevance, gaps = claims.world(params), []
    for kept in corpora(params):
        mass, left = _first_step(params, relevance), _first_step(params, relevance * kept)
        alive = left > 0
        chosen = mass[alive] / mass[alive].sum()
        share = left[alive] / mass[alive]
        gaps.append(np.log(chosen @ share) - chosen @ np.log(share))
    return np.mean(gaps)


def measure(key, params, n):
    """Mean KL[P||Q] of the first step; P sums the probabilities that beam search returns."""
    relevance, costs = claims.world(params), []
    for kept in corpora(params):
        law = np.zeros(len(relevance))
        law[kept] = decoded.law(relevance, params["branching"], params["depth"], kept)
        model, wanted = (
            _first_step(params, law),
            _first_step(params, relevance * kept) / (relevance @ kept),
        )
        alive = model > 0
        costs.append(np.sum(model[alive] * np.log(model[alive] / wanted[alive])))
    return claims.exactly(np.mean(costs))


CLAIM = claims.Claim(
    name="jensen_identity",
    title="One constrained step costs the Jensen gap of what survives below each child",
    statement=(
        "KL[P||Q] at a node = log E_P[S] - E_P[log S], S_c the share of the relevance below child "
        "c that is in the corpus."
    ),
    formula=r"KL[P||Q] = \log E_P[S] - E_P[\log S]",
    meaning=(
        "Masking is harmless where every branch loses the same share of its relevance, and costs "
        "exactly the unevenness otherwise. With one token per identifier there is nothing to lose."
    ),
    source="T1, derived here; P and Q of arXiv 2504.09935",
    assumptions=(
        "r > 0",
        "P masks children without a document and renormalises",
        "Q is r conditioned on the corpus",
    ),
    cases=(
        dict(relevance="zipf", branching=2, depth=3, keep=0.5, corpora=1),
        dict(relevance="dirichlet", concentration=0.5, branching=4, depth=2, keep=0.4, corpora=2),
    ),
    predict=predict,
    measure=measure,
    control=claims.off(predict, 0.02),
    tolerance=2e-5,  # scores of the search are f32
)
