"""Episodes of an instance, batched: the simulator's period by period run, with rewards.

An episode is the instance's horizon from its state at `start`. The reward of a period is minus its
cost, discounted from the start, over `cost_scale`; the last adds the terminal value. Rewards of an
episode thus sum to minus `Trajectory.total_cost` of the same decisions over `cost_scale`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from optrl_formulations.network import FloatArray
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.env.encoding import Encoding, EncodingSettings
from optrl.instance import Instance
from optrl.simulation.arrivals import ArrivalDraws
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.network_state import NetworkState
from optrl.simulation.state import Decision


@dataclass(frozen=True)
class Transition:
    """What one period did.

    Attributes:
        reward: Shape (S,), float64.
        cost: Cost of the period by kind, not discounted, shape (S,).
        cut: Quantity of the decision that was cut, over all reasons, shape (S,).
        over: Whether it was the last period.
    """

    reward: FloatArray
    cost: dict[str, FloatArray]
    cut: FloatArray
    over: bool


class Episodes:
    """S episodes of one instance that run side by side.

    Args:
        instance: The instance.
        demand: Draws the demand of episodes; what it says is believed too.
        settings: How states and actions are encoded.
        paths: Demand paths (P, N, D, at least the horizon's periods) to draw episodes from, in
            place of the model's own draws.
        cost_scale: Money per unit of reward; expected holding cost of a period's demand, or where
            holding costs nothing its shortage cost, when None.
        dtype: Of the simulator.
    """

    def __init__(
        self,
        instance: Instance,
        demand: DemandModel,
        settings: EncodingSettings | None = None,
        *,
        paths: FloatArray | None = None,
        cost_scale: float | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.instance, self.demand, self.paths = instance, demand, paths
        self.encoding = Encoding(instance, demand, settings)
        self.cost_scale = _cost_scale(self.encoding) if cost_scale is None else cost_scale
        self._dynamics = Dynamics(instance, dtype=dtype)
        self._state: NetworkState | None = None
        self._demand = torch.zeros(0)
        self._draws: ArrivalDraws | None = None

    @property
    def state(self) -> NetworkState:
        """What the next decision sees.

        Raises:
            RuntimeError: Before the first `reset`.
        """
        if self._state is None:
            raise RuntimeError("call reset before anything else")
        return self._state

    def reset(self, generator: np.random.Generator, scenarios: int) -> Tensor:
        """Start new episodes with demand and arrivals drawn from `generator`.

        Returns:
            Observations, shape (scenarios, size).
        """
        instance = self.instance
        periods = max(1, instance.horizon)
        if self.paths is None:
            drawn = self.demand.sample(scenarios, instance.start, periods, generator)
        else:
            chosen = generator.integers(len(self.paths), size=scenarios)
            drawn = self.paths[chosen][..., :periods]
        self._demand = torch.as_tensor(drawn).to(self._dynamics.dtype).permute(3, 2, 0, 1)
        self._demand = self._demand.contiguous()
        self._draws = self._dynamics.draws(int(generator.integers(2**31)), 0, scenarios)
        self._state = self._dynamics.initial_state(scenarios)
        return self.encoding.observe(self._state, self._state.period)

    @torch.no_grad()
    def step(self, action: Tensor) -> tuple[Tensor, Transition]:
        """Carry out actions (S, actions) in all episodes.

        Frozen orders of the instance replace the action's in their periods.
        """
        state, instance = self.state, self.instance
        if self._draws is None:
            raise RuntimeError("call reset before step")
        elapsed = state.period - instance.start
        order = self._frozen(self.encoding.orders(action, state), elapsed)
        following, outcome = self._dynamics.step(
            state, Decision(order=order), self._demand[elapsed], self._draws
        )
        self._state = following
        over = elapsed + 1 >= len(self._demand)
        cost = {kind: _numpy(value) for kind, value in outcome.cost.items()}
        discount = instance.network.discount
        total = sum(cost.values(), np.zeros(len(action))) * discount**elapsed
        if over:
            value = _numpy(self._dynamics.terminal_value(following))
            total = total - value * discount ** (elapsed + 1)
        cut = sum((_numpy(q) for q in outcome.cut.values()), np.zeros(len(action)))
        observed = self.encoding.observe(following, following.period)
        return observed, Transition(-total / self.cost_scale, cost, cut, over)

    def _frozen(self, order: Tensor, elapsed: int) -> Tensor:
        frozen = self.instance.frozen
        if elapsed >= frozen.shape[2]:
            return order
        lanes = self.instance.network.replenishment_lanes
        fixed = torch.from_numpy(np.ascontiguousarray(frozen[:, lanes, elapsed]))
        return fixed.to(order.dtype).expand_as(order)


def _numpy(value: Tensor) -> FloatArray:
    array: FloatArray = value.double().numpy()
    return array


def _cost_scale(encoding: Encoding) -> float:
    network = encoding.instance.network
    for cost in (network.holding_cost, network.shortage_cost):
        scale = float((cost.max(axis=1) * encoding.scale).sum())
        if scale > 0:
            return scale
    return 1.0
