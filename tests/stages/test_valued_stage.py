"""A stage problem with a value function at its end: exact, and never worse than a grid."""

import itertools

import numpy as np
import pytest
import torch
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.building import build
from optrl.networks.blockwise_convex import BlockwiseConvexNetwork
from optrl.stages.stage_problem import StageState
from optrl.stages.valued_stage import ValuedStageProblem
from optrl.values.base import ValueFunctionError
from optrl.values.input_convex import InputConvex
from optrl.values.state_columns import StateColumns


def instance(lot=0.0):
    """A warehouse and two stores."""
    return build(
        "tiny",
        {"s": "supplier", "w": "stocking", "a": "stocking", "b": "stocking"},
        {("s", "w"): 1, ("w", "a"): 1, ("w", "b"): 1},
        ("a", "b"),
        unmet="lost",
        horizon=4,
        holding_cost={"w": 0.5, "a": 1.0, "b": 1.0},
        shortage_cost={"a": 9.0, "b": 9.0},
        lane_cost={("s", "w"): 1.0},
        on_hand={"w": 6.0, "a": 1.0, "b": 2.0},
        lot_size=lot,
    )


def convex(columns, seed):
    """A convex function that grows beyond a valley."""
    generator = torch.Generator().manual_seed(seed)
    network = BlockwiseConvexNetwork(
        columns.size, [[0], [1, columns.size - 1]], (5, 4), (6, 5), generator=generator
    )
    with torch.no_grad():
        network.argument_shift.fill_(4.0)
        network.argument_scale.fill_(2.0)
        network.value_scale.fill_(20.0)
        network.linear.fill_(0.3)
    return InputConvex.of_arrays(network.export(0.5, 2))


def solved(moment, tree, lot=0.0, seed=0):
    """The first decision of a stage problem, and the problem."""
    bed = instance(lot)
    columns = StateColumns.of(bed, moment=moment)
    value = convex(columns, seed)
    pairs = np.zeros((1, 4), dtype=bool)
    pairs[0, 2:] = True
    stage = ValuedStageProblem(bed.network, tree, pairs, value, columns)
    demand = np.zeros((1, 4, len(tree.parent)))
    demand[0, 2:] = np.random.default_rng(seed).poisson(3, (2, len(tree.parent)))
    state = StageState(bed.on_hand, np.zeros((1, 4, 1)), np.zeros((1, 4)))
    return bed, stage, value, columns, demand, state, stage.solve(state, 0, demand)


@pytest.mark.parametrize("lot", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_one_decision_is_no_worse_than_any_on_a_grid(lot, seed):
    """Orders of a single-period program beat all whole orders, by the function's own value."""
    bed, _, value, _, _, state, found = solved("after_decision", ScenarioTree.chain(1), lot, seed)
    best = np.inf
    for z, a, b in itertools.product(range(16), range(7), range(7)):
        if a + b <= 6:
            arguments = np.array([[6.0 - a - b, 1.0, 2.0, z, a, b]])
            best = min(best, z + float(value(arguments)[0]))
    order = found.order[0, :, 0]
    mine = np.array([[6.0 - order[1] - order[2], 1.0, 2.0, order[0], order[1], order[2]]])
    cost = order[0] + float(value(mine)[0])
    assert order[1] + order[2] <= state.on_hand[0, 1] + 1e-9
    assert cost == pytest.approx(found.solution.objective, rel=1e-6)
    assert cost <= best + 1e-3 * abs(best)
    if not lot:
        assert cost <= best + 1e-7 * abs(best)
    assert len(bed.network.lanes) == 3


@pytest.mark.parametrize("moment", ["after_decision", "next_decision"])
@pytest.mark.parametrize("tree", [ScenarioTree.chain(3), ScenarioTree.two_stage(2, 3)])
def test_embedded_value_is_the_forward_pass(moment, tree):
    """After each solve, hot ones included, the two agree to one part in a million."""
    _, stage, _, _, demand, state, _ = solved(moment, tree, seed=5)
    for k in range(4):
        moved = StageState(state.on_hand + k, state.due, state.backlog)
        stage.solve(moved, k, demand + k)
    assert stage.difference < 1e-6
    assert len(stage.valued_nodes) == (1 if len(tree.leaves) == 1 else 3)


def test_demand_of_the_last_period_belongs_to_a_function_after_the_decision():
    """With ``after_decision`` the last period's demand changes nothing; the one before does."""
    tree = ScenarioTree.chain(2)
    _, stage, _, _, demand, state, first = solved("after_decision", tree)
    later = demand.copy()
    later[:, :, 2] = 50.0
    assert stage.solve(state, 0, later).solution.objective == pytest.approx(
        first.solution.objective
    )
    later[:, :, 1] = 50.0
    assert stage.solve(state, 0, later).solution.objective > first.solution.objective + 10


def test_a_function_of_another_state_is_refused():
    """Sizes must agree."""
    bed = instance()
    columns = StateColumns.of(bed)
    with pytest.raises(ValueFunctionError, match="arguments"):
        ValuedStageProblem(
            bed.network,
            ScenarioTree.chain(1),
            np.zeros((1, 4), dtype=bool),
            convex(StateColumns.of(bed, moment="next_decision"), 0),
            columns,
        )
