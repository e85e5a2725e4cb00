"""What cannot be simulated is refused with the value, the bound and the remedy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from optrl.instance import ArrivalProfile
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.errors import SimulationError
from optrl.simulation.rollout import simulate

PAIR = [("p", "supplier"), ("a", "stocking")]


@pytest.fixture
def pair(build):
    return build(PAIR, [("p", "a", 1)], ["a"])


@pytest.mark.parametrize(
    ("demand", "message"),
    [
        (np.zeros((1, 2, 1, 3)), r"expected \(scenarios, 1 items, 1 demand nodes"),
        (np.zeros((1, 1, 1, 0)), "at least 1 period"),
        (np.full((1, 1, 1, 2), -1.0), r"smallest demand is -1.0; .* 0 or more"),
        (np.full((1, 1, 1, 2), np.nan), "smallest demand is nan"),
    ],
)
def test_wrong_demand_is_refused(pair, script, demand, message):
    """Demand of a wrong shape, negative or not a number names what is wrong."""
    with pytest.raises(SimulationError, match=message):
        simulate(pair, script([[1.0]] * 3), demand, seed=0)


@pytest.mark.parametrize("of", ["on_hand", "in_transit", "backlog"])
def test_a_policy_that_writes_to_the_state_is_refused(build, script, of):
    """A decision that changes stock or pipeline is found, with its period; reading is free."""
    instance = build(PAIR, [("p", "a", 2)], ["a"], unmet="backorder", on_hand={"a": 5.0})

    @dataclass(frozen=True)
    class Writer(script):
        name = "writer"
        writes: bool = True

        def decide(self, state, period):
            if self.writes and period == 1:
                getattr(state, of)[..., 1] += 3
            return super().decide(state, period)

    demand = np.ones((1, 1, 1, 4))
    quiet = simulate(instance, Writer([[1.0]] * 4, writes=False), demand, seed=0)
    if of == "backlog":  # a copy, which nothing is computed from
        written = simulate(instance, Writer([[1.0]] * 4), demand, seed=0)
        assert written.total_cost.equal(quiet.total_cost)
        return
    with pytest.raises(SimulationError, match=r"'writer' changed the state in period 1: .*clone"):
        simulate(instance, Writer([[1.0]] * 4), demand, seed=0)
    with torch.inference_mode():
        inferred = simulate(instance, Writer([[1.0]] * 4, writes=False), demand, seed=0)
    assert inferred.total_cost.equal(quiet.total_cost)


@pytest.mark.parametrize("periods", [1, 3])
def test_decisions_that_are_not_finite_are_refused(pair, script, periods):
    """An order that is not a number is found, even when it would arrive after the horizon."""
    orders = [[1.0]] * (periods - 1) + [[np.nan]]
    with pytest.raises(SimulationError, match=f"not finite in period {periods - 1}"):
        simulate(pair, script(orders), np.zeros((1, 1, 1, periods)), seed=0)


def test_wrong_decision_shape_and_warm_up_are_refused(pair, script):
    """A decision on another number of lanes, or a warm-up of the whole horizon, is refused."""
    demand = np.zeros((1, 1, 1, 2))
    with pytest.raises(SimulationError, match="the 1 lanes it decides on"):
        simulate(pair, script([[1.0, 2.0]] * 2), demand, seed=0)
    with pytest.raises(SimulationError, match="below the 2 periods"):
        simulate(pair, script([[1.0]] * 2), demand, seed=0, warm_up=2)


def test_lanes_that_deliver_at_once_must_not_form_a_cycle(build):
    """A cycle of zero-lead lanes, or of profiles that may deliver at once, names its lanes."""
    nodes = [*PAIR, ("b", "stocking")]
    with pytest.raises(SimulationError, match="a -> b, b -> a"):
        Dynamics(build(nodes, [("p", "a", 1), ("a", "b", 0), ("b", "a", 0)], ["a"]))
    instance = build(nodes, [("p", "a", 1), ("a", "b", 0), ("b", "a", 1)], ["a"])
    Dynamics(instance)
    at_once = ArrivalProfile(2, np.ones(1), np.array([[0.5, 0.5]]))
    with pytest.raises(SimulationError, match="a -> b, b -> a"):
        Dynamics(replace(instance, arrivals=(at_once,)))


def test_misplaced_backlog_and_profiles_are_refused(build):
    """Backlog without demand and profiles on serving lanes name node and lane."""
    nodes = [*PAIR, ("c", "customer")]
    lanes = [("p", "a", 1), ("a", "c", 0)]
    instance = build(nodes, lanes, ["c"], unmet="backorder", backlog={"a": 1.0})
    with pytest.raises(SimulationError, match="node 'a' has backlog"):
        Dynamics(instance)
    profile = ArrivalProfile(1, np.ones(1), np.array([[1.0]]))
    with pytest.raises(SimulationError, match="lane a -> c serves a customer"):
        Dynamics(build(nodes, lanes, ["c"], arrivals=(profile,)))
