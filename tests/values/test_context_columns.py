"""The context's columns: what they hold, in which order, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.testing import random_instance
from optrl.values.base import ValueFunctionError
from optrl.values.context_columns import ContextColumns


def test_context_holds_calendar_demand_and_prices():
    """Expected demand over windows, phase of the season, prices, jointly and by item."""
    instance = replace(random_instance(np.random.default_rng(0)), season=12)
    mean = np.arange(1.0, 1 + 2 * len(instance.demand.nodes)).reshape(2, -1)
    demand = Poisson(instance.demand.nodes, steady(mean))
    columns = ContextColumns.of(instance, harmonics=1, windows=(1, 4), prices=True)
    prices = np.arange(5.0)
    found = columns.vector(3, demand, prices)
    assert found.shape == (columns.size,) == (2 + 4 + 5,)
    assert found[:2] == pytest.approx([1.0, 0.0], abs=1e-12)
    assert found[2:6] == pytest.approx(np.tile(mean.sum(axis=1), 2))
    assert (found[6:] == prices).all()
    each = columns.by_item(3, demand, prices)
    assert each.shape == (2, columns.size_by_item)
    assert each[1, 2:4] == pytest.approx(mean[1].sum())
    assert columns.vector(15, demand, prices)[:2] == pytest.approx(found[:2], abs=1e-9)
    with pytest.raises(ValueFunctionError, match=r"prices have shape \(0,\), expected \(5,\)"):
        columns.vector(3, demand)
    with pytest.raises(ValueFunctionError, match="demand is of 2 items, the context of 3"):
        replace(columns, items=3).vector(3, demand, prices)
    with pytest.raises(ValueFunctionError, match="windows positive"):
        replace(columns, windows=(0,))
    assert ContextColumns.of(random_instance(np.random.default_rng(0))).size == 0
