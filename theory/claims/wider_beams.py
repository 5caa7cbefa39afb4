"""How much wider than k a beam must be."""

import numpy as np

import theory
from theory import claims
from theory.claims import closed_forms


def predict(params):
    return params["recall"]


def _share(params):
    kappa = params["relevant"] / params["branches"]
    return theory.width_for_recall(kappa, params["snr"], params["recall"])


def _width(params):
    return round(_share(params) * params["branches"])


def measure(key, params, n):
    """Recall by beam search of the width that the formula asks for."""
    return closed_forms.measure(key, {**params, "width": _width(params)}, n)


def limits():
    shown = ", ".join(
        f"{theory.width_for_recall(0.05, snr, 0.9) / 0.05:.1f} k at lambda = {snr}"
        for snr in (0.1, 1, 2, 3)
    )
    return [f"for recall .9 with k / b = .05: {shown}"]


def figure(axes, key, n):
    """Recall over beam width, by signal."""
    widths = np.arange(1, 101)
    for snr in (0.0, 1.0, 2.0, 3.0):
        axes.plot(
            widths,
            [theory.recall_exact(100, 5, int(width), snr) for width in widths],
            label=f"lambda = {snr:g}",
        )
        shown = np.array([5, 20, 50, 80])
        found = [
            closed_forms.measure(key, dict(branches=100, relevant=5, width=int(width), snr=snr), n)
            for width in shown
        ]
        axes.errorbar(shown, [f.mean for f in found], [4 * f.stderr for f in found], fmt="k.")
    axes.axvline(5, color="k", linewidth=0.6, linestyle=":")
    axes.set(
        xlabel="beam width K (5 relevant in 100 branches)", ylabel="recall after the first step"
    )
    axes.legend()


CLAIM = claims.Claim(
    name="wider_beams",
    title="A first-step recall of nine tenths takes a beam many times k",
    statement="K/b = kappa rho + (1 - kappa) Phi(z_rho - lambda) reaches the limiting recall rho.",
    formula=r"\frac{K}{b} = \kappa \rho + (1 - \kappa) \Phi(z_\rho - \lambda)",
    meaning=(
        "Budget beams by the signal, not by the number of answers: at lambda = 1 and 5 % relevant "
        "branches, recall .9 costs a first beam of 12.5 k; at lambda = 3, of 1.7 k."
    ),
    source="derived here; inverts T8",
    assumptions=("b large", "Gaussian totals"),
    cases=(
        dict(branches=2000, relevant=200, snr=1.0, recall=0.5),
        dict(branches=2000, relevant=200, snr=2.5, recall=0.8),
        dict(branches=2000, relevant=500, snr=2.0, recall=0.75),
    ),
    predict=predict,
    measure=measure,
    # what a beam 3 % wider reaches
    control=lambda params: theory.recall_limit(
        params["relevant"] / params["branches"], params["snr"], 1.03 * _share(params)
    ),
    tolerance=0.001,  # b is finite and K an integer
    n=3000,
    quick=2000,
    limits=limits,
    figure=figure,
)
