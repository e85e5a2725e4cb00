"""The cost-to-go policy: by name, from files, feasible under limits, deterministic."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from optrl.demand.replay import Replay
from optrl.errors import OptrlError
from optrl.instance import DemandTable
from optrl.networks.blockwise_convex import BlockwiseConvexNetwork
from optrl.policies.base_stock import BaseStock
from optrl.policies.cost_to_go import CostToGo
from optrl.policies.position_values import PositionValues, Shape
from optrl.policies.program_endings import PositionEnding
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.rollout import simulate
from optrl.testbeds.one_warehouse_five_stores import OneWarehouseFiveStores, demand, limited
from optrl.values.input_convex import InputConvex
from optrl.values.state_columns import StateColumns


@pytest.fixture(scope="module")
def bed():
    """A short run of the five stores."""
    return OneWarehouseFiveStores.case("open", periods=20)


def paths(bed, scenarios=2, periods=60):
    """Demand of the bed."""
    generator = np.random.default_rng(4)
    return bed.demand.sample(scenarios, bed.instance.start, periods, generator)


def valley(columns):
    """A convex function with a valley at a plausible stock."""
    network = BlockwiseConvexNetwork(
        columns.size, [[0, 6]], (4, 3), (8, 6), generator=torch.Generator().manual_seed(1)
    )
    with torch.no_grad():
        network.argument_shift.fill_(6.0)
        network.argument_scale.fill_(3.0)
        network.value_scale.fill_(30.0)
        network.linear.fill_(0.2)
    return InputConvex.of_arrays(network.export(0.5, 2))


def test_the_policy_by_name_needs_no_training_and_is_near_base_stock(bed):
    """Without any learning the separable kind costs at most 8 % more than tuned base stock."""
    drawn = paths(bed, 4, 80)
    levels = np.array([[59.0, 13.0, 17.0, 21.0, 24.75, 28.5]])
    costs = []
    for policy in (
        BaseStock.at_level(bed.instance, levels),
        CostToGo.fit(bed.instance, bed.demand),
    ):
        run = simulate(bed.instance, policy, drawn, seed=0, warm_up=30, dtype=torch.float64)
        costs.append(float(run.period_cost[:, 30:].mean()))
    assert costs[1] < 1.08 * costs[0]


def test_orders_keep_a_limit_that_no_cost_to_go_was_made_for(bed):
    """Nothing of either kind's orders is cut under a throughput limit."""
    instance = limited(bed.instance, 15.0)
    columns = StateColumns.of(instance)
    for policy in (
        CostToGo.fit(instance, demand()),
        CostToGo.with_value(instance, demand(), valley(columns), columns),
    ):
        run = simulate(instance, policy, paths(bed), seed=0, dtype=torch.float64, record="full")
        assert max(float(cut.sum()) for cut in run.cut.values()) < 1e-6
        assert float(run.detail.released[:, :, 1:].sum(dim=2).max()) <= 15 + 1e-6


def test_decisions_do_not_depend_on_what_was_decided_before(bed):
    """The same states give the same orders, from a fresh policy and a used one."""
    columns = StateColumns.of(bed.instance)
    policies = [
        CostToGo.with_value(bed.instance, bed.demand, valley(columns), columns) for _ in range(2)
    ]
    first = [
        simulate(bed.instance, p, paths(bed, 3, 15), seed=0, dtype=torch.float64).period_cost
        for p in policies
    ]
    assert torch.equal(first[0], first[1])


@pytest.mark.parametrize(("horizon", "count"), [(2, 4), (3, 0)])
def test_longer_programs_with_recourse_weigh_sampled_demand(bed, horizon, count):
    """A sampled tree of two periods and a chain of three both decide, exactly embedded."""
    columns = StateColumns.of(bed.instance)
    policy = CostToGo.with_value(
        bed.instance, bed.demand, valley(columns), columns, horizon=horizon, paths=count
    )
    simulate(bed.instance, policy, paths(bed, 1, 6), seed=0, dtype=torch.float64)
    assert policy.stage.difference < 1e-6
    assert len(policy.stage.valued_nodes) == max(count, 1)


def test_positions_with_recourse_cost_the_same_where_demand_is_certain(bed):
    """Paths that are all alike leave the optimum as it is; paths that differ do not."""
    nodes = bed.instance.demand.nodes
    certain = Replay(DemandTable(nodes, bed.instance.start, bed.demand.mean(0, 200)))
    scarce = replace(bed.instance, on_hand=bed.instance.on_hand / 4)
    state = Dynamics(scarce, dtype=torch.float64).initial_state(1)

    def optimum(demand, count):
        ending = PositionEnding(scarce, demand, 3)
        policy = CostToGo(ending, demand, horizon=3, paths=count)
        (solved,) = policy._solved(state, scarce.start)
        return solved.solution.objective

    assert optimum(certain, 3) == pytest.approx(optimum(certain, 0))
    assert optimum(bed.demand, 3) != pytest.approx(optimum(bed.demand, 0))


def test_both_kinds_come_back_from_files(bed, tmp_path):
    """What is saved decides the same when loaded; a folder of neither kind is refused."""
    columns = StateColumns.of(bed.instance)
    shaped = PositionEnding(bed.instance, bed.demand, 3, Shape(position=0.5))
    kinds = {
        "value": CostToGo.with_value(bed.instance, bed.demand, valley(columns), columns),
        "shape": CostToGo(shaped, bed.demand, horizon=3),
    }
    for name, policy in kinds.items():
        folder = tmp_path / name
        folder.mkdir()
        policy.save(folder)
        again = CostToGo.load(folder, bed.instance, bed.demand)
        runs = [
            simulate(bed.instance, p, paths(bed, 1, 8), seed=0, dtype=torch.float64)
            for p in (policy, again)
        ]
        assert torch.equal(runs[0].period_cost, runs[1].period_cost)
    with pytest.raises(OptrlError):
        CostToGo.load(tmp_path, bed.instance, bed.demand)


def test_positions_count_only_where_orders_arrive_beyond_the_program(bed):
    """Far nodes follow the horizon; values fall from segment to segment."""
    assert PositionValues(bed.instance, bed.demand, 4).far.all()
    assert not PositionValues(bed.instance, bed.demand, 8).far.any()
    values = PositionValues(bed.instance, bed.demand, 6)
    assert values.far.tolist() == [[True, False, False, False, False, False]]
    names = np.arange(len(bed.instance.network.nodes))
    for value in values.at(0, names, len(names)):
        assert (np.diff(value.marginal_value, axis=2) <= 1e-9).all()


def test_a_shape_must_be_positive():
    """Zero or infinite multipliers are refused."""
    with pytest.raises(OptrlError, match="position"):
        Shape(position=0.0)
    with pytest.raises(OptrlError, match="stock"):
        Shape(stock=float("inf"))
    for power in (-0.1, 1.1, float("nan")):
        with pytest.raises(OptrlError, match="lead_time"):
            Shape(lead_time=power)


def test_penalties_of_long_lead_times_may_count_in_full(bed):
    """With power 1 the rule's penalty for lost sales, with 0 what a unit met saves."""
    instance = replace(bed.instance, network=replace(bed.instance.network, unmet="lost"))
    rule, full = (
        PositionValues(instance, bed.demand, 4, Shape(lead_time=power)) for power in (1.0, 0.0)
    )
    np.testing.assert_allclose(full.shortage, full.underage)
    long = rule.sourcing.lead_time == rule.sourcing.lead_time.max()
    assert (rule.shortage[long] < 0.6 * full.shortage[long]).all()


def test_lots_make_the_program_decide_whole_units():
    """In whole units every order is a whole number and nothing is cut."""
    whole = OneWarehouseFiveStores.case("whole", periods=20)
    columns = StateColumns.of(whole.instance)
    policy = CostToGo.with_value(whole.instance, whole.demand, valley(columns), columns)
    drawn = paths(whole, 1, 8)
    run = simulate(whole.instance, policy, drawn, seed=0, dtype=torch.float64, record="full")
    released = run.detail.released
    assert float(released.sum()) > 0
    assert torch.allclose(released, released.round(), atol=1e-9)
    assert max(float(cut.sum()) for cut in run.cut.values()) < 1e-6
