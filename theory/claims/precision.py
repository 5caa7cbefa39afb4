"""T7: the first answer stays relevant while recall is halved, both in one search."""

import numpy as np

import theory
from theory import claims, leafwise, recall, simulate, tails, worlds


def _world(params):
    b = params["branches"]
    tail = tails.uniform(0.0, 1.0)
    return worlds.SparseThick(b, params["relevant"], b, params["score"], tail)


def predict(params):
    """The bound on precision@1, and recall: at depth 2 the last step loses nothing."""
    b, k = params["branches"], params["relevant"]
    bound = recall.precision_bound(b, k, k)
    return np.array([bound, theory.recall_exact(b, k, k, _world(params).snr)])


def measure(key, params, n):
    """Precision@1 and recall@k of the whole search down every leaf of a tree of depth 2."""
    found = leafwise.search(_world(params), 2, key, width=params["relevant"], num_queries=n)
    return simulate.Estimate(
        np.array([found.precision.mean, found.recall.mean]),
        np.array([found.precision.stderr, found.recall.stderr]),
        n,
    )


def limits():
    import jax

    weak = worlds.SparseThick(10, 5, 1000, 3.0, tails.gamma(1.0, 1.0))
    lost = leafwise.search(weak, 4, jax.random.key(3), width=5, num_queries=200)
    survive = simulate.any_relevant(weak, jax.random.key(4), width=5, num_queries=2000)
    return [
        "the score must be above the tail: gamma(1, 1), score 3, 10 branches of 10^3: a relevant "
        f"branch survives step 1 in {survive.mean:.3f} of the queries, precision@1 of the whole "
        f"search {lost.precision.mean:.3f}",
        "deeper trees need lambda_t >= sqrt(4 log(K b / eps)) at the later levels as well",
    ]


def figure(axes, key, n):
    """Precision and recall of the whole search over the number of relevant documents."""
    counts = np.array([1, 2, 3, 5, 8, 16, 32])
    found = [
        measure(key, dict(branches=int(2 * k), relevant=int(k), score=1.2), 400) for k in counts
    ]
    axes.plot(
        counts, [recall.precision_bound(2 * k, k, k) for k in counts], label="1 - 1 / C(2k, k)"
    )
    for entry, style, label in ((0, "k.", "precision@1"), (1, "C1s", "recall@k")):
        means, errors = ([getattr(f, w)[entry] for f in found] for w in ("mean", "stderr"))
        axes.errorbar(counts, means, 4 * np.array(errors), fmt=style, label=label)
    axes.axhline(0.5, color="k", linewidth=0.8)
    axes.set(
        xlabel="relevant documents k, in a tree of (2k)^2 leaves",
        ylabel="of the whole search",
        xscale="log",
        ylim=(0.4, 1.02),
    )
    axes.legend()


CLAIM = claims.Claim(
    name="precision",
    title="Precision@1 stays perfect while recall is halved, in the same search",
    statement=(
        "P@1 >= 1 - C(b-k, K) / C(b, K), which is 1 - 1/C(2k, k) for b = 2k and K = k, while "
        "recall@k is Phi(lambda/2)."
    ),
    formula=r"P@1 \ge 1 - \frac{1}{C(2k, k)}, \rho = \Phi(\frac{\lambda}{2})",
    meaning=(
        "Hit@1 does not show what a beam loses. Report recall at the number of relevant documents "
        "beside it, or half of the answers go missing unnoticed."
    ),
    source="arXiv 2504.09935 (precision); bound derived here (T7)",
    assumptions=("depth 2", "a relevant score above every tail score", "K = k"),
    cases=(dict(branches=400, relevant=200, score=1.2), dict(branches=128, relevant=64, score=1.2)),
    predict=predict,
    measure=measure,
    control=claims.off(predict),
    relation=("at least", "equal"),
    tolerance=0.004,  # sums of b uniform scores; b - 1 beside a relevant leaf
    n=600,
    quick=300,
    limits=limits,
    figure=figure,
)
