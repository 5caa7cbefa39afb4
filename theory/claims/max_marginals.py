"""Ranking prefixes by the best leaf below them finds the exact top k with a beam of k."""

import numpy as np

from theory import claims, leafwise, simulate, tails, worlds


def _world(params):
    tail = tails.gamma(1.0, 1.0)
    return worlds.SparseThick(
        params["branching"],
        params["relevant"],
        params["branching"] ** (params["depth"] - 1),
        60.0,
        tail,
    )


def predict(params):
    return np.ones(2)  # recall and precision@1


def measure(key, params, n):
    """By beam search with `guided.max_marginal`; relevant leaves score 60, above the tail."""
    found = leafwise.search(
        _world(params),
        params["depth"],
        key,
        width=params["relevant"],
        num_queries=n,
        marginal="max",
    )
    return simulate.Estimate(
        np.array([found.recall.mean, found.precision.mean]),
        np.array([found.recall.stderr, found.precision.stderr]),
        n,
    )


def figure(axes, key, n):
    """Recall of sums and maxima over depth."""
    depths, width = (1, 2, 3, 4), 4
    for marginal, dash in (("sum", "-"), ("max", "--")):
        found = []
        for depth in depths:
            world = worlds.SparseThick(8, 4, 8 ** (depth - 1), 30.0, tails.gamma(1.0, 1.0))
            found.append(
                leafwise.search(
                    world, depth, key, width=width, num_queries=256, marginal=marginal
                ).recall
            )
        axes.errorbar(
            depths,
            [f.mean for f in found],
            [2 * f.stderr for f in found],
            linestyle=dash,
            marker="o",
            label=f"nodes ranked by the {marginal} below",
        )
    axes.set(
        xlabel="depth of a tree of 8 children a node",
        ylabel="recall of 4 relevant leaves, beam of 4",
        ylim=(0, 1.05),
    )
    axes.set_xticks(depths)
    axes.legend()


CLAIM = claims.Claim(
    name="max_marginals",
    title="Ranked by the best leaf below, a beam of k is exact",
    statement=(
        "The ancestors of the top k are at most k nodes per level and no other node has a larger "
        "maximum, so a beam of K >= k keeps them."
    ),
    formula=r"\max_{d \in T_v} r(d) \ge r_{(k)}",
    meaning=(
        "When document scores are available, decode by max-marginals: a beam of k is then exact at "
        "any depth, and the product law does not apply."
    ),
    source="known for max-heap trees (arXiv 1801.02294, 2006.15408); here the way out of T6",
    assumptions=(
        "no ties",
        "the maximum below each node is known; zoo.search.best_first needs a bound only",
    ),
    cases=(dict(branching=8, depth=2, relevant=4), dict(branching=6, depth=3, relevant=3)),
    predict=predict,
    measure=measure,
    control=claims.off(predict, -0.03),
    n=400,
    quick=100,
    figure=figure,
)
