"""Policies of the simulator lead forward passes: they see the simulator's states, bounds hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from optrl.decomposition.sddp import (
    GivenPolicy,
    PolicyGraph,
    Sddp,
    group_by_means,
    replenishment_graph,
    replenishment_policy,
)
from optrl.exact.lost_sales_horizon import solve_horizon
from optrl.instance import Instance
from optrl.learning.base import Subject
from optrl.learning.fitted_value import FittedValue, FittedValueSettings
from optrl.policies.cost_to_go import CostToGo
from optrl.policies.pretrained import Pretrained
from optrl.simulation.rollout import simulate
from optrl.simulation.state import Decision, State
from optrl.testbeds.lost_sales import LostSalesBed, LostSalesFamily
from optrl.values.cuts import MaxAffine
from optrl.values.state_columns import StateColumns

PERIODS, LEAD_TIME = 5, 3


class OrderUpTo:
    """Order up to a level, and keep what was seen."""

    def __init__(self, level: float) -> None:
        self.level = level
        self.seen: list[tuple[int, list[float]]] = []

    def decide(self, state: State, period: int) -> Decision:
        here = [float(state.on_hand[0, 0, 1]), *state.due[0, 0, 1].tolist()]
        self.seen.append((period, here))
        position = state.on_hand[..., 1:] + state.in_transit[..., 1:] - state.backlog[..., 1:]
        return Decision(torch.clamp(self.level - position, min=0))


def bed_and_graph() -> tuple[LostSalesBed, Instance, PolicyGraph]:
    """Lost sales from mean demand on hand and in each slot."""
    bed = LostSalesFamily.case("poisson", 9.0, LEAD_TIME)
    on_hand = np.zeros_like(bed.instance.on_hand)
    on_hand[0, 1] = 5
    due = np.zeros((*on_hand.shape, LEAD_TIME - 1))
    due[0, 1] = 5
    instance = replace(bed.instance, on_hand=on_hand, due=due)
    assert bed.problem is not None
    grouped = group_by_means(bed.problem.demand.probability, 8)
    return bed, instance, replenishment_graph(instance, [grouped] * PERIODS)


def test_the_policy_sees_what_it_would_see_in_the_simulator() -> None:
    """Truth: the simulator on demand that is the same each period, so that one path is all."""
    _, instance, _ = bed_and_graph()
    sure = group_by_means(np.array([1.0]), 1, np.array([4.0]))
    graph = replenishment_graph(instance, [sure] * PERIODS)
    policy, twin = OrderUpTo(21.0), OrderUpTo(21.0)
    Sddp(graph, forward=GivenPolicy(replenishment_policy(instance, policy))).iterate()
    demand = np.full((1, 1, 1, PERIODS), 4.0)
    simulate(instance, twin, demand, seed=0, dtype=torch.float64)
    assert [period for period, _ in policy.seen] == [period for period, _ in twin.seen]
    for (_, ours), (_, theirs) in zip(policy.seen, twin.seen, strict=True):
        # The simulator keeps a slot more than orders of this lead time fill.
        assert ours == pytest.approx(theirs[: len(ours)], abs=1e-9)
        assert not any(theirs[len(ours) :])


@pytest.mark.parametrize("learned", [False, True])
def test_bounds_hold_whoever_leads(learned: bool) -> None:
    """Truth: the dynamic program over the same periods, for a rule and for the shipped network."""
    bed, instance, graph = bed_and_graph()
    assert bed.problem is not None
    truth = solve_horizon(bed.problem, PERIODS).cost(np.full(LEAD_TIME, 5))
    policy = Pretrained.fit(instance, bed.demand, seed=0) if learned else OrderUpTo(24.0)
    dtype = torch.float32 if learned else torch.float64
    leads = replenishment_policy(instance, policy, dtype=dtype)
    sddp = Sddp(graph, forward=GivenPolicy(leads, iterations=12), seed=2)
    for _ in range(24):
        assert sddp.iterate() <= truth + 1e-6
    assert sddp.bound >= 0.97 * truth


def value_program(bed: LostSalesBed, instance: Instance, how: str) -> CostToGo:
    """Programs of one period that end in a value function."""
    if how == "far too high":
        columns = StateColumns.of(instance)
        steep = MaxAffine(np.array([1e5]), np.full((1, columns.size), -50.0), 0.0)
        return CostToGo.with_value(instance, bed.demand, steep, columns)
    settings = FittedValueSettings(
        updates=15,
        gathering=8,
        rounds=1,
        states=48,
        replicates=4,
        periods=8,
        batch=64,
        validate_every=15,
        group_hidden=(4, 3),
        joint_hidden=(4, 4),
        validation_paths=2,
        validation_periods=20,
    )
    learner = FittedValue.begin(Subject(instance, bed.demand, endless=True), settings, 0)
    for _ in range(learner.total):
        learner.update()
    return learner.policy(instance, bed.demand)


@pytest.mark.parametrize("how", ["learned", "far too high"])
def test_a_value_function_may_start_it_and_only_cuts_enter_the_bound(how: str) -> None:
    """Truth: the dynamic program, which a value function leads to but never lifts a bound above."""
    bed, instance, graph = bed_and_graph()
    assert bed.problem is not None
    truth = solve_horizon(bed.problem, PERIODS).cost(np.full(LEAD_TIME, 5))
    leads = replenishment_policy(instance, value_program(bed, instance, how))
    sddp = Sddp(graph, forward=GivenPolicy(leads, iterations=6), seed=2)
    for _ in range(6):
        assert sddp.iterate() <= truth + 1e-6
    led = {key: pool.visited.copy() for key, pool in sddp.to_go.pools.items()}
    for _ in range(20):
        assert sddp.iterate() <= truth + 1e-6
    assert sddp.bound >= 0.97 * truth
    # It did lead: the cuts' own passes begin at other states.
    own = Sddp(graph, seed=2)
    for _ in range(6):
        own.iterate()
    assert any(
        led[key].shape != pool.visited.shape or not np.allclose(led[key], pool.visited)
        for key, pool in own.to_go.pools.items()
    )
