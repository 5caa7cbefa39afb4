"""Concentrated relevance is easy for the beam and costly for the constraint."""

import jax
import numpy as np

import theory
from theory import claims, limits as laws, tails, worlds


def _relevance(params):
    """f64[b n] of one draw of the sparse and thick world."""
    b, n = params["branches"], params["leaves"]
    tail = tails.gamma(1.0, params["spread"])
    scores = 1 + params["spread"] * np.asarray(
        tail.leaves(jax.random.key(params["draw"]), (b, n)), np.float64
    )
    scores[: params["relevant"], 0] = params["score"]
    return np.maximum(scores, 1e-9).reshape(-1)


def _tree(params):
    b, n = params["branches"], params["leaves"]
    return worlds.Tree(
        (np.zeros(b, np.int64), np.repeat(np.arange(b), n)),
        _relevance(params) / _relevance(params).sum(),
    )


def predict(params):
    """(1-p)/(2 p n) (1 + CV^2 (1 + lambda^2 / 2)) (1 - 1/b) for b = 2k."""
    snr = (params["score"] - 1) / (params["spread"] * np.sqrt(params["leaves"]))
    return laws.sparse_thick_kl(params["keep"], params["leaves"], params["spread"], snr) * (
        1 - 1 / params["branches"]
    )


def measure(key, params, n):
    from theory import exact

    return claims.exactly(exact.expected_kl_of(_tree(params), params["keep"])[0])


def limits_():
    shown = []
    for score in (1, 20, 50, 100, 200):
        params = dict(
            branches=64, relevant=32, leaves=1000, keep=0.5, spread=1.0, score=float(score), draw=0
        )
        snr = (score - 1) / np.sqrt(1000)
        shown.append(
            f"c = {score}: first-step recall {theory.recall_exact(64, 32, 32, snr):.3f}, "
            f"KL_1 {1e3 * measure(None, params, 0).mean:.2f}e-3"
        )
    return [
        f"64 branches of 1,000, p = .5: {'; '.join(shown)}; the formula overshoots once c is near "
        "n mu / 5"
    ]


def figure(axes, key, n):
    """Recall against cost as the relevant leaves stand out more."""
    scores = np.geomspace(2, 250, 14)
    for keep, dash in ((0.2, "-"), (0.5, "--")):
        cost = [
            measure(
                None,
                dict(branches=64, relevant=32, leaves=1000, keep=keep, spread=1.0, score=s, draw=0),
                0,
            ).mean
            for s in scores
        ]
        axes.plot(
            cost,
            [theory.recall_exact(64, 32, 32, (s - 1) / np.sqrt(1000)) for s in scores],
            dash,
            marker=".",
            label=f"p = {keep}",
        )
    axes.set(
        xlabel="E KL of the first step (nats)", ylabel="recall after step 1, k = b/2", xscale="log"
    )
    axes.legend()


CLAIM = claims.Claim(
    name="concentration",
    title="What lifts recall raises the cost of the constraint",
    statement=(
        "For b = 2k: first-step recall = Phi(lambda/2) while "
        "KL_1 ~ (1-p)/(2pn) (1 + CV^2 (1 + lambda^2/2))."
    ),
    formula=r"KL_1 \sim \frac{1-p}{2pn} (1 + CV^2 (1 + \frac{\lambda^2}{2}))",
    meaning=(
        "Sharpening a model's scores helps the beam and makes later deletions more expensive. "
        "Decide which of the two an index will see more of."
    ),
    source="derived here",
    assumptions=("p n >> 1", "c well below n mu"),
    cases=(
        dict(branches=64, relevant=32, leaves=1000, keep=0.5, spread=1.0, score=1.0, draw=0),
        dict(branches=64, relevant=32, leaves=1000, keep=0.5, spread=1.0, score=30.0, draw=0),
        dict(branches=64, relevant=32, leaves=2000, keep=0.3, spread=0.5, score=20.0, draw=1),
    ),
    predict=predict,
    measure=measure,
    control=lambda params: predict({**params, "score": params["score"] + 25}),
    control_note="the formula leaves out up to 6 %; the control is a score higher by 25",
    tolerance=0.06,
    limits=limits_,
    figure=figure,
)
