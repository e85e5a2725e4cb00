"""The Pyomo builder and the array builder state the same replenishment problem."""

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.replenishment import add_replenishment
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_data import Delivery, ReplenishmentData, StockValue
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.instance import Instance
from optrl.solver import Model, compile_model
from optrl.testing import random_instance

TREES = {
    "chain": ScenarioTree.chain(3),
    "two_stage": ScenarioTree.two_stage(3, 2),
    "forest": ScenarioTree.forest(2, 2),
    "branching": ScenarioTree.branching([2, 1, 2]),
}


def problem(
    instance: Instance,
    tree: ScenarioTree,
    generator: np.random.Generator,
    frozen: bool,
    delivery: bool = False,
):
    network = instance.network
    n, v = len(network.items), len(network.nodes)
    pairs = np.zeros((n, v), dtype=bool)
    pairs[:, instance.demand.nodes] = generator.random((n, len(instance.demand.nodes))) < 0.9
    layout = ReplenishmentLayout(network, tree, instance.start, pairs)
    demand = generator.poisson(3.0, (n, v, len(tree.parent))).astype(float)
    on_nodes = network.kind == 1
    value = StockValue(
        on_hand_nodes=on_nodes & (generator.random((n, v)) < 0.8),
        transit_nodes=on_nodes & (generator.random((n, v)) < 0.6),
        width=generator.uniform(0, 3, (n, len(tree.outcomes), 2)),
        marginal_value=np.sort(generator.uniform(0, 2, (n, len(tree.outcomes), 2)), axis=2)[
            :, :, ::-1
        ],
    )
    orders = None
    if frozen:
        orders = np.zeros((n, len(network.lanes), 1))
        item, lane, node = (c[0] for c in layout.order)
        if tree.depth[node] == 0:
            orders[item, lane, 0] = 1.0
    stocked = layout.stocked
    random_lanes = network.replenishment_lanes[:2]
    fraction = generator.dirichlet(np.ones(4), (n, len(random_lanes), len(tree.parent)))
    pending = generator.random((n, len(random_lanes), len(tree.parent)))
    deliver = Delivery(random_lanes, fraction, pending)
    untouched = ~np.isin(np.arange(v), network.destination[random_lanes])
    if delivery:
        value = replace(value, transit_nodes=value.transit_nodes & untouched)
    data = ReplenishmentData(
        on_hand=instance.on_hand * stocked,
        due=instance.due * stocked[:, :, None],
        backlog=instance.backlog * pairs,
        demand=demand,
        frozen=orders,
        stock_values=(value,),
        delivery=deliver if delivery else None,
    )
    return layout, data


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@pytest.mark.parametrize("tree", TREES)
@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    integers=st.booleans(),
    frozen=st.booleans(),
    delivery=st.booleans(),
)
def test_builders_agree_entry_by_entry(tree, unmet, seed, integers, frozen, delivery):
    """Same blocks, costs, bounds, coefficients, data slots and integrality."""
    generator = np.random.default_rng(seed)
    instance = random_instance(
        generator,
        unmet=unmet,
        integers=integers,
        limited_supply=True,
        service=True,
        discount=0.97,
    )
    layout, data = problem(instance, TREES[tree], generator, frozen, delivery)
    arrays = build_replenishment(layout, data)
    model = pyo.ConcreteModel()
    handles = add_replenishment(model, layout, data)
    model.objective = pyo.Objective(expr=handles.cost)
    compiled = compile_model(model, handles.data)
    renamed = {"stock_value_0": ("stock_value_0.segment", "stock_value_0.held")}
    columns, rows = [], []
    for name, block in arrays.columns.items():
        other = compiled.columns[renamed.get(name, (name, name))[0]]
        assert len(block) == len(other), name
        columns.append(np.arange(other.start, other.stop))
    for name, block in arrays.rows.items():
        other = compiled.rows[renamed.get(name, (name, name))[1]]
        assert len(block) == len(other), name
        rows.append(np.arange(other.start, other.stop))
    column, row = np.concatenate(columns), np.concatenate(rows)
    np.testing.assert_allclose(arrays.cost, compiled.cost[column], atol=1e-12)
    np.testing.assert_allclose(arrays.column_lower, compiled.column_lower[column])
    np.testing.assert_allclose(arrays.column_upper, compiled.column_upper[column])
    np.testing.assert_array_equal(arrays.integrality, compiled.integrality[column])
    np.testing.assert_allclose(
        arrays.matrix.toarray(), compiled.matrix.toarray()[np.ix_(row, column)], atol=1e-12
    )
    # Pyomo knows no row without coefficients; such a row of the arrays must hold by itself.
    empty = np.diff(arrays.matrix.indptr) == 0
    for block in arrays.data.values():
        empty &= np.diff(block.matrix.tocsr().indptr) == 0
    assert (arrays.row_upper[empty] >= 0).all()
    assert (arrays.row_lower[empty] <= 0).all()
    full = ~empty
    np.testing.assert_allclose(arrays.row_lower[full], compiled.row_lower[row][full], atol=1e-9)
    np.testing.assert_allclose(arrays.row_upper[full], compiled.row_upper[row][full], atol=1e-9)
    assert arrays.data.keys() == compiled.data.keys()
    for name, block in arrays.data.items():
        other = compiled.data[name]
        np.testing.assert_allclose(block.value, other.value)
        np.testing.assert_allclose(block.cost, other.cost, atol=1e-12)
        np.testing.assert_allclose(
            block.matrix.toarray(), other.matrix.toarray()[row], atol=1e-12, err_msg=name
        )


def test_members_have_readable_names():
    """Every column and row of the array builder can be named."""
    generator = np.random.default_rng(3)
    instance = random_instance(generator, integers=True, limited_supply=True, service=True)
    layout, data = problem(instance, TREES["branching"], generator, frozen=False)
    program = build_replenishment(layout, data)
    for blocks in (program.columns, program.rows):
        for block in blocks.values():
            for k in range(len(block)):
                assert block.label(k)
    names = {program.row_name(k) for k in range(len(program.row_lower))}
    assert len(names) == len(program.row_lower)


def test_optimum_of_both_builders_is_one():
    """Solving either gives the same value."""
    generator = np.random.default_rng(5)
    instance = random_instance(generator)
    layout, data = problem(instance, TREES["two_stage"], generator, frozen=False)
    model = pyo.ConcreteModel()
    handles = add_replenishment(model, layout, data)
    model.objective = pyo.Objective(expr=handles.cost)
    first = Model(compile_model(model, handles.data)).solve().objective
    second = Model(build_replenishment(layout, data)).solve().objective
    assert first == pytest.approx(second, rel=1e-9)
