"""Items as agents that move the levels of a classical rule.

Each item is an agent; all share one policy, so that a scenario teaches it as many times as there
are items, and a trained policy takes any number of them. An agent sees its own item and how full
shared storage is, and multiplies the order-up-to level of each stocking node by a factor; the rule
then orders as it always does, on primary lanes, from the bottom of the network up. Action 0 is the
rule itself, where training starts.

An observation lists, by stocking node: stock, and what is on the way, over the rule's level of
the period; that level over its mean; the share of storage in use there. Then, where demand
waits, the item's backlog in periods of its demand; three numbers that tell items apart (demand,
purchase price, and cover, which is the sum of levels in periods of demand; logarithms, centred and
scaled over the items); the share of the horizon that is over (`EncodingSettings.clock`).

Source: starting from a good rule and learning what to add: Silver et al. (2018), Residual policy
learning, arXiv:1812.06298. One policy for many agents: Gupta, Egorov & Kochenderfer (2017),
Cooperative multi-agent control using deep reinforcement learning, AAMAS workshops.
"""

from __future__ import annotations

import numpy as np
import torch
from optrl_formulations.network import FloatArray
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.env.lane_coding import demand_scale
from optrl.env.settings import EncodingError, EncodingSettings
from optrl.instance import Instance
from optrl.policies import find
from optrl.policies.order_up_to import LevelPolicy
from optrl.simulation.rows import graph_first
from optrl.simulation.state import State

_FARTHEST = 10.0
"""Observations are kept within this distance of 0."""


class LevelCoding:
    """Each item is an agent.

    Args:
        instance: The instance.
        demand: What is believed about its demand.
        settings: How to encode; `actions` is ``levels``.

    Raises:
        EncodingError: If the rule has no levels.
        optrl.errors.OptrlError: If the rule does not apply to the instance.
    """

    def __init__(self, instance: Instance, demand: DemandModel, settings: EncodingSettings) -> None:
        self.instance, self.demand, self.settings = instance, demand, settings
        self.scale = demand_scale(instance, demand)
        rule = find(settings.rule).fit(instance, demand)
        if not isinstance(rule, LevelPolicy):
            raise EncodingError(
                f"policy {settings.rule!r} orders up to no levels that could be moved; choose "
                "one that does, such as 'base_stock' or 'echelon_base_stock'"
            )
        self.rule = rule
        network = instance.network
        self._nodes = rule.sourcing.stocking
        self._waits = network.unmet == "backorder"
        horizon = range(instance.start, instance.start + max(1, instance.horizon))
        self._mean_level = np.mean([self._level(period) for period in horizon], axis=0)
        storage = [r for r in network.resources if r.kind == "storage"]
        self._storage = [
            (
                resource,
                torch.from_numpy(np.asarray(resource.use, dtype=float)),
                int(np.flatnonzero(self._nodes == resource.node)[0]),
            )
            for resource in storage
        ]
        self._item = self._features()

    @property
    def agents(self) -> int:
        """Items N."""
        return len(self.scale)

    @property
    def size(self) -> int:
        """Length of an agent's observation."""
        nodes = len(self._nodes)
        return 4 * nodes + int(self._waits) + self._item.shape[2] + int(self.settings.clock)

    @property
    def actions(self) -> int:
        """Stocking nodes M."""
        return len(self._nodes)

    def observe(self, state: State, period: int) -> Tensor:
        """Observations, float32, shape (S * N, `size`)."""
        scenarios, items = state.on_hand.shape[:2]
        level = self._level(period)
        over = torch.from_numpy(1 / level).to(state.on_hand.dtype)
        stock = state.on_hand[:, :, self._nodes]
        season = torch.from_numpy(level / self._mean_level).to(stock.dtype)
        full = stock.new_zeros(scenarios, 1, len(self._nodes))
        for resource, use, place in self._storage:
            capacity = max(float(resource.capacity_at(max(period, 0), 1)[0]), 1e-9)
            full[:, 0, place] += (stock[:, :, place] @ use.to(stock.dtype)) / capacity
        parts = [
            stock * over,
            state.in_transit[:, :, self._nodes] * over,
            season.expand(scenarios, -1, -1),
            full.expand(-1, items, -1),
        ]
        if self._waits:
            scale = torch.from_numpy(self.scale).to(stock.dtype)
            parts.append((state.backlog.sum(2) / scale)[:, :, None])
        parts.append(self._item.to(stock.dtype).expand(scenarios, -1, -1))
        if self.settings.clock:
            gone = (period - self.instance.start) / max(1, self.instance.horizon)
            parts.append(stock.new_full((scenarios, items, 1), gone))
        observed = torch.cat(parts, dim=2).clamp(-_FARTHEST, _FARTHEST)
        return observed.reshape(scenarios * items, -1).float()

    def orders(self, action: Tensor, state: State, period: int) -> Tensor:
        """Orders of actions (S * N, M), shape (S, N, replenishment lanes)."""
        moved = (action.to(state.on_hand.dtype).clamp(-1, 1) * self.settings.reach).exp()
        factor = graph_first(moved.reshape(-1, self.agents, self.actions))
        order = self.rule.scaled(factor).decide(state, period).order
        return order.round() if self.settings.whole else order

    def _level(self, period: int) -> FloatArray:
        """The rule's levels, a period of demand where there is none, shape (N, M)."""
        level = self.rule.levels.at(period)
        safe: FloatArray = np.where(level > 0, level, self.scale[:, None])
        return safe

    def _features(self) -> Tensor:
        """What tells items apart, shape (1, N, 3)."""
        price = self.instance.network.unit_cost
        positive = price[price > 0].min() if (price > 0).any() else 1.0
        columns = np.log(
            [
                self.scale,
                np.maximum(price, positive),
                self._mean_level.sum(axis=1) / self.scale,
            ]
        )
        spread = columns.std(axis=1, keepdims=True)
        centred = columns - columns.mean(axis=1, keepdims=True)
        return torch.from_numpy((centred / np.where(spread > 1e-9, spread, 1.0)).T.copy())[None]
