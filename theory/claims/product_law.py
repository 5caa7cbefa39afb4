"""The product law: one half is only the first factor of what a beam search keeps."""

import math

import jax
import numpy as np

import theory
from theory import claims, leafwise, product, tails, worlds

TAIL = tails.uniform(0.0, 1.0)


def _world(params):
    b, m = params["branching"], params["depth"]
    return worlds.SparseThick(b, params["relevant"], b ** (m - 1), params["score"], TAIL)


def predict(params):
    """Leaf recall of a beam of K = k."""
    k = params["relevant"]
    return theory.leaf_recall(
        params["branching"], params["depth"], k, params.get("width", k), _world(params).snr
    )


def measure(key, params, n):
    """Recall of the whole search down every leaf."""
    return leafwise.search(
        _world(params),
        params["depth"],
        key,
        width=params.get("width", params["relevant"]),
        num_queries=n,
    ).recall


def limits():
    shown = []
    for words, case, n in (
        ("k = K = 3 (12^3 leaves)", dict(branching=12, depth=3, relevant=3, score=2.0), 2000),
        ("4 children a node (4^5)", dict(branching=4, depth=5, relevant=2, score=4.0), 1000),
    ):
        found = measure(jax.random.key(5), case, n)
        shown.append(f"{words}: {predict(case):.3f} against {found.mean:.3f} +- {found.stderr:.3f}")
    low = dict(branching=16, depth=3, relevant=8, score=0.8)
    found = measure(jax.random.key(6), low, 500)
    weak = low | dict(score=2.0)
    blurred = measure(jax.random.key(7), weak, 4000)
    return [
        f"few answers or children break it, since the limit needs large K: {'; '.join(shown)}",
        "a relevant score inside the tail breaks it, since leaves are then lost at the last level "
        f"too: 16^3, c = .8 in uniform(0, 1): {predict(low):.3f} against {found.mean:.3f}",
        "where the last noisy sums have few leaves and the signal is weak they are not Gaussian "
        f"enough: 16^3, c = 2: {predict(weak):.3f} against {blurred.mean:.3f}, 3 % off",
        _designers_view(),
    ]


def _designers_view():
    """Recall against depth at a fixed number of documents, and beams that reach .9."""
    shapes = ((4096, 1), (64, 2), (16, 3), (8, 4), (4, 6))
    row = []
    for b, m in shapes:
        k = min(4, b)
        snr = 1.5 / math.sqrt(b ** (m - 1) / 64)
        row.append(f"{b}^{m} {theory.leaf_recall(b, m, k, k, snr):.2f}")
    plan = theory.beam_schedule(256, 4, 50, 0.5, 0.9)
    flat = _even_width(256, 4, 50, 0.5, 0.9)
    return (
        "4,096 documents, k = K = 4, lambda_1 = 1.5 at 64 leaves per branch: leaf recall "
        f"{', '.join(row)}; 256 codes at 4 levels, k = 50, lambda_1 = .5, recall .9: beams "
        f"{' '.join(map(str, plan.widths))} score {plan.cost:,} children, one width for all levels "
        f"needs {flat} and scores {256 + 256 * 3 * flat:,}"
    )


def _even_width(b, depth, k, snr, recall):
    low, high = 1, b**depth
    while low < high:
        middle = (low + high) // 2
        enough = theory.leaf_recall(b, depth, k, middle, snr) >= recall
        low, high = (low, middle) if enough else (middle + 1, high)
    return low


def figure(axes, key, n):
    """Recall over depth: the law, its first factor, and the whole search."""
    b, k, depths = 10, 5, np.arange(1, 6)
    for score, colour in ((3.0, "C0"), (8.0, "C1")):
        signal = lambda m, c=score: (c - TAIL.mean) / (TAIL.sd * math.sqrt(b ** (m - 1)))
        axes.plot(
            depths,
            [theory.leaf_recall(b, int(m), k, k, signal(int(m))) for m in depths],
            color=colour,
            label=f"product law, c = {score:g}",
        )
        first = [product.level_recalls(b, int(m), k, k, signal(int(m)))[0] for m in depths]
        axes.plot(depths, first, ":", color=colour, label="its first factor")
        for m, queries in ((2, 2000), (3, 1000), (4, 200)):
            case = dict(branching=b, depth=m, relevant=k, score=score)
            found = measure(key, case, queries)
            axes.errorbar(m, found.mean, 4 * found.stderr, fmt=".", color=colour)
    axes.axhline(0.5, color="k", linewidth=0.8)
    axes.set_xticks(depths)
    axes.set(
        xlabel="depth m of a tree of 10 children a node (points: beam search, 4 s.e.)",
        ylabel="recall of 5 relevant leaves, beam of 5",
        ylim=(0, 1.02),
    )
    axes.legend()


CLAIM = claims.Claim(
    name="product_law",
    title="Recall of the whole search is a product over levels; one half is its first factor",
    statement=(
        "Leaf recall = rho_1 rho_2 .. rho_{m-1}: rho_1 = recall_exact(b, k, K, lambda_1), rho_t = "
        "recall_limit(kappa_t, lambda_t, 1/b), kappa_t = rho_1 .. rho_{t-1} k / (K b), "
        "lambda_t = lambda_1 b^((t-1)/2)."
    ),
    formula=(
        r"\rho = \prod_{t=1}^{m-1} \rho_t, \lambda_t = \lambda_1 b^{(t-1)/2}, "
        r"\kappa_t = \frac{\rho_1 \cdots \rho_{t-1} k}{K b}"
    ),
    meaning=(
        "Depth multiplies losses: choose few levels with large alphabets. The signal grows by "
        "sqrt(b) per level, so spend the beam on the first one: a wide first beam and narrow later "
        "ones reach the same recall for a fraction of the scores (theory.beam_schedule; first_beam "
        "of TIGER is this choice made by hand)."
    ),
    source="derived here",
    assumptions=(
        "full tree, iid tail, sums near Gaussian (b >= 8)",
        "relevant leaves in distinct root branches, with a score above the tail",
        "survivors of a level are a fresh sample at the next",
        "K k / b of order one or more",
    ),
    cases=(
        dict(branching=20, depth=3, relevant=10, score=5.0),
        dict(branching=16, depth=3, relevant=8, score=6.0),
        dict(branching=10, depth=4, relevant=5, score=8.0),
    ),
    predict=predict,
    measure=measure,
    control=claims.off(predict, -0.03),
    tolerance=0.012,  # of sums of b leaves that are not quite Gaussian, and of small K
    n=10_000,
    quick=5000,
    limits=limits,
    figure=figure,
)
