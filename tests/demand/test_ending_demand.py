"""Demand that ends: nothing after the end, all before it, and what the model says besides."""

import numpy as np
import pytest

from optrl.demand.base import DemandModel, TotalShape
from optrl.demand.ending import until
from optrl.demand.negative_binomial import NegativeBinomial
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.demand.replay import Replay
from optrl.errors import OptrlError
from optrl.instance import DemandTable

STOP = 6


@pytest.fixture
def model():
    """Two nodes with an error of the level, in units of 2."""
    return NegativeBinomial(
        np.array([1, 2]),
        steady(np.array([[4.0, 7.0]])),
        np.full((1, 2), 3.0),
        np.array([2.0]),
        level_variance=np.array([0.1]),
    )


def test_periods_before_the_end_are_the_models_and_the_others_empty(model):
    """Means, variances, totals and paths are cut at the same period."""
    ended = until(model, STOP)
    assert isinstance(ended, DemandModel)
    for name in ("mean", "variance"):
        whole, cut = getattr(model, name)(3, 5), getattr(ended, name)(3, 5)
        np.testing.assert_array_equal(cut[:, :, :3], whole[:, :, :3])
        assert not cut[:, :, 3:].any()
    groups = np.ones((1, 2, 1))
    np.testing.assert_array_equal(
        ended.total_variance(groups, 3, 5), model.total_variance(groups, 3, 3)
    )
    assert not ended.total_variance(groups, STOP, 2).any()
    drawn = [each.sample(2, 3, 5, np.random.default_rng(1)) for each in (model, ended)]
    np.testing.assert_array_equal(drawn[1][..., :3], drawn[0][..., :3])
    assert not drawn[1][..., 3:].any()


def test_totals_keep_their_distribution(model):
    """Unit and family are the model's; a model without them stays without."""
    ended = until(model, STOP)
    assert isinstance(ended, TotalShape)
    assert (ended.total_family, ended.unit) == ("negative_binomial", model.unit)
    plain = Replay(DemandTable(np.array([1]), 0, np.ones((1, 1, 9))))
    assert not isinstance(plain, TotalShape)
    assert not isinstance(until(plain, STOP), TotalShape)


def test_what_is_believed_later_ends_at_the_same_period(model):
    """Learning goes through to the model; one that learns nothing is named."""
    seen = np.full((1, 2, 4), 20.0)
    later = until(model, STOP).given(seen, 0)
    np.testing.assert_array_equal(
        later.mean(4, 4)[:, :, :2], model.given(seen, 0).mean(4, 4)[:, :, :2]
    )
    assert later.mean(4, 1).sum() > 1.2 * model.mean(4, 1).sum()
    assert not later.mean(STOP, 2).any()
    with pytest.raises(OptrlError, match="Poisson"):
        until(Poisson(np.array([1]), steady(np.ones((1, 1)))), STOP).given(seen[:, :1], 0)


def test_periods_are_as_independent_as_the_models(model):
    """A model that does not say is not believed to be."""
    plain = Replay(DemandTable(np.array([1]), 0, np.ones((1, 1, 9))))
    poisson = Poisson(np.array([1]), steady(np.ones((1, 1))))
    found = [until(each, STOP).independent_periods for each in (model, poisson)]
    assert found == [False, True]
    assert until(plain, STOP).independent_periods == getattr(plain, "independent_periods", False)


def test_what_is_seen_after_the_end_is_not_learned_from(model):
    """Empty periods that no demand was expected of are no sign of a low level."""
    ended = until(model, STOP)
    seen = np.full((1, 2, STOP + 4), 20.0)
    seen[:, :, STOP:] = 0.0
    believed = [ended.given(each, 0).mean(4, 1) for each in (seen, seen[:, :, :STOP])]
    np.testing.assert_array_equal(*believed)
    assert ended.given(seen[:, :, STOP:], STOP).mean(4, 1).sum() == model.mean(4, 1).sum()
