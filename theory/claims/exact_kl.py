"""T3: the expected cost of every step, exactly, for any relevance."""

import numpy as np

import theory
from theory import claims, simulate, worlds

SHARES = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97])


def predict(params):
    return theory.expected_kl(
        claims.world(params), params["branching"], params["depth"], params["keep"]
    )


def measure(key, params, n):
    relevance = claims.world(params)
    if params.get("enumerate"):
        return claims.exactly(
            theory.enumerate_kl(
                relevance, params["branching"], params["depth"], keep=params["keep"]
            )
        )
    return simulate.kl(
        relevance,
        params["branching"],
        params["depth"],
        worlds.Kept(params["keep"]),
        key,
        num_corpora=n,
    )


def figure(axes, key, n):
    """First step's cost over p: exact, second order, rigorous bound and simulation."""
    tree = 8, 3
    relevance = worlds.zipf(*tree, placement="random")
    axes.plot(
        SHARES, [theory.expected_kl(relevance, *tree, p)[0] for p in SHARES], label="exact (T3)"
    )
    axes.plot(
        SHARES,
        [theory.second_order_kl(relevance, *tree, p)[0] for p in SHARES],
        "--",
        label="second order (T4)",
    )
    axes.plot(
        SHARES,
        [theory.kl_lower_bound(relevance, *tree, p) for p in SHARES],
        "-.",
        label="lower bound (T5)",
    )
    found = [simulate.kl(relevance, *tree, worlds.Kept(p), key, num_corpora=n) for p in SHARES]
    axes.errorbar(
        SHARES,
        [f.mean[0] for f in found],
        [4 * f.stderr[0] for f in found],
        fmt="k.",
        label="simulation, 4 s.e.",
    )
    axes.set(
        xlabel="share of documents kept, p", ylabel="E KL of the first step (nats)", yscale="log"
    )
    axes.legend()


CLAIM = claims.Claim(
    name="exact_kl",
    title="The expected cost of constrained decoding is known exactly, and simulation finds it",
    statement=(
        "E[KL of step t | corpus not empty] is an integral of products over leaves, for any "
        "relevance and any p."
    ),
    formula=(
        r"E[KL_v] = \sum_c G_c \int_0^\infty \psi_c(s) \frac{ds}{s} "
        r"- \int_0^\infty \psi_v(s) \frac{ds}{s}"
    ),
    meaning=(
        "The cost of any planned deletion can be computed, not simulated: pass the model's scores "
        "as relevance and the share that stays."
    ),
    source="T3, derived here for the quantity of arXiv 2504.09935",
    assumptions=(
        "each leaf is kept on its own with probability p",
        "r >= 0; inf where an alive child may have lost all of its relevance",
    ),
    cases=(
        dict(relevance="zipf", branching=2, depth=3, keep=0.1, enumerate=True),
        dict(
            relevance="dirichlet", concentration=0.2, branching=4, depth=2, keep=0.7, enumerate=True
        ),
        dict(relevance="dirichlet", concentration=1.0, branching=16, depth=3, keep=0.2),
        dict(relevance="lognormal_branches", sigma=1.0, branching=16, depth=3, keep=0.5),
        dict(relevance="lognormal_branches", sigma=1.0, branching=16, depth=4, keep=0.035),
    ),
    predict=predict,
    measure=measure,
    control=claims.off(predict),
    tolerance=1e-6,
    n=20_000,
    quick=2000,
    figure=figure,
)
