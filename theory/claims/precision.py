"""T7: the first answer stays relevant while recall is halved."""

import numpy as np

from theory import claims, recall, simulate, tails, worlds
from theory.claims import recall_half


def predict(params):
    return recall.precision_bound(params["branches"], params["relevant"], params["width"])


def measure(key, params, n):
    return simulate.precision(recall_half._world(params), key, width=params["width"], num_queries=n)


def limits():
    import jax

    world = worlds.SparseThick(8, 4, 8, 40.0, tails.gamma(1.0, 1.0))
    found = simulate.search_leaves(world, 2, jax.random.key(3), width=4, num_queries=400)
    return [
        f"the whole search down 8^2 leaves (score 40 over a gamma tail): precision@1 {found.precision.mean:.3f}, recall {found.recall.mean:.3f}",
        "deeper trees need lambda_t >= sqrt(4 log(K b / eps)) at the later levels as well",
    ]


def figure(axes, key, n):
    """Precision and recall over the number of relevant documents."""
    counts = np.array([1, 2, 3, 5, 8, 12])
    tail = tails.gamma(1.0, 1.0)
    made = [worlds.SparseThick(2 * k, k, 10**8, 5.0, tail) for k in counts]
    hit = [simulate.precision(world, key, width=world.relevant, num_queries=n) for world in made]
    found = [simulate.recall(world, key, width=world.relevant, num_queries=n) for world in made]
    axes.plot(
        counts, [recall.precision_bound(2 * k, k, k) for k in counts], label="1 - 1 / C(2k, k)"
    )
    axes.errorbar(
        counts,
        [h.mean for h in hit],
        [4 * h.stderr for h in hit],
        fmt="k.",
        label="a relevant branch in the beam",
    )
    axes.errorbar(
        counts, [f.mean for f in found], [4 * f.stderr for f in found], fmt="C1s", label="recall@k"
    )
    axes.set(xlabel="relevant documents, k, in 2k branches", ylabel="share", ylim=(0.4, 1.02))
    axes.legend()


CLAIM = claims.Claim(
    name="precision",
    title="Precision stays perfect while recall is halved",
    statement="P(a relevant branch in the beam) >= 1 - C(b-k, K) / C(b, K), which is 1 - 1/C(2k, k) for b = 2k and K = k.",
    source="arXiv 2504.09935 (precision); bound derived here (T7)",
    assumptions=("the score of a relevant leaf adds to its branch",),
    cases=(
        dict(
            branches=4,
            relevant=2,
            leaves=1e8,
            score=2.0,
            tail="gaussian",
            mean=1.0,
            sd=1.0,
            width=2,
        ),
        dict(
            branches=10, relevant=5, leaves=1e4, score=3.0, tail="gamma", mean=1.0, sd=1.0, width=5
        ),
        dict(
            branches=30,
            relevant=2,
            leaves=1e6,
            score=3.0,
            tail="gaussian",
            mean=1.0,
            sd=1.0,
            width=3,
        ),
    ),
    predict=predict,
    measure=measure,
    control=lambda params: predict(params) + 0.1,
    relation="at least",
    n=8000,
    quick=3000,
    limits=limits,
    figure=figure,
)
