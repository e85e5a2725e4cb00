"""Instances are read as a chain, or refused by what a chain has not."""

from dataclasses import replace

import numpy as np
import pytest
from optrl_formulations.network import Resource

from optrl.building import build
from optrl.exact.distribution import DemandDistribution
from optrl.exact.errors import ExactError
from optrl.exact.serial_instance import chain_of
from optrl.instance import ArrivalProfile

DEMAND = DemandDistribution.uniform(0, 2)
NODES = {"plant": "supplier", "centre": "stocking", "store": "stocking"}
LANES = {("plant", "centre"): 3, ("centre", "store"): 1}


def chain(**changed):
    """A chain of two stages."""
    return build(
        "chain",
        changed.pop("nodes", NODES),
        changed.pop("lanes", LANES),
        changed.pop("demand_at", ["store"]),
        unmet=changed.pop("unmet", "backorder"),
        horizon=4,
        holding_cost={"centre": 1.0, "store": 2.0},
        shortage_cost={"store": 9.0},
        lane_cost={("centre", "store"): 0.5},
        on_hand={"centre": 7.0},
        **changed,
    )


def test_a_chain_is_read_from_the_customer_up():
    """Truth: the numbers it was built from; purchase prices fall on the supplier's lane."""
    instance = chain()
    due = np.zeros((1, 3, 2))
    due[0, 1] = 4.0, 5.0
    network = replace(instance.network, unit_cost=np.array([3.0]), discount=0.9)
    backlog = np.array([[0.0, 0.0, 2.0]])
    found, state = chain_of(
        replace(instance, network=network, due=due, backlog=backlog), DEMAND, 0.5
    )
    assert found.holding_cost == (2.0, 1.0)
    assert found.release_cost == (0.5, 3.0)
    assert found.lead_time == (1, 3)
    assert (found.shortage_cost, found.discount, found.unit) == (9.0, 0.9, 0.5)
    assert state.echelon_stock.tolist() == [-2.0, 5.0]
    assert state.position.tolist() == [-2.0, 14.0]


def test_other_shapes_are_refused():
    """Two stores, a store's demand at the centre, lost sales."""
    two = {**NODES, "shop": "stocking"}
    lanes = {**LANES, ("centre", "shop"): 1}
    with pytest.raises(ExactError, match="no chain"):
        chain_of(chain(nodes=two, lanes=lanes), DEMAND)
    with pytest.raises(ExactError, match="demand elsewhere"):
        chain_of(chain(demand_at=["centre", "store"]), DEMAND)
    with pytest.raises(ExactError, match="is lost"):
        chain_of(chain(unmet="lost"), DEMAND)
    with pytest.raises(ExactError, match="2 items"):
        chain_of(chain(items=2), DEMAND)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lot_size": np.full((1, 2), 2.0)}, "integers"),
        ({"allowed": np.array([[True, False]])}, "may not use"),
        ({"maximum_quantity": np.array([[5.0, np.inf]])}, "largest quantities"),
        ({"supply_capacity": np.full((1, 3), 4.0)}, "limited supply"),
        (
            {"resources": (Resource("dock", "budget", np.ones(1), np.full(4, 9.0)),)},
            "shared resources",
        ),
        ({"closed": frozenset({(0, 1)})}, "calendar"),
        ({"review_period": np.array([2, 1])}, "calendar"),
        ({"service_level": np.full((1, 3), 0.9)}, "service-level"),
        ({"terminal_value": np.ones((1, 3))}, "terminal value"),
        ({"transit_cost": np.ones((1, 2, 1))}, "transit costs"),
    ],
)
def test_what_a_chain_has_not_is_named(change, said):
    """Each thing that the recursion leaves out is refused, not ignored."""
    instance = chain()
    with pytest.raises(ExactError, match=said):
        chain_of(replace(instance, network=replace(instance.network, **change)), DEMAND)


def test_random_arrivals_and_frozen_orders_are_refused():
    """They are the instance's, not its network's."""
    instance = chain()
    late = ArrivalProfile(0, np.ones(1), np.array([[0.0, 0.0, 0.0, 0.0, 1.0]]))
    with pytest.raises(ExactError, match="random arrivals"):
        chain_of(replace(instance, arrivals=(late,)), DEMAND)
    with pytest.raises(ExactError, match="frozen orders"):
        chain_of(replace(instance, frozen=np.ones((1, 2, 1))), DEMAND)
