"""Laws of leaf scores: moments by quadrature, draws, sums of any number of leaves."""

import jax
import numpy as np
import pytest
from scipy import integrate, stats

from theory import tails

KEY = jax.random.key(7)
LAWS = (
    (tails.gaussian(1.0, 2.0), stats.norm(1, 2)),
    (tails.gamma(1.0, 2.0), stats.gamma(0.25, scale=4)),
    (tails.gamma(3.0, 1.0), stats.gamma(9, scale=1 / 3)),
    (tails.uniform(-1.0, 2.0), stats.uniform(-1, 3)),
    (tails.bounded(0.5, 2.0, most=3.0), stats.beta(0.5, 2, scale=3)),
)
NAMES = [f"{tail.name}-{number}" for number, (tail, _) in enumerate(LAWS)]


@pytest.mark.parametrize(("tail", "law"), LAWS, ids=NAMES)
def test_moments_are_those_of_the_law(tail, law):
    assert tail.mean == pytest.approx(law.mean()) and tail.sd == pytest.approx(law.std())
    # over quantiles, so that a density without bound at 0 does no harm
    third, _ = integrate.quad(
        lambda u: abs(law.ppf(u) - law.mean()) ** 3, 0, 1, limit=500, points=[law.cdf(law.mean())]
    )
    assert tail.third == pytest.approx(third, rel=1e-5)


@pytest.mark.parametrize(("tail", "law"), LAWS, ids=NAMES)
def test_leaves_are_drawn_from_the_law(tail, law):
    scores = np.asarray(tail.leaves(KEY, (10_000,)), float) * tail.sd + tail.mean
    assert stats.kstest(scores, law.cdf).pvalue > 1e-4
    assert stats.kstest(scores * 1.3, law.cdf).pvalue < 1e-4  # negative control


@pytest.mark.parametrize(("tail", "law"), LAWS, ids=NAMES)
@pytest.mark.parametrize("num_leaves", (1, 20))
def test_sums_have_the_moments_of_that_many_leaves(tail, law, num_leaves):
    sums = np.asarray(tail.sums(KEY, num_leaves, (10_000,)), float)
    kurtosis = 3 + float(law.stats("k")) / num_leaves
    assert abs(sums.mean()) < 4 / np.sqrt(10_000)
    assert abs(sums.var() - 1) < 4 * np.sqrt((kurtosis - 1) / 10_000)
    skew = float(law.stats("s")) / np.sqrt(num_leaves)
    # the sixth moment of small gamma sums is large
    assert abs((sums**3).mean() - skew) < 0.2 + 0.2 * abs(skew)


@pytest.mark.parametrize("num_leaves", (9, 100, 1000, 10**6))
def test_gamma_sums_have_their_exact_law(num_leaves):
    tail = tails.gamma(2.0, 2.0)  # exponential
    sums = np.asarray(tail.sums(KEY, num_leaves, (10_000,)), float)
    law = stats.gamma(num_leaves, loc=-np.sqrt(num_leaves), scale=1 / np.sqrt(num_leaves))
    assert stats.kstest(sums, law.cdf).pvalue > 1e-4
    if num_leaves < 100:
        assert stats.kstest(sums, stats.norm.cdf).pvalue < 1e-4  # negative control: not yet normal


@pytest.mark.parametrize("alpha", (100.0, 300.0, 1e4))
def test_proposals_kept_as_told_have_the_gamma_density(alpha):
    # normal density times P(keep) = constant times gamma density of the value times its derivative
    x = np.linspace(-5, 5, 1001)
    value, log_keep = (np.asarray(array, float) for array in tails._proposal(x, alpha))
    gamma = stats.gamma.logpdf(alpha + np.sqrt(alpha) * value, alpha) + np.log(
        np.gradient(value, x)
    )
    gap = (gamma - (stats.norm.logpdf(x) + log_keep))[1:-1]
    assert np.ptp(gap) < 1e-4  # of the numerical derivative
    # negative control: keep all
    assert (log_keep <= 0).all() and np.ptp(gap + log_keep[1:-1]) > 1e-4


def test_a_million_million_leaves_are_one_number_without_loss():
    for tail in (tails.gamma(1.0, 1.0), tails.gaussian(1.0, 1.0)):
        sums = np.asarray(tail.sums(KEY, 10**12, (10_000,)), float)
        assert stats.kstest(sums, stats.norm.cdf).pvalue > 1e-4
        assert len(np.unique(sums)) > 9000  # f32 of a sum of 1e12 would know only some 30 values


@pytest.mark.parametrize(
    ("call", "says"),
    (
        (lambda: tails.gaussian(0, 0), "sd > 0"),
        (lambda: tails.gamma(0, 1), "mean > 0"),
        (lambda: tails.gamma(1, np.inf), "sd > 0"),
        (lambda: tails.uniform(1, 1), "high > 1"),
        (lambda: tails.bounded(1, -1), "beta > 0"),
        (lambda: tails.gaussian(0, 1).sums(KEY, 0, (1,)), "num_leaves > 0"),
        (
            lambda: tails.uniform(0, 1).sums(KEY, 10**6, (1,)),
            "at most 4096 leaves of a uniform tail.*use gaussian or gamma",
        ),
    ),
)
def test_parameters_out_of_range_are_refused_in_one_line(call, says):
    with pytest.raises(ValueError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)
