"""Conditions of nodes and lanes for a policy network: ratios that do not change with the state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from optrl_formulations.network import FloatArray, IntArray, NodeKind

from optrl.demand.base import DemandModel, TotalShape
from optrl.demand.lead_time import total_demand
from optrl.instance import Instance
from optrl.policies.critical_ratio import UnitCosts
from optrl.policies.levels import WindowDemand
from optrl.policies.sourcing import NOWHERE, Sourcing

NODE_FEATURES = (
    "log_ratio",
    "backorder",
    "variation",
    "squared_variation",
    "grain",
    "lead_time",
    "echelon_lead_time",
    "supply_lead_time",
    "base_stock",
    "echelon_base_stock",
    "safety_of_a_period",
    "fed_from_stock",
    "passed_on",
    "holding_share",
    "choices",
    "fastest",
    "fast_premium",
    "fast_premium_over_shortage",
)
"""Conditions of a node, before its lead time by cases and the forecast."""

LANE_FEATURES = (
    "lead_time",
    "slower",
    "premium",
    "premium_over_shortage",
    "primary",
    "from_stock",
    "price",
)
"""Conditions of a lane, before its lead time by cases."""


@dataclass(frozen=True)
class InputSpace:
    """Which inputs a network takes.

    Attributes:
        slots: Periods ahead of which arrivals are told apart.
        forecast: Periods of expected demand among a node's conditions, 0 where it is steady.
    """

    slots: int = 4
    forecast: int = 0

    @property
    def cases(self) -> int:
        """Lead times told apart: 0, ..., slots, and longer."""
        return self.slots + 2

    @property
    def node_features(self) -> int:
        """Number of conditions of a node."""
        return len(NODE_FEATURES) + self.cases + self.forecast

    @property
    def lane_features(self) -> int:
        """Number of conditions of a lane."""
        return len(LANE_FEATURES) + self.cases


@dataclass(frozen=True)
class Conditions:
    """Works out conditions; shapes as in `NeuralInputs`."""

    instance: Instance
    demand: DemandModel
    sourcing: Sourcing
    rate: FloatArray
    scale: FloatArray
    space: InputSpace
    lanes: IntArray

    @cached_property
    def costs(self) -> UnitCosts:
        """Cost of a unit too few and too many."""
        return UnitCosts.of(self.sourcing, self.rate)

    @cached_property
    def overage(self) -> FloatArray:
        """Positive, (N, M)."""
        return np.maximum(self.costs.overage, 1e-9 * np.maximum(self.costs.underage, 1e-9))

    @cached_property
    def primary_cost(self) -> FloatArray:
        """Landed cost on the primary way to each node, 0 where there is none."""
        landed = self.sourcing.landed_cost
        return np.where(np.isfinite(landed), landed, 0.0)

    @cached_property
    def lane_costs(self) -> tuple[FloatArray, FloatArray]:
        """Cost above the primary way and lead time less the primary lane's, (N, R) each."""
        network, sourcing = self.sourcing.network, self.sourcing
        number = np.full(len(network.nodes), NOWHERE)
        number[sourcing.stocking] = np.arange(len(sourcing.stocking))
        origin, to = number[network.origin[self.lanes]], number[network.destination[self.lanes]]
        at_origin = np.where(origin == NOWHERE, 0.0, self.primary_cost[:, origin])
        price = (network.purchase_cost + network.lane_cost)[:, self.lanes] + at_origin
        lead = network.lead_time[self.lanes] - sourcing.lead_time[:, to]
        return np.maximum(price - self.primary_cost[:, to], 0.0), lead.astype(float)

    def node_conditions(self) -> FloatArray:
        """Conditions of nodes, shape (N, M, node features less the forecast)."""
        sourcing, costs, scale = self.sourcing, self.costs, self.scale
        start, slots = self.instance.start, self.space.slots
        passing = total_demand(self.demand, sourcing.supplies.astype(float), start, 1)
        variation = np.sqrt(np.maximum(passing.variance, 0.0)) / scale
        unit = np.zeros(len(scale))
        if isinstance(self.demand, TotalShape):
            unit = self.demand.unit
        lot = sourcing.of_lane(sourcing.network.lot_size)
        grain = np.maximum(unit[:, None], lot) / scale
        supply = np.zeros(scale.shape)
        ahead = sourcing.parent
        supply += sourcing.lead_time
        item = np.arange(len(scale))[:, None]
        for _ in range(scale.shape[1]):
            live = ahead != NOWHERE
            up = np.maximum(ahead, 0)
            supply += np.where(live, sourcing.lead_time[item, up], 0)
            ahead = np.where(live, sourcing.parent[item, up], NOWHERE)
        ratio = costs.ratio(sourcing.review)
        level = WindowDemand(sourcing, self.demand, "protection").at(start).quantile(ratio)
        echelon = WindowDemand(sourcing, self.demand, "echelon").at(start).quantile(ratio)
        own = np.einsum("nd,ndm->nm", self.rate, sourcing.owns)
        premium, later = self.lane_costs
        choices, fastest, fast_premium = self._alternatives(premium, later)
        feature = {
            "log_ratio": np.log(np.maximum(costs.underage, 1e-9) / self.overage).clip(-4, 9) / 2,
            "backorder": np.full(scale.shape, float(not costs.lost)),
            "variation": variation,
            "squared_variation": variation**2,
            "grain": grain,
            "lead_time": sourcing.lead_time / slots,
            "echelon_lead_time": costs.echelon_lead_time / slots,
            "supply_lead_time": supply / slots,
            "base_stock": level / scale / slots,
            "echelon_base_stock": echelon / scale / slots,
            "safety_of_a_period": passing.quantile(costs.newsvendor_ratio(sourcing.review)) / scale,
            "fed_from_stock": (sourcing.parent != NOWHERE).astype(float),
            "passed_on": np.clip(1 - own / scale, 0.0, 1.0),
            "holding_share": self.overage / np.maximum(costs.overage_below, self.overage),
            "choices": choices,
            "fastest": fastest / slots,
            "fast_premium": np.log1p(fast_premium / self.overage),
            "fast_premium_over_shortage": fast_premium / np.maximum(costs.underage, 1e-9),
        }
        plain = [np.broadcast_to(feature[name], scale.shape) for name in NODE_FEATURES]
        cases = _cases(sourcing.lead_time, self.space.cases)
        return np.concatenate([np.stack(plain, axis=2), cases], axis=2)

    def _alternatives(
        self, premium: FloatArray, later: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Other lanes into each node, and how much faster and dearer the fastest is."""
        network, sourcing = self.sourcing.network, self.sourcing
        to = np.searchsorted(sourcing.stocking, network.destination[self.lanes])
        choices = np.full(self.scale.shape, -1.0)
        fastest, price = np.zeros(self.scale.shape), np.zeros(self.scale.shape)
        for position in range(len(self.lanes)):
            v = to[position]
            usable = network.allowed[:, self.lanes[position]]
            choices[:, v] += usable
            better = usable & (later[:, position] < fastest[:, v])
            fastest[better, v] = later[better, position]
            price[better, v] = premium[better, position]
        return np.maximum(choices, 0.0), fastest, price

    def lane_conditions(self, prices: FloatArray) -> FloatArray:
        """Conditions of lanes, shape (N, R, lane features); `prices` has shape (N, R)."""
        network, sourcing = self.sourcing.network, self.sourcing
        to = np.searchsorted(sourcing.stocking, network.destination[self.lanes])
        premium, later = self.lane_costs
        overage = self.overage[:, to]
        underage = np.maximum(self.costs.underage, 1e-9)[:, to]
        lead = np.broadcast_to(network.lead_time[self.lanes], premium.shape)
        kind = network.kind[network.origin[self.lanes]]
        feature = {
            "lead_time": lead / self.space.slots,
            "slower": later / self.space.slots,
            "premium": np.log1p(premium / overage),
            "premium_over_shortage": np.minimum(premium / underage, 10.0),
            "primary": (sourcing.lane[:, to] == self.lanes).astype(float),
            "from_stock": np.broadcast_to(kind == NodeKind.STOCKING, premium.shape),
            "price": np.sign(prices) * np.log1p(np.abs(prices) / overage),
        }
        plain = [np.asarray(feature[name], dtype=float) for name in LANE_FEATURES]
        return np.concatenate([np.stack(plain, axis=2), _cases(lead, self.space.cases)], axis=2)


def _cases(lead_time: IntArray, cases: int) -> FloatArray:
    """Lead times as 0/1 inputs, the last for all that are longer."""
    return np.eye(cases)[np.minimum(lead_time, cases - 1)]
