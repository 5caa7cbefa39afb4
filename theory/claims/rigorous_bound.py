"""T5, T5', T5'': lower bounds on the cost of the first step that hold without exception."""

import numpy as np

import theory
from theory import bounds, claims


def predict(params):
    """T5 everywhere; T5' and T5'' where their conditions hold, else 0."""
    relevance, tree = claims.world(params), (params["branching"], params["depth"])
    keep, leaves = params["keep"], params["branching"] ** (params["depth"] - 1)
    readable = (
        bounds.readable_bound(relevance, *tree, keep) if keep <= 0.5 and keep * leaves >= 6 else 0
    )
    linear = (
        bounds.sufficient_bound(relevance, *tree, keep)
        if bounds.sufficient(relevance, *tree, keep)
        else 0
    )
    return np.array([theory.kl_lower_bound(relevance, *tree, keep), readable, linear])


def measure(key, params, n):
    exact = theory.expected_kl(
        claims.world(params), params["branching"], params["depth"], params["keep"]
    )[0]
    return claims.exactly(np.full(3, exact))


def limits():
    ratios = []
    for case in CLAIM.cases:
        ratios.append(measure(None, case, 0).mean[0] / predict(case)[0])
    return [
        f"exact over T5 in the cases: {', '.join(f'{ratio:.1f}' for ratio in ratios)}; a factor of 2 is lost by Jensen on pairs"
    ]


def figure(axes, key, n):
    """Exact over each bound for relevance of many kinds."""
    rng = np.random.default_rng(0)
    kinds = [
        dict(relevance="dirichlet", concentration=float(10 ** rng.uniform(-1, 1.5)), seed=seed)
        for seed in range(40)
    ]
    kinds += [
        dict(relevance="lognormal_branches", sigma=float(rng.uniform(0.1, 2)), seed=seed)
        for seed in range(20)
    ]
    shares, found = rng.uniform(0.01, 0.99, len(kinds)), []
    for kind, keep in zip(kinds, shares):
        params = kind | dict(branching=8, depth=3, keep=float(keep))
        with np.errstate(divide="ignore"):
            found.append(measure(None, params, 0).mean / predict(params))
    for column, label in enumerate(
        ("T5", "T5', where its conditions hold", "T5'', where its conditions hold")
    ):
        ratio = np.array(found)[:, column]
        axes.plot(
            shares[np.isfinite(ratio)],
            ratio[np.isfinite(ratio)],
            "os^"[column],
            markersize=5,
            label=label,
        )
    axes.axhline(1, color="k", linewidth=0.8)
    axes.set(
        xlabel="share of documents kept, p",
        ylabel="exact / bound, 60 kinds of relevance",
        yscale="log",
    )
    axes.legend()


CLAIM = claims.Claim(
    name="rigorous_bound",
    title="A lower bound that no relevance and no p can break",
    statement="E[KL_1] >= 1/2 sum_{i != l} w_i w_l E[X^2; both]^2 / E[X^2 Y^2; both]; T5' and T5'' are readable forms under conditions.",
    source="T5, T5', T5'', derived here",
    assumptions=(
        "r > 0",
        "T5': p <= 1/2, p n >= 6",
        "T5'': also no branch over 1/4 and no leaf over 0.4 p of its branch",
    ),
    cases=(
        dict(relevance="zipf", branching=2, depth=3, keep=0.1),
        dict(relevance="uniform", branching=8, depth=3, keep=0.3),
        dict(relevance="dirichlet", concentration=1.0, branching=8, depth=4, keep=0.2),
        dict(relevance="spike", mass=0.5, branching=4, depth=3, keep=0.5),
        dict(relevance="lognormal_branches", sigma=0.5, branching=16, depth=3, keep=0.95),
    ),
    predict=predict,
    measure=measure,
    control=lambda params: (
        3
        * theory.second_order_kl(
            claims.world(params), params["branching"], params["depth"], params["keep"]
        )[0]
        * np.ones(3)
    ),
    relation="at least",
    limits=limits,
    figure=figure,
)
