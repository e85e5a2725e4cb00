"""A policy on a test bed as a table of integer orders, so that its cost is computed exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from optrl_formulations.network import FloatArray, IntArray
from torch import Tensor

from optrl.exact import dual_sourcing_rules, lost_sales_policies
from optrl.exact.dual_sourcing_rules import OrderPairRule, StateBounds
from optrl.exact.errors import ExactError
from optrl.exact.lost_sales_policies import OrderRule
from optrl.exact.markov_chain import AverageCost
from optrl.instance import Instance
from optrl.simulation.rollout import DecidingPolicy
from optrl.testbeds.base import TestBed
from optrl.testbeds.dual_sourcing import DualSourcingBed
from optrl.testbeds.lost_sales import LostSalesBed

_BATCH = 65_536
_TRIES = 5


@dataclass(frozen=True)
class GivenState:
    """A state written down, with one item; shapes as in `optrl.simulation.state.State`."""

    on_hand: Tensor
    due: Tensor
    backlog: Tensor

    @property
    def in_transit(self) -> Tensor:
        """Sum of what is due."""
        return self.due.sum(dim=-1)


def order_rule(bed: LostSalesBed, policy: DecidingPolicy) -> OrderRule:
    """Orders of a policy in states (n, L) of `optrl.exact.lost_sales`, in whole units.

    What a policy asks for beyond whole units is cut, as the test bed's lot size of 1 does.
    """
    return lambda states: _orders(bed.instance, policy, states)[:, 0]


def order_pair_rule(bed: DualSourcingBed, policy: DecidingPolicy) -> OrderPairRule:
    """Orders of a policy in states (n, l) of `optrl.exact.dual_sourcing`, in whole units."""
    network = bed.instance.network
    regular, expedited = np.argsort(-network.lead_time[network.replenishment_lanes])

    def rule(states: IntArray) -> tuple[IntArray, IntArray]:
        orders = _orders(bed.instance, policy, states)
        return orders[:, expedited], orders[:, regular]

    return rule


def exact_cost(bed: TestBed, policy: DecidingPolicy, *, tolerance: float = 1e-5) -> AverageCost:
    """Long-run average cost a period of a stationary policy, beginning with an empty system.

    Args:
        bed: A test bed of lost sales with a lead time of at least 1, or of dual sourcing.
        policy: Decides from the state alone.
        tolerance: Distance of the bounds returned.

    Raises:
        ExactError: If the bed has no such problem, or the policy reaches too many states.
    """
    if isinstance(bed, LostSalesBed) and bed.problem is not None:
        problem, rule = bed.problem, order_rule(bed, policy)
        # Sensible policies stay below the largest position of the optimum; learned ones may not.
        position = int(problem.limits()[-1]) + 1
        return _widened(
            lambda factor: lost_sales_policies.evaluate(
                problem, rule, int(factor * position) + 1, tolerance=tolerance
            )
        )
    if isinstance(bed, DualSourcingBed) and bed.problem is not None:
        return _dual_sourcing_cost(bed, policy, tolerance)
    raise ExactError(f"{bed.name} has no chain of states to evaluate: simulate the policy")


def _dual_sourcing_cost(
    bed: DualSourcingBed, policy: DecidingPolicy, tolerance: float
) -> AverageCost:
    assert bed.problem is not None
    problem, rule = bed.problem, order_pair_rule(bed, policy)
    top, lead = problem.largest_demand, problem.regular_lead_time

    def evaluated(factor: float) -> AverageCost:
        bounds = StateBounds(
            -int(factor * 2 * top),
            int(factor * (lead + 2) * top),
            int(np.ceil(factor * 1.5 * top)),
        )
        return dual_sourcing_rules.evaluate(problem, rule, bounds, tolerance=tolerance)

    return _widened(evaluated)


def _widened(evaluated: Callable[[float], AverageCost]) -> AverageCost:
    """What is evaluated within the narrowest bounds that hold, each 1.4 times the ones before."""
    error = ExactError("")
    for k in range(_TRIES):
        try:
            return evaluated(1.4**k)
        except ExactError as caught:
            error = caught
    raise error


def _orders(instance: Instance, policy: DecidingPolicy, states: IntArray) -> IntArray:
    """Orders on all lanes in states: net stock at the one place, then what is due, (n, lanes)."""
    network = instance.network
    nodes, node = len(network.nodes), int(network.destination[0])
    orders = [np.zeros((0, len(network.replenishment_lanes)), dtype=np.int64)]
    for low in range(0, len(states), _BATCH):
        part = states[low : low + _BATCH]
        due = np.zeros((len(part), 1, nodes, part.shape[1]))
        due[:, 0, node, :-1] = part[:, 1:]
        given = GivenState(
            _at(node, nodes, np.maximum(part[:, 0], 0)),
            torch.from_numpy(due),
            _at(node, nodes, np.maximum(-part[:, 0], 0)),
        )
        with torch.no_grad():
            order = policy.decide(given, instance.start).order[:, 0]
        orders.append((order + 1e-6).floor().to(torch.int64).numpy())
    return np.concatenate(orders)


def _at(node: int, nodes: int, values: IntArray) -> Tensor:
    placed: FloatArray = np.zeros((len(values), 1, nodes))
    placed[:, 0, node] = values
    return torch.from_numpy(placed)
