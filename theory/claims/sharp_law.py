"""T4: the cost is half of (1-p)/p times the increment of the Simpson index."""

import numpy as np

import theory
from theory import claims


def predict(params):
    return theory.second_order_kl(
        claims.world(params), params["branching"], params["depth"], params["keep"]
    )[0]


def measure(key, params, n):
    return claims.exactly(
        theory.expected_kl(
            claims.world(params), params["branching"], params["depth"], params["keep"]
        )[0]
    )


def limits():
    ratios = {}
    for leaves in (1, 3, 8, 16, 64):  # p n with n = 64 per branch
        relevance, keep = np.ones(64 * 64), leaves / 64
        if keep < 1:
            ratios[leaves] = (
                theory.expected_kl(relevance, 64, 2, keep)[0]
                / theory.second_order_kl(relevance, 64, 2, keep)[0]
            )
    shown = ", ".join(f"{ratio:.2f} at p n = {leaves}" for leaves, ratio in ratios.items())
    return [
        f"exact over second order, uniform relevance, 64 branches of 64 leaves: {shown}; "
        "below p n = 4 the law overestimates"
    ]


def figure(axes, key, n):
    """Exact over second order as branches grow."""
    sizes = 2 ** np.arange(2, 13)
    for keep in (0.1, 0.5, 0.9):
        exact = [
            theory.expected_kl(np.ones(16 * size), 16, 2, keep)[0]
            if size == 16
            else _uniform(16, size, keep)
            for size in sizes
        ]
        axes.plot(
            keep * sizes,
            np.array(exact) * 2 * keep * sizes / ((1 - keep) * 15 / 16),
            label=f"p = {keep}",
        )
    axes.axhline(1, color="k", linewidth=0.8)
    axes.set(
        xlabel="documents per branch, p n",
        ylabel="exact / second order",
        xscale="log",
        ylim=(0, 1.3),
    )
    axes.legend()


def _uniform(branches, size, keep):
    from theory import exact, worlds

    parents = (np.zeros(branches, np.int64), np.repeat(np.arange(branches), size))
    return exact.expected_kl_of(
        worlds.Tree(parents, np.full(branches * size, 1 / (branches * size))), keep
    )[0]


CLAIM = claims.Claim(
    name="sharp_law",
    title="The cost is linear in the Simpson index, with constant one half",
    statement=(
        "E[KL of step t] ~ (1-p)/(2p) (Ebar_t - Ebar_{t-1}), Ebar_t the average over depth t of "
        "the Simpson index of relevance."
    ),
    formula=r"E[KL_t] \sim \frac{1-p}{2p} (\bar{E}_t - \bar{E}_{t-1})",
    meaning=(
        "If you delete documents without retraining, the first tokens become wrong in proportion "
        "to how concentrated relevance is below them. Simpson indices of the model's own scores "
        "predict the damage before anything is deleted."
    ),
    source="T4, derived here; the published form is quadratic with constant 0.05",
    assumptions=(
        "p n >> 1 for the branches of the step",
        "no leaf holds a share near p of its branch",
    ),
    cases=(
        dict(relevance="uniform", branching=16, depth=4, keep=0.5),
        dict(relevance="uniform", branching=16, depth=4, keep=0.1),
        dict(relevance="dirichlet", concentration=5.0, branching=16, depth=4, keep=0.3),
        dict(relevance="dirichlet", concentration=1.0, branching=64, depth=3, keep=0.9),
    ),
    predict=predict,
    measure=measure,
    control=claims.off(predict),
    tolerance=0.01,  # of the next order, 1 / (p n)
    absolute=1e-12,
    limits=limits,
    figure=figure,
)
