"""T9: how much signal breaks the ceiling of one half."""

import numpy as np

import theory
from theory import claims
from theory.claims import closed_forms


def _case(params):
    width = int(round(params["kappa"] * params["branches"]))
    return dict(
        branches=params["branches"],
        relevant=width,
        width=width,
        snr=theory.half_threshold(params["kappa"]),
    )


def predict(params):
    return 0.5


def measure(key, params, n):
    """Recall by beam search at the threshold."""
    return closed_forms.measure(key, _case(params), n)


def limits():
    shown = ", ".join(
        f"{theory.half_threshold(kappa):.3f} at k/b = {kappa}"
        for kappa in (0.5, 0.25, 0.1, 0.01, 0.001)
    )
    return [
        f"lambda* = {shown}: for sparse k the ceiling holds even where each relevant document "
        "stands out"
    ]


def figure(axes, key, n):
    """The threshold over the share of relevant branches, and measured recall of one half on it."""
    shares = np.geomspace(1e-3, 0.66, 60)
    axes.plot(
        shares, [theory.half_threshold(share) for share in shares], label="lambda*: recall is 1/2"
    )
    axes.fill_between(
        shares,
        [theory.half_threshold(share) for share in shares],
        -1.5,
        alpha=0.15,
        label="recall below 1/2",
    )
    for case in CLAIM.cases:
        found = measure(key, case, n)
        place = case["kappa"], theory.half_threshold(case["kappa"])
        axes.plot(*place, "k.")
        axes.annotate(
            f"{found.mean:.3f}", place, textcoords="offset points", xytext=(6, 4), fontsize=9
        )
    axes.set(
        xlabel="relevant branches k / b (numbers: recall by beam search)",
        ylabel="signal, lambda",
        xscale="log",
        ylim=(-1.5, 3.5),
    )
    axes.legend()


CLAIM = claims.Claim(
    name="half_ceiling",
    title="First-step recall is at most one half exactly up to a signal of lambda*",
    statement=(
        "With K = k, the limiting recall after step 1 is <= 1/2 iff lambda <= lambda*(kappa) = "
        "Phi^-1(1 - kappa / (2 (1 - kappa))), kappa = k/b."
    ),
    formula=r"\lambda^* = \Phi^{-1}(1 - \frac{\kappa}{2 (1 - \kappa)})",
    meaning=(
        "With few relevant documents per query the signal must be large (2.6 standard deviations "
        "at 1 % relevant branches) before a beam as narrow as the answer list beats one half."
    ),
    source="T9, derived here",
    assumptions=("b large", "Gaussian totals"),
    cases=(
        dict(branches=400, kappa=0.5),
        dict(branches=400, kappa=0.25),
        dict(branches=1000, kappa=0.05),
    ),
    predict=predict,
    measure=measure,
    control=claims.off(predict),
    tolerance=0.006,  # b is finite
    n=2000,
    quick=1000,
    limits=limits,
    figure=figure,
)
