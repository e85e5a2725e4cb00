"""Deciding by prices: equal to the program, within all limits, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.network import Resource

from optrl.building import build
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.errors import OptrlError
from optrl.policies.cost_to_go import CostToGo, PositionEnding
from optrl.policies.dual_guided import LARGE_PROGRAM, SMALL_STAGE, DualGuided
from optrl.policies.fluid_prices import FluidPrices
from optrl.policies.price_forecast import PriceForecast
from optrl.policies.proportional_rationing import ProportionalRationing
from optrl.policies.sourcing import Sourcing
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.rollout import simulate
from optrl.simulation.state import Decision
from optrl.testbeds.shared_capacity import SharedCapacity


class Given:
    """A forecast that always says the same price."""

    def __init__(self, price):
        self.price = price

    def prices(self, allocation, lasting, period):
        return np.full(len(allocation.capacity), self.price)


class Watched:
    """A policy whose orders are kept."""

    def __init__(self, policy):
        self.policy, self.orders = policy, []

    def decide(self, state, period):
        decision = self.policy.decide(state, period)
        self.orders.append(decision.order.double())
        return decision


def rolled(bed, policy, scenarios=2, dtype=torch.float64):
    """Trajectory and orders (T, S, N, lanes) of a policy on fixed paths."""
    instance = bed.instance
    paths = bed.demand.sample(
        scenarios, instance.start, instance.horizon, np.random.default_rng(11)
    )
    watched = Watched(policy)
    run = simulate(instance, watched, paths, seed=0, dtype=dtype)
    return run, torch.stack(watched.orders).numpy()


def with_lots(bed, generator):
    """The bed with lots and smallest quantities on some lanes."""
    network = bed.instance.network
    shape = network.lot_size.shape
    lot = generator.choice([0.0, 1.0, 4.0], shape)
    smallest = generator.choice([0.0, 6.0], shape)
    network = replace(network, lot_size=lot, minimum_quantity=smallest)
    return replace(bed, instance=replace(bed.instance, network=network))


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.9, 1.1, 1.4]), st.booleans())
def test_orders_keep_capacities_lots_and_stock(seed, tightness, lots):
    """Nothing is asked above the capacity, no lot is broken, nothing is left for the simulator."""
    bed = SharedCapacity.case(8, 2, tightness, periods=8, seed=seed)
    if lots:
        bed = with_lots(bed, np.random.default_rng(seed))
    network = bed.instance.network
    resource = network.resources[0]
    lanes = network.replenishment_lanes
    inside = np.isin(lanes, network.lanes_of(resource))
    for how in ("priced", "monolithic", "forecast"):
        forecast = Given(3.0) if how == "forecast" else None
        policy = DualGuided(bed.instance, bed.demand, how=how, forecast=forecast)
        run, orders = rolled(bed, policy, scenarios=1)
        load = np.einsum("tsna,n->ts", orders[..., inside], resource.use)
        assert (load <= resource.capacity[0] * (1 + 1e-9)).all()
        assert orders.sum() > 0
        for reason, cut in run.cut.items():
            assert float(cut.sum()) == pytest.approx(0, abs=1e-6), reason
        lot = network.lot_size[:, lanes]
        count = orders / np.where(lot > 0, lot, 1.0)
        assert (np.abs(count - np.round(count)) * (lot > 0) < 1e-6).all()
        least = network.minimum_quantity[:, lanes]
        assert ((orders < 1e-9) | (orders >= least - 1e-6)).all()


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1.0, 1.2, 1.5]))
def test_prices_decide_as_the_program_of_one_period(seed, tightness):
    """The orders of `cost_to_go` with a horizon of one period gain what prices gain, no more."""
    bed = SharedCapacity.case(10, 3, tightness, periods=4, seed=seed)
    instance, demand = bed.instance, bed.demand
    priced = DualGuided(instance, demand, how="priced", toll_share=0.0)
    program = CostToGo(PositionEnding(instance, demand, 1), demand, horizon=1)
    state = Dynamics(instance, dtype=torch.float64).initial_state(1)
    (problem,) = priced.problems(state, instance.start)
    decided = [
        policy.decide(state, instance.start).order[0].numpy() for policy in (priced, program)
    ]
    stage = priced.stage
    by_price, by_program = (problem.gain(order[stage.item, stage.place]) for order in decided)
    assert by_price == pytest.approx(by_program, rel=1e-5, abs=1e-5)
    (repair,) = priced.repairs
    assert repair.gain == pytest.approx(by_price)
    assert repair.bound >= by_program * (1 - 1e-5) - 1e-5
    assert repair.gap < 1e-3


def test_prices_and_one_program_cost_the_same_with_tolls():
    """Also where what capacity is worth later counts."""
    bed = SharedCapacity.case(12, 2, 1.3, periods=10, seed=4)
    costs = []
    for how in ("priced", "monolithic"):
        run, _ = rolled(bed, DualGuided(bed.instance, bed.demand, how=how))
        costs.append(run.period_cost.sum(dim=1).numpy())
    assert costs[0] == pytest.approx(costs[1], rel=1e-3)


def test_scarce_capacity_is_used_better_than_by_rationing():
    """Where demand exceeds the capacity, prices cost a fifth less at least."""
    bed = SharedCapacity.case(20, 2, 1.2, periods=16, seed=2)
    instance, demand = bed.instance, bed.demand
    priced, _ = rolled(bed, DualGuided(instance, demand, how="priced"))
    rationed, _ = rolled(bed, ProportionalRationing.fit(instance, demand))
    assert float(rationed.cut["resources"].sum()) > 0
    assert priced.period_cost.mean() < 0.8 * rationed.period_cost.mean()


def test_lasting_scarcity_counts():
    """Without the price of lasting scarcity the same stage problem costs more."""
    bed = SharedCapacity.case(20, 2, 1.2, periods=26, seed=3)
    cost = {}
    for share in (0.0, 0.8):
        policy = DualGuided(bed.instance, bed.demand, how="priced", toll_share=share)
        cost[share] = float(rolled(bed, policy)[0].period_cost.mean())
    assert cost[0.8] < 0.97 * cost[0.0]


def test_forecast_prices_that_are_right_cost_what_searched_ones_do():
    """Settling near them in a few passes loses little, even where items are few."""
    bed = SharedCapacity.case(20, 2, 1.2, periods=12, seed=5)
    instance, demand = bed.instance, bed.demand
    priced = DualGuided(instance, demand, how="priced")
    best = float(rolled(bed, priced)[0].period_cost.mean())

    class Right:
        """The price that is searched."""

        def prices(self, allocation, lasting, period):
            from optrl.decomposition.allocation.prices import find_prices

            return find_prices(allocation).prices

    right = DualGuided(instance, demand, how="forecast", forecast=Right())
    assert float(rolled(bed, right)[0].period_cost.mean()) == pytest.approx(best, rel=2e-2)


def test_the_same_in_single_precision_without_a_cut():
    """Rounding of capacities in float32 leaves the simulator nothing to cut."""
    bed = SharedCapacity.case(50, 3, 1.2, periods=6, seed=1)
    run, _ = rolled(bed, DualGuided(bed.instance, bed.demand, how="priced"), dtype=torch.float32)
    assert float(run.cut["resources"].sum()) == 0
    used = run.resource_use[0, 0] / run.capacity[0]
    assert float(used.max()) == pytest.approx(1, abs=1e-4)


def test_a_node_that_supplies_others_keeps_for_its_own_demand():
    """A warehouse with demand of its own and a store below: prices decide as the program."""
    holding = {"warehouse": 0.5, "store": 1.0}
    instance = build(
        "two levels",
        {"supplier": "supplier", "warehouse": "stocking", "store": "stocking"},
        {("supplier", "warehouse"): 2, ("warehouse", "store"): 1},
        ["warehouse", "store"],
        unmet="lost",
        horizon=6,
        items=3,
        holding_cost=holding,
        shortage_cost={"warehouse": 12.0, "store": np.array([10.0, 20.0, 30.0])},
        on_hand={"warehouse": np.array([9.0, 14.0, 30.0]), "store": np.array([2.0, 5.0, 1.0])},
        resources_=(Resource("dock", "outbound", np.array([1.0, 2.0, 0.5]), np.array([9.0]), 1),),
    )
    demand = Poisson(np.array([1, 2]), steady(np.full((3, 2), 4.0)))
    priced = DualGuided(instance, demand, how="priced", toll_share=0.0)
    program = CostToGo(PositionEnding(instance, demand, 1), demand, horizon=1)
    state = Dynamics(instance, dtype=torch.float64).initial_state(1)
    one, other = (p.decide(state, 0).order.numpy() for p in (priced, program))
    (problem,) = priced.problems(state, 0)
    stage, keepers = priced.stage, len(problem.cost) - len(priced.stage.item)
    assert keepers == 3
    kept = [problem.stock[problem.group[-3:]] - order[0, :, 1] for order in (one, other)]
    gained = [
        problem.gain(np.concatenate([order[0][stage.item, stage.place], left]))
        for order, left in zip((one, other), kept, strict=True)
    ]
    assert gained[0] == pytest.approx(gained[1], rel=1e-4)


def test_fluid_prices_are_the_value_of_the_demand_that_just_fits():
    """Two items of 4 a period worth 30 and 10 a volume, capacity 6: the price is the second's."""

    def fluid(capacity):
        instance = build(
            "fluid",
            {"supplier": "supplier", "store": "stocking"},
            {("supplier", "store"): 1},
            ["store"],
            unmet="lost",
            horizon=4,
            items=2,
            shortage_cost={"store": np.array([30.0, 10.0])},
            resources_=(Resource("dock", "inbound", np.ones(2), np.array([capacity]), 1),),
        )
        demand = Poisson(np.array([1]), steady(np.full((2, 1), 4.0)))
        return FluidPrices(instance, demand, Sourcing.of(instance)).after(0)

    assert fluid(6.0) == pytest.approx([10])
    assert fluid(3.0) == pytest.approx([30])
    assert fluid(9.0) == pytest.approx([0])


def test_auto_chooses_by_size_and_structure():
    """One program while small, prices when large, the program of cost_to_go with several ways."""
    small, large = SharedCapacity.case(5, 2, 1.0), SharedCapacity.case(200, 2, 1.0)
    assert DualGuided.fit(small.instance, small.demand).how == "monolithic"
    assert len(DualGuided.fit(large.instance, large.demand).stage.item) > SMALL_STAGE
    assert DualGuided.fit(large.instance, large.demand).how == "priced"
    network = small.instance.network
    joint = np.zeros(len(network.lanes))
    joint[0] = 5.0
    coupled = replace(small.instance, network=replace(network, joint_fixed_cost=joint))
    assert DualGuided.fit(coupled, small.demand).how == "program"
    with pytest.raises(OptrlError, match=r"supplier->warehouse has a joint fixed cost.*cost_to_go"):
        DualGuided(coupled, small.demand, how="priced")


def test_what_is_too_large_for_a_program_and_has_no_prices_is_refused():
    """With what hangs together, and what to do."""
    bed = SharedCapacity.case(LARGE_PROGRAM // 3 + 1, 2, 1.0)
    network = bed.instance.network
    joint = np.zeros(len(network.lanes))
    joint[0] = 5.0
    coupled = replace(bed.instance, network=replace(network, joint_fixed_cost=joint))
    with pytest.raises(OptrlError, match=r"too many for one program.*joint fixed cost"):
        DualGuided.fit(coupled, bed.demand)


def test_a_forecast_goes_with_its_way_of_solving():
    """Neither one without the other."""
    bed = SharedCapacity.case(3, 2, 1.0)
    with pytest.raises(OptrlError, match="forecast missing"):
        DualGuided(bed.instance, bed.demand, how="forecast")
    with pytest.raises(OptrlError, match="forecast given"):
        DualGuided(bed.instance, bed.demand, how="priced", forecast=Given(0.0))


def test_closed_lanes_and_largest_quantities_hold():
    """A closed lane orders nothing, a largest quantity caps what the price would have."""
    bed = SharedCapacity.case(6, 2, 1.0, seed=7)
    network = bed.instance.network
    largest = network.maximum_quantity.copy()
    largest[:, 1] = 2.0
    limited = replace(network, maximum_quantity=largest, closed=frozenset({(2, 0)}))
    instance = replace(bed.instance, network=limited)
    policy = DualGuided(instance, bed.demand, how="priced")
    decision = policy.decide(Dynamics(instance, dtype=torch.float64).initial_state(1), 0)
    assert isinstance(decision, Decision)
    order = decision.order[0].numpy()
    assert (order[:, 2] == 0).all()
    assert (order[:, 1] <= 2).all()
    assert order[:, 1].max() == pytest.approx(2)


def test_a_forecast_is_written_and_read(tmp_path):
    """The same prices from the file; a file of something else is refused."""
    from optrl.networks.price_network import PriceNetwork
    from optrl.policies.price_forecast import FEATURES, FILE

    network = PriceNetwork(len(FEATURES), (5, 3), torch.Generator().manual_seed(1))
    forecast = PriceForecast(network, 52.0)
    forecast.save(tmp_path)
    again = PriceForecast.load(tmp_path)
    bed = SharedCapacity.case(4, 2, 1.2)
    policy = DualGuided(bed.instance, bed.demand, how="priced")
    state = Dynamics(bed.instance, dtype=torch.float64).initial_state(1)
    (problem,) = policy.problems(state, 0)
    lasting = policy.lasting(0)
    assert lasting[0] > 0
    prices = forecast.prices(problem, lasting, 0)
    assert prices[0] > 0
    assert again.prices(problem, lasting, 0) == pytest.approx(prices, rel=1e-12)
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(OptrlError):
        PriceForecast.load(tmp_path)


def test_a_plan_keeps_capacities_and_tells_its_repairs():
    """All periods on expected demand: within the capacity, with prices and gaps by period."""
    bed = with_lots(SharedCapacity.case(8, 2, 1.3, periods=6, seed=8), np.random.default_rng(8))
    instance = bed.instance
    policy = DualGuided(instance, bed.demand, how="priced")
    flows, report = policy.plan()
    network = instance.network
    lanes, resource = network.replenishment_lanes, network.resources[0]
    inside = np.isin(lanes, network.lanes_of(resource))
    load = np.einsum("nat,n->t", flows.order[:, inside], resource.use)
    assert (load <= resource.capacity[0] * (1 + 1e-9)).all()
    assert load.sum() > 0
    lot = network.lot_size[:, lanes, None]
    count = flows.order / np.where(lot > 0, lot, 1.0)
    assert (np.abs(count - np.round(count)) * (lot > 0) < 1e-6).all()
    assert report.prices.shape == (1, 6)
    assert report.prices.max() > 0
    assert [repair.prices[0] for repair in policy.repairs] == pytest.approx(report.prices[0])
    assert report.gap == max(repair.gap for repair in policy.repairs)
    assert report.gap == max(repair.gap for repair in policy.repairs)
    assert report.gap > 0
    _, tight = policy.plan(relative_gap=0.0)
    _, wide = policy.plan(relative_gap=1.0)
    assert (tight.status, wide.status) == ("feasible", "optimal")
