"""LIMIT: four dimensions hold every pair; margin, precision and training are what fails."""

import jax
import jax.numpy as jnp
import numpy as np

import theory
from theory import claims, limit, simulate


def predict(params):
    """Moment curve: R@2 and the smallest gap, in units of h^4. Random words: R@2."""
    num = params["documents"]
    if "width" not in params:
        return np.array([1.0, 1.0])
    return theory.recall_exact(num, 2, 2, np.sqrt(params["width"] / (num - 2)))


def measure(key, params, n):
    num = params["documents"]
    if "width" not in params:
        queries, documents = limit.moment_curve(num)
        scores = queries @ documents.T  # integers: spacing 1 stands for h, the gap for h^4
        return claims.exactly([limit.recall_at_2(scores), limit.margin(scores)])
    found = [
        limit.recall_at_2(limit.random_words(num, params["width"], one))
        for one in jax.random.split(key, max(2, n // 100))
    ]
    return simulate.Estimate(
        np.array([np.mean(found)]), np.array([np.std(found, ddof=1) / len(found) ** 0.5]), n
    )


def _in_precision(num):
    """R@2 of the centred curve in float64, float32 and bfloat16."""
    queries, documents = limit.centred_curve(num)
    found = [limit.recall_at_2(queries @ documents.T)]
    for kind in (jnp.float32, jnp.bfloat16):
        product = jnp.einsum(
            "pd,nd->pn",
            jnp.asarray(queries, kind),
            jnp.asarray(documents, kind),
            precision="highest",
            preferred_element_type=jnp.float32,
        )
        found.append(limit.recall_at_2(np.asarray(product)))
    return found


def limits():
    shown = [f"{x:.3f}" for x in _in_precision(46)]
    gap = lambda num: (2 / (num - 1)) ** 4
    free = {width: limit.free_vectors(46, width, jax.random.key(0)) for width in (3, 4, 8, 16)}
    return [
        f"46 documents on the curve, R@2 in float64, float32, bfloat16: {', '.join(shown)}; the "
        f"gap is {gap(46):.1e} at 46 documents and {gap(50_000):.1e} at 50,000, where float64 "
        "resolves 1e-16: exact arithmetic is needed, not more dimensions",
        "free unit vectors trained by gradient, R@2 (margin): "
        + ", ".join(f"d = {d}: {f.recall:.2f} ({f.margin:+.3f})" for d, f in free.items())
        + "; four dimensions hold all pairs, and Adam does not find them",
    ]


def figure(axes, key, n):
    """R@2 over the dimension: free, trained and random vectors."""
    widths = np.array([2, 3, 4, 6, 8, 12, 16, 32, 64, 128])
    free = [limit.free_vectors(46, int(d), key, steps=600) for d in widths[:6]]
    axes.plot(widths[:6], [fit.recall for fit in free], "o-", label="free vectors, trained")
    words = [limit.word_vectors(46, int(d), key, steps=300) for d in widths[4::2]]
    axes.plot(widths[4::2], [f.recall for f in words], "s-", label="word vectors, trained pairs")
    axes.plot(widths[4::2], [f.unseen for f in words], "s:", label="the same, other pairs")
    exact = [theory.recall_exact(46, 2, 2, np.sqrt(d / 44)) for d in widths]
    axes.plot(widths, exact, color="k", label="random word vectors, predicted")
    random = [limit.recall_at_2(limit.random_words(46, int(d), key)) for d in widths]
    axes.plot(widths, random, "k.", label="the same, measured")
    axes.axvline(4, color="k", linewidth=0.8, linestyle=":")
    axes.set_xscale("log", base=2)
    axes.set(
        xlabel="dimension d (dotted: 4, enough in exact arithmetic)",
        ylabel="R@2 of all 1,035 pairs of 46 documents",
        ylim=(0, 1.03),
    )
    axes.legend()


CLAIM = claims.Claim(
    name="limit_rank",
    title="Four dimensions rank every pair of documents; margin, precision and training fail",
    statement=(
        "Documents (t, t^2, t^3, t^4) and queries -(x - a)^2 (x - b)^2 rank each pair on top, with "
        "a gap of h^4 at spacing h = 2 / (N - 1). Random word vectors have "
        "R@2 = recall_exact(N, 2, 2, sqrt(d / (N - 2)))."
    ),
    formula=r"q \cdot d_t = -(t - a)^2 (t - b)^2 + const, \lambda = \sqrt{\frac{d}{N-2}}",
    meaning=(
        "A dense index that fails on arbitrary combinations is short of margin, not of rank: "
        "wider vectors help through the signal-to-noise ratio sqrt(d). An identifier that is the "
        "words themselves pays nothing, as long as the words are unique to the answers; hard "
        "negatives take that away (benchmarks/theory_limit.py)."
    ),
    source="moment curve and T8, derived here for LIMIT (arXiv 2508.21038)",
    assumptions=(
        "every pair of N documents is the answer of one query",
        "random words: unit vectors, documents sum the vectors of their attributes",
    ),
    cases=(
        dict(documents=46),
        dict(documents=300),
        dict(documents=46, width=64),
        dict(documents=46, width=256),
    ),
    predict=predict,
    measure=measure,
    control=claims.off(predict),
    tolerance=0.01,  # of random words: norms of sums, and documents that share attributes
    n=20_000,
    quick=10_000,
    limits=limits,
    figure=figure,
)
