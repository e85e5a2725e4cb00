"""Dual sourcing as a family: a cheap slow supplier and a dear one that delivers at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.building import build
from optrl.demand.discrete import Discrete
from optrl.instance import Instance
from optrl.learning.system_family import log_uniform
from optrl.learning.training_instance import TrainingInstance, training_instance
from optrl.policies.neural_conditions import InputSpace


@dataclass(frozen=True)
class DualSourcingSystems:
    """One item at one place with two suppliers, backorders, demand uniform on 0..largest.

    Every drawn item stands once for each lead time of the regular supplier; costs are drawn for
    each system apart, ratios from log-uniform distributions.

    Attributes:
        lead_times: Of the regular supplier; the expedited one delivers at once.
        largest_demand: Smallest and largest of the largest demand of a period.
        cost_ratio: Smallest and largest backorder cost over holding cost.
        premium: Smallest and largest of what an expedited unit costs above a regular one, over
            holding cost.
    """

    lead_times: tuple[int, ...] = (1, 2, 3, 4, 5)
    largest_demand: tuple[int, int] = (2, 8)
    cost_ratio: tuple[float, float] = (15.0, 150.0)
    premium: tuple[float, float] = (0.5, 5.0)

    @property
    def space(self) -> InputSpace:
        """As many slots as the longest lead time."""
        return InputSpace(max(self.lead_times))

    @property
    def about(self) -> Mapping[str, Any]:
        """The ranges."""
        return {
            "family": "dual sourcing",
            "lead_times": list(self.lead_times),
            "largest_demand": list(self.largest_demand),
            "cost_ratio": list(self.cost_ratio),
            "premium": list(self.premium),
        }

    def draw(self, systems: int, generator: np.random.Generator) -> Sequence[TrainingInstance]:
        """One instance of all."""
        places = len(self.lead_times)
        shape = (max(1, systems // places), places)
        low, high = self.largest_demand
        largest = generator.integers(low, high, shape, endpoint=True)
        ratio = log_uniform(self.cost_ratio, shape, generator)
        premium = log_uniform(self.premium, shape, generator)
        instance = two_suppliers(self.lead_times, largest / 2, ratio, premium)
        return [training_instance(instance, _uniform(largest, high))]


def two_suppliers(
    lead_times: Sequence[int], mean: FloatArray, backorder_cost: FloatArray, premium: FloatArray
) -> Instance:
    """Two suppliers feeding one place for each lead time; holding cost 1, whole units.

    Args:
        lead_times: Of the regular supplier's lanes to the places.
        mean: Expected demand of each item at each place, shape (N, places).
        backorder_cost: Likewise.
        premium: What an expedited unit costs more, likewise.
    """
    places = [f"place{k}" for k in range(len(lead_times))]
    regular = {("regular", place): lead for place, lead in zip(places, lead_times, strict=True)}
    expedited = {("expedited", place): 0 for place in places}
    cover = mean * (1 + np.array(lead_times))
    return build(
        "dual sourcing",
        {"regular": "supplier", "expedited": "supplier", **dict.fromkeys(places, "stocking")},
        regular | expedited,
        places,
        unmet="backorder",
        horizon=1,
        items=len(mean),
        holding_cost=dict.fromkeys(places, 1.0),
        shortage_cost=dict(zip(places, backorder_cost.T, strict=True)),
        lane_cost=dict(zip(expedited, premium.T, strict=True)),
        on_hand=dict(zip(places, cover.T, strict=True)),
        lot_size=1.0,
    )


def _uniform(largest: IntArray, most: int) -> Discrete:
    """Demand uniform on 0..largest of each item at each place, shape (N, places)."""
    demand = np.arange(most + 1)
    probability = (demand <= largest[..., None]) / (largest[..., None] + 1)
    return Discrete(np.arange(2, 2 + largest.shape[1]), probability)
