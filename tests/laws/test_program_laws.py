"""Laws every solved replenishment program obeys, recomputed without the formulation."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_data import Delivery, StockValue
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.solver import Model
from optrl.testing import random_instance

TREES = {
    "chain": ScenarioTree.chain(4),
    "two_stage": ScenarioTree.two_stage(3, 2),
    "branching": ScenarioTree.branching([2, 1, 2]),
}
SEEDS = st.integers(0, 2**32 - 1)


def solved_random(laws, generator, tree, *, continuous=False, **options):
    instance = random_instance(generator, **options)
    nodes = len(tree.parent)
    quantity = generator.poisson(3.0, (2, len(instance.demand.nodes), nodes)).astype(float)
    if continuous:
        quantity += generator.uniform(0.1, 0.9, quantity.shape)
        shape = instance.on_hand.shape
        instance = replace(
            instance,
            on_hand=instance.on_hand + generator.uniform(0.1, 0.9, shape),
            due=instance.due + generator.uniform(0.1, 0.9, instance.due.shape),
            backlog=instance.backlog + generator.uniform(0.1, 0.9, shape),
        )
    layout, data = laws.problem(instance, tree, laws.tree_demand(instance, tree, quantity))
    return laws.solve(layout, data)


def walk(solved):
    """Stock, backlog and cost of every leaf's path, summed flow by flow from named lanes."""
    layout, data = solved.layout, solved.data
    network, tree = layout.network, layout.tree
    order, serve = solved.dense("order"), solved.dense("serve")
    sales, unmet, stock = solved.dense("sales"), solved.dense("unmet"), solved.dense("on_hand")
    for leaf in np.flatnonzero(~np.isin(np.arange(len(tree.parent)), tree.parent)):
        path = [int(leaf)]
        while tree.parent[path[0]] >= 0:
            path.insert(0, int(tree.parent[path[0]]))
        level = data.on_hand.copy()
        waiting = data.backlog.copy()
        for t, (before, after) in enumerate(pairwise(path)):
            if 0 < t <= data.due.shape[2]:
                level += data.due[:, :, t - 1]
            served = sales[:, :, after].copy()
            level -= sales[:, :, after]
            for a, (origin, destination) in enumerate(network.graph.edges):
                u, v = network.node_index[origin], network.node_index[destination]
                lead = network.graph.edges[origin, destination]["lead_time"]
                level[:, u] -= order[:, a, before] + serve[:, a, after]
                served[:, v] += serve[:, a, after]
                if t >= lead and network.kind[v] == 1:
                    level[:, v] += order[:, a, path[t - lead]]
            need = data.demand[:, :, after]
            if network.unmet == "backorder":
                need = need + waiting
            waiting = need - served
            yield t, before, after, level, waiting, stock[:, :, after], unmet[:, :, after]


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@pytest.mark.parametrize("tree", TREES)
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, integers=st.booleans())
def test_flows_are_conserved(laws, tree, unmet, seed, integers):
    """Walking every scenario lane by lane gives the program's stock and unmet demand."""
    generator = np.random.default_rng(seed)
    solved = solved_random(
        laws, generator, TREES[tree], unmet=unmet, integers=integers, limited_supply=True
    )
    held = solved.layout.network.kind == 1
    asked = solved.layout.demand_pairs
    for _, _, _, level, waiting, stock, unmet_there in walk(solved):
        np.testing.assert_allclose(level[:, held], stock[:, held], atol=1e-6)
        np.testing.assert_allclose(waiting[asked], unmet_there[asked], atol=1e-6)
        assert (level[:, held] > -1e-6).all()
        assert (waiting > -1e-6).all()


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@pytest.mark.parametrize("tree", TREES)
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, integers=st.booleans())
def test_limits_hold(laws, tree, unmet, seed, integers):
    """Resources, supply, calendar, lots, smallest and largest quantities, recomputed."""
    generator = np.random.default_rng(seed)
    solved = solved_random(
        laws,
        generator,
        TREES[tree],
        unmet=unmet,
        integers=integers,
        limited_supply=True,
        service=True,
    )
    layout, data = solved.layout, solved.data
    network, first = layout.network, layout.first_period
    order, serve = solved.dense("order"), solved.dense("serve")
    overflow = solved.dense("overflow")
    assert (order > -1e-7).all()
    assert (order <= network.maximum_quantity[:, :, None] + 1e-6).all()
    assert (serve <= network.maximum_quantity[:, :, None] + 1e-6).all()
    moved = order > 1e-5
    assert not moved[~network.allowed].any()
    assert not (serve[~network.allowed] > 1e-7).any()
    least = np.broadcast_to(network.minimum_quantity[:, :, None], order.shape)
    assert (order[moved] >= least[moved] - 1e-5).all()
    lots = order / np.where(network.lot_size > 0, network.lot_size, np.nan)[:, :, None]
    lots = lots[np.isfinite(lots)]
    np.testing.assert_allclose(lots, np.round(lots), atol=1e-5)
    for t, before, after, level, *_ in walk(solved):
        for a, (origin, _) in enumerate(network.graph.edges):
            if not network.is_open(a, first + t):
                assert (order[:, a, before] < 1e-7).all()
                assert (serve[:, a, after] < 1e-7).all()
            assert network.kind[network.node_index[origin]] != 2
        out = np.zeros_like(level)
        for a, origin in enumerate(network.origin):
            out[:, origin] += order[:, a, before] + serve[:, a, after]
        assert (out <= network.supply_capacity + 1e-6).all()
        for r, resource in enumerate(network.resources):
            lanes = network.lanes_of(resource)
            used = resource.use @ (order[:, lanes, before] + serve[:, lanes, after]).sum(axis=1)
            if resource.takes_setup_time:
                used += (network.setup_time[:, lanes] * moved[:, lanes, before]).sum()
            if resource.kind == "storage":
                used = resource.use @ level[:, resource.node] - overflow[r, after]
            assert used <= resource.capacity_at(first + t, 1)[0] + 1e-5, resource.name
    share = layout.tree.probability * (layout.tree.depth > 0)
    missed, asked = solved.dense("unmet") @ share, data.demand @ share
    target = network.service_level
    assert (missed[target > 0] <= ((1 - target) * asked)[target > 0] + 1e-6).all()


def scaled_costs(layout, data, k):
    network = layout.network
    names = (
        "unit_cost",
        "lane_cost",
        "fixed_cost",
        "joint_fixed_cost",
        "holding_cost",
        "shortage_cost",
        "terminal_value",
    )
    resources = tuple(replace(r, overflow_cost=k * r.overflow_cost) for r in network.resources)
    costs = {name: k * getattr(network, name) for name in names}
    return replace(layout, network=replace(network, resources=resources, **costs)), data


def scaled_quantities(layout, data, k):
    network = layout.network
    network = replace(
        network,
        maximum_quantity=k * network.maximum_quantity,
        supply_capacity=k * network.supply_capacity,
        resources=tuple(replace(r, capacity=k * r.capacity) for r in network.resources),
    )
    state = {name: k * getattr(data, name) for name in ("on_hand", "due", "backlog", "demand")}
    return replace(layout, network=network), replace(data, **state)


@settings(max_examples=10, deadline=None)
@given(
    seed=SEEDS,
    unmet=st.sampled_from(["lost", "backorder"]),
    k=st.sampled_from([0.25, 3.0]),
    integers=st.booleans(),
)
def test_cost_is_homogeneous(laws, seed, unmet, k, integers):
    """All costs times k, or without integers all quantities times k: the optimum times k."""
    generator = np.random.default_rng(seed)
    solved = solved_random(
        laws,
        generator,
        TREES["branching"],
        unmet=unmet,
        integers=integers,
        limited_supply=True,
        service=True,
        discount=0.95,
    )
    base = solved.solution.objective
    dearer = laws.solve(*scaled_costs(solved.layout, solved.data, k)).solution.objective
    assert dearer == pytest.approx(k * base, rel=1e-7, abs=1e-6)
    if not integers:
        more = laws.solve(*scaled_quantities(solved.layout, solved.data, k)).solution.objective
        assert more == pytest.approx(k * base, rel=1e-7, abs=1e-6)


def bracket(model, push, values, gradient, step=1e-4):
    """Number of members whose two one-sided slopes meet; each must enclose its gradient."""
    value = model.solve().objective
    smooth = 0
    for k in range(len(values)):
        slopes = []
        for sign in (-1, 1):
            moved = values.copy()
            moved[k] += sign * step
            push(moved)
            slopes.append(sign * (model.solve().objective - value) / step)
        assert slopes[0] - 1e-4 <= gradient[k] <= slopes[1] + 1e-4, k
        smooth += abs(slopes[1] - slopes[0]) < 1e-4
    push(values)
    return smooth


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@settings(max_examples=4, deadline=None)
@given(seed=SEEDS, tree=st.sampled_from(["chain", "branching"]))
def test_dual_is_finite_difference(laws, unmet, seed, tree):
    """One-sided differences enclose the gradient in demand, state and capacity."""
    generator = np.random.default_rng(seed)
    solved = solved_random(
        laws,
        generator,
        TREES[tree],
        continuous=True,
        unmet=unmet,
        limited_supply=True,
        service=True,
        discount=0.95,
    )
    model, solution = solved.model, solved.solution
    members = smooth = 0
    for name, block in model.program.data.items():
        smooth += bracket(
            model,
            lambda values, name=name: model.push_data(name, values),
            block.value,
            solution.gradient(name),
        )
        members += len(block.value)
    capacity = solved.layout.resource_capacity
    smooth += bracket(
        model,
        lambda upper: model.push_row_bounds("capacity", None, upper),
        capacity,
        solution.duals("capacity"),
    )
    # Mostly equalities: the enclosure must not hold by kinks alone.
    assert smooth > 0.8 * (members + len(capacity))


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@settings(max_examples=6, deadline=None)
@given(seed=SEEDS)
def test_relaxation_costs_at_most_the_mixed_integer_optimum(laws, unmet, seed):
    """LP <= MIP bound <= MIP, and setting integers costs something for some instance."""
    generator = np.random.default_rng(seed)
    solved = solved_random(laws, generator, TREES["chain"], unmet=unmet, integers=True)
    program = solved.model.program
    relaxed = Model(replace(program, integrality=np.zeros_like(program.integrality))).solve()
    tolerance = 1e-6 * abs(solved.solution.objective)
    assert relaxed.objective <= solved.solution.bound + tolerance
    assert solved.solution.bound <= solved.solution.objective + tolerance


def test_relaxation_is_strictly_cheaper_where_integers_bind(laws):
    """The comparison of LP and MIP is no comparison of equals."""
    solved = solved_random(
        laws, np.random.default_rng(4), TREES["chain"], integers=True, resources=False
    )
    program = solved.model.program
    relaxed = Model(replace(program, integrality=np.zeros_like(program.integrality))).solve()
    assert relaxed.objective < solved.solution.objective - 0.1


@settings(max_examples=12, deadline=None)
@given(seed=SEEDS, unmet=st.sampled_from(["lost", "backorder"]), tree=st.sampled_from(list(TREES)))
def test_order_limits_keep_an_optimum(laws, seed, unmet, tree):
    """Bounds on orders derived from demand cut off nothing that a huge bound allows."""
    generator = np.random.default_rng(seed)
    solved = solved_random(laws, generator, TREES[tree], unmet=unmet, integers=True)
    n, _, a, _ = solved.layout.shape
    loose = replace(solved.data, largest_order=np.full((n, a), 300.0))
    free = Model(build_replenishment(solved.layout, loose)).solve(relative_gap=1e-9)
    assert solved.solution.objective == pytest.approx(free.objective, rel=1e-6, abs=1e-4)


@settings(max_examples=6, deadline=None)
@given(seed=SEEDS, unmet=st.sampled_from(["lost", "backorder"]), integers=st.booleans())
def test_more_information_never_costs_more(laws, seed, unmet, integers):
    """Mean demand <= all known <= known after one decision <= known period by period."""
    generator = np.random.default_rng(seed)
    instance = random_instance(generator, unmet=unmet, integers=integers, discount=0.95)
    tree, periods = ScenarioTree.branching([2, 2, 2]), 3
    leaves = tree.leaves
    quantity = generator.poisson(3.0, (2, len(instance.demand.nodes), len(tree.parent)))
    paths = quantity[:, :, tree.ancestors[leaves, 1:]].astype(float)  # (N, D, S, T)
    by_depth = np.moveaxis(paths, 3, 2).reshape(*paths.shape[:2], -1)

    def optimum(tree, quantity):
        demand = laws.tree_demand(instance, tree, quantity)
        return laws.solve(*laws.problem(instance, tree, demand)).solution.objective

    def roots(count):
        return np.zeros((*paths.shape[:2], count))

    scenarios = len(leaves)
    by_period = optimum(tree, quantity.astype(float))
    after_one = optimum(
        ScenarioTree.two_stage(periods, scenarios), np.concatenate([roots(1), by_depth], 2)
    )
    all_known = optimum(
        ScenarioTree.forest(periods, scenarios), np.concatenate([roots(scenarios), by_depth], 2)
    )
    chain = ScenarioTree.chain(periods)
    each = [optimum(chain, np.concatenate([roots(1), paths[:, :, s]], 2)) for s in range(scenarios)]
    tolerance = 1e-6 * max(1.0, abs(by_period))
    assert all_known == pytest.approx(np.mean(each), rel=1e-7, abs=1e-6)
    assert all_known <= after_one + tolerance
    assert after_one <= by_period + tolerance
    if not integers:
        mean = optimum(chain, np.concatenate([roots(1), paths.mean(axis=2)], 2))
        assert mean <= all_known + tolerance


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, scenario_tree=st.sampled_from(list(TREES)))
def test_safe_delivery_changes_nothing(laws, seed, scenario_tree):
    """A delivery that brings everything after the lead time is no delivery at all."""
    generator = np.random.default_rng(seed)
    solved = solved_random(laws, generator, TREES[scenario_tree])
    layout = solved.layout
    network, tree = layout.network, layout.tree
    lanes = network.replenishment_lanes
    shape = (2, len(lanes), len(tree.parent))
    fraction = np.zeros((*shape, network.longest_lead_time + 1))
    fraction[:, np.arange(len(lanes)), :, network.lead_time[lanes]] = 1.0
    late = tree.depth[None, None, :] + network.lead_time[lanes][None, :, None] >= tree.periods
    delivery = Delivery(lanes, fraction, np.broadcast_to(late, shape).astype(float))
    same = laws.solve(layout, replace(solved.data, delivery=delivery))
    assert same.solution.objective == pytest.approx(solved.solution.objective, rel=1e-8, abs=1e-7)


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_stock_value_is_credited_on_what_is_held(laws, seed):
    """The credit equals the concave function of stock and pipeline, recomputed per outcome."""
    generator = np.random.default_rng(seed)
    solved = solved_random(laws, generator, TREES["branching"], discount=0.9)
    layout = solved.layout
    network, tree = layout.network, layout.tree
    counted = network.kind == 1
    shape = (2, len(tree.outcomes), 3)
    value = StockValue(
        on_hand_nodes=np.broadcast_to(counted, (2, len(counted))),
        transit_nodes=np.broadcast_to(counted, (2, len(counted))),
        width=generator.uniform(0, 6, shape),
        marginal_value=-np.sort(-generator.uniform(0, 3, shape), axis=2),
    )
    valued = laws.solve(layout, replace(solved.data, stock_values=(value,)))
    credit = 0.0
    order, due = valued.dense("order"), valued.data.due
    stock = valued.dense("on_hand")
    for position, m in enumerate(tree.outcomes):
        t = tree.depth[m] - 1
        held = stock[:, :, m].sum(axis=1) + due[:, :, t:].sum(axis=(1, 2))
        for a in network.replenishment_lanes:
            for released in range(t + 1):
                if released + network.lead_time[a] > t:
                    held += order[:, a, tree.ancestors[m, released]]
        before = np.cumsum(value.width[:, position], axis=1) - value.width[:, position]
        filled = np.clip(held[:, None] - before, 0, value.width[:, position])
        credit += tree.probability[m] * 0.9**t * (value.marginal_value[:, position] * filled).sum()
    program = valued.model.program
    block = program.columns["stock_value_0"].slice
    assert -program.cost[block] @ valued.solution.x[block] == pytest.approx(credit, abs=1e-6)
    assert credit > 0
    assert valued.solution.objective <= solved.solution.objective + 1e-6
