"""Rollouts of a policy on given demand."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Protocol, Self, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optrl.instance import Instance
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.errors import SimulationError
from optrl.simulation.features import Features
from optrl.simulation.state import Decision, State
from optrl.simulation.trajectory import Recorder, Trajectory, join_items, join_scenarios

# Elements of one tensor (rows, S, N) that a batch of scenarios may hold: bounds memory.
_BATCH_ELEMENTS = 4_000_000
# Scenarios times items of a block: enough to outweigh the calls, few enough for the cache.
_BLOCK_ELEMENTS = 32_768


class DecidingPolicy(Protocol):
    """The part of a policy that a rollout uses."""

    def decide(self, state: State, period: int) -> Decision:
        """Decide what to release in absolute period `period`."""
        ...


@runtime_checkable
class SeparablePolicy(Protocol):
    """A policy that decides each item by itself and can be restricted to some items.

    Where no resource and no joint fixed cost couples the items, `simulate` then runs through
    blocks of items that stay in the processor's cache. Results are the same.
    """

    def for_items(self, items: slice) -> Self:
        """The policy for the items of a slice."""
        ...

    def decide(self, state: State, period: int) -> Decision:
        """Decide what to release in absolute period `period`."""
        ...


def simulate(
    instance: Instance,
    policy: DecidingPolicy,
    demand: Tensor | NDArray[np.floating],
    *,
    seed: int,
    first_scenario: int = 0,
    first_period: int | None = None,
    warm_up: int = 0,
    dtype: torch.dtype = torch.float32,
    record: Literal["totals", "full"] = "totals",
    batch: int | None = None,
    differentiable: bool = False,
) -> Trajectory:
    """Simulate a policy from the instance's state on given demand.

    Policies compared on the same `demand` and `seed` meet the same demand and the same random
    arrivals (common random numbers). Orders of `Instance.frozen` replace the policy's in their
    periods. Results do not depend on `batch`, up to the order of summation.

    Args:
        instance: The instance.
        policy: Decides on (S, N, ...) tensors of `dtype`.
        demand: Shape (S, N, D, T), nodes as in `DemandTable.nodes`; fastest when its memory is
            laid out as (T, D, S, N), which is then used without a copy.
        seed: Seed of random arrivals.
        first_scenario: Number of the first scenario in the whole run, for random arrivals of a
            run that is simulated in parts.
        first_period: Absolute period of the first column; `Instance.start` when None.
        warm_up: First periods left out of totals and indicators.
        dtype: torch.float32 or torch.float64.
        record: "full" keeps every flow and stock by item.
        batch: Scenarios simulated together; chosen to bound memory when None.
        differentiable: Whether to keep gradients of costs with respect to demand and the
            policy's parameters.

    Raises:
        SimulationError: If shapes do not fit, demand is negative or not a number, a decision is
            not finite, or the policy writes to the state.
    """
    network = instance.network
    path = torch.as_tensor(demand)
    expected = (len(network.items), len(instance.demand.nodes))
    if path.ndim != 4 or tuple(path.shape[1:3]) != expected or path.shape[3] == 0:
        raise SimulationError(
            f"demand has shape {tuple(path.shape)}; expected (scenarios, {expected[0]} items, "
            f"{expected[1]} demand nodes, at least 1 period)"
        )
    if not 0 <= warm_up < path.shape[3]:
        raise SimulationError(
            f"warm_up is {warm_up}; it must be at least 0 and below the {path.shape[3]} periods"
        )
    with torch.set_grad_enabled(differentiable):
        by_period = path.to(dtype).permute(3, 2, 0, 1)
        rows = max(len(network.nodes), len(network.lanes), 1)
        if batch is None:
            batch = max(1, _BATCH_ELEMENTS // (rows * max(1, expected[0])))
        blocks, policies = _blocks(instance, policy, min(batch, path.shape[0]))
        features = Features.of(network)
        parts = []
        for items, restricted in zip(blocks, policies, strict=True):
            dynamics = Dynamics(instance, dtype=dtype, items=items, features=features)
            batches = []
            for low in range(0, path.shape[0], batch):
                paths = by_period[:, :, low : low + batch, items]
                batches.append(
                    _roll(
                        dynamics,
                        restricted,
                        paths,
                        seed,
                        first_scenario + low,
                        first_period,
                        warm_up,
                        record,
                    )
                )
            parts.append(join_scenarios(batches))
        return join_items(parts)


def _blocks(
    instance: Instance, policy: DecidingPolicy, batch: int
) -> tuple[list[slice], list[DecidingPolicy]]:
    items = len(instance.network.items)
    size = max(1, _BLOCK_ELEMENTS // batch)
    if not isinstance(policy, SeparablePolicy) or Dynamics.couples_items(instance) or size >= items:
        return [slice(0, items)], [policy]
    blocks = [slice(low, min(low + size, items)) for low in range(0, items, size)]
    return blocks, [policy.for_items(block) for block in blocks]


def _roll(
    dynamics: Dynamics,
    policy: DecidingPolicy,
    demand: Tensor,
    seed: int,
    first_scenario: int,
    first_period: int | None,
    warm_up: int,
    record: Literal["totals", "full"],
) -> Trajectory:
    instance = dynamics.instance
    scenarios = demand.shape[2]
    smallest = float(demand.detach().amin())
    if not smallest >= 0:
        raise SimulationError(f"the smallest demand is {smallest}; it must be a number, 0 or more")
    name = str(getattr(policy, "name", type(policy).__name__))
    state = dynamics.initial_state(scenarios)
    if first_period is not None:
        state = replace(state, period=first_period)
    draws = dynamics.draws(seed, first_scenario, scenarios)
    recorder = Recorder(record == "full")
    if demand.stride(3) != 1:
        demand = demand.contiguous()
    for column, period_demand in enumerate(demand):
        state = replace(state, met=demand[:column])
        before = state.versions()
        chosen = policy.decide(state, state.period)
        if state.versions() != before:
            raise SimulationError(
                f"policy {name!r} changed the state in period {state.period}: a decision may only "
                "read it; copy a tensor before writing to it (clone), and use no operation that "
                "ends in _ on it"
            )
        decision = _frozen(dynamics, state.period, chosen)
        state, outcome = dynamics.step(state, decision, period_demand, draws)
        recorder.add(outcome)
    trajectory = recorder.trajectory(instance, name, warm_up, dynamics.terminal_value(state), state)
    wrong = ~torch.isfinite(trajectory.period_cost.detach() + trajectory.totals["stock"])
    # What was released in the last periods shows only in what is still on the way.
    wrong[:, -1] |= ~torch.isfinite(state.pipeline.detach().sum((0, 2)))
    if wrong.any():
        scenario, column = (int(x) for x in wrong.nonzero()[0])
        raise SimulationError(
            f"scenario {first_scenario + scenario} is not finite in period "
            f"{trajectory.first_period + column}; check the decisions of policy {name!r}"
        )
    return trajectory


def _frozen(dynamics: Dynamics, period: int, decision: Decision) -> Decision:
    """The decision with frozen orders of `period` in place of the policy's."""
    instance = dynamics.instance
    column = period - instance.start
    if not 0 <= column < instance.frozen.shape[2]:
        return decision
    lanes = instance.network.replenishment_lanes
    fixed = instance.frozen[dynamics.items][:, lanes, column]
    order = torch.from_numpy(np.ascontiguousarray(fixed)).to(dynamics.dtype)
    return replace(decision, order=order.expand_as(decision.order))
