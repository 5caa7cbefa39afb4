"""Counting the documents below each child removes the part of the cost that size explains."""

import numpy as np

import theory
from theory import claims, simulate, worlds


def predict(params):
    """First step with counts: (1-p)/(2p) sum w (1-w) (A - 1/n), or exact for a small tree."""
    relevance, tree = claims.world(params), (params["branching"], params["depth"])
    if params.get("enumerate"):
        return theory.enumerate_kl(relevance, *tree, keep=params["keep"], decoder="counted")[0]
    return theory.second_order_kl(relevance, *tree, params["keep"], decoder="counted")[0]


def measure(key, params, n):
    relevance, tree = claims.world(params), (params["branching"], params["depth"])
    found = simulate.kl(
        relevance, *tree, worlds.Kept(params["keep"]), key, num_corpora=n, decoder="counted"
    )
    return simulate.Estimate(found.mean[0], found.stderr[0], found.n)


def control(params):
    """The same without the correction."""
    return theory.expected_kl(
        claims.world(params), params["branching"], params["depth"], params["keep"]
    )[0]


def limits():
    shares = []
    for concentration in (0.2, 1.0, 5.0):
        relevance = worlds.dirichlet(8, 2, concentration=concentration)
        key = _key()
        masked = theory.expected_kl(relevance, 8, 2, 0.5).sum()
        counted = simulate.kl(
            relevance, 8, 2, worlds.Kept(0.5), key, num_corpora=4000, decoder="counted"
        ).mean.sum()
        shares.append(f"{counted / masked:.2f} for Dirichlet({concentration:g})")
    return [
        f"remaining share of the cost, 8 x 8 leaves at p = .5: {', '.join(shares)}; the more "
        "concentrated the relevance, the less the counts explain",
        "zoo.search.guided.Counted is this correction; a model trained on the reduced corpus "
        "already has it (see its docstring)",
    ]


def _key():
    import jax

    return jax.random.key(7)


def figure(axes, key, n):
    """Cost of the three decoders over p."""
    tree, shares = (8, 3), np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9])
    relevance = worlds.dirichlet(*tree, concentration=1.0)
    found = [
        simulate.kl(relevance, *tree, worlds.Kept(p), key, num_corpora=n, decoder="counted")
        for p in shares
    ]
    axes.plot(
        shares,
        [theory.expected_kl(relevance, *tree, p).sum() for p in shares],
        marker=".",
        label="mask and renormalise (exact)",
    )
    axes.plot(
        shares, [f.mean.sum() for f in found], "--", marker=".", label="with counts (simulation)"
    )
    axes.axhline(0, color="k", linewidth=0.8, label="exact look-ahead")
    axes.set(xlabel="share of documents kept, p", ylabel="E KL of the sequence (nats)")
    axes.legend()


CLAIM = claims.Claim(
    name="count_correction",
    title="Adding the log of the documents below each child removes what sizes explain of the cost",
    statement=(
        "With logit_c + log #(C below c), A becomes A - 1/n in the second order; the cost is 0 "
        "where relevance is uniform below each node."
    ),
    formula=r"A_c \to A_c - \frac{1}{n_c}",
    meaning=(
        "decoding=counted is free and worth having where relevance is spread out. A trained model "
        "that puts its mass on few documents keeps most of the cost; look-ahead removes it."
    ),
    source="derived here; coefficient 1 is that of the best linear predictor of what survives",
    assumptions=("the model's marginals are over the full tree", "p n >> 1 for the second order"),
    cases=(
        dict(relevance="zipf", branching=2, depth=3, keep=0.1, enumerate=True),
        dict(relevance="uniform", branching=8, depth=3, keep=0.3),
        dict(relevance="lognormal_branches", sigma=0.4, branching=64, depth=3, keep=0.5),
    ),
    predict=predict,
    measure=measure,
    control=control,
    control_note="0 where relevance is uniform: there the control is the cost without counts",
    tolerance=0.005,
    n=4000,
    quick=2000,
    limits=limits,
    figure=figure,
)
