"""Flat and wide trees cost less in total than deep and narrow ones of the same documents."""

import numpy as np

import theory
from theory import bounds, claims, exact, worlds

SHAPES = ((2, 12), (4, 6), (8, 4), (16, 3), (64, 2), (4096, 1))
# merging the two upper levels of 2^3 raises the cost of this relevance
COUNTEREXAMPLE = np.array([10.0, 10, 1, 100, 1, 100, 100, 3])


def _totals(params):
    """f64[len(SHAPES)] E KL of the sequence: one relevance for each tree, averaged over draws."""
    draws = [
        worlds.dirichlet(4096, 1, concentration=params["concentration"], seed=seed)
        for seed in range(params["draws"])
    ]
    return np.mean(
        [[theory.expected_kl(r, b, m, params["keep"]).sum() for b, m in SHAPES] for r in draws],
        axis=0,
    )


def predict(params):
    """The cost of 64^2 to second order, then 0: what each merge of levels saves at least.

    (1-p)/(2p) (Ebar_{m-1} - Ebar_0), with the exact expectations for Dirichlet relevance.
    """
    ebar = bounds.dirichlet_simpson(*SHAPES[-2], params["concentration"])
    cost = (1 - params["keep"]) / (2 * params["keep"]) * (ebar[-2] - ebar[0])
    return np.array([cost, *np.zeros(len(SHAPES) - 1)])


def measure(key, params, n):
    totals = _totals(params)
    return claims.exactly(np.array([totals[-2], *-np.diff(totals)]))


def limits():
    shown = []
    for concentration in (1.0, 0.2):
        totals = _totals(dict(concentration=concentration, keep=0.1, draws=2))
        shapes = ", ".join(f"{b}^{m} {total:.3f}" for (b, m), total in zip(SHAPES, totals))
        shown.append(f"E KL of the sequence at p = .1, Dirichlet({concentration:g}): {shapes}")
    deep = theory.expected_kl(COUNTEREXAMPLE, 2, 3, 0.05).sum()
    merged = worlds.Tree((np.zeros(4, int), np.repeat(np.arange(4), 2)), COUNTEREXAMPLE / 325)
    flat = exact.expected_kl_of(merged, 0.05).sum()
    return [
        *shown,
        "the order is one of averages over exchangeable relevance: for the relevance "
        f"{COUNTEREXAMPLE.astype(int).tolist()} at p = .05, merging the two upper levels raises "
        f"the expected cost from {deep:.4f} to {flat:.4f}",
    ]


def figure(axes, key, n):
    """Total and first step over the shapes."""
    relevance = worlds.dirichlet(4096, 1, concentration=1.0)
    for keep in (0.1, 0.5):
        steps = [theory.expected_kl(relevance, b, m, keep) for b, m in SHAPES]
        axes.plot(
            range(len(SHAPES)), [s.sum() for s in steps], marker="o", label=f"all steps, p = {keep}"
        )
        axes.plot(
            range(len(SHAPES)),
            [s[0] for s in steps],
            "--",
            marker=".",
            label=f"first step, p = {keep}",
        )
    axes.set_xticks(range(len(SHAPES)), [f"${b}^{{{m}}}$" for b, m in SHAPES])
    axes.set(xlabel="tree of 4,096 documents, children ^ depth", ylabel="E KL (nats)")
    axes.legend()


CLAIM = claims.Claim(
    name="tree_shape",
    title="Flatter, wider trees cost less in total, although their first step costs more",
    statement=(
        "Merging two levels lowers the expected cost averaged over exchangeable relevance; an "
        "identifier of one token costs nothing."
    ),
    formula=r"E[KL] \sim \frac{1-p}{2p} (\bar{E}_{m-1} - \bar{E}_0)",
    meaning=(
        "Prefer short identifiers over large alphabets as far as the decoder affords it: for a "
        "fixed number of documents they lose less to deletions and more relevant documents survive "
        "the first beam."
    ),
    source="derived here",
    assumptions=("relevance exchangeable below each node", "the second order for the prediction"),
    cases=(dict(concentration=20.0, keep=0.9, draws=2), dict(concentration=5.0, keep=0.9, draws=2)),
    predict=predict,
    measure=measure,
    control=claims.off(predict, -0.03),
    relation=("equal", *["at least"] * (len(SHAPES) - 1)),
    absolute=1e-12,
    tolerance=0.02,  # of the next order, 1 / (p 64)
    limits=limits,
    figure=figure,
)
