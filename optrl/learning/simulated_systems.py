"""Systems simulated with gradients, side by side: paths of demand, items and places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from optrl.learning.carried_state import carried, state_from, state_tensors
from optrl.learning.landed_worth import LandedWorth
from optrl.learning.training_instance import TrainingInstance
from optrl.networks.graph_policy import PolicyNetwork
from optrl.networks.separate_policies import SeparatePolicies
from optrl.policies.neural import NeuralPolicy
from optrl.policies.neural_conditions import InputSpace
from optrl.policies.neural_inputs import NeuralInputs, rows_tensor
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.rows import by_scenario


class SimulatedSystems:
    """A training instance, the policy in it, and where its paths stand.

    Args:
        training: What to simulate.
        network: Of the policy.
        space: Inputs of the network.
        paths: Paths side by side.
        endless: Whether cost is that of a run without end.
        spread: Whether paths begin with shares from 0 to 1 of the instance's stock, so that the
            policy meets states that it would not reach by itself.
        cut_charge: What a unit of scale that is asked for and not released is charged, in the
            gradient alone.
        dtype: Of the simulation.
    """

    def __init__(
        self,
        training: TrainingInstance,
        network: PolicyNetwork | SeparatePolicies,
        space: InputSpace,
        *,
        paths: int,
        endless: bool,
        spread: bool = False,
        cut_charge: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        instance = training.instance
        self.training, self._demand = training, training.demand
        self._paths, self._endless, self._spread, self._dtype = paths, endless, spread, dtype
        self._dynamics = Dynamics(instance, dtype=dtype)
        self._worth = LandedWorth(instance, self._dynamics)
        inputs = NeuralInputs.of(training.original, training.demand, space)
        self.policy = NeuralPolicy(network, inputs, instance.due.shape[2], whole_lots=False)
        self.count = training.systems
        # Without stock or capacity to share out, orders are not cut.
        self._cut_charge = cut_charge if inputs.stocked.size or instance.network.resources else 0.0
        to = np.searchsorted(inputs.sourcing.stocking, instance.network.destination[inputs.lanes])
        self._order_scale = rows_tensor(inputs.scale[:, to], dtype)
        self.work = inputs.scale.size * paths
        self.carries = endless and not instance.arrivals
        self.restart()

    def restart(self) -> None:
        """Let all paths begin anew."""
        with torch.no_grad():
            state = self._dynamics.initial_state(self._paths)
            if self._spread:
                share = torch.linspace(0, 1, self._paths, dtype=self._dtype)
                state = replace(state, stock=state.stock * share[:, None])
            self._state = carried(state)

    def cost(
        self, periods: int, generator: np.random.Generator, seed: int, first_path: int
    ) -> Tensor:
        """Cost a period and system of the next periods, with its gradient.

        Where the run has no end, what is there before and after counts at its landed cost.

        Args:
            periods: How many to simulate from where the paths stand.
            generator: Of demand.
            seed: Of random arrivals.
            first_path: Number of the first path, for random arrivals.
        """
        dynamics, state = self._dynamics, self._state
        drawn = self._demand.sample(self._paths, state.period, periods, generator)
        demand = torch.from_numpy(drawn).to(self._dtype).permute(3, 2, 0, 1).contiguous()
        draws = dynamics.draws(seed, first_path, self._paths)
        self.policy.refresh()
        discount = dynamics.instance.network.discount
        nothing, before = demand.new_zeros(self._paths), self._worth(state).sum().detach()
        costs: list[Tensor] = []
        for step, of_period in enumerate(demand):
            decision = self.policy.decide(state, state.period)
            state, outcome = dynamics.step(state, decision, of_period, draws)
            paid = sum(outcome.cost.values(), start=nothing)
            if self._cut_charge:
                excess = decision.order.permute(2, 0, 1) - outcome.released.detach()
                charge = self._cut_charge * by_scenario(excess.clamp(min=0) / self._order_scale)
                paid = paid + (charge - charge.detach())
            costs.append(paid if self._endless else paid * discount**step)
        total = torch.stack(costs).sum()
        if not self._endless:
            total = total - discount**periods * dynamics.terminal_value(state).sum()
        elif self._worth.anything:
            total = total + before - self._worth(state).sum()
        if self.carries:
            self._state = carried(state)
        return total / (self._paths * periods * self.training.systems)

    def state(self) -> tuple[dict[str, Tensor], int]:
        """Tensors of where the paths stand, and the period."""
        return state_tensors(self._state), self._state.period

    def restore(self, tensors: Mapping[str, Tensor], period: int) -> None:
        """Go to where `state` was taken."""
        self._state = state_from(self._state, period, tensors)
