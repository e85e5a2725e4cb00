"""ReLU networks as epigraph and as big-M: values, bounds, conditions, use in a larger model."""

import itertools
from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.cost_to_go.icnn import add_icnn
from optrl_formulations.cost_to_go.relu import add_relu, without_stable_units
from optrl_formulations.cost_to_go.relu_bounds import interval_bounds, value_bounds
from optrl_formulations.cost_to_go.relu_network import ReluNetwork

from optrl.solver import InfeasibleError, Model, compile_model

SEEDS = st.integers(0, 2**32 - 1)


def network(generator, arguments=3, hidden=(5, 4), convex=False, shift=1.0):
    """Random weights; a large shift makes most units stable."""
    through = [generator.normal(size=(b, a)) for a, b in itertools.pairwise(hidden)]
    output = generator.normal(size=hidden[-1])
    if convex:
        through, output = [abs(w) for w in through], abs(output)
    return ReluNetwork(
        tuple(generator.normal(size=(h, arguments)) for h in hidden),
        tuple(through),
        tuple(shift * generator.normal(size=h) for h in hidden),
        output,
        generator.normal(size=arguments),
        float(generator.normal()),
    )


def by_hand(net, x):
    """The network unit by unit, without its own code."""
    hidden = []
    for layer, bias in enumerate(net.bias):
        new = []
        for j in range(len(bias)):
            total = bias[j] + sum(net.argument_weight[layer][j, k] * x[k] for k in range(len(x)))
            if layer:
                total += sum(net.hidden_weight[layer - 1][j, i] * h for i, h in enumerate(hidden))
            new.append(max(0.0, total))
        hidden = new
    total = sum(net.output_hidden[j] * h for j, h in enumerate(hidden))
    return total + sum(net.output_argument[k] * x[k] for k in range(len(x))) + net.output_bias


def optimum(net, add, lower, upper, sense=pyo.minimize, hold=None):
    """Best value of the network over a box, or at a point."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(net.size))
    sides = list(zip(lower, upper, strict=True)) if hold is None else [(v, v) for v in hold]
    model.box = pyo.Constraint(
        range(net.size), rule=lambda m, k: (sides[k][0], m.x[k], sides[k][1])
    )
    handles = add(model, list(model.x.values()))
    model.objective = pyo.Objective(expr=handles.cost, sense=sense)
    return Model(compile_model(model, handles.data)).solve(relative_gap=1e-9).objective


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, layers=st.integers(1, 3))
def test_epigraph_and_big_m_are_the_network(seed, layers):
    """Both take the value computed unit by unit, at a random point; big-M also when maximized."""
    generator = np.random.default_rng(seed)
    net = network(generator, hidden=(4, 3, 3)[:layers], convex=True)
    point = generator.uniform(-1, 1, 3)
    box = interval_bounds(net, -np.ones(3), np.ones(3))
    expected = by_hand(net, point)
    assert net.evaluate(point[None])[0] == pytest.approx(expected, abs=1e-12)

    def epigraph(model, x):
        return add_icnn(model, x, net)

    def big_m(model, x):
        return add_relu(model, x, net, box)

    assert optimum(net, epigraph, None, None, hold=point) == pytest.approx(expected, abs=1e-6)
    for sense in (pyo.minimize, pyo.maximize):
        found = optimum(net, big_m, None, None, sense, hold=point)
        assert found == pytest.approx(expected, abs=1e-6)


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_epigraph_and_big_m_have_one_minimum(seed):
    """Over a box the two formulations of one convex network agree; no sampled point is lower."""
    generator = np.random.default_rng(seed)
    net = network(generator, convex=True)
    lower, upper = generator.uniform(-2, 0, 3), generator.uniform(0, 2, 3)
    box = interval_bounds(net, lower, upper)
    low = optimum(net, lambda m, x: add_icnn(m, x, net), lower, upper)
    exact = optimum(net, lambda m, x: add_relu(m, x, net, box), lower, upper)
    assert low == pytest.approx(exact, abs=1e-5)
    assert low <= net.evaluate(generator.uniform(lower, upper, (2000, 3))).min() + 1e-6
    assert low >= value_bounds(net, box)[0] - 1e-6


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, convex=st.booleans())
def test_interval_bounds_hold(seed, convex):
    """No sampled activation, nor value, is outside; corners of one layer are reached."""
    generator = np.random.default_rng(seed)
    net = network(generator, hidden=(4, 4, 3), convex=convex)
    lower, upper = generator.uniform(-2, 0, 3), generator.uniform(0, 2, 3)
    box = interval_bounds(net, lower, upper)
    corner = (generator.random((500, 3)) < 0.5).astype(float)
    x = np.concatenate(
        [generator.uniform(lower, upper, (2000, 3)), lower + corner * (upper - lower)]
    )
    activations = net.activations(x)
    for low, high, a in zip(box.lower, box.upper, activations, strict=True):
        assert (a >= low - 1e-9).all()
        assert (a <= high + 1e-9).all()
    assert activations[0].min(axis=0) == pytest.approx(box.lower[0])
    low, high = value_bounds(net, box)
    assert low - 1e-9 <= net.evaluate(x).min() <= net.evaluate(x).max() <= high + 1e-9


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_stable_units_are_removed_without_a_trace(seed):
    """The reduced network has no stable unit and the same values on the box."""
    generator = np.random.default_rng(seed)
    net = network(generator, hidden=(6, 5, 4), shift=4.0)
    lower, upper = -0.5 * np.ones(3), 0.5 * np.ones(3)
    box = interval_bounds(net, lower, upper)
    reduced = without_stable_units(net, box)
    assert sum(map(len, reduced.free)) == len(net.units) - box.stable()
    assert (reduced.lower < 0).all()
    assert (reduced.upper > 0).all()
    for x in generator.uniform(lower, upper, (20, 3)):
        known = list(x)
        for weight, bias in zip(reduced.weight, reduced.bias, strict=True):
            known.append(max(0.0, float(weight @ np.array(known)[: len(weight)] + bias)))
        value = reduced.output_weight @ np.array(known) + reduced.output_bias
        assert value == pytest.approx(by_hand(net, x), abs=1e-9)


def test_network_that_is_all_stable_needs_no_binary():
    """Where every unit is on, big-M is the affine function the network is there."""
    generator = np.random.default_rng(1)
    net = network(generator, hidden=(3,))
    net = replace(net, bias=(np.full(3, 50.0),))
    box = interval_bounds(net, -np.ones(3), np.ones(3))
    point = np.array([0.3, -0.2, 0.9])
    found = optimum(net, lambda m, x: add_relu(m, x, net, box), None, None, hold=point)
    assert found == pytest.approx(by_hand(net, point))


def test_block_in_a_larger_model():
    """A store's ordering with a network as cost-to-go: optimum found by enumeration."""
    net = ReluNetwork(
        (np.array([[-1.0], [1.0]]),),
        (),
        (np.array([7.0, -3.0]),),
        np.array([2.0, 0.5]),
        np.zeros(1),
        1.0,
    )
    model = pyo.ConcreteModel()
    model.order = pyo.Var(bounds=(0, 4))
    model.after = pyo.Block(concrete=True)
    handles = add_icnn(model.after, [2.0 + model.order], net)
    model.other = pyo.Block(concrete=True)
    second = add_icnn(model.other, [model.order], net)
    model.objective = pyo.Objective(expr=model.order + handles.cost + 0.1 * second.cost)
    quantity = np.linspace(0, 4, 4001)
    expected = (
        quantity + net.evaluate(2 + quantity[:, None]) + 0.1 * net.evaluate(quantity[:, None])
    ).min()
    solution = Model(compile_model(model, (*handles.data, *second.data))).solve()
    assert solution.objective == pytest.approx(expected, abs=1e-6)
    assert solution.values("order")[0] == pytest.approx(4.0)


def test_biases_are_data():
    """Pushed biases and constant give the network that has them, without compiling again."""
    generator = np.random.default_rng(2)
    net, other = network(generator, convex=True), network(generator, convex=True)
    moved = replace(net, bias=other.bias, output_bias=other.output_bias)
    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(3), bounds=(-1, 1))
    model.block = pyo.Block(concrete=True)
    handles = add_icnn(model.block, list(model.x.values()), net)
    model.objective = pyo.Objective(expr=handles.cost)
    solver = Model(compile_model(model, handles.data))
    first = solver.solve().objective
    solver.push_data("block.bias", np.concatenate(moved.bias))
    solver.push_data("block.constant", np.array([moved.output_bias]))
    found = solver.solve().objective
    expected = optimum(moved, lambda m, x: add_icnn(m, x, moved), -np.ones(3), np.ones(3))
    assert found == pytest.approx(expected, abs=1e-6)
    assert abs(found - first) > 1e-3


def test_arguments_outside_the_box_are_infeasible():
    """Bounds hold on the box only, so the formulation keeps arguments inside."""
    net = network(np.random.default_rng(3))
    box = interval_bounds(net, -np.ones(3), np.ones(3))
    with pytest.raises(InfeasibleError, match="domain"):
        optimum(net, lambda m, x: add_relu(m, x, net, box), None, None, hold=[0.0, 1.5, 0.0])


def test_what_is_not_exact_is_refused():
    """Negative weights, wrong shapes, wrong kinds of numbers, boxes without end."""
    generator = np.random.default_rng(4)
    net = network(generator, convex=True)
    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(3))
    x = list(model.x.values())
    negative = net.hidden_weight[0].copy()
    negative[1, 2] = -0.25
    with pytest.raises(ValueError, match=r"hidden_weight of layer 2 is -0\.25 at \(1, 2\)"):
        add_icnn(model, x, replace(net, hidden_weight=(negative,)))
    with pytest.raises(ValueError, match="output_hidden is -"):
        add_icnn(model, x, replace(net, output_hidden=-net.output_hidden))
    with pytest.raises(ValueError, match="3 arguments, 2 were given"):
        add_icnn(model, x[:2], net)
    with pytest.raises(ValueError, match="float32"):
        replace(net, output_hidden=net.output_hidden.astype(np.float32))
    with pytest.raises(ValueError, match="must be finite"):
        replace(net, bias=(net.bias[0], np.full(4, np.inf)))
    with pytest.raises(ValueError, match=r"hidden_weight of layer 2 has shape"):
        replace(net, hidden_weight=(np.ones((4, 4)),))
    with pytest.raises(ValueError, match="finite numbers"):
        interval_bounds(net, -np.ones(3), np.full(3, np.inf))
    with pytest.raises(ValueError, match="argument 0: lower side 1 is above upper side -1"):
        interval_bounds(net, np.ones(3), -np.ones(3))
    box = interval_bounds(net, -np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="layer 1, unit 0: lower bound"):
        add_relu(model, x, net, replace(box, upper=(box.lower[0] - 1, box.upper[1])))
