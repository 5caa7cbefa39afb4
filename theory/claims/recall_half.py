"""T6: where relevance is sparse and the tail is thick, beam search keeps half of the relevant documents."""

import numpy as np

import theory
from theory import claims, simulate, tails, worlds


def _world(params):
    tail = getattr(tails, params["tail"])(params["mean"], params["sd"])
    return worlds.SparseThick(
        params["branches"], params["relevant"], int(params["leaves"]), params["score"], tail
    )


def predict(params):
    world = _world(params)
    return theory.recall_bound(
        world.branching,
        world.relevant,
        params["width"],
        leaves=world.leaves,
        score=world.score,
        tail=world.tail,
    )


def measure(key, params, n):
    return simulate.recall(_world(params), key, width=params["width"], num_queries=n)


def limits():
    small = [theory.recall_exact(20, 10, 10, snr) for snr in (0.1, 1, 2, 4)]
    told = ", ".join(f"{value:.3f}" for value in small)
    return [
        f"with signal the ceiling is none: 10 of 20 branches relevant, snr .1, 1, 2, 4: recall {told}",
        "more than K = k, a sparser k, or a tail of infinite variance escape too: see wider_beams, half_ceiling and thick_tails",
    ]


def figure(axes, key, n):
    """Recall over nine decades of branch size, theory on top of the simulation, and the bound."""
    sizes, score = np.logspace(3, 12, 10), 40.0
    tail = tails.gamma(1.0, 1.0)
    found = [
        simulate.recall(
            worlds.SparseThick(100, 50, int(size), score, tail), key, width=50, num_queries=n
        )
        for size in sizes
    ]
    exact = [
        theory.recall_exact(100, 50, 50, (score - tail.mean) / (tail.sd * np.sqrt(size)))
        for size in sizes
    ]
    bound = [
        theory.recall_bound(100, 50, 50, leaves=size, score=score, tail=tail) for size in sizes
    ]
    axes.plot(sizes, bound, "-.", label="bound (T6)")
    axes.plot(sizes, exact, label="exact for Gaussian totals (T8)")
    axes.errorbar(
        sizes,
        [f.mean for f in found],
        [4 * f.stderr for f in found],
        fmt="k.",
        label="beam search, 4 s.e.",
    )
    axes.axhline(0.5, color="k", linewidth=0.8)
    axes.set(
        xlabel="documents a branch, n",
        ylabel="recall@k, k = 50 relevant in 100 branches",
        xscale="log",
        ylim=(0.45, 1.02),
    )
    axes.legend()


CLAIM = claims.Claim(
    name="recall_half",
    title="Recall sinks to one half as the documents a branch grow",
    statement="E recall@k <= K/b + c / (tau sqrt(2 pi n)) + 0.95 rho3 / (tau^3 sqrt n); with b = 2k, K = k it is 1/2 + O(n^-1/2).",
    source="arXiv 2504.09935 (recall at most 0.5 + o(1)); the model and the rate are derived here (T6)",
    assumptions=(
        "k relevant leaves in k distinct random branches",
        "all other scores iid with three moments",
        "nodes ranked by the mass below",
    ),
    cases=(
        dict(
            branches=20,
            relevant=10,
            leaves=1e4,
            score=5.0,
            tail="gamma",
            mean=1.0,
            sd=1.0,
            width=10,
        ),
        dict(
            branches=100,
            relevant=50,
            leaves=1e8,
            score=20.0,
            tail="gaussian",
            mean=1.0,
            sd=1.0,
            width=50,
        ),
        dict(
            branches=100,
            relevant=50,
            leaves=1e12,
            score=1e3,
            tail="gamma",
            mean=1.0,
            sd=0.5,
            width=50,
        ),
    ),
    predict=predict,
    measure=measure,
    control=lambda params: 0.95 * params["width"] / params["branches"],  # a ceiling below one half
    relation="at most",
    n=4000,
    quick=1000,
    limits=limits,
    figure=figure,
)
