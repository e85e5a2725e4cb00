"""Network design against enumeration, special cases and its own relaxations."""

import itertools

import networkx as nx
import numpy as np
import pyomo.environ as pyo
import pytest
from optrl_formulations.network_design import add_network_design

from optrl.solver import Model, compile_model


def build(graph, *commodities, relaxed=False, **options):
    model = pyo.ConcreteModel()
    model.design = pyo.Block()
    handles = add_network_design(model.design, graph, commodities or ("",), **options)
    model.cost = pyo.Objective(expr=handles.cost)
    if relaxed:
        pyo.TransformationFactory("core.relax_integer_vars").apply_to(model)
    return compile_model(model), handles


def optimum(graph, *commodities, **options):
    return Model(build(graph, *commodities, **options)[0]).solve(relative_gap=0.0).objective


def fixed_charge_network(seed, nodes=6, multi=False):
    """Strongly connected random network with fixed costs, two sources and three destinations."""
    generator = np.random.default_rng(seed)
    graph = nx.MultiDiGraph() if multi else nx.DiGraph()
    graph.add_nodes_from(range(nodes))
    for u, v in itertools.permutations(range(nodes), 2):
        if v == (u + 1) % nodes or generator.random() < 0.3:
            for _ in range(2 if multi and generator.random() < 0.3 else 1):
                graph.add_edge(
                    u,
                    v,
                    fixed_cost=float(generator.integers(0, 30)),
                    unit_cost=float(generator.integers(0, 4)),
                    capacity=float(generator.integers(12, 25)),
                )
    for v, supply in zip(graph, [9.0, 6.0, -4.0, -5.0, -6.0], strict=False):
        graph.nodes[v]["supply"] = supply
    return graph


def facility_network(seed, facilities=4, customers=6):
    generator = np.random.default_rng(seed)
    demand = generator.integers(2, 9, customers).astype(float)
    graph = nx.DiGraph()
    for i in range(facilities):
        graph.add_node(
            ("site", i),
            opening_cost=float(generator.integers(10, 40)),
            capacity=float(np.ceil(demand.sum() / 2)),
            supply_capacity=float(demand.sum()),
        )
    for j in range(customers):
        graph.add_node(("customer", j), supply=-demand[j])
        for i in range(facilities):
            graph.add_edge(("site", i), ("customer", j), unit_cost=float(generator.uniform(1, 6)))
    return graph


def enumerate_binaries(graph, keys, attributes, name):
    """Smallest total over all choices of binaries, flows by networkx' network simplex."""
    best = np.inf
    for chosen in itertools.product([False, True], repeat=len(keys)):
        fixed = sum(attributes[k][name] for k, on in zip(keys, chosen, strict=True) if on)
        flow = nx.MultiDiGraph()
        off = {k for k, on in zip(keys, chosen, strict=True) if not on}
        flow.add_nodes_from((v, {"demand": 0}) for v in graph)
        flow.add_node("any", demand=0)
        for v, node in graph.nodes(data=True):
            supply = int(node.get("supply", 0))
            flow.nodes[v]["demand"] -= supply
            flow.nodes["any"]["demand"] += supply
            if "supply_capacity" in node and v not in off:
                flow.add_edge("any", v, capacity=int(node["capacity"]), weight=0)
        lanes = graph.edges(keys=True) if graph.is_multigraph() else graph.edges
        for lane in lanes:
            if lane not in off:
                data = graph.edges[lane]
                capacity = data.get("capacity", np.inf)
                limit = {} if np.isinf(capacity) else {"capacity": int(capacity)}
                # network_simplex wants whole numbers
                flow.add_edge(*lane[:2], weight=round(1e6 * data.get("unit_cost", 0.0)), **limit)
        try:
            value = nx.network_simplex(flow)[0] / 1e6
        except nx.NetworkXUnfeasible:
            continue
        best = min(best, fixed + value)
    return best


OPTIONS = [{}, {"linking": "weak"}, {"strong_lanes": 1}, {"disaggregate": True}]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("seed", range(3))
def test_facility_location_equals_enumeration(seed, options):
    """Capacitated facility location: optimum over all subsets of open sites."""
    graph = facility_network(seed)
    sites = [v for v in graph if v[0] == "site"]
    expected = enumerate_binaries(graph, sites, graph.nodes, "opening_cost")
    assert optimum(graph, **options) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("multi", [False, True])
def test_fixed_charge_flow_equals_enumeration(options, multi):
    """Fixed-charge flow with and without parallel lanes: optimum over all subsets of lanes."""
    graph = fixed_charge_network(5, nodes=5, multi=multi)
    lanes = list(graph.edges(keys=True) if multi else graph.edges)
    dear = [lane for lane in lanes if graph.edges[lane]["fixed_cost"] > 0]
    assert 5 <= len(dear) <= 14
    expected = enumerate_binaries(graph, dear, graph.edges, "fixed_cost")
    assert optimum(graph, **options) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_relaxations_are_ordered(seed):
    """Weak <= strong <= disaggregated relaxation <= optimum, with a strict gain somewhere."""
    graph = fixed_charge_network(seed, nodes=8)
    weak, strong, split = (
        Model(build(graph, relaxed=True, **options)[0]).solve().objective
        for options in ({"linking": "weak"}, {}, {"disaggregate": True})
    )
    assert weak <= strong + 1e-6 <= split + 2e-6 <= optimum(graph) + 3e-6
    assert strong < split


@pytest.mark.parametrize("seed", range(4))
def test_strong_linking_is_tighter_in_facility_location(seed):
    """Strong linking raises the relaxation of facility location strictly."""
    graph = facility_network(seed)
    weak, strong = (
        Model(build(graph, relaxed=True, linking=linking)[0]).solve().objective
        for linking in ("weak", "strong")
    )
    assert weak < strong <= optimum(graph) + 1e-6


def test_without_fixed_costs_it_is_network_flow():
    """No binaries, and the optimum of networkx' network simplex."""
    generator = np.random.default_rng(0)
    graph = nx.gnp_random_graph(12, 0.4, seed=2, directed=True)
    for u, v in graph.edges:
        graph.edges[u, v].update(
            unit_cost=int(generator.integers(1, 10)), capacity=int(generator.integers(5, 12))
        )
    graph.nodes[0]["supply"], graph.nodes[11]["supply"] = 12, -12
    program, _ = build(graph)
    assert not program.has_integers
    for _, node in graph.nodes(data=True):
        node["demand"] = -node.get("supply", 0)
    expected = nx.network_simplex(graph, capacity="capacity", weight="unit_cost")[0]
    assert Model(program).solve().objective == pytest.approx(expected)


def test_negative_costs_and_minimum_flows():
    """Flow runs around a cycle where that pays or is asked for, up to the capacities."""
    graph = nx.DiGraph()
    graph.add_edge("a", "b", unit_cost=-3.0, capacity=4.0)
    graph.add_edge("b", "a", unit_cost=1.0, capacity=9.0, minimum_flow=2.0)
    assert optimum(graph) == pytest.approx(-8.0)
    graph.edges["a", "b"].update(unit_cost=3.0, fixed_cost=7.0)
    assert optimum(graph) == pytest.approx(2 * 4.0 + 7.0)


def test_commodities_share_a_lane():
    """Two commodities compete for a lane's capacity; the dearer detour goes where it costs less."""
    graph = nx.MultiDiGraph()
    graph.add_node("s", supply={"red": 3.0, "blue": 3.0})
    graph.add_node("t", supply={"red": -3.0, "blue": -3.0})
    graph.add_edge("s", "t", unit_cost=1.0, capacity=4.0)
    graph.add_edge("s", "t", unit_cost={"red": 2.0, "blue": 5.0}, fixed_cost=1.0)
    for split in (False, True):
        assert optimum(graph, "red", "blue", disaggregate=split) == pytest.approx(4 + 2 * 2 + 1)


def test_lane_use_needs_open_ends():
    """A lane with a fixed cost is used only when the node between opens, which is then paid."""
    graph = nx.DiGraph()
    graph.add_node("s", supply=5.0)
    graph.add_node("hub", opening_cost=10.0)
    graph.add_node("t", supply=-5.0)
    graph.add_edge("s", "hub", fixed_cost=1.0)
    graph.add_edge("hub", "t", unit_cost=1.0)
    graph.add_edge("s", "t", unit_cost=5.0)
    for linking in ("strong", "weak"):
        assert optimum(graph, linking=linking) == pytest.approx(16.0)
    graph.nodes["hub"]["capacity"] = 2.0
    for linking in ("strong", "weak"):
        assert optimum(graph, linking=linking) == pytest.approx(25.0)  # 2 + 11 + 3 * 5 by the hub


def two_nodes(**lane):
    graph = nx.DiGraph()
    graph.add_node("s", supply=5.0)
    graph.add_node("t", supply=-5.0)
    graph.add_edge("s", "t", **lane)
    return graph


@pytest.mark.parametrize(
    ("lane", "message"),
    [
        ({"capacity": -1.0}, r"lane \('s', 't'\): capacity is -1.0, must be not negative"),
        ({"fixed_cost": float("inf")}, r"lane \('s', 't'\): fixed_cost is inf"),
        ({"unit_cost": float("nan")}, r"lane \('s', 't'\): unit_cost is nan, must be finite"),
        ({"minimum_flow": 4.0, "capacity": 3.0}, r"minimum_flow 4.0 exceeds its capacity 3.0"),
        ({"unit_cost": -1.0, "fixed_cost": 2.0}, r"lane \('s', 't'\): a fixed cost needs"),
    ],
)
def test_bad_lane_is_named(lane, message):
    """Each bad lane attribute is an error that names the lane."""
    with pytest.raises(ValueError, match=message):
        build(two_nodes(**lane))


def test_bad_nodes_and_graphs():
    """Undirected graphs, unbalanced supply, cut-off demand and small capacities are errors."""
    with pytest.raises(ValueError, match="undirected"):
        build(nx.Graph([("s", "t")]))
    graph = two_nodes()
    graph.nodes["t"]["supply"] = -6.0
    with pytest.raises(ValueError, match=r"supply 5 .* cannot balance demand 6"):
        build(graph)
    graph = two_nodes()
    graph.remove_edge("s", "t")
    with pytest.raises(ValueError, match="node 's' has no lane"):
        build(graph)
    graph = facility_network(0)
    for v in graph:
        if v[0] == "site":
            graph.nodes[v]["capacity"] = 1.0
    with pytest.raises(ValueError, match="nodes that may open provide at most 4"):
        build(graph)
    with pytest.raises(ValueError, match="commodities must be distinct"):
        build(two_nodes(), "red", "red")
