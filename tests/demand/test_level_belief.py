"""What demand seen says about the level: against conjugate updates, integration and calibration."""

import numpy as np
import pytest
from scipy import stats

from optrl.demand.level_belief import level_posterior
from optrl.demand.negative_binomial import NegativeBinomial
from optrl.demand.paths import SeasonalPath

VARIANCE = 0.06


def model(s=0.08, u=VARIANCE):
    """Two items at three nodes with a season, uneven sizes and a unit of 2."""
    level = np.array([[8.0, 20.0, 3.0], [2.0, 6.0, 1.0]])
    season = np.array([[0.7, 1.0, 1.3, 1.0], [1.2, 1.0, 0.8, 1.0]])
    size = np.array([[2.0, 5.0, np.inf], [0.5, 3.0, 1.0]])
    return NegativeBinomial(
        np.array([1, 2, 3]),
        SeasonalPath(level, season),
        size,
        np.full(2, 2.0),
        np.full(2, s),
        np.full(2, u),
    )


def test_poisson_totals_update_a_gamma_level_in_closed_form():
    """With gamma(a, a) before, the posterior is gamma(a + demand, a + expected)."""
    expected = np.array([[4.0, 9.0, 6.0], [40.0, 0.0, 10.0]])
    observed = np.array([[7.0, 12.0, 9.0], [20.0, 3.0, 2.0]])
    variance = np.array([0.1, 0.5])
    found = level_posterior(observed, expected, np.full((2, 3), np.inf), variance)
    # A period of which nothing was expected does not count.
    shape = 1 / variance + np.where(expected > 0, observed, 0).sum(axis=1)
    rate = 1 / variance + expected.sum(axis=1)
    np.testing.assert_allclose(found[0], shape / rate, rtol=1e-6)
    np.testing.assert_allclose(found[1], shape / rate**2, rtol=1e-4)


@pytest.mark.parametrize(
    ("expected", "observed", "variance"),
    [
        (1e4, 10_111, 0.1),
        (1e6, 1_013_000, 0.1),
        (1e4, 1e4, 1e-4),
        (3_000, 0, 0.5),
        (5, 100, 4.0),
        (0, 0, 4.0),
        (5, 0, 4.0),
    ],
)
def test_beliefs_may_be_narrow_wide_or_far_from_what_was_expected(expected, observed, variance):
    """Large totals leave an error of a thousandth, no demand at all a level near zero."""
    each = np.full((1, 10), 0.1)
    center, width = level_posterior(
        each * observed, each * expected, np.full((1, 10), np.inf), np.array([variance])
    )
    shape, rate = 1 / variance + observed, 1 / variance + expected
    np.testing.assert_allclose(center, shape / rate, rtol=1e-3)
    np.testing.assert_allclose(width, shape / rate**2, rtol=5e-3)


def test_a_known_level_is_not_learned_and_nothing_seen_changes_nothing():
    """Where the variance is zero the level stays 1; without demand the prior comes back."""
    seen = np.full((2, 5), 30.0)
    center, variance = level_posterior(seen, seen / 3, np.full((2, 5), 4.0), np.array([0.0, 0.1]))
    assert (center[0], variance[0]) == (1.0, 0.0)
    assert center[1] > 1.1
    nothing = np.zeros((1, 0))
    center, variance = level_posterior(nothing, nothing, nothing, np.array([0.1]))
    assert center[0] == pytest.approx(1.0, abs=1e-6)
    assert variance[0] == pytest.approx(0.1, rel=1e-4)
    free = model(u=0.0)
    assert free.given(np.ones((2, 3, 4)), 0) is free
    unseen = model()
    assert unseen.given(np.zeros((2, 3, 0)), 0) is unseen


def integrated(known, seen, first):
    """Posterior mean and deviation with shocks and each node's demand integrated out in full."""
    level = stats.gamma.ppf((np.arange(400) + 0.5) / 400, 1 / VARIANCE, scale=VARIANCE)
    s = known.shock_variance[0]
    shock = stats.gamma.ppf((np.arange(80) + 0.5) / 80, 1 / s, scale=s)
    mean = known.mean(first, seen.shape[2])
    count = np.round(seen / known.unit[:, None, None])
    centers, deviations = [], []
    for i in range(len(seen)):
        logarithm = np.zeros(len(level))
        for t in range(seen.shape[2]):
            m = mean[i, :, t, None, None] / known.unit[i] * level[:, None] * shock
            k = np.where(np.isfinite(known.size[i]), known.size[i], 1e9)[:, None, None]
            each = stats.nbinom.logpmf(count[i, :, t, None, None], k, k / (k + m)).sum(axis=0)
            logarithm += np.log(np.exp(each).mean(axis=1))
        weight = np.exp(logarithm - logarithm.max())
        weight /= weight.sum()
        centers.append(weight @ level)
        deviations.append(np.sqrt(weight @ level**2 - centers[-1] ** 2))
    return np.array(centers), np.array(deviations)


def test_totals_say_about_what_all_nodes_say():
    """Mean within half a posterior deviation of the full integral's, deviations within 10 %."""
    known = model()
    for path in known.sample(3, 5, 12, np.random.default_rng(6)):
        belief = known.given(path, 5)
        center, deviation = integrated(known, path, 5)
        found = belief.mean(20, 1)[:, 0, 0] / known.mean(20, 1)[:, 0, 0]
        assert (np.abs(found - center) < deviation / 2).all()
        np.testing.assert_allclose(np.sqrt(belief.level_variance) * found, deviation, rtol=0.1)


def test_beliefs_are_calibrated():
    """Over many paths the level is met on average, with the squared error that is stated."""
    known, generator = model(), np.random.default_rng(3)
    state = generator.bit_generator.state
    paths = known.sample(600, 0, 10, generator)
    generator.bit_generator.state = state
    # The shocks average out over the same path's rates only in part: the level is drawn after them.
    shape = (600, 2, 10)
    generator.standard_gamma(1 / known.shock_variance[:, None], size=shape)
    level = generator.standard_gamma(1 / VARIANCE, size=(600, 2)) * VARIANCE
    beliefs = [known.given(path, 0) for path in paths]
    base = known.mean(0, 1)[:, 0, 0]
    center = np.array([b.mean(0, 1)[:, 0, 0] / base for b in beliefs])
    variance = np.array([b.level_variance for b in beliefs]) * center**2
    error = center - level
    assert (np.abs(error.mean(axis=0)) < 4 * error.std(axis=0) / np.sqrt(len(error))).all()
    np.testing.assert_allclose((error**2).mean(axis=0), variance.mean(axis=0), rtol=0.2)
    # Without learning the error would have the prior's variance.
    assert ((error**2).mean(axis=0) < 0.6 * VARIANCE).all()
