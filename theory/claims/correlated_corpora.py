"""Topical corpora, whose documents come in branches, have a cost that no tree size removes."""

import numpy as np

from theory import bounds, claims, simulate, worlds


def predict(params):
    return bounds.correlated_kl(
        claims.world(params),
        params["branching"],
        params["depth"],
        params["keep"],
        params["correlation"],
    )


def measure(key, params, n):
    corpora = worlds.BranchCorrelated(params["keep"], params["correlation"], params["branching"])
    found = simulate.kl(
        claims.world(params), params["branching"], params["depth"], corpora, key, num_corpora=n
    )
    return simulate.Estimate(found.mean[0], found.stderr[0], found.n)


def limits():
    import jax

    compared = []
    for correlation in (0.05, 0.2):
        params = dict(relevance="uniform", branching=8, depth=3, keep=0.5, correlation=correlation)
        compared.append(
            f"{measure(jax.random.key(1), params, 2000).mean:.4f} against {predict(params):.4f} "
            f"at rho = {correlation}"
        )
    found = "; ".join(compared)
    return [f"the law is of second order: simulated {found} (8 branches of 64, p = .5)"]


def figure(axes, key, n):
    """Cost of the first step over the size of branches, by correlation."""
    sizes = 4 ** np.arange(1, 5)
    for correlation in (0.0, 0.01, 0.05):
        found = []
        for depth in range(2, 6):
            corpora = worlds.BranchCorrelated(0.5, correlation, 4)
            found.append(
                simulate.kl(worlds.uniform(4, depth), 4, depth, corpora, key, num_corpora=n).mean[0]
            )
        axes.plot(sizes, found, marker="o", label=f"correlation {correlation:g}")
        axes.axhline(0.375 * correlation, color="k", linewidth=0.6, linestyle=":")
    axes.set(
        xlabel="leaves per branch, n",
        ylabel="E KL of the first step (nats)",
        xscale="log",
        yscale="log",
    )
    axes.legend()


CLAIM = claims.Claim(
    name="correlated_corpora",
    title="Topical corpora have a floor of cost that no tree size removes",
    statement=(
        "With inclusion correlated by rho within branches, "
        "E[KL_1] ~ (1-p)/(2p) sum w (1-w) [(1-rho) A + rho]."
    ),
    formula=r"E[KL_1] \sim \frac{1-p}{2p} \sum_i w_i (1-w_i) [(1-\rho) A_i + \rho]",
    meaning=(
        "Deleting a topic is worse than deleting as many documents at random, and a larger index "
        "does not dilute it: retrain, or use look-ahead decoding, when topics leave together."
    ),
    source="derived here (second order)",
    assumptions=("rho small", "p n >> 1"),
    cases=(
        dict(relevance="uniform", branching=16, depth=3, keep=0.7, correlation=0.0),
        dict(relevance="uniform", branching=16, depth=3, keep=0.7, correlation=0.004),
        dict(relevance="uniform", branching=16, depth=3, keep=0.6, correlation=0.004),
    ),
    predict=predict,
    measure=measure,
    control=claims.off(predict, -0.03),
    tolerance=0.01,  # of the next order
    n=20_000,
    quick=10_000,
    limits=limits,
    figure=figure,
)
