"""Guaranteed-service safety stock against enumeration of all service times."""

import itertools
import math

import networkx as nx
import numpy as np
import pyomo.environ as pyo
import pytest
from optrl_formulations.safety_stock import add_safety_stock, derive_stages

from optrl.solver import Model, compile_model


def build(graph, relaxed=False, **options):
    model = pyo.ConcreteModel()
    model.stages = pyo.Block()
    stock = add_safety_stock(model.stages, graph, **options)
    model.cost = pyo.Objective(expr=stock.cost)
    if relaxed:
        pyo.TransformationFactory("core.relax_integer_vars").apply_to(model)
    return model, stock


def optimum(graph, **options):
    model, _ = build(graph, **options)
    return Model(compile_model(model)).solve(relative_gap=0.0).objective


def random_network(seed, stages=4, tree=False):
    """Small acyclic network with random lead times, costs, limits, pooling and demand."""
    generator = np.random.default_rng(seed)
    graph = nx.DiGraph()
    for j in range(stages):
        graph.add_node(
            j,
            lead_time=int(generator.integers(0, 4)),
            added_cost=float(generator.uniform(1, 10)),
            risk_pooling=float(generator.choice([1.0, 1.5, 2.0])),
        )
        suppliers = [i for i in range(j) if generator.random() < 0.6]
        for i in suppliers[:1] if tree else suppliers:
            graph.add_edge(i, j, quantity=float(generator.integers(1, 3)))
    for j in graph:
        if not graph.out_degree(j) or generator.random() < 0.3:
            graph.nodes[j].update(
                demand_standard_deviation=float(generator.uniform(1, 5)),
                safety_factor=1.645,
                maximum_service_time=int(generator.integers(0, 3)),
            )
    return graph


def enumerate_optimum(graph):
    """Smallest cost over all whole service times, inbound times as small as they may be."""
    data = derive_stages(graph)
    stages = list(graph)
    best = math.inf
    for times in itertools.product(*(range(data[j].longest_outbound + 1) for j in stages)):
        promised = dict(zip(stages, times, strict=True))
        total = 0.0
        for j in stages:
            inbound = max((promised[i] for i in graph.predecessors(j)), default=0)
            net = inbound + data[j].lead_time - promised[j]
            if net < 0:
                break
            total += data[j].cumulative_cost * data[j].demand_bound * math.sqrt(net)
        else:
            best = min(best, total)
    return best


@pytest.mark.parametrize("selection", ["service_times", "net_replenishment_time"])
@pytest.mark.parametrize("seed", range(8))
def test_equals_enumeration(seed, selection):
    """On general acyclic networks both selections find the optimum over all service times."""
    graph = random_network(seed)
    assert optimum(graph, selection=selection) == pytest.approx(enumerate_optimum(graph), rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_relaxation_is_integer_on_trees(seed):
    """On trees the relaxation over pairs of service times has the integer optimum."""
    graph = random_network(seed + 100, stages=5, tree=True)
    model, _ = build(graph, relaxed=True)
    relaxed = Model(compile_model(model)).solve().objective
    assert relaxed == pytest.approx(enumerate_optimum(graph), rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_pairs_are_at_least_as_tight(seed):
    """Relaxations order as: selection of tau <= selection of pairs <= optimum."""
    graph = random_network(seed)
    values = []
    for selection in ("net_replenishment_time", "service_times"):
        model, _ = build(graph, relaxed=True, selection=selection)
        values.append(Model(compile_model(model)).solve().objective)
    values.append(enumerate_optimum(graph))
    assert values[0] <= values[1] + 1e-6
    assert values[1] <= values[2] + 1e-6


def test_handles_describe_the_solution():
    """Times, stage costs and total cost that the handles report obey the equations."""
    graph = random_network(3)
    model, stock = build(graph, holding_rate=0.25)
    solution = Model(compile_model(model)).solve(relative_gap=0.0)
    block = model.stages
    for component in (block.choice, block.promised, block.received):
        values = solution.values(component.name)
        for member, value in zip(component.values(), values, strict=True):
            member.set_value(value, skip_validation=True)
    total = 0.0
    for j, stage in enumerate(stock.stages):
        inbound, outbound = (
            pyo.value(stock.inbound_service_time[j]),
            pyo.value(stock.service_time[j]),
        )
        net = pyo.value(stock.net_replenishment_time[j])
        assert net == pytest.approx(inbound + graph.nodes[stage]["lead_time"] - outbound)
        for supplier in graph.predecessors(stage):
            i = stock.stages.index(supplier)
            assert inbound >= pyo.value(stock.service_time[i]) - 1e-6
        expected = 0.25 * stock.data[j].cost(round(net))
        assert pyo.value(stock.stage_cost[j]) == pytest.approx(expected, abs=1e-6)
        total += expected
    assert solution.objective == pytest.approx(total)


def test_risk_pooling_of_two_equal_customers():
    """Two customers with bound B give their supplier 2^(1/p) B."""
    graph = nx.DiGraph([("plant", "east"), ("plant", "west")])
    graph.nodes["plant"].update(lead_time=1, added_cost=1.0, risk_pooling=2.0)
    for name in ("east", "west"):
        graph.nodes[name].update(
            lead_time=1, added_cost=1.0, demand_standard_deviation=3.0, safety_factor=2.0
        )
    data = derive_stages(graph)
    assert data["plant"].demand_bound == pytest.approx(6 * math.sqrt(2))
    assert data["east"].cumulative_cost == 2.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lead_time": 1.5}, r"stage 'shop': lead_time is 1.5, must be a whole number"),
        ({"lead_time": None}, r"stage 'shop' has no lead_time"),
        ({"added_cost": -1.0}, r"stage 'shop': added_cost is -1.0"),
        ({"risk_pooling": 0.5}, r"stage 'shop': risk_pooling is 0.5, must be at least 1"),
        ({"demand_standard_deviation": None}, r"stage 'shop' has neither a customer"),
        ({"safety_factor": float("nan")}, r"stage 'shop': safety_factor is nan"),
    ],
)
def test_bad_stage_is_named(change, message):
    """Each bad number is an error that names the stage and the attribute."""
    graph = nx.DiGraph([("plant", "shop")])
    graph.nodes["plant"].update(lead_time=1, added_cost=1.0)
    graph.nodes["shop"].update(
        lead_time=1, added_cost=1.0, demand_standard_deviation=3.0, safety_factor=2.0
    )
    graph.nodes["shop"].update(change)
    with pytest.raises(ValueError, match=message):
        build(graph)


def test_cycle_is_named():
    """A cycle of stages is an error that shows it."""
    graph = nx.DiGraph([("a", "b"), ("b", "a")])
    with pytest.raises(ValueError, match="cycle through 'a' -> 'b'"):
        build(graph)


def test_negative_quantity_and_rate():
    """Negative arc quantities and holding rates are refused."""
    graph = nx.DiGraph([("plant", "shop")])
    graph.edges["plant", "shop"]["quantity"] = -1
    for stage in graph:
        graph.nodes[stage].update(lead_time=1, demand_standard_deviation=1.0, safety_factor=1.0)
    with pytest.raises(ValueError, match=r"arc \('plant', 'shop'\): quantity is -1"):
        build(graph)
    with pytest.raises(ValueError, match=r"holding_rate is -0\.1"):
        build(graph, holding_rate=-0.1)
