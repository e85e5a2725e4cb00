"""Laws every simulation obeys, on random instances and random decisions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.network import NodeKind, Resource

from optrl.instance import ArrivalProfile, Instance
from optrl.simulation.arrivals import ArrivalDraws
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.rollout import _blocks, simulate
from optrl.simulation.state import Decision, State


@dataclass(frozen=True)
class Erratic:
    """Orders anything, by a generator of the period alone."""

    lanes: int
    serving: int
    limit_serving: bool

    def decide(self, state: State, period: int) -> Decision:
        generator = np.random.default_rng(period)
        shape = (1, state.on_hand.shape[1])
        order = torch.from_numpy(generator.uniform(-5, 20, (*shape, self.lanes)))
        serve = torch.from_numpy(generator.uniform(-1, 6, (*shape, self.serving)))

        def full(x: torch.Tensor) -> torch.Tensor:
            return x.to(state.on_hand.dtype).expand(state.on_hand.shape[0], -1, -1)

        return Decision(full(order), full(serve) if self.limit_serving else None)


def random_instance(build, seed: int) -> Instance:
    """Two suppliers, a chain with transfers, customers; features come and go by the seed."""
    g = np.random.default_rng(seed)
    nodes = [("p", "supplier"), ("q", "supplier"), ("hub", "stocking"), ("c1", "customer")]
    nodes += [("a", "stocking"), ("b", "stocking"), ("c2", "customer")]
    arcs = [("p", "hub"), ("q", "hub"), ("q", "a"), ("hub", "a"), ("hub", "b"), ("a", "b")]
    serving = [("hub", "c1"), ("a", "c1"), ("b", "c1"), ("b", "c2"), ("a", "c2"), ("p", "c2")]
    lanes = [(u, v, int(g.integers(0, 4))) for u, v in arcs] + [(u, v, 0) for u, v in serving]
    n, a = 3, len(lanes)

    def maybe(value, otherwise):
        return value if g.random() < 0.5 else otherwise

    index = {name: i for i, (name, _) in enumerate(nodes)}
    resources = (
        Resource("out", "outbound", g.uniform(0.5, 2, n), g.uniform(5, 30, 3), node=index["a"]),
        Resource("cash", "budget", g.uniform(0.5, 2, n), g.uniform(20, 60, 3)),
        Resource("in", "inbound", np.ones(n), g.uniform(5, 30, 2), node=index["b"],
                 takes_setup_time=True),
        Resource("room", "storage", np.ones(n), np.array([20.0]), node=index["hub"]),
    )  # fmt: skip
    arrivals = (
        ArrivalProfile(0, np.array([0.5, 0.3, 0.2]),
                       np.array([[0.0, 1.0, 0.0], [0.0, 0.5, 0.4], [0.0, 0.0, 0.7]])),
        ArrivalProfile(4, np.array([0.6, 0.4]), np.array([[0.2, 0.8], [0.2, 0.3]])),
    )  # fmt: skip
    built = build(
        nodes,
        lanes,
        ["a", "c1", "c2"],
        items=n,
        on_hand={"hub": 20.0, "a": 5.0, "b": 7.5},
        due=maybe(np.zeros((n, len(nodes), 0)), _due(g, n, len(nodes), [2, 4, 5])),
        unmet=maybe("lost", "backorder"),
        backlog={"a": 1.5, "c1": 2.0},
        lane_cost=maybe(g.uniform(0, 3, (n, a)), 1.0),
        lot_size=maybe(g.choice([0.0, 1.0, 3.0], (n, a)), 0.0),
        minimum_quantity=maybe(g.choice([0.0, 4.0], (n, a)), 0.0),
        maximum_quantity=maybe(g.uniform(2, 15, (n, a)), np.inf),
        supply_capacity=maybe({"p": 9.0}, None),
        setup_time=maybe(0.5, 0.0),
        allowed=maybe(g.random((n, a)) < 0.8, True),
        review_period=maybe(g.integers(1, 3, a), np.ones(a, dtype=np.int64)),
        resources=maybe(resources, ()),
    )
    order = built.network.lanes
    moved = tuple(replace(p, lane=order.index(arcs[p.lane])) for p in arrivals)
    return replace(built, arrivals=maybe(moved, ()))


def _due(g, n, v, nodes):
    due = np.zeros((n, v, 3))
    due[:, nodes] = g.uniform(0, 5, (n, len(nodes), 3))
    return due


class Pipeline:
    """What arrives where and when, kept apart from the simulator; shape (S, N, V) by period."""

    def __init__(self, instance: Instance, scenarios: int, draws: ArrivalDraws) -> None:
        self.instance, self.draws = instance, draws
        self.empty = np.zeros((scenarios, *instance.on_hand.shape))
        self.arriving: dict[int, np.ndarray] = {}
        self.lost = np.zeros(scenarios)
        for k in range(instance.due.shape[2]):
            self.add(k + 1, slice(None), instance.due[:, :, k])

    def add(self, period: int, node: int | slice, quantity: np.ndarray) -> None:
        self.arriving.setdefault(period, self.empty.copy())[..., node] += quantity

    def release(self, lane: int, period: int, quantity: np.ndarray) -> None:
        network = self.instance.network
        node = int(network.destination[lane])
        profiles = [p for p in self.instance.arrivals if p.lane == lane]
        if not profiles:
            self.add(period + int(network.lead_time[lane]), node, quantity)
            return
        (profile,) = profiles
        u = self.draws.uniform(torch.tensor([lane]), period)[0].numpy()
        row = np.searchsorted(np.cumsum(profile.probability)[:-1], u, side="right")
        for delay in range(profile.fraction.shape[1]):
            self.add(period + delay, node, quantity * profile.fraction[row, delay])
        self.lost += (quantity * (1 - profile.fraction[row].sum(-1))).sum(1)


@pytest.mark.parametrize("differentiable", [False, True])
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_flow_is_conserved(build, seed, differentiable):
    """stock_t = stock_{t-1} + in - out - sales; limits hold; nothing is negative or changed."""
    instance = random_instance(build, seed)
    network, places = instance.network, instance.demand.nodes
    generator = np.random.default_rng(seed + 1)
    s, n, periods = 2, 3, 8
    dynamics = Dynamics(instance, dtype=torch.float64)
    lanes, serving = network.replenishment_lanes, network.serving_lanes
    policy = Erratic(len(lanes), len(serving), seed % 3 == 0)
    state, draws = dynamics.initial_state(s), dynamics.draws(seed, 0, s)
    pipeline = Pipeline(instance, s, draws)
    own = network.kind[places] == NodeKind.STOCKING
    for t in range(periods):
        before = {name: getattr(state, name).clone() for name in ("on_hand", "backlog", "due")}
        demand = torch.from_numpy(generator.uniform(0, 8, (len(places), s, n)))
        with torch.set_grad_enabled(differentiable):
            following, out = dynamics.step(state, policy.decide(state, t), demand, draws)
        for name, value in before.items():
            assert torch.equal(getattr(state, name), value), f"the step changed {name}"
        released, served, sold, short = (
            x.permute(1, 2, 0).numpy() for x in (out.released, out.served, out.sold, out.short)
        )
        stock = before["on_hand"].numpy().copy()
        for lane, quantity in zip(lanes, np.moveaxis(released, 2, 0), strict=True):
            stock[..., network.origin[lane]] -= quantity
            pipeline.release(int(lane), t, quantity)
        for lane, quantity in zip(serving, np.moveaxis(served, 2, 0), strict=True):
            stock[..., network.origin[lane]] -= quantity
        stock[..., places[own]] -= sold[..., own]
        stock += pipeline.arriving.pop(t, 0)
        stocking = dynamics.stocking.index
        np.testing.assert_allclose(out.on_hand.permute(1, 2, 0), stock[..., stocking], atol=1e-9)
        stock += pipeline.arriving.pop(t + 1, 0)
        np.testing.assert_allclose(
            following.on_hand[..., stocking], stock[..., stocking], atol=1e-9
        )
        if not instance.arrivals:
            for k in range(following.due.shape[3]):
                due = pipeline.arriving.get(t + 2 + k, pipeline.empty)
                np.testing.assert_allclose(following.due[..., k], due, atol=1e-9)
        np.testing.assert_allclose(following.due.sum(-1), following.in_transit, atol=1e-9)
        need = demand.permute(1, 2, 0).numpy()
        if network.unmet == "backorder":
            need = need + before["backlog"].numpy()[..., places]
        np.testing.assert_allclose(sold + short, need, atol=1e-9)
        for k in np.flatnonzero(~own):
            mine = network.destination[serving] == places[k]
            np.testing.assert_allclose(served[..., mine].sum(-1), sold[..., k], atol=1e-9)
        _limits_hold(instance, out, released, served, t)
        for x in (released, served, sold, short, following.on_hand.numpy()):
            assert (x >= 0).all()
        if "lost" in out.totals:
            np.testing.assert_allclose(out.totals["lost"], pipeline.lost, atol=1e-9)
            pipeline.lost[:] = 0
        state = following


def _limits_hold(instance, out, released, served, period):
    network = instance.network
    flow = np.zeros((*released.shape[:2], len(network.lanes)))
    flow[..., network.replenishment_lanes] = released
    flow[..., network.serving_lanes] = served
    assert (flow[:, ~network.allowed] == 0).all()
    assert (flow <= network.maximum_quantity + 1e-9).all()
    is_open = network.open_periods(period, 1)[:, 0]
    assert (flow[..., ~is_open] == 0).all()
    lots = np.where(network.lot_size > 0, network.lot_size, 1.0)
    count = np.where(network.lot_size > 0, flow / lots, 0.0)
    np.testing.assert_allclose(count, np.round(count), atol=1e-9)
    small = (flow > 0) & (flow < network.minimum_quantity - 1e-5)
    assert not small.any()
    for node in np.flatnonzero(np.isfinite(network.supply_capacity).all(axis=0)):
        total = flow[..., network.origin == node].sum(-1)
        assert (total <= network.supply_capacity[:, node] + 1e-9).all()
    for r, resource in enumerate(network.resources):
        if resource.kind == "storage":
            continue
        mine = network.lanes_of(resource)
        use = np.einsum("snl,n->s", flow[..., mine], resource.use)
        if resource.takes_setup_time:
            use += ((flow > 0) * network.setup_time)[..., mine].sum((1, 2))
        assert (use <= resource.capacity_at(period, 1)[0] + 1e-9).all()
        np.testing.assert_allclose(out.resource_use[:, r].numpy(), use, atol=1e-9)


def _spokes(build, items=3, **options):
    nodes = [("p", "supplier"), ("hub", "stocking"), ("a", "stocking"), ("b", "stocking")]
    lanes = [("p", "hub", 2), ("hub", "a", 1), ("hub", "b", 1)]
    settings = {
        "holding_cost": {"hub": 0.3, "a": 1.0, "b": 1.0},
        "shortage_cost": {"a": 9.0, "b": 7.0},
        "lane_cost": 0.2,
        "unit_cost": 1.5,
        "on_hand": {"hub": 20.0, "a": 8.0, "b": 8.0},
    }
    return build(nodes, lanes, ["a", "b"], items=items, **(settings | options))


LEVELS = np.array([[38.0, 12.0, 14.0], [30.0, 13.0, 11.0], [44.0, 15.0, 12.0]])
YIELDS = ArrivalProfile(
    0, np.array([0.5, 0.5]), np.array([[0.0, 0.6, 0.0, 0.3], [0.0, 0.0, 1.0, 0.0]])
)


def _demand(scenarios, periods, items=3):
    generator = np.random.default_rng(5)
    return generator.poisson(4.0, (scenarios, items, 2, periods)).astype(float)


def test_gradient_is_the_finite_difference(build, base_stock):
    """Autograd through the rollout equals central differences in every level."""
    instance = _spokes(build, unmet="backorder", arrivals=(YIELDS,))
    demand = _demand(4, 12) + np.random.default_rng(1).random((4, 3, 2, 12))

    def cost(levels):
        policy = base_stock(instance, levels, torch.float64)
        result = simulate(
            instance, policy, demand, seed=3, dtype=torch.float64, differentiable=True
        )
        return result.total_cost.mean()

    levels = torch.tensor(LEVELS + 0.137, requires_grad=True)
    cost(levels).backward()
    step = 1e-5
    for i in np.ndindex(*LEVELS.shape):
        shift = torch.zeros_like(levels)
        shift[i] = step
        with torch.no_grad():
            slope = (cost(levels + shift) - cost(levels - shift)) / (2 * step)
        assert float(levels.grad[i]) == pytest.approx(float(slope), abs=1e-5)
    assert float(levels.grad.abs().max()) > 0.1


def test_same_seed_same_bits_and_another_seed_differs(build, base_stock):
    """A run repeats bit by bit; random arrivals change with the seed."""
    instance = _spokes(build, arrivals=(YIELDS,))
    policy = base_stock(instance, LEVELS, torch.float32)

    def run(seed):
        return simulate(instance, policy, _demand(5, 20), seed=seed, record="full")

    first, again, other = run(1), run(1), run(2)
    assert torch.equal(first.detail.on_hand, again.detail.on_hand)
    assert torch.equal(first.total_cost, again.total_cost)
    assert not torch.equal(first.detail.on_hand, other.detail.on_hand)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_batches_of_scenarios_do_not_change_results(build, base_stock, batch):
    """Scenario s meets the same arrivals whatever batch it is simulated in."""
    instance = _spokes(build, arrivals=(YIELDS,))
    policy = base_stock(instance, LEVELS, torch.float64)

    def run(batch):
        return simulate(
            instance, policy, _demand(7, 15), seed=9, batch=batch, dtype=torch.float64,
            record="full",
        )  # fmt: skip

    whole, parts = run(None), run(batch)
    assert torch.equal(whole.detail.on_hand, parts.detail.on_hand)
    assert torch.equal(whole.detail.released, parts.detail.released)
    torch.testing.assert_close(whole.total_cost, parts.total_cost)
    for name, value in whole.totals.items():
        torch.testing.assert_close(value, parts.totals[name])


def test_blocks_of_items_do_not_change_results(build, base_stock):
    """Simulating items in blocks, as the fast path does, gives what one block gives."""
    items = 40_000
    instance = _spokes(build, items=items, arrivals=(YIELDS,))
    generator = np.random.default_rng(2)
    demand = generator.poisson(4.0, (1, items, 2, 6)).astype(np.float32)
    levels = generator.uniform(10, 40, (items, 3))
    policy = base_stock(instance, levels, torch.float32)
    assert len(_blocks(instance, policy, 1)[0]) > 1
    blocked = simulate(instance, policy, demand, seed=4, record="full")
    joint = _Inseparable(policy)
    assert len(_blocks(instance, joint, 1)[0]) == 1
    at_once = simulate(instance, joint, demand, seed=4, record="full")
    assert torch.equal(blocked.detail.on_hand, at_once.detail.on_hand)
    torch.testing.assert_close(blocked.total_cost, at_once.total_cost, rtol=1e-5, atol=0)
    torch.testing.assert_close(blocked.totals["short"], at_once.totals["short"], rtol=1e-6, atol=0)


@dataclass(frozen=True)
class _Inseparable:
    """A policy that does not tell that its items are separable."""

    policy: Any

    def decide(self, state: State, period: int) -> Decision:
        decision: Decision = self.policy.decide(state, period)
        return decision


def test_single_precision_is_close_to_double(build, base_stock):
    """float32 follows float64 up to its rounding."""
    instance = _spokes(build, arrivals=(YIELDS,))
    cost = [
        simulate(
            instance, base_stock(instance, LEVELS, dtype), _demand(6, 60), seed=2, dtype=dtype
        ).total_cost
        for dtype in (torch.float32, torch.float64)
    ]
    torch.testing.assert_close(cost[0], cost[1], rtol=1e-4, atol=0)


def test_expected_arrivals_tell_nothing_of_the_future(build, script):
    """What is due on a lane with a profile depends on arrivals so far, not on the row drawn."""
    instance = build(
        [("p", "supplier"), ("a", "stocking")], [("p", "a", 1)], ["a"],
        arrivals=(
            ArrivalProfile(
                0, np.array([0.25, 0.25, 0.5]),
                np.array([[0, 0.5, 0, 0.5], [0, 0.5, 0.5, 0], [0, 0, 0.8, 0]]),
            ),
        ),
    )  # fmt: skip
    dynamics = Dynamics(instance, dtype=torch.float64)
    s = 400
    state, draws = dynamics.initial_state(s), dynamics.draws(0, 0, s)
    none = torch.zeros(1, s, 1, dtype=torch.float64)
    order = torch.full((s, 1, 1), 10.0, dtype=torch.float64)
    state, _ = dynamics.step(state, Decision(order), none, draws)
    half = state.on_hand[:, 0, 1] == 5
    assert 150 < int(half.sum()) < 250
    # Seen at age 1: half arrived and the other half is due at 2 or 3 alike, or 8 are due at 2.
    assert torch.equal(
        state.due[half, 0, 1, :2], torch.tensor([[2.5, 2.5]]).double().expand(int(half.sum()), 2)
    )
    assert torch.equal(
        state.due[~half, 0, 1, :2],
        torch.tensor([[8.0, 0.0]]).double().expand(s - int(half.sum()), 2),
    )
    assert torch.equal(
        state.in_transit[~half, 0, 1], torch.full((s - int(half.sum()),), 8.0).double()
    )


@pytest.mark.parametrize(
    "nodes",
    [
        [("a", "stocking"), ("b", "stocking")],
        [("p", "supplier"), ("a", "stocking"), ("b", "stocking")],
        [("a", "stocking"), ("p", "supplier"), ("b", "stocking")],
    ],
)
def test_a_step_changes_neither_its_state_nor_past_outcomes(build, nodes):
    """Tensors handed out stay as they are, however the nodes lie in memory."""
    instance = build(nodes, [("a", "b", 1)], ["a", "b"], on_hand={"a": 9.0, "b": 2.0})
    dynamics = Dynamics(instance, dtype=torch.float64)
    order = Decision(torch.full((1, 1, 1), 3.0, dtype=torch.float64))
    demand, draws = torch.ones(2, 1, 1, dtype=torch.float64), dynamics.draws(0, 0, 1)
    with torch.no_grad():
        first, seen = dynamics.initial_state(1), []
        second, outcome = dynamics.step(first, order, demand, draws)
        dynamics.step(second, order, demand, draws)
    for name in ("a", "b"):
        node = instance.network.node_index[name]
        seen.append([float(x.on_hand[0, 0, node]) for x in (first, second)])
    assert seen == [[9, 5], [2, 4]]
    assert outcome.on_hand.flatten().tolist() == [5, 1]


def test_rounding_to_lots_never_takes_more_than_the_stock(build, script):
    """A share just below a multiple of the lot is not rounded up beyond what is there."""
    short = 6 - 1e-6
    instance = build(
        [("hub", "stocking"), ("a", "stocking"), ("b", "stocking")],
        [("hub", "a", 0), ("hub", "b", 0)],
        ["a"],
        on_hand={"hub": short},
        lot_size=3.0,
    )
    result = simulate(
        instance, script([[6, 6]]), np.zeros((1, 1, 1, 1)), seed=0, dtype=torch.float64,
        record="full",
    )  # fmt: skip
    assert result.detail.released[0, 0, :, 0].tolist() == [0, 0]
    exact = replace(instance, on_hand=np.array([[6.0, 0, 0]]))
    result = simulate(
        exact, script([[6, 6]]), np.zeros((1, 1, 1, 1)), seed=0, dtype=torch.float64, record="full"
    )
    assert result.detail.released[0, 0, :, 0].tolist() == [3, 3]
