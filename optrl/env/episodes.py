"""Episodes of an instance, batched: the simulator's period by period run, with rewards.

An episode is the instance's horizon from its state at `start`. The reward of a period is minus its
cost, discounted from the start, over `cost_scale`; the last adds the terminal value. Rewards of an
episode thus sum to minus `Trajectory.total_cost` of the same decisions over `cost_scale`.

Where items are agents (`EncodingSettings.actions` is ``levels``) the reward of an item is what it
saves against the rule on the same demand and arrivals (`optrl.env.item_costs`), over its part of
`cost_scale`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from optrl_formulations.network import FloatArray
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.env.encoding import Encoding, EncodingError, EncodingSettings
from optrl.env.item_costs import ItemCosts
from optrl.env.level_coding import LevelCoding
from optrl.instance import Instance
from optrl.simulation.arrivals import ArrivalDraws
from optrl.simulation.dynamics import Dynamics, PeriodOutcome
from optrl.simulation.network_state import NetworkState
from optrl.simulation.state import Decision


@dataclass(frozen=True)
class Transition:
    """What one period did.

    Attributes:
        reward: Shape (S * agents,), float64.
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
            holding costs nothing its shortage cost, when None. Where items are agents, shortage
            cost of a tenth of the item's own expected demand of a period when None.
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
        self._beside: _Beside | None = None
        if isinstance(self.encoding.coding, LevelCoding):
            scale = _item_scale(self.encoding) if cost_scale is None else cost_scale
            self._beside = _Beside(self.encoding.coding, self._dynamics, scale)
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
            Observations, shape (scenarios * agents, size).
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
        if self._beside is not None:
            self._beside.begin(self._state)
        return self.encoding.observe(self._state, self._state.period)

    @torch.no_grad()
    def step(self, action: Tensor) -> tuple[Tensor, Transition]:
        """Carry out actions (S * agents, actions) in all episodes.

        Frozen orders of the instance replace the action's in their periods.

        Raises:
            EncodingError: If an action is not finite.
        """
        state, instance = self.state, self.instance
        if not bool(action.isfinite().all()):
            raise EncodingError(
                f"an action in period {state.period} is not finite: actions lie in [-1, 1]; check "
                "what chose it"
            )
        if self._draws is None:
            raise RuntimeError("call reset before step")
        elapsed = state.period - instance.start
        order = self._frozen(self.encoding.orders(action, state, state.period), elapsed)
        following, outcome = self._dynamics.step(
            state, Decision(order=order), self._demand[elapsed], self._draws
        )
        self._state = following
        over = elapsed + 1 >= len(self._demand)
        cost = {kind: _numpy(value) for kind, value in outcome.cost.items()}
        cut = sum((_numpy(q) for q in outcome.cut.values()), np.zeros(state.on_hand.shape[0]))
        if self._beside is None:
            reward = self._reward(cost, elapsed, following if over else None)
        else:
            order = self._frozen(self._beside.orders(), elapsed)
            reward = self._beside.reward(
                (state, outcome, following), order, self._demand[elapsed], self._draws
            )
        observed = self.encoding.observe(following, following.period)
        return observed, Transition(reward, cost, cut, over)

    def _reward(
        self, cost: dict[str, FloatArray], elapsed: int, last: NetworkState | None
    ) -> FloatArray:
        discount = self.instance.network.discount
        total = sum(cost.values(), np.zeros(self.state.on_hand.shape[0])) * discount**elapsed
        if last is not None:
            value = _numpy(self._dynamics.terminal_value(last))
            total = total - value * discount ** (elapsed + 1)
        reward: FloatArray = -total / self.cost_scale
        return reward

    def _frozen(self, order: Tensor, elapsed: int) -> Tensor:
        frozen = self.instance.frozen
        if elapsed >= frozen.shape[2]:
            return order
        lanes = self.instance.network.replenishment_lanes
        fixed = torch.from_numpy(np.ascontiguousarray(frozen[:, lanes, elapsed]))
        return fixed.to(order.dtype).expand_as(order)


class _Beside:
    """The rule on the same demand and arrivals, and what items save against it.

    Args:
        coding: Has the rule.
        dynamics: The simulator.
        scale: Money per unit of reward, of each item or of all.
    """

    def __init__(self, coding: LevelCoding, dynamics: Dynamics, scale: FloatArray | float) -> None:
        self._rule, self._dynamics, self._scale = coding.rule, dynamics, scale
        self._costs = ItemCosts(dynamics)
        self._state: NetworkState | None = None

    @property
    def state(self) -> NetworkState:
        """What the rule sees next."""
        if self._state is None:
            raise RuntimeError("call begin before anything else")
        return self._state

    def begin(self, state: NetworkState) -> None:
        """Start from the first state of the episodes."""
        self._state = state

    def orders(self) -> Tensor:
        """What the rule orders."""
        return self._rule.decide(self.state, self.state.period).order

    def reward(
        self,
        own: tuple[NetworkState, PeriodOutcome, NetworkState],
        order: Tensor,
        demand: Tensor,
        draws: ArrivalDraws,
    ) -> FloatArray:
        """Rewards (S * N,) of the learner's own period beside the rule's, which is carried out."""
        before = self.state
        after, outcome = self._dynamics.step(before, Decision(order=order), demand, draws)
        self._state = after
        saved = self._costs.cost(before, outcome, after) - self._costs.cost(*own)
        reward: FloatArray = (saved.numpy() / self._scale).reshape(-1)
        return reward


def _item_scale(encoding: Encoding) -> FloatArray:
    """Shortage cost of a tenth of each item's expected demand of a period, (N,)."""
    network = encoding.instance.network
    dearest = network.shortage_cost[:, encoding.instance.demand.nodes].max(axis=1)
    scale = encoding.scale * np.where(dearest > 0, dearest, 1.0) / 10
    result: FloatArray = scale
    return result


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
