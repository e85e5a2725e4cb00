"""The pretrained policy where one warehouse supplies retailers: cheaper than tuned rationing."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from optrl.policies import find
from optrl.policies.pretrained import UntrainedWarning
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.rollout import simulate
from optrl.testbeds.one_warehouse_multi_retailer import (
    WARM_UP,
    Case,
    OneWarehouseMultiRetailer,
    classical,
    demand_law,
)

BEDS = list(OneWarehouseMultiRetailer.cases())


def test_published_instances_are_of_the_kind():
    """All ten, without a warning, and one with ten retailers."""
    many = Case("many", "lost", 3, (1, 2) * 5, np.stack([demand_law("Poisson(2)")] * 10))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for instance, demand in (
            *((bed.instance, bed.demand) for bed in BEDS),
            (many.instance(), many.demand),
        ):
            find("pretrained").fit(instance, demand)


@pytest.mark.parametrize(
    ("number", "levels", "less"), [(8, (69, 9, 9, 9), 0.01), (10, (74, 30, 28, 11), 0.04)]
)
def test_it_costs_less_than_tuned_rationing(number, levels, less):
    """On the same demand, by at least a share, at the levels of the committed table."""
    bed = BEDS[number - 1]
    label = "proportional_rationing" if number == 8 else "min_shortage_rationing"
    tuned = classical(label, bed.instance, np.array([levels], dtype=float), bed.demand)
    demand = bed.demand.sample(200, 0, bed.instance.horizon, np.random.default_rng(8))
    cost = [
        float(
            simulate(bed.instance, each, demand, seed=0, warm_up=WARM_UP)
            .period_cost[:, WARM_UP:]
            .mean()
        )
        for each in (find("pretrained").fit(bed.instance, bed.demand), tuned)
    ]
    assert cost[0] < (1 - less) * cost[1]


def changed(name):
    """Instance 6 with two items, the second changed so that it is of another kind."""
    bed = BEDS[5]
    case, _ = list(OneWarehouseMultiRetailer.problems())[5]
    instance = case.instance(2)
    network = instance.network
    table = getattr(network, name).copy()
    if name == "shortage_cost":
        table[1] *= 3
    elif name == "holding_cost":
        table[1, network.node_index["retailer2"]] = 2.0
    elif name == "lane_cost":
        # With the price of a unit near its shortage cost of 9, hardly any shortage is worth stock.
        table[1, network.lanes.index(("supplier", "warehouse"))] = 8.5
    elif name == "lot_size":
        table[1, network.lanes.index(("warehouse", "retailer3"))] = 2.0
    else:
        table[1, network.lanes.index(("supplier", "warehouse"))] = 1.0
    assert bed.instance.network.unmet == "lost"
    return replace(instance, network=replace(network, **{name: table})), case.demand_of(2)


@pytest.mark.parametrize(
    "name", ["shortage_cost", "holding_cost", "lane_cost", "lot_size", "fixed_cost"]
)
def test_systems_of_another_kind_follow_base_stock_as_a_whole(name):
    """Whatever is changed at one node or lane; the item beside it stays with the network."""
    instance, demand = changed(name)
    with pytest.warns(UntrainedWarning, match="4 of 8 pairs"):
        policy = find("pretrained").fit(instance, demand)
    alone = find("pretrained").fit(BEDS[5].instance, BEDS[5].demand)
    classical_ = find("base_stock").fit(instance, demand)
    state = Dynamics(instance).initial_state(2)
    order = policy.decide(state, 0).order
    torch.testing.assert_close(order[:, 1], classical_.decide(state, 0).order[:, 1])
    first = Dynamics(BEDS[5].instance).initial_state(2)
    torch.testing.assert_close(order[:, 0], alone.decide(first, 0).order[:, 0])
