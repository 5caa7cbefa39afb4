"""Exact look-ahead costs nothing; a few levels of masked look-ahead do not help."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from theory import claims, decoded
from theory.claims import jensen_identity
from zoo.docids import table
from zoo.index import trie
from zoo.search import beam, guided


def predict(params):
    return 0.0


def _cost(params, law_of):
    relevance, costs = claims.world(params), []
    for kept in jensen_identity.corpora(params):
        law, wanted = law_of(relevance, kept), relevance[kept] / relevance[kept].sum()
        costs.append(np.sum(law * np.log(law / wanted)))
    return np.mean(costs)


def measure(key, params, n):
    """KL of whole identifiers, of the law that `guided.lookahead` gives the beam search."""

    def law_of(relevance, kept):
        leaves = np.flatnonzero(kept)
        codes = (
            np.stack(
                np.unravel_index(leaves, (params["branching"],) * params["depth"]), axis=1
            ).astype(np.int32)
            + 1
        )
        ids = table.build(codes, alphabet=params["branching"] + 1)
        index = trie.build(ids)
        legal = guided.lookahead(
            index, guided.nodes(ids), jnp.log(jnp.asarray(relevance[kept], jnp.float32))[None]
        )
        found = _search(
            legal, alphabet=params["branching"] + 1, width=len(leaves), length=params["depth"]
        )
        law = np.zeros(len(leaves))
        law[np.asarray(index.documents_of(found.leaf))[0, :, 0]] = np.exp(
            np.asarray(found.score[0], np.float64)
        )
        return law

    return claims.exactly(_cost(params, law_of))


@functools.partial(jax.jit, static_argnames=("alphabet", "width", "length"))
def _search(legal, *, alphabet, width, length):
    step = lambda t, token, cache: (jnp.zeros((*token.shape, alphabet)), cache)  # no model is read
    return beam.beam_search(
        step, jnp.zeros((1, 1)), legal, width=width, length=length, score="model"
    )


def control(params):
    """The cost of masking."""
    return _cost(
        params,
        lambda relevance, kept: decoded.law(relevance, params["branching"], params["depth"], kept),
    )


B, M, KEEP = 4, 6, 0.1  # the tree in which masked look-ahead is tried


def _masked(corpora):
    """f64[M] mean cost of the first step for masking at depth 1 .. M, over corpora."""
    relevance = np.asarray(jax.random.gamma(jax.random.key(0), 1.0, (B**M,)), np.float64)
    relevance /= relevance.sum()
    rng, totals = np.random.default_rng(0), np.zeros(M)
    for _ in range(corpora):
        kept = rng.random(B**M) < KEEP
        left = (relevance * kept).reshape(B, -1).sum(1)
        for h in range(1, M + 1):
            seen = relevance.reshape(B**h, -1).sum(1) * kept.reshape(B**h, -1).any(1)
            model = seen.reshape(B, -1).sum(1) / seen.sum()
            totals[h - 1] += np.sum(model * np.log(model / (left / left.sum()))) / corpora
    return totals


def limits():
    totals = _masked(200)
    relative = ", ".join(f"{total / totals[0]:.2f}" for total in totals)
    return [
        "first step of a 4^6 tree at p = .1, masking the nodes of depth 1 to 6; cost relative to "
        f"depth 1: {relative}; no gain while p b^(m-h) > 3"
    ]


def figure(axes, key, n):
    """Cost of the first step over the depth that masking looks at."""
    totals, depth = _masked(200), np.arange(1, M + 1)
    axes.bar(depth, totals / totals[0])
    for h, total in zip(depth, totals):
        axes.annotate(
            f"p b^(m-h) = {KEEP * B ** (M - h):.3g}",
            (h, total / totals[0]),
            ha="center",
            va="bottom",
            fontsize=8,
        )
    axes.set(
        xlabel="depth h of the nodes that masking looks at (6: the leaves, exact)",
        ylabel="cost of the first step, relative",
        ylim=(0, 1.15),
    )


CLAIM = claims.Claim(
    name="look_ahead",
    title="Exact look-ahead removes the whole cost; masked look-ahead only near the leaves",
    statement=(
        "P*(c|v) ~ r(T_c and C) gives KL = 0 at every step; the mass of alive nodes h levels below "
        "gains nothing while all are alive."
    ),
    formula=r"P^*(c|v) \propto r(T_c \cap C)",
    meaning=(
        "If scores of all documents are available (a second-stage scorer, a cached dense index), "
        "look-ahead decoding makes deletions free. Looking a few levels ahead is not a substitute."
    ),
    source="derived here",
    assumptions=("a score for every document is available",),
    cases=jensen_identity.CLAIM.cases,
    predict=predict,
    measure=measure,
    control=lambda params: 0.02 * control(params),
    control_note="the prediction is 0: the control is 2 % of the cost of masking",
    tolerance=1e-6,
    absolute=2e-5,  # scores of the search are f32
    limits=limits,
    figure=figure,
)
