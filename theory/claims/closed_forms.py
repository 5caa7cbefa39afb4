"""T8: first-step recall in closed form, for any number of branches, and in the limit."""

import numpy as np

import theory
from theory import claims, simulate, tails, worlds


def _world(params):
    return worlds.SparseThick(
        params["branches"],
        params["relevant"],
        10**6,
        1.0 + 1e3 * params["snr"],
        tails.gaussian(1.0, 1.0),
    )


def predict(params):
    return theory.recall_exact(
        params["branches"], params["relevant"], params["width"], params["snr"]
    )


def measure(key, params, n):
    return simulate.recall(_world(params), key, width=params["width"], num_queries=n)


def limits():
    gaps = []
    for b in (10, 100, 1000):
        gaps.append(
            f"{theory.recall_exact(b, b // 2, b // 2, 1.0) - theory.recall_limit(0.5, 1, 0.5):+.1e}"
            f" at b = {b}"
        )
    return [f"the limit Phi(lambda/2) is off by {', '.join(gaps)} (lambda = 1, K = k = b/2)"]


def figure(axes, key, n):
    """Recall over the signal, for shares of relevant branches."""
    signal = np.linspace(0, 5, 41)
    for kappa in (0.5, 0.25, 0.05):
        axes.plot(
            signal,
            [theory.recall_limit(kappa, snr, kappa) for snr in signal],
            label=f"k / b = {kappa:g}, limit",
        )
        shown = signal[::8]
        found = [
            measure(
                key,
                dict(branches=100, relevant=int(100 * kappa), width=int(100 * kappa), snr=snr),
                n,
            )
            for snr in shown
        ]
        axes.errorbar(shown, [f.mean for f in found], [4 * f.stderr for f in found], fmt="k.")
    axes.axhline(0.5, color="k", linewidth=0.8)
    axes.set(
        xlabel="signal of a relevant branch, lambda",
        ylabel="recall after step 1, beam of k (points: b = 100)",
    )
    axes.legend()


CLAIM = claims.Claim(
    name="closed_forms",
    title="First-step recall is known in closed form: Phi(lambda/2) for half of the branches",
    statement=(
        "Recall after step 1 = int phi(x) P[Bin(k-1, Phi(-x)) + Bin(b-k, Phi(-x-lambda)) <= K-1] "
        "dx; exactly K/b at lambda = 0."
    ),
    formula=(r"\rho_1 = \int \phi(x) P[Bin(k-1, \Phi(-x)) + Bin(b-k, \Phi(-x-\lambda)) < K] dx"),
    meaning=(
        "lambda, the lead of a relevant document over the noise of its first-token branch, is the "
        "one number to measure: it fixes what the first beam keeps."
    ),
    source="T8, derived here",
    assumptions=("Gaussian totals of the branches, as for any tail with n large",),
    cases=(
        dict(branches=10, relevant=5, width=5, snr=1.0),
        dict(branches=100, relevant=50, width=50, snr=1.0),
        dict(branches=40, relevant=4, width=12, snr=2.0),
        dict(branches=30, relevant=10, width=7, snr=0.0),
    ),
    predict=predict,
    measure=measure,
    control=claims.off(predict),
    n=30_000,
    quick=15_000,
    limits=limits,
    figure=figure,
)
