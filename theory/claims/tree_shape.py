"""Flat and wide trees cost less in all than deep and narrow ones of the same number of documents."""

import numpy as np

import theory
from theory import claims, worlds

SHAPES = ((2, 12), (4, 6), (8, 4), (16, 3), (64, 2), (4096, 1))


def _totals(params):
    """f64[len(SHAPES)] E KL of the sequence, the same 4,096 documents in each tree, averaged over draws of their relevance."""
    draws = [
        worlds.dirichlet(4096, 1, concentration=params["concentration"], seed=seed)
        for seed in range(params["draws"])
    ]
    return np.mean(
        [[theory.expected_kl(r, b, m, params["keep"]).sum() for b, m in SHAPES] for r in draws],
        axis=0,
    )


def predict(params):
    """Second order: (1-p)/(2p) (Ebar_{m-1} - Ebar_0) with the exact expectations for Dirichlet relevance; the shapes it is good for."""
    from theory import bounds

    ebar = [bounds.dirichlet_simpson(b, m, params["concentration"]) for b, m in SHAPES[-2:]]
    return np.array([(1 - params["keep"]) / (2 * params["keep"]) * (e[-2] - e[0]) for e in ebar])


def measure(key, params, n):
    return claims.exactly(_totals(params)[-2:])


def limits():
    told = []
    for concentration in (1.0, 0.2):
        totals = _totals(dict(concentration=concentration, keep=0.1, draws=2))
        shapes = ", ".join(f"{b}^{m} {total:.3f}" for (b, m), total in zip(SHAPES, totals))
        told.append(f"E KL of the sequence at p = .1, Dirichlet({concentration:g}): {shapes}")
    return [*told, "only expectations are ordered: on a single corpus a flatter tree can cost more"]


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
    title="Flatter, wider trees cost less in all, although their first step costs more",
    statement="Merging two levels lowers the expected cost where subtrees are exchangeable; an identifier of one token costs nothing.",
    source="derived here",
    assumptions=("relevance exchangeable below each node", "the second order for the prediction"),
    cases=(dict(concentration=5.0, keep=0.5, draws=4), dict(concentration=20.0, keep=0.3, draws=4)),
    predict=predict,
    measure=measure,
    control=lambda params: predict(params)[::-1],  # the shapes exchanged
    tolerance=0.08,
    limits=limits,
    figure=figure,
)
