"""A policy on a lost-sales test bed as a table of orders, so that its cost is computed exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from optrl_formulations.network import IntArray
from torch import Tensor

from optrl.exact.errors import ExactError
from optrl.exact.lost_sales_policies import OrderRule, evaluate
from optrl.exact.markov_chain import AverageCost
from optrl.simulation.rollout import DecidingPolicy
from optrl.testbeds.lost_sales import LostSalesBed

_BATCH = 65_536


@dataclass(frozen=True)
class GivenState:
    """A state written down, with one item; shapes as in `optrl.simulation.state.State`."""

    on_hand: Tensor
    due: Tensor

    @property
    def backlog(self) -> Tensor:
        """Zeros: demand is lost."""
        return torch.zeros_like(self.on_hand)

    @property
    def in_transit(self) -> Tensor:
        """Sum of what is due."""
        return self.due.sum(dim=-1)


def order_rule(bed: LostSalesBed, policy: DecidingPolicy) -> OrderRule:
    """Orders of a policy in states (n, L) of `optrl.exact.lost_sales`, in whole units.

    What a policy asks for beyond whole units is cut, as the test bed's lot size of 1 does.
    """
    instance = bed.instance
    nodes = len(instance.network.nodes)
    node = int(instance.network.destination[0])

    def rule(states: IntArray) -> IntArray:
        orders = [np.zeros(0, dtype=np.int64)]
        for low in range(0, len(states), _BATCH):
            part = torch.from_numpy(states[low : low + _BATCH]).to(torch.float64)
            on_hand = torch.zeros(len(part), 1, nodes, dtype=torch.float64)
            on_hand[:, 0, node] = part[:, 0]
            due = torch.zeros(len(part), 1, nodes, part.shape[1], dtype=torch.float64)
            due[:, 0, node, :-1] = part[:, 1:]
            with torch.no_grad():
                order = policy.decide(GivenState(on_hand, due), instance.start).order[:, 0, 0]
            orders.append((order + 1e-6).floor().to(torch.int64).numpy())
        return np.concatenate(orders)

    return rule


def exact_cost(
    bed: LostSalesBed, policy: DecidingPolicy, *, tolerance: float = 1e-5
) -> AverageCost:
    """Long-run average cost a period of a stationary policy, beginning with an empty system.

    Args:
        bed: The test bed, with a lead time of at least 1.
        policy: Decides from the state alone.
        tolerance: Distance of the bounds returned.

    Raises:
        ExactError: If the lead time is 0, or the policy reaches too many states.
    """
    if bed.problem is None:
        raise ExactError(f"{bed.name} has no lead time: simulate the policy")
    rule = order_rule(bed, policy)
    limits = bed.problem.limits()
    # Sensible policies stay below the largest position of the optimum; learned ones may not.
    largest, error = int(limits[-1]) + 1, ExactError("")
    for _ in range(4):
        try:
            return evaluate(bed.problem, rule, largest, tolerance=tolerance)
        except ExactError as caught:
            error, largest = caught, int(1.4 * largest) + 1
    raise error
