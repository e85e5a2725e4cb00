"""Observed demand as a model."""

import numpy as np
import pytest

from optrl.demand.fit import fit
from optrl.demand.lead_time import total_loss, total_quantile
from optrl.demand.paths import DemandPeriodError

OBSERVED = np.random.default_rng(0).random((2, 3, 12))


def test_replay_is_the_observed_demand(make_instance):
    """Mean and every scenario equal the table, kept periods included; nothing varies."""
    model = fit(make_instance(OBSERVED, 18, first_period=10), "replay")
    np.testing.assert_array_equal(model.mean(18, 4), OBSERVED[:, :, 8:])
    paths = model.sample(3, 16, 5, np.random.default_rng(0))
    np.testing.assert_array_equal(paths, np.broadcast_to(OBSERVED[:, :, 6:11], (3, 2, 3, 5)))
    assert not model.variance(16, 5).any()


def test_totals_of_replay_are_certain(make_instance):
    """Every quantile is the total itself; shortage is what is missing to it."""
    model = fit(make_instance(OBSERVED, 8), "replay")
    total = OBSERVED[:, :, 8:11].sum(axis=(1, 2))[:, None]
    groups = np.ones((2, 3, 1))
    np.testing.assert_allclose(total_quantile(model, groups, 8, 3, 0.3), total)
    loss, tail = total_loss(model, groups, 8, 3, total - 0.5)
    np.testing.assert_allclose(loss, 0.5)
    np.testing.assert_array_equal(tail, 1.0)


def test_periods_beyond_the_table_are_refused(make_instance):
    """The error names what is held."""
    model = fit(make_instance(OBSERVED, 8), "replay")
    with pytest.raises(DemandPeriodError, match=r"holds 0\.\.11"):
        model.sample(1, 8, 5, np.random.default_rng(0))
