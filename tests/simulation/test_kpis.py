"""Indicators against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from optrl_formulations.network import Resource

from optrl.simulation.kpis import Indicators
from optrl.simulation.rollout import simulate


def test_indicators_of_a_small_trace(build, script):
    """Fill rate, cycle service, turns, days of stock, costs and storage violations by hand."""
    room = Resource("room", "storage", np.ones(1), np.array([5.0]), node=1, overflow_cost=1.0)
    instance = build(
        [("supplier", "supplier"), ("store", "stocking")],
        [("supplier", "store", 0)],
        ["store"],
        unit_cost=2.0,
        holding_cost={"store": 1.0},
        shortage_cost={"store": 4.0},
        resources=(room,),
    )
    demand = np.array([9.0, 2.0, 0.0, 8.0, 5.0])[None, None, None]
    policy = script([[9], [10], [0], [0], [2]])
    result = simulate(instance, policy, demand, seed=0, warm_up=1, dtype=torch.float64)
    found = Indicators.of(result)
    # After the warm-up: stock 8, 8, 0, 0; unmet 0, 0, 0, 3; sold 2, 0, 8, 2.
    assert found.periods == 4
    assert found.fill_rate.mean == pytest.approx(1 - 3 / 15)
    assert found.cycle_service.mean == pytest.approx(1 - 1 / 3)
    assert found.mean_stock.mean == pytest.approx(4)
    assert found.turns.mean == pytest.approx(52 * 3 / 4)
    assert found.days_of_stock.mean == pytest.approx(365 / 39)
    assert found.cost_by_kind["holding"].mean == pytest.approx(4)
    assert found.cost_by_kind["shortage"].mean == pytest.approx(3)
    assert found.cost_by_kind["purchase"].mean == pytest.approx(6)
    assert found.cost_by_kind["overflow"].mean == pytest.approx(1.5)
    assert found.cost_per_period.mean == pytest.approx(14.5)
    assert found.cost.mean == pytest.approx(58)
    (use,) = found.resources
    assert (use.mean, use.largest, use.share) == pytest.approx((4, 8, 0.8))
    assert use.violation_rate == pytest.approx(0.5)
    assert use.mean_excess == pytest.approx(3, rel=1e-4)
    assert np.isnan(found.cost.standard_error)


def test_standard_errors_and_tables(build, script):
    """Standard errors are those of a mean over scenarios; tables hold every indicator."""
    instance = build(
        [("supplier", "supplier"), ("store", "stocking")],
        [("supplier", "store", 0)],
        ["store"],
        holding_cost={"store": 1.0},
        maximum_quantity=6.0,
    )
    demand = np.array([1.0, 3.0, 5.0])[:, None, None, None]
    found = Indicators.of(simulate(instance, script([[9]]), demand, seed=0))
    assert found.cost.mean == pytest.approx(3)
    assert found.cost.standard_error == pytest.approx(2 / np.sqrt(3))
    assert found.turns.mean == pytest.approx(52 * np.mean([1 / 5, 1, 5]))
    table = found.table()
    row = dict(zip(table["indicator"], table["mean"], strict=True))
    assert row["cut_maximum_quantity"] == pytest.approx(3)
    assert row["cost_holding"] == pytest.approx(3)
    assert found.resource_table().is_empty()
