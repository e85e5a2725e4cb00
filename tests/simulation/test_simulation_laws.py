"""Laws every simulation obeys, on random instances and random decisions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.network import NodeKind, Resource

from optrl.instance import ArrivalProfile, Instance
from optrl.simulation.arrivals import ArrivalDraws
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.rollout import simulate
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
