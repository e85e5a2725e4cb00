"""The fast path: joined to a stage problem of arrays, moved by pushes, checked after each solve."""

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.joining import AffineMap
from optrl_formulations.replenishment import add_replenishment
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_data import ReplenishmentData
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree
from scipy.sparse import csr_matrix

from optrl.solver import Model, compile_model
from optrl.testing import random_instance
from optrl.values.base import EmbeddingError, ValueFunctionError
from optrl.values.embedding import embed
from optrl.values.input_convex import InputConvex
from optrl.values.program_state import model_columns, program_columns
from optrl.values.relu import Relu
from optrl.values.separable import Separable
from optrl.values.state_columns import StateColumns

SEEDS = st.integers(0, 2**32 - 1)
TREES = {"chain": ScenarioTree.chain(2), "two_stage": ScenarioTree.two_stage(2, 3)}


def stage(seed, tree, unmet="lost"):
    """A stage problem of a random instance."""
    generator = np.random.default_rng(seed)
    instance = random_instance(generator, unmet=unmet)
    network = instance.network
    n, v = len(network.items), len(network.nodes)
    pairs = np.zeros((n, v), dtype=bool)
    pairs[:, instance.demand.nodes] = True
    held = (instance.on_hand > 0) | (instance.due > 0).any(axis=2)
    layout = ReplenishmentLayout(network, tree, instance.start, pairs, held)
    data = ReplenishmentData(
        on_hand=instance.on_hand,
        due=instance.due,
        backlog=instance.backlog * pairs,
        demand=generator.poisson(3.0, (n, v, len(tree.parent))).astype(float),
    )
    return instance, layout, data


def shared(columns, generator, value_of, kind):
    """A function of the state's columns, divided by 10 to keep it of the size of costs."""
    value = value_of(kind, generator, columns.size)
    if kind == "separable":
        value = Separable(
            np.where(np.isfinite(value.width), 5 * value.width, np.inf),
            np.sort(value.slope, axis=1),
            np.zeros(columns.size),
            value.constant,
        )
    return value


@pytest.mark.parametrize("kind", ["separable", "cuts", "input_convex"])
@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("moment", ["next_decision", "after_decision"])
def test_arrays_give_what_pyomo_gives(make_value, kind, tree, moment):
    """Stage problem plus value function: joined arrays against one Pyomo model, all copies."""
    instance, layout, data = stage(1, TREES[tree])
    columns = StateColumns.of(instance, moment=moment)
    generator = np.random.default_rng(2)
    value = shared(columns, generator, make_value, kind)
    arguments = program_columns(columns, layout, data.due.shape[2])
    number = len(arguments) // columns.size
    weight = generator.uniform(0.1, 1.0, number)
    base = build_replenishment(layout, data)
    embedding = embed(base, value, arguments, weight)
    model = Model(embedding.program)
    solution = model.solve()
    assert embedding.check(model, solution) <= 1e-6

    whole = pyo.ConcreteModel()
    whole.stage = pyo.Block(concrete=True)
    handles = add_replenishment(whole.stage, layout, data)
    # Blocks of the joined program have the names of the stage problem's components.
    expressions = model_columns(arguments, handles)
    costs = []
    for m in range(number):
        block = pyo.Block(concrete=True)
        whole.add_component(f"value{m}", block)
        part = expressions[m * columns.size : (m + 1) * columns.size]
        costs.append(float(weight[m]) * value.add_to(block, part).cost)
    whole.objective = pyo.Objective(expr=handles.cost + sum(costs))
    expected = Model(compile_model(whole, handles.data)).solve().objective
    assert solution.objective == pytest.approx(expected, rel=1e-7, abs=1e-6)


def test_big_m_in_a_stage_problem(make_network):
    """A network that is not convex, on the box of what the stage can reach, one item's stock."""
    instance, layout, data = stage(3, TREES["chain"])
    columns = StateColumns.of(instance, moment="next_decision", pipeline="total")
    arguments = program_columns(columns, layout, data.due.shape[2])
    network = make_network(np.random.default_rng(0), columns.size, (6, 4), False)
    value = Relu.on_box(network, np.zeros(columns.size), np.full(columns.size, 200.0))
    embedding = embed(build_replenishment(layout, data), value, arguments)
    assert embedding.program.integrality.any()
    model = Model(embedding.program)
    assert embedding.check(model, model.solve(relative_gap=1e-9)) <= 1e-6


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_pushing_a_context_is_building_anew(make_partially_convex, seed):
    """After pushes the program is entry by entry the one that is built for the new contexts."""
    instance, layout, data = stage(4, TREES["two_stage"])
    columns = StateColumns.of(instance, moment="next_decision", pipeline="total")
    arguments = program_columns(columns, layout, data.due.shape[2])
    generator = np.random.default_rng(seed)
    family = make_partially_convex(generator, columns.size, 2)
    weight = generator.uniform(0.1, 1.0, 3)
    base = build_replenishment(layout, data)
    first = family.at_each(generator.normal(size=(3, 2)))
    second = family.at_each(generator.normal(size=(3, 2)))
    embedding = embed(base, first, arguments, weight)
    model = Model(embedding.program)
    embedding.check(model, model.solve())
    moved = embedding.push(model, second)
    solution = model.solve()
    assert moved.check(model, solution) <= 1e-6
    fresh = Model(embed(base, second, arguments, weight).program)
    for name in ("cost", "row_lower", "row_upper", "column_lower", "column_upper"):
        assert getattr(model.solved, name) == pytest.approx(getattr(fresh.solved, name))
    assert model.solved.offset == pytest.approx(fresh.solved.offset)
    assert fresh.solve().objective == pytest.approx(solution.objective, rel=1e-7, abs=1e-6)
    with pytest.raises(EmbeddingError):
        embedding.check(model, solution)


def test_slopes_and_state_are_pushed(make_value):
    """New slopes and widths as costs and bounds, and a new state, without building again."""
    instance, layout, data = stage(5, TREES["chain"])
    columns = StateColumns.of(instance, moment="after_decision")
    arguments = program_columns(columns, layout, data.due.shape[2])
    generator = np.random.default_rng(1)
    first, second = (shared(columns, generator, make_value, "separable") for _ in range(2))
    base = build_replenishment(layout, data)
    # Substituted arguments need no column of their own: it stays a network flow.
    embedding = embed(base, first, arguments)
    assert "value_argument" not in embedding.program.columns
    model = Model(embedding.program)
    embedding.check(model, model.solve())
    moved = embedding.push(model, second)
    model.push_data("initial_on_hand", layout.initial_on_hand.gather(2.0 * data.on_hand))
    solution = model.solve()
    assert moved.check(model, solution) <= 1e-6
    other = build_replenishment(layout, replace(data, on_hand=2.0 * data.on_hand))
    expected = Model(embed(other, second, arguments).program).solve().objective
    assert solution.objective == pytest.approx(expected, rel=1e-7, abs=1e-6)


def test_one_network_for_every_item(make_partially_convex):
    """Items as copies with a context each; the checks name the copy that is off."""
    instance, layout, data = stage(6, TREES["chain"])
    columns = StateColumns.of(instance, moment="next_decision", alike=True)
    table = columns.by_item()
    arguments = program_columns(columns, layout, data.due.shape[2]).take(table.ravel())
    generator = np.random.default_rng(3)
    family = make_partially_convex(generator, table.shape[1], 2)
    values = family.at_each(generator.normal(size=(2, 2)))
    embedding = embed(build_replenishment(layout, data), values, arguments)
    model = Model(embedding.program)
    solution = model.solve()
    assert embedding.check(model, solution) <= 1e-6
    points = embedding.points(model, solution)
    held = embedding.embedded(model, solution)
    assert held == pytest.approx(
        [float(v(p[None])[0]) for v, p in zip(values, points, strict=True)]
    )


def test_what_cannot_be_pushed_is_refused(make_value, make_partially_convex):
    """Other weights, other kinds, other counts."""
    generator = np.random.default_rng(0)
    model = pyo.ConcreteModel()
    model.y = pyo.Var(range(3), bounds=(-1, 1))
    model.objective = pyo.Objective(expr=0.0 * model.y[0])
    base = compile_model(model)
    arguments = AffineMap({"y": csr_matrix(np.eye(3))}, {}, np.zeros(3))
    embedding = embed(base, make_value("input_convex", generator), arguments)
    loaded = Model(embedding.program)
    with pytest.raises(ValueFunctionError, match=r"argument_weight\.0 of this network differs"):
        embedding.push(loaded, make_value("input_convex", generator))
    with pytest.raises(ValueFunctionError, match="cannot replace"):
        embedding.push(loaded, make_value("cuts", generator))
    with pytest.raises(ValueFunctionError, match="2 value functions were given for 1 copies"):
        embedding.push(loaded, [make_value("cuts", generator)] * 2)
    with pytest.raises(ValueFunctionError, match="no multiple"):
        embed(base, make_value("cuts", generator, 2), arguments)
    cuts = embed(base, make_value("cuts", generator), arguments)
    with pytest.raises(ValueFunctionError, match="set of cuts differs"):
        cuts.push(Model(cuts.program), make_value("cuts", generator))


def test_two_embeddings_in_one_program(make_value):
    """With names of their own two value functions add up."""
    generator = np.random.default_rng(0)
    model = pyo.ConcreteModel()
    model.y = pyo.Var(range(3), bounds=(-1, 1))
    model.objective = pyo.Objective(expr=0.0 * model.y[0])
    arguments = AffineMap({"y": csr_matrix(np.eye(3))}, {}, np.zeros(3))
    first, second = make_value("input_convex", generator), make_value("cuts", generator)
    one = embed(compile_model(model), first, arguments, name="first")
    two = embed(one.program, second, arguments, np.array([0.5]), name="second")
    solver = Model(two.program)
    solution = solver.solve()
    x = solution.values("y")[None]
    assert solution.objective == pytest.approx(first(x)[0] + 0.5 * second(x)[0])
    assert max(one.check(solver, solution), two.check(solver, solution)) <= 1e-6


def test_unscaled_solves_are_the_same(make_network):
    """Without the solver's scaling the optimum is the same, from scratch and after a push."""
    instance, layout, data = stage(7, TREES["chain"])
    columns = StateColumns.of(instance)
    arguments = program_columns(columns, layout, data.due.shape[2])
    network = make_network(np.random.default_rng(0), columns.size, (8, 8), True)
    embedding = embed(build_replenishment(layout, data), InputConvex(network), arguments)
    models = [Model(embedding.program, scaling=scaling) for scaling in (True, False)]
    for factor in (1.0, 1.7):
        found = []
        for model in models:
            stock = layout.initial_on_hand.gather(factor * data.on_hand)
            model.push_data("initial_on_hand", stock)
            solution = model.solve()
            embedding.check(model, solution)
            found.append(solution.objective)
        assert found[0] == pytest.approx(found[1], rel=1e-7, abs=1e-6)
