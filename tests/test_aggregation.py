"""Merged customers: equal optimum where lanes cost the same, conserved flows, dropped lanes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from optrl_formulations.network import Network, NodeKind, Resource
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.aggregation import aggregate_customers
from optrl.stages.coarse import with_root
from optrl.stages.stage_problem import StageProblem, StageState
from optrl.testing import random_instance

SEEDS = st.integers(0, 2**32 - 1)
PERIODS = 3


def many_customers(generator, *, alike: bool):
    """Six customers; where alike, all with the lanes and costs of one of two."""
    instance = random_instance(generator, customers=6)
    network = instance.network
    customers = np.flatnonzero(network.kind == NodeKind.CUSTOMER)
    lane_cost, shortage = network.lane_cost.copy(), network.shortage_cost.copy()
    allowed, largest = network.allowed.copy(), network.maximum_quantity.copy()
    serving = network.serving_lanes
    largest[:, serving] = np.inf
    shortage[:, customers] = 50.0
    if alike:
        # customer0 alone has a lane from a supplier; the others copy customers 1 and 2.
        for customer in customers[1:]:
            model = customers[1 + (customer - customers[1]) % 2]
            for lane in serving[network.destination[serving] == customer]:
                same = (network.origin == network.origin[lane]) & (network.destination == model)
                lane_cost[:, lane] = lane_cost[:, same][:, 0]
                allowed[:, lane] = allowed[:, same][:, 0]
    network = replace(
        network,
        lane_cost=lane_cost,
        allowed=allowed,
        maximum_quantity=largest,
        shortage_cost=shortage,
        closed=frozenset(),
    )
    return replace(instance, network=network)


def dense_demand(generator, network: Network):
    asks = network.kind == NodeKind.CUSTOMER
    quantity = generator.poisson(2.0, (2, len(network.nodes), PERIODS)) * asks[None, :, None]
    return quantity.astype(float)


def solve(instance, aggregation, demand, asks):
    network = aggregation.network if aggregation is not None else instance.network
    merge = aggregation.merge_nodes if aggregation is not None else np.asarray
    pairs = merge(asks.astype(float)) > 0
    stocked = np.broadcast_to(instance.network.kind == NodeKind.STOCKING, instance.on_hand.shape)
    state = StageState(
        merge(instance.on_hand * stocked), merge(instance.due), merge(0 * instance.backlog)
    )
    problem = StageProblem(network, ScenarioTree.chain(PERIODS), pairs)
    return problem.solve(state, 0, with_root(merge(demand)))


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_alike_customers_merge_without_loss(seed):
    """Where lanes cost the same, the coarse optimum is the fine one, with fewer nodes."""
    generator = np.random.default_rng(seed)
    instance = many_customers(generator, alike=True)
    network = instance.network
    instance = replace(instance, on_hand=touched_only(network, instance.on_hand))
    demand = dense_demand(generator, network)
    asks = np.broadcast_to(network.kind == NodeKind.CUSTOMER, instance.on_hand.shape)
    aggregation = aggregate_customers(network, demand.mean(axis=2))
    # Where both kinds rank their lanes alike, all five customers become one zone at mean costs.
    assume(len(aggregation.network.nodes) == len(network.nodes) - 3)
    fine = solve(instance, None, demand, asks)
    coarse = solve(instance, aggregation, demand, asks)
    assert coarse.solution.objective == pytest.approx(fine.solution.objective, rel=1e-7, abs=1e-6)


def touched_only(network, on_hand):
    touched = np.zeros(on_hand.shape, dtype=bool)
    for lane in range(len(network.lanes)):
        touched[:, network.origin[lane]] |= network.allowed[:, lane]
        touched[:, network.destination[lane]] |= network.allowed[:, lane]
    return on_hand * touched


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, ranks=st.sampled_from([None, 1, 2]))
def test_split_flows_conserve_and_are_feasible(seed, ranks):
    """Zone flows split over customers add up to themselves and never exceed demand."""
    generator = np.random.default_rng(seed)
    instance = many_customers(generator, alike=False)
    network = instance.network
    instance = replace(instance, on_hand=touched_only(network, instance.on_hand))
    demand = dense_demand(generator, network)
    asks = np.broadcast_to(network.kind == NodeKind.CUSTOMER, instance.on_hand.shape)
    aggregation = aggregate_customers(network, demand.mean(axis=2), ranks=ranks)
    solved = solve(instance, aggregation, demand, asks)
    serve = solved.serve[:, :, 1:]
    split = aggregation.split_serve(serve, demand)
    assert split.shape == (2, len(network.lanes), PERIODS)
    assert not split[:, network.replenishment_lanes].any()
    back = np.zeros_like(serve)
    for lane, coarse in enumerate(aggregation.lane):
        if coarse >= 0:
            back[:, coarse] += split[:, lane]
        else:
            assert not split[:, lane].any()
    kept = aggregation.network.serving_lanes
    np.testing.assert_allclose(back[:, kept], serve[:, kept], atol=1e-9)
    received = np.zeros_like(demand)
    for lane in network.serving_lanes:
        received[:, network.destination[lane]] += split[:, lane]
    assert (received <= demand + 1e-7).all()
    assert not split[~network.allowed].any()


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_merged_lane_cost_is_the_average_weighted_with_demand(seed):
    """Splitting in proportion to the weights costs what the zone lane says."""
    generator = np.random.default_rng(seed)
    network = many_customers(generator, alike=False).network
    weight = dense_demand(generator, network).mean(axis=2)
    weight += 0.5 * (network.kind == NodeKind.CUSTOMER)
    aggregation = aggregate_customers(network, weight)
    for coarse in aggregation.network.serving_lanes:
        fine = np.flatnonzero(aggregation.lane == coarse)
        asked = weight[:, network.destination[fine]]
        expected = (asked * network.lane_cost[:, fine]).sum(1) / asked.sum(1)
        np.testing.assert_allclose(aggregation.network.lane_cost[:, coarse], expected)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, ranks=st.sampled_from([1, 2]))
def test_ranks_drop_only_dearest_lanes(seed, ranks):
    """A dropped lane is beyond the first ranks of every item; every customer keeps `ranks`."""
    generator = np.random.default_rng(seed)
    network = many_customers(generator, alike=False).network
    weight = np.ones((2, len(network.nodes)))
    aggregation = aggregate_customers(network, weight, ranks=ranks)
    dropped = np.flatnonzero(aggregation.lane < 0)
    assert np.isin(dropped, network.serving_lanes).all()
    for lane in dropped:
        into = np.flatnonzero(network.destination == network.destination[lane])
        kept = into[aggregation.lane[into] >= 0]
        assert len(kept) >= ranks
        for item in range(2):
            usable = kept[network.allowed[item, kept]]
            cheaper = network.lane_cost[item, usable] <= network.lane_cost[item, lane]
            assert cheaper.sum() >= ranks or not network.allowed[item, lane]


def test_ranks_drop_lanes_where_items_agree():
    """All items rank the three stores alike: two ranks drop the third lane of each customer."""
    network = many_customers(np.random.default_rng(1), alike=False).network
    serving = network.serving_lanes
    alike = network.lane_cost.copy()
    alike[:, serving] = network.origin[serving].astype(float)
    network = replace(network, lane_cost=alike, allowed=np.ones_like(network.allowed))
    aggregation = aggregate_customers(network, np.ones((2, len(network.nodes))), ranks=2)
    dropped = np.flatnonzero(aggregation.lane < 0)
    last = int(network.origin[serving].max())
    for customer in np.flatnonzero(network.kind == NodeKind.CUSTOMER):
        into = np.flatnonzero(network.destination == customer)
        assert (aggregation.lane[into] >= 0).sum() == 2
        assert network.origin[into].max() == last
        assert into[network.origin[into] == last][0] in dropped


def test_customers_with_limits_of_their_own_stay_alone():
    """A lane resource, a largest quantity, a closed lane, a service level, no merging at all."""
    generator = np.random.default_rng(8)
    network = many_customers(generator, alike=True).network
    network = replace(network, allowed=np.ones_like(network.allowed))
    customers = np.flatnonzero(network.kind == NodeKind.CUSTOMER)
    weight = np.ones((2, len(network.nodes)))
    base = aggregate_customers(network, weight)
    mates = [c for c in customers if (base.node == base.node[c]).sum() > 1]
    assert len(mates) >= 4
    lane = int(np.flatnonzero(network.destination == mates[0])[0])
    largest = network.maximum_quantity.copy()
    largest[0, lane] = 3.0
    level = network.service_level.copy()
    level[1, mates[0]] = 0.9
    limit = Resource("door", "lane", np.ones(2), np.ones(1), lane=lane)
    entry = Resource("entry", "inbound", np.ones(2), np.ones(1), node=int(mates[0]))
    for name, changed in {
        "largest": replace(network, maximum_quantity=largest),
        "service": replace(network, service_level=level),
        "lane": replace(network, resources=(limit,)),
        "inbound": replace(network, resources=(entry,)),
        "closed": replace(network, closed=frozenset({(lane, 2)})),
    }.items():
        merged = aggregate_customers(changed, weight, ranks=1)
        assert (merged.node == merged.node[mates[0]]).sum() == 1, name
        into = network.destination == mates[0]
        assert (merged.lane[into] >= 0).all(), name
        for fine, coarse in zip(changed.resources, merged.network.resources, strict=True):
            if fine.lane is not None:
                assert merged.network.lanes[coarse.lane] == network.lanes[fine.lane]
            if fine.node is not None:
                assert merged.network.nodes[coarse.node] == network.nodes[fine.node]
        for a, period in merged.network.closed:
            assert (merged.network.lanes[a], period) == (network.lanes[lane], 2)
    alone = aggregate_customers(network, weight, merge=False)
    assert alone.network.nodes == network.nodes
    assert alone.lane.tolist() == list(range(len(network.lanes)))
