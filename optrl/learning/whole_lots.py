"""Systems whose orders come in whole lots while learning, with gradients from rollouts.

Orders rounded to lots have no derivative, and a policy that learned with continuous orders may
lose all it gained when they are rounded afterwards: where demand is a few units a period, an order
of 1.6 is good and 2 in each period is a disaster. Here the network learns what is played. Let an
order x lie between the lots n and n + 1. Rounded at random, up with probability x - n, what it
costs to the end is linear in x with the slope F(n + 1) - F(n), F being the cost to go of the
order. An update takes this difference for each lane in each state from two rollouts that meet the
same demand: one begins with all orders rounded to the nearest, the other with one of them rounded
the other way, and both go on under the policy as it is played. That is a step of policy improvement
over the rounded policy: descent ends where no single lot more or less on any lane is better.

The slope to one side is often many times that to the other (a unit short against a unit too
many), and a network that fits many states at once then stays to the safe side, beyond half a lot in
some. With a `window` below 1 lots change at random only that near to the point where rounding
changes: elsewhere orders are left alone, since nothing depends on them.

Lanes into different parts of the network, and different items, change nothing for each other: all
of these take their step in the same rollout. What a rollout leaves in stock, on the way or owed
counts at its landed cost, so that it need only last until the two have nearly the same stock again.
States are those of the policy with its rounding disturbed, so that it also learns what it would not
meet by itself.

Source: Glynn (1989), Optimization of stochastic systems via simulation, WSC (differences on common
random numbers); Bertsekas (2019), Reinforcement Learning and Optimal Control, section 2.4
(rollout); Temizoz, Imdahl, Dijkman, Lamghari-Idrissi & van Jaarsveld (2025), Deep controlled
learning for inventory control, European Journal of Operational Research 324(1) (a network fitted to
decisions that rollouts compare).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from optrl_formulations.network import FloatArray, IntArray, NodeKind
from torch import Tensor

from optrl.learning.base import TrainingError
from optrl.learning.carried_state import carried
from optrl.learning.simulated_systems import SimulatedSystems
from optrl.learning.training_instance import TrainingInstance, parts
from optrl.networks.graph_policy import PolicyNetwork
from optrl.networks.separate_policies import SeparatePolicies
from optrl.policies.neural import NeuralPolicy
from optrl.policies.neural_conditions import InputSpace
from optrl.policies.neural_inputs import rows_tensor
from optrl.simulation.dynamics import Dynamics, PeriodOutcome
from optrl.simulation.network_state import NetworkState
from optrl.simulation.rows import graph_first, items_first
from optrl.simulation.state import Decision

_ADVANCE = 3
"""Periods from the states of one update to those of the next."""

_DITHER = 2.0
"""Lots over which rounding is disturbed there; 1 would round at random to a neighbour."""


class WholeLotSystems(SimulatedSystems):
    """As `SimulatedSystems`, with orders in whole lots.

    Args:
        training: What to simulate.
        network: Of the policy.
        space: Inputs of the network.
        paths: Paths side by side.
        spread: Whether paths begin with shares from 0 to 1 of the instance's stock.
        window: Lots about the point where rounding changes within which orders are moved.

    Raises:
        TrainingError: If items share limits, arrivals are random, or a lane has no lots.
    """

    def __init__(
        self,
        training: TrainingInstance,
        network: PolicyNetwork | SeparatePolicies,
        space: InputSpace,
        *,
        paths: int,
        spread: bool = False,
        window: float = 1.0,
    ) -> None:
        original = training.original
        _refuse(original.name, training)
        super().__init__(training, network, space, paths=paths, endless=True, spread=spread)
        inputs = self.policy.inputs
        self._played = NeuralPolicy(network, inputs, original.due.shape[2])
        self._costs = _SystemCosts(training, self._dynamics, inputs.lanes)
        lot = original.network.lot_size[:, inputs.lanes]
        self._lot = rows_tensor(np.where(lot > 0, lot, 1.0), torch.float32)
        part = self._costs.of_lane
        turn = np.array([int((part[:k] == part[k]).sum()) for k in range(len(part))])
        self._turn = torch.from_numpy(turn)
        self._copies = 2 + int(turn.max(initial=-1))
        self._window = window
        self.work *= self._copies

    def cost(
        self, periods: int, generator: np.random.Generator, seed: int, first_path: int
    ) -> Tensor:
        """Cost a period and system, with the gradient of the next orders in all they cause.

        Args:
            periods: Of a rollout.
            generator: Of demand and of disturbed rounding.
            seed: Not used: arrivals are not random.
            first_path: Likewise.
        """
        self.policy.refresh()
        self._played.refresh()
        asked = self.policy.orders(self._state, self._state.period)
        with torch.no_grad():
            cost, up = self._rollouts(asked, periods, generator)
            first, other = cost[:, 0], cost[:, 1:]
            of_lane = torch.from_numpy(self._costs.of_lane)
            slope = (other[of_lane, self._turn] - first[of_lane]) * up / self._lot
            lots = asked / self._lot
            within = (lots - lots.floor() - 0.5).abs() <= self._window / 2
            slope = torch.where(within, slope / self._window, 0.0)
            mean = first.sum() / (self._paths * periods * self.training.systems)
            self._advance(generator)
        surrogate = (slope * asked).sum() / (self._paths * self.training.systems)
        return surrogate + (mean - surrogate).detach()

    def _rollouts(
        self, asked: Tensor, periods: int, generator: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Cost by part, copy, path and item, and where each lane's other lot lies (1 or -1)."""
        dynamics, copies, paths = self._dynamics, self._copies, self._paths
        nearest = graph_first(self._played.decide(self._state, self._state.period).order)
        up = torch.where(asked >= nearest, 1.0, -1.0)
        changed = (self._turn == torch.arange(copies - 1)[:, None])[..., None, None]
        orders = [nearest, *(nearest + each * up * self._lot for each in changed)]
        decision = Decision(items_first(torch.cat(orders, dim=1)))
        drawn = self._demand.sample(paths, self._state.period, periods, generator)
        demand = torch.from_numpy(drawn).float().permute(3, 2, 0, 1)
        state = _copied(self._state, copies)
        draws = dynamics.draws(0, 0, copies * paths)
        total = torch.zeros(())
        for step, of_period in enumerate(demand):
            if step:
                decision = self._played.decide(state, state.period)
            state, outcome = dynamics.step(state, decision, of_period.repeat(1, copies, 1), draws)
            total = total + self._costs(outcome)
        total = total - self._costs.worth(self._worth(state))
        return total.view(len(total), copies, paths, -1), up

    def _advance(self, generator: np.random.Generator) -> None:
        """Go to the states of the next update, under disturbed rounding."""
        state, dynamics = self._state, self._dynamics
        draws = dynamics.draws(0, 0, self._paths)
        for _ in range(_ADVANCE):
            asked = self.policy.orders(state, state.period) / self._lot
            drawn = torch.from_numpy(generator.random(asked.shape, dtype=np.float32))
            lots = (asked + 0.5 + _DITHER * (drawn - 0.5)).floor().clamp(min=0)
            sample = self._demand.sample(self._paths, state.period, 1, generator)
            demand = torch.from_numpy(sample[..., 0]).float().permute(2, 0, 1).contiguous()
            state, _ = dynamics.step(state, Decision(items_first(lots * self._lot)), demand, draws)
        self._state = carried(state)


@dataclass(frozen=True)
class _Charge:
    """What rows cost a unit, shape (rows, 1, N), and the part that each belongs to."""

    unit: Tensor
    part: Tensor

    @classmethod
    def of(cls, unit: FloatArray, part: IntArray, rows: IntArray) -> _Charge:
        return cls(rows_tensor(unit[:, rows], torch.float32), torch.from_numpy(part[rows]))


class _SystemCosts:
    """Costs apart for each item and part of the network."""

    def __init__(self, training: TrainingInstance, dynamics: Dynamics, lanes: IntArray) -> None:
        network = training.instance.network
        part, self._count = parts(training.instance)
        moving = network.lane_cost
        if network.transit_cost is not None:
            moving = moving + network.transit_cost.sum(axis=2)
        at_lane = part[network.destination]
        self.of_lane: IntArray = at_lane[lanes]
        self._charges: Sequence[_Charge] = (
            _Charge.of(moving, at_lane, lanes),
            _Charge.of(network.lane_cost, at_lane, network.serving_lanes),
            _Charge.of(network.holding_cost, part, dynamics.stocking.index),
            _Charge.of(network.shortage_cost, part, dynamics.demand.index),
        )

    def __call__(self, outcome: PeriodOutcome) -> Tensor:
        """Cost of a period, shape (parts, S, N)."""
        flows = (outcome.released, outcome.served, outcome.on_hand, outcome.short)
        total = torch.zeros(self._count, *outcome.on_hand.shape[1:])
        for charge, flow in zip(self._charges, flows, strict=True):
            if len(charge.part):
                total.index_add_(0, charge.part, flow * charge.unit)
        return total

    def worth(self, worth: Tensor) -> Tensor:
        """What is left by stocking node, (M, S, N), summed by part, (parts, S, N)."""
        total = torch.zeros(self._count, *worth.shape[1:])
        return total.index_add_(0, self._charges[2].part, worth)


def _copied(state: NetworkState, copies: int) -> NetworkState:
    """A carried state a number of times, one whole set of paths after the other."""
    return replace(
        state,
        stock=state.stock.repeat(1, copies, 1),
        moving=state.moving.repeat(1, copies, 1),
        waiting=None if state.waiting is None else state.waiting.repeat(1, copies, 1),
        slots=tuple(
            tuple(replace(each, quantity=each.quantity.repeat(1, copies, 1)) for each in slot)
            for slot in state.slots
        ),
        charges=(),
    )


def _refuse(name: str, training: TrainingInstance) -> None:
    network = training.original.network
    if Dynamics.couples_items(training.original):
        raise TrainingError(
            f"lots: items of {name!r} share resources or joint fixed costs, so that a lot of one "
            "changes what others may order; learn without `lots`"
        )
    if training.original.arrivals:
        raise TrainingError(f"lots: {name!r} has random arrivals; learn without `lots`")
    if np.isfinite(network.supply_capacity[:, network.kind == NodeKind.SUPPLIER]).any():
        raise TrainingError(
            f"lots: suppliers of {name!r} have capacities, which places share; learn without `lots`"
        )
    lanes = network.replenishment_lanes
    without = network.allowed[:, lanes] & (network.lot_size[:, lanes] == 0)
    if without.any():
        item, lane = np.argwhere(without)[0]
        raise TrainingError(
            f"lots: item {network.items[item]!r} has no lots on lane "
            f"{' -> '.join(network.lanes[lanes[lane]])} of {name!r}; give all lanes lots, or learn "
            "without `lots`"
        )
