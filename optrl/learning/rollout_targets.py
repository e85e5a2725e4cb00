"""What a state after a decision costs from then on under a policy, with its gradient.

Costs of the periods that follow are simulated from copies of each state on demand drawn anew for
each (replicates), and averaged: noise of targets limits how good a fitted value function can be.
Gradients with respect to stock, pipeline and backlog are pathwise: they run through the dynamics
and through the policy's later decisions.

Quantities are continuous here: lots, minimum quantities and fixed costs have gradient zero.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.learning.base import TrainingError
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.network_state import NetworkState, Shipment
from optrl.simulation.rollout import DecidingPolicy
from optrl.simulation.rows import Rows
from optrl.simulation.state import Decision
from optrl.values.state_columns import StateColumns

# Copies of states simulated side by side: enough to outweigh the calls, few enough for the cache.
_SIDE_BY_SIDE = 8192
# Stock is shifted by so much: at nothing its derivative is that of a bit more, and where nothing
# is asked of nothing, automatic differentiation would give neither side's.
_INSIDE = 1e-3


@dataclass(frozen=True)
class Afterwards:
    """States after a decision, graph-first, for S states.

    Attributes:
        stock: Shape (V, S, N).
        due: ``due[k]`` arrives k + 1 periods later, shape (K, V, S, N).
        backlog: Shape (V, S, N).
    """

    stock: Tensor
    due: Tensor
    backlog: Tensor

    def __len__(self) -> int:
        return self.stock.shape[1]

    def columns(self, columns: StateColumns) -> Tensor:
        """The columns of a value function, shape (S, K)."""
        return columns.gather(
            self.stock.permute(1, 2, 0), self.due.permute(2, 3, 1, 0), self.backlog.permute(1, 2, 0)
        )

    def some(self, states: slice) -> Afterwards:
        """Some of the states."""
        return Afterwards(self.stock[:, states], self.due[:, :, states], self.backlog[:, states])

    def copies(self, number: int) -> Afterwards:
        """Each state a number of times, side by side."""
        return Afterwards(
            self.stock.repeat_interleave(number, 1),
            self.due.repeat_interleave(number, 2),
            self.backlog.repeat_interleave(number, 1),
        )


class RolloutTargets:
    """Values and gradients of states after a decision.

    Args:
        instance: The instance, see `continuous`.
        demand: Its demand.
        policy: Decides from the next period on.
        columns: The state that a value function takes, after a decision.
        periods: Periods that are simulated, the decision's own included.
        replicates: Demand paths of each state.

    Raises:
        TrainingError: If the pipeline of an order is not a number (random arrivals).
    """

    def __init__(
        self,
        instance: Instance,
        demand: DemandModel,
        policy: DecidingPolicy,
        columns: StateColumns,
        *,
        periods: int,
        replicates: int,
    ) -> None:
        if instance.arrivals:
            raise TrainingError(
                "lanes with random arrivals have no pathwise gradient of what is on the way"
            )
        self._dynamics = Dynamics(instance)
        self._demand, self._policy, self._columns = demand, policy, columns
        self._periods, self._replicates = periods, replicates
        self._lanes = len(instance.network.replenishment_lanes)

    def __call__(
        self, states: Afterwards, period: int, generator: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Mean cost of the periods that follow, and its gradient.

        Args:
            states: S states after a decision.
            period: Absolute period of that decision.
            generator: Of demand.

        Returns:
            Shapes (S,) and (S, K).

        Raises:
            TrainingError: If the policy's orders have no derivative.
        """
        step = max(1, _SIDE_BY_SIDE // self._replicates)
        parts = [
            self._part(states.some(slice(low, low + step)), period, generator)
            for low in range(0, len(states), step)
        ]
        return torch.cat([v for v, _ in parts]), torch.cat([g for _, g in parts])

    def _part(
        self, states: Afterwards, period: int, generator: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        leaves = Afterwards(
            *(
                part.detach().clone().requires_grad_(True)
                for part in (states.stock, states.due, states.backlog)
            )
        )
        inside = replace(leaves, stock=leaves.stock + _INSIDE)
        copies = inside.copies(self._replicates)
        count = copies.stock.shape[1]
        drawn = self._demand.sample(count, period, self._periods, generator)
        demand = torch.from_numpy(drawn).to(copies.stock.dtype).permute(3, 2, 0, 1).contiguous()
        state = started(self._dynamics, copies, period)
        draws = self._dynamics.draws(0, 0, count)
        discount = self._dynamics.instance.network.discount
        total = copies.stock.new_zeros(count)
        for k, of_period in enumerate(demand):
            if k:
                decision = self._policy.decide(state, state.period)
                if not decision.order.requires_grad:
                    raise TrainingError(
                        "the policy's orders have no derivative (programs have none), so that "
                        "pathwise gradients would be wrong: value states by a policy that torch "
                        "can differentiate, such as base_stock or one of `pathwise`"
                    )
            else:
                # What was decided is in the state already: demand is next.
                decision = Decision(torch.zeros(count, copies.stock.shape[2], self._lanes))
            state, outcome = self._dynamics.step(state, decision, of_period, draws)
            total = total + discount**k * sum(outcome.cost.values())
        value = total.view(len(states), -1).mean(dim=1)
        found = torch.autograd.grad(
            value.sum(), (leaves.stock, leaves.due, leaves.backlog), allow_unused=True
        )
        gradient = Afterwards(
            *(
                torch.zeros_like(leaf) if part is None else part
                for part, leaf in zip(
                    found, (leaves.stock, leaves.due, leaves.backlog), strict=True
                )
            )
        )
        return value.detach(), gradient.columns(self._columns)


def continuous(instance: Instance) -> Instance:
    """The instance without lots, minimum quantities and fixed costs."""
    network = instance.network
    nothing = np.zeros_like(network.lane_cost)
    return replace(
        instance,
        network=replace(
            network,
            lot_size=nothing,
            minimum_quantity=nothing,
            fixed_cost=nothing,
            joint_fixed_cost=np.zeros_like(network.joint_fixed_cost),
        ),
    )


def started(dynamics: Dynamics, states: Afterwards, period: int) -> NetworkState:
    """Simulator states that hold given stock, pipeline and backlog."""
    like = dynamics.initial_state(1)
    everywhere = Rows(np.arange(len(states.stock)), len(states.stock))
    longest = dynamics.places.longest
    slots = tuple(
        (Shipment(everywhere, states.due[k]),) if k < len(states.due) else ()
        for k in range(longest)
    )
    waiting = None if like.waiting is None else dynamics.demand.take(states.backlog)
    return replace(
        like,
        period=period,
        stock=states.stock,
        moving=states.due.sum(dim=0),
        waiting=waiting,
        slots=slots,
        charges=(),
    )
