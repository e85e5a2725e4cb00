"""Properties of whole runs: gradients, repeatability, batches, blocks, precision, information."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from optrl.instance import ArrivalProfile
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.rollout import _blocks, simulate
from optrl.simulation.state import Decision, State


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
