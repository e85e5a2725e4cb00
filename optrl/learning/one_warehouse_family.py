"""One warehouse and its retailers as a family: a forest of such systems in one instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optrl_formulations.network import FloatArray, IntArray, Unmet
from scipy import stats

from optrl.building import build
from optrl.demand.discrete import Discrete
from optrl.instance import Instance
from optrl.learning.system_family import log_uniform
from optrl.learning.training_instance import TrainingInstance, training_instance
from optrl.policies.neural_conditions import InputSpace

_LARGEST = 60
"""Largest demand of a period; what is beyond it is left out."""


@dataclass(frozen=True)
class OneWarehouseSystems:
    """A warehouse supplies some retailers, which hold stock at a cost of 1 a unit.

    Every drawn item stands in one system for each number of retailers. Lead times are drawn for
    each of these, in half of them the same for all retailers; costs and demand for each system, in
    half of them the same law for all retailers. Demand is Poisson, negative binomial, uniform on
    whole numbers from 0 on, or normal, rounded and cut at 0. Half of the systems lose unmet demand.

    Attributes:
        retailers: Numbers of retailers.
        warehouse_lead_times: Smallest and largest; the first system has the largest.
        retailer_lead_times: Smallest and largest.
        mean: Smallest and largest mean demand of a retailer, before normals are cut.
        deviation: Smallest and largest standard deviation of normals.
        cost_ratio: Smallest and largest shortage cost.
        warehouse_holding_cost: Smallest and largest.
    """

    retailers: tuple[int, ...] = (3, 3, 3, 4, 5, 7, 10)
    warehouse_lead_times: tuple[int, int] = (1, 5)
    retailer_lead_times: tuple[int, int] = (1, 3)
    mean: tuple[float, float] = (0.4, 7.0)
    deviation: tuple[float, float] = (0.7, 6.0)
    cost_ratio: tuple[float, float] = (5.0, 16.0)
    warehouse_holding_cost: tuple[float, float] = (0.3, 0.8)

    @property
    def space(self) -> InputSpace:
        """As many slots as the longest lead time."""
        return InputSpace(max(self.warehouse_lead_times[1], self.retailer_lead_times[1]))

    @property
    def about(self) -> Mapping[str, Any]:
        """The ranges."""
        return {
            "family": "one warehouse",
            "retailers": [min(self.retailers), max(self.retailers)],
            "warehouse_lead_times": list(self.warehouse_lead_times),
            "retailer_lead_times": list(self.retailer_lead_times),
            "mean": list(self.mean),
            "deviation": list(self.deviation),
            "cost_ratio": list(self.cost_ratio),
            "warehouse_holding_cost": list(self.warehouse_holding_cost),
        }

    def draw(self, systems: int, generator: np.random.Generator) -> Sequence[TrainingInstance]:
        """One instance with lost sales and one with backorders."""
        items = max(1, systems // (2 * len(self.retailers)))
        return [self._instance(items, unmet, generator) for unmet in ("lost", "backorder")]

    def _instance(
        self, items: int, unmet: Unmet, generator: np.random.Generator
    ) -> TrainingInstance:
        count = len(self.retailers)
        # Systems of one length of pipeline have states of one shape.
        above = generator.integers(*self.warehouse_lead_times, count, endpoint=True)
        above[0] = self.warehouse_lead_times[1]
        below = [
            np.broadcast_to(
                generator.integers(
                    *self.retailer_lead_times, 1 if generator.random() < 0.5 else k, endpoint=True
                ),
                k,
            )
            for k in self.retailers
        ]
        law = np.concatenate([self._laws(items, k, generator) for k in self.retailers], axis=1)
        low, high = self.warehouse_holding_cost
        instance = forest(
            above,
            below,
            law @ np.arange(_LARGEST + 1),
            holding_cost=generator.uniform(low, high, (items, count)),
            shortage_cost=log_uniform(self.cost_ratio, (items, count), generator),
            unmet=unmet,
        )
        return training_instance(instance, Discrete(instance.demand.nodes, law))

    def _laws(self, items: int, retailers: int, generator: np.random.Generator) -> FloatArray:
        """Probabilities of 0, 1, ... at the retailers of a system, (N, retailers, 61)."""
        shape = (items, retailers)
        mean = log_uniform(self.mean, shape, generator)
        deviation = log_uniform(self.deviation, shape, generator)
        size = log_uniform((0.8, 8.0), shape, generator)
        kind = generator.integers(0, 4, shape)
        alike = generator.random(items) < 0.5
        for values in (mean, deviation, size, kind):
            values[alike] = values[alike, :1]
        return demand_laws(kind, mean, deviation, size)


def demand_laws(
    kind: IntArray, mean: FloatArray, deviation: FloatArray, size: FloatArray
) -> FloatArray:
    """Probabilities of demands 0, ..., 60; arguments have one shape, which the result extends.

    Args:
        kind: 0 Poisson, 1 negative binomial, 2 uniform on 0, ..., about twice the mean, 3 normal
            rounded to whole numbers, those below 0 counting as 0.
        mean: Expected demand, of the normal before it is cut.
        deviation: Standard deviation of the normal.
        size: Of the negative binomial.
    """
    demand = np.arange(_LARGEST + 1)
    mean, deviation, size = (x[..., None] for x in (mean, deviation, size))
    below = np.asarray(stats.norm.cdf(demand + 0.5, mean, deviation))
    laws = (
        stats.poisson.pmf(demand, mean),
        stats.nbinom.pmf(demand, size, size / (size + mean)),
        (demand <= np.maximum(np.round(2 * mean), 1)).astype(float),
        np.diff(below, axis=-1, prepend=0.0),
    )
    law = np.zeros(below.shape)
    for number, each in enumerate(laws):
        law = np.where(kind[..., None] == number, each, law)
    return np.asarray(law / law.sum(axis=-1, keepdims=True))


def forest(
    warehouse_lead_times: IntArray,
    retailer_lead_times: Sequence[IntArray],
    mean: FloatArray,
    *,
    holding_cost: FloatArray,
    shortage_cost: FloatArray,
    unmet: Unmet,
) -> Instance:
    """Warehouses fed by one supplier, each with retailers of its own; whole units.

    Args:
        warehouse_lead_times: Of the W warehouses.
        retailer_lead_times: Of the retailers of each warehouse.
        mean: Expected demand at all retailers in turn, shape (N, D).
        holding_cost: At each warehouse, shape (N, W); 1 at retailers.
        shortage_cost: At each warehouse's retailers, shape (N, W).
        unmet: Whether unmet demand is lost.
    """
    nodes, on_hand = {"supplier": "supplier"}, {}
    lanes: dict[tuple[str, str], int] = {}
    holding: dict[str, float | FloatArray] = {}
    shortage: dict[str, float | FloatArray] = {}
    retailers: list[str] = []
    for w, (above, below) in enumerate(zip(warehouse_lead_times, retailer_lead_times, strict=True)):
        warehouse = f"warehouse{w}"
        nodes[warehouse], lanes["supplier", warehouse] = "stocking", int(above)
        holding[warehouse] = holding_cost[:, w]
        first = len(retailers)
        for lead in below:
            name = f"retailer{len(retailers)}"
            nodes[name], lanes[warehouse, name] = "stocking", int(lead)
            holding[name], shortage[name] = 1.0, shortage_cost[:, w]
            on_hand[name] = mean[:, len(retailers)] * (lead + 2)
            retailers.append(name)
        on_hand[warehouse] = mean[:, first : len(retailers)].sum(axis=1) * (above + 1)
    return build(
        "one warehouse",
        nodes,
        lanes,
        retailers,
        unmet=unmet,
        horizon=1,
        items=len(mean),
        holding_cost=holding,
        shortage_cost=shortage,
        on_hand=on_hand,
        lot_size=1.0,
    )
