"""Rewards of items as agents: what an item saves against a rule on the same demand.

A scenario's cost says little about what one item's decision was worth: most of it is other items'
demand. Three things make the reward of an agent say more, none of which changes what is best:

* cost falls to the item that causes it. Of what items cause together an item pays what its absence
  would save: of overflowing storage the part that it fills, of a joint fixed cost all if no other
  item uses the lane. (Such shares need not add up to the whole.)
* stock is valued: buying exchanges money for stock at its terminal value, so that an order is
  rewarded when it is worth it and not ten weeks after it was paid. Over the horizon this is the
  instance's own cost less terminal value, up to the value of the first state.
* the same period of the rule, which meets the same demand and the same random arrivals from the
  same first state, is taken off. It depends on no action.

Cost on the way (`Network.transit_cost`) is charged when released.

Source: stock values as potentials: Ng, Harada & Russell (1999), Policy invariance under reward
transformations, ICML. Shares: Wolpert & Tumer (2001), Optimal payoff functions for members of
collectives, Advances in Complex Systems 4. Baselines that depend on the input alone: Mao et al.
(2019), Variance reduction for reinforcement learning in input-driven environments, ICLR.
"""

from __future__ import annotations

import numpy as np
import torch
from optrl_formulations.network import FloatArray
from torch import Tensor

from optrl.simulation.dynamics import Dynamics, PeriodOutcome
from optrl.simulation.network_state import NetworkState


class ItemCosts:
    """Costs that items cause.

    Args:
        dynamics: The simulator, of all items.
    """

    def __init__(self, dynamics: Dynamics) -> None:
        instance, dtype = dynamics.instance, dynamics.dtype
        network = instance.network
        self._dynamics = dynamics
        self._discount, self._start = network.discount, instance.start
        lanes = (network.replenishment_lanes, network.serving_lanes)
        unit = network.lane_cost + network.purchase_cost
        moving = unit.copy()
        if network.transit_cost is not None:
            moving = moving + network.transit_cost.sum(axis=2)
        stocking = dynamics.stocking.index

        def rows(values: FloatArray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values.T)).to(dtype)[:, None]

        self._unit = (rows(moving[:, lanes[0]]), rows(unit[:, lanes[1]]))
        self._fixed = tuple(rows(network.fixed_cost[:, each]) for each in lanes)
        self._joint = tuple(
            torch.from_numpy(network.joint_fixed_cost[each]).to(dtype)[:, None, None]
            for each in lanes
        )
        self._charges_use = tuple(
            bool(network.fixed_cost[:, each].any() or network.joint_fixed_cost[each].any())
            for each in lanes
        )
        self._holding = rows(network.holding_cost[:, stocking])
        self._shortage = rows(network.shortage_cost[:, instance.demand.nodes])
        self._value = rows(network.terminal_value[:, stocking])
        self._storage = [
            (
                position,
                int(np.flatnonzero(stocking == r.node)[0]),
                torch.from_numpy(np.asarray(r.use, dtype=float)).to(dtype),
                float(r.overflow_cost),
            )
            for position, r in enumerate(network.resources)
            if r.kind == "storage" and np.isfinite(r.overflow_cost) and r.overflow_cost > 0
        ]

    def cost(self, before: NetworkState, outcome: PeriodOutcome, after: NetworkState) -> Tensor:
        """Cost of each item in a period less the growth of its stock's value, (S, N), float64.

        Discounted to the start of the horizon.
        """
        total = (outcome.on_hand * self._holding).sum(0) + (outcome.short * self._shortage).sum(0)
        for flow, unit, fixed, joint, charged in zip(
            (outcome.released, outcome.served),
            self._unit,
            self._fixed,
            self._joint,
            self._charges_use,
            strict=True,
        ):
            total = total + (flow * unit).sum(0)
            if charged:
                used = flow > 0
                alone = used & (used.sum(2, keepdim=True) == 1)
                total = total + (used * fixed).sum(0) + (alone * joint).sum(0)
        for resource, place, use, rate in self._storage:
            above = (outcome.resource_use[:, resource] - outcome.capacity[resource]).clamp(min=0)
            filled = outcome.on_hand[place] * use
            total = total + rate * torch.minimum(filled, above[:, None])
        elapsed = before.period - self._start
        grown = self._discount * self._worth(after) - self._worth(before)
        return (total.double() - grown) * self._discount**elapsed

    def _worth(self, state: NetworkState) -> Tensor:
        """Value of each item's stock, on hand and on the way, (S, N), float64."""
        held = self._dynamics.stocking.take(state.stock + state.pipeline)
        return (held * self._value).sum(0).double()
