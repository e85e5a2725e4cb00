"""Learning with orders in whole lots: slopes are those of simulated costs, and cost falls."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from optrl.building import build
from optrl.demand.normal import Normal
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.learning.base import Subject, TrainingError
from optrl.learning.pathwise import Pathwise, PathwiseSettings
from optrl.learning.training_instance import training_instance
from optrl.learning.whole_lots import WholeLotSystems
from optrl.networks.graph_policy import PolicyNetwork
from optrl.policies.neural import NeuralPolicy
from optrl.policies.neural_conditions import InputSpace
from optrl.policies.neural_file import policy_shape
from optrl.policies.neural_inputs import NeuralInputs
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.rollout import simulate
from optrl.simulation.state import Decision
from optrl.testbeds.dual_sourcing import DualSourcingFamily
from optrl.testbeds.exact_rule import exact_cost
from optrl.testbeds.serial import SerialFamily

PERIODS, PATHS, LANES = 6, 5, 4
SPACE = InputSpace(3)


def two_places(unmet):
    """Two places, each with a slow and a fast supplier; two items in lots of 1 and 2."""
    instance = build(
        "two places",
        {"slow": "supplier", "fast": "supplier", "a": "stocking", "b": "stocking"},
        {("slow", "a"): 2, ("slow", "b"): 3, ("fast", "a"): 0, ("fast", "b"): 1},
        ["a", "b"],
        unmet=unmet,
        horizon=PERIODS,
        items=2,
        holding_cost={"a": 1.0, "b": 0.5},
        shortage_cost={"a": 9.0, "b": 19.0},
        lane_cost={("slow", "a"): 3.0, ("slow", "b"): 3.0, ("fast", "a"): 4.0, ("fast", "b"): 5.0},
        on_hand={"a": 4.0, "b": 6.0},
        lot_size=1.0,
    )
    lot = np.array([[1.0], [2.0]]) * instance.network.lot_size
    return replace(instance, network=replace(instance.network, lot_size=lot))


class FirstOrder:
    """Plays given orders in the first period and a policy's later."""

    name = "first order"

    def __init__(self, policy, order):
        self.policy, self.order = policy, order

    def decide(self, state, period):
        return self.policy.decide(state, period) if period else Decision(self.order)


def cost_of_item(instance, policy, paths, item):
    """Cost of one item, what is left or owed at the slow supplier's price, by path."""
    network = instance.network
    alone = {
        name: np.where(np.arange(2)[:, None] == item, getattr(network, name), 0.0)
        for name in ("holding_cost", "shortage_cost", "lane_cost")
    }
    value = np.zeros((2, len(network.nodes)))
    value[item] = 3.0
    changed = replace(network, terminal_value=value, **alone)
    run = simulate(replace(instance, network=changed), policy, paths, seed=0)
    return run.total_cost + 3.0 * run.final_state.backlog[:, item].sum(dim=1)


@pytest.mark.parametrize(("unmet", "window"), [("lost", 1.0), ("backorder", 1.0), ("lost", 0.6)])
def test_slopes_are_differences_of_simulated_costs(unmet, window):
    """One lot changed on one lane, all else as played, same demand: lane by lane, item by item."""
    instance = two_places(unmet)
    demand = Poisson(np.array([2, 3]), steady(np.array([[2.0, 3.0], [4.0, 5.0]])))
    network = PolicyNetwork.seeded(policy_shape(SPACE, 8, 2, 0), 4)
    training = training_instance(instance, demand)
    systems = WholeLotSystems(training, network, SPACE, paths=PATHS, window=window)
    systems.cost(PERIODS, np.random.default_rng(7), 0, 0).backward()

    inputs = NeuralInputs.of(instance, demand, SPACE)
    asking, played = NeuralPolicy(network, inputs, whole_lots=False), NeuralPolicy(network, inputs)
    paths = demand.sample(PATHS, 0, PERIODS, np.random.default_rng(7))
    asked = asking.orders(Dynamics(instance).initial_state(PATHS), 0)
    lots = (asked.detach() / torch.tensor([1.0, 2.0])).numpy()
    nearest = np.floor(lots + 0.5)
    other = np.where(lots >= nearest, nearest + 1, nearest - 1)
    slope = np.zeros(lots.shape)
    for item, lot in enumerate((1.0, 2.0)):

        def cost(orders, item=item):
            order = torch.from_numpy(orders * [1.0, 2.0]).float().permute(1, 2, 0)
            return cost_of_item(instance, FirstOrder(played, order), paths, item).numpy()

        base = cost(nearest)
        for lane in range(LANES):
            changed = nearest.copy()
            changed[lane, :, item] = other[lane, :, item]
            step = lot * (other - nearest)[lane, :, item]
            unit = training.unit[item, instance.network.destination[lane]]
            slope[lane, :, item] = (cost(changed) - base) / step / unit
    moved = np.abs(lots - np.floor(lots) - 0.5) <= window / 2
    assert moved.all() == (window == 1.0)
    slope = np.where(moved, slope / window, 0.0)
    loss = (torch.from_numpy(slope).float() * asked).sum() / (PATHS * training.systems)
    expected = torch.autograd.grad(loss, list(network.out.parameters()))
    found = [parameter.grad for parameter in network.out.parameters()]
    assert max(float(each.abs().max()) for each in expected) > 1e-2
    torch.testing.assert_close(found, list(expected), rtol=1e-3, atol=1e-5)


def test_a_specialist_learns_dual_sourcing_in_seconds():
    """Within 1 % of the optimum, exactly evaluated, from an order of mean demand on each lane."""
    bed = DualSourcingFamily.case(2, 105.0).solved()
    settings = PathwiseSettings(
        updates=250, paths=192, periods=10, restart=1000, width=32, learning_rate=1e-2, clip=5.0,
        lots=True,
    )  # fmt: skip
    learner = Pathwise.begin(Subject(bed.instance, bed.demand, endless=True), settings, 0)
    for _ in range(learner.total):
        learner.update()
    assert bed.gap(exact_cost(bed, learner.policy(bed.instance, bed.demand)).cost) < 1.0


def test_what_has_no_lots_of_its_own_is_refused():
    """Continuous orders, shared limits and runs that end, each by name."""
    with pytest.raises(TrainingError, match="window"):
        PathwiseSettings(window=0.0)
    settings = PathwiseSettings(lots=True, paths=2)
    serial = next(iter(SerialFamily.cases()))
    with pytest.raises(TrainingError, match="has no lots on lane"):
        Pathwise.begin(Subject(serial.instance, serial.demand, endless=True), settings, 0)
    instance = two_places("lost")
    demand = Normal(np.array([2, 3]), steady(np.full((2, 2), 3.0)), steady(np.ones((2, 2))))
    with pytest.raises(TrainingError, match="past any end"):
        Pathwise.begin(Subject(instance, demand), settings, 0)
    joint = np.where(np.arange(len(instance.network.lanes)) == 0, 5.0, 0.0)
    shared = replace(instance, network=replace(instance.network, joint_fixed_cost=joint))
    with pytest.raises(TrainingError, match="share resources"):
        Pathwise.begin(Subject(shared, demand, endless=True), settings, 0)
    capacity = np.full(instance.network.supply_capacity.shape, 50.0)
    limited = replace(instance, network=replace(instance.network, supply_capacity=capacity))
    with pytest.raises(TrainingError, match="capacities"):
        Pathwise.begin(Subject(limited, demand, endless=True), settings, 0)
