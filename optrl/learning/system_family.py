"""Families of systems from which one network for all of them learns.

A family draws some dozen systems at a time and lays them out as items and places of one instance,
so that the simulator takes them side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from optrl_formulations.network import FloatArray, Unmet

from optrl.building import build
from optrl.demand.negative_binomial import NegativeBinomial
from optrl.demand.paths import steady
from optrl.instance import Instance
from optrl.learning.training_instance import TrainingInstance, training_instance
from optrl.policies.neural_conditions import InputSpace


class SystemFamily(Protocol):
    """Systems of a kind."""

    @property
    def space(self) -> InputSpace:
        """Inputs of the network."""
        ...

    @property
    def about(self) -> Mapping[str, Any]:
        """What the network is trained for, as JSON."""
        ...

    def draw(self, systems: int, generator: np.random.Generator) -> Sequence[TrainingInstance]:
        """Draw systems, as one or more instances of always the same shapes.

        Args:
            systems: About how many.
            generator: Of what is random.
        """
        ...


@dataclass(frozen=True)
class SinglePlaces:
    """One item at one place fed by one supplier: lost sales, and some backorders.

    Demand is Poisson, geometric or negative binomial. Where there are enough systems, 8 of those
    with lost sales at each lead time are Zipkin's (2008), 32 in all with lead times from 1 to 4;
    the others are drawn, mean and costs from log-uniform distributions.

    Attributes:
        lead_times: Lead times; each drawn item stands once for each.
        mean: Smallest and largest mean demand.
        cost_ratio: Smallest and largest shortage cost over holding cost.
        size: Smallest and largest size of the negative binomial.
        backorder: Share of systems with backorders.
    """

    lead_times: tuple[int, ...] = (1, 2, 3, 4)
    mean: tuple[float, float] = (1.8, 13.0)
    cost_ratio: tuple[float, float] = (3.5, 45.0)
    size: tuple[float, float] = (0.8, 12.0)
    backorder: float = 0.1

    @property
    def space(self) -> InputSpace:
        """As many slots as the longest lead time."""
        return InputSpace(max(self.lead_times))

    @property
    def about(self) -> Mapping[str, Any]:
        """The ranges."""
        return {
            "family": "single places",
            "lead_times": list(self.lead_times),
            "mean": list(self.mean),
            "cost_ratio": list(self.cost_ratio),
            "size": list(self.size),
        }

    def draw(self, systems: int, generator: np.random.Generator) -> Sequence[TrainingInstance]:
        """One instance with lost sales and one with backorders."""
        places = len(self.lead_times)
        waiting = max(1, round(self.backorder * systems / places))
        lost = max(1, systems // places - waiting)
        grid = _GRID[: len(_GRID) * int(lost >= 2 * len(_GRID))]
        return [
            self._instance(lost, grid, "lost", generator),
            self._instance(waiting, grid[:0], "backorder", generator),
        ]

    def _instance(
        self, items: int, grid: FloatArray, unmet: Unmet, generator: np.random.Generator
    ) -> TrainingInstance:
        shape = (items, len(self.lead_times))
        mean = log_uniform(self.mean, shape, generator)
        ratio = log_uniform(self.cost_ratio, shape, generator)
        size = log_uniform(self.size, shape, generator)
        kind = generator.random(shape)
        size = np.where(kind < 0.35, np.inf, np.where(kind < 0.5, 1.0, size))
        known = len(grid)
        mean[:known] = 5.0
        ratio[:known], size[:known] = grid[:, :1], grid[:, 1:]
        instance = single_places(self.lead_times, mean, ratio, unmet)
        nodes = np.arange(1, 1 + len(self.lead_times))
        return training_instance(instance, NegativeBinomial(nodes, steady(mean), size))


_GRID = np.array([[ratio, size] for ratio in (4.0, 9.0, 19.0, 39.0) for size in (np.inf, 1.0)])
"""Shortage cost and size of Zipkin's instances, at each lead time."""


def single_places(
    lead_times: Sequence[int], mean: FloatArray, shortage_cost: FloatArray, unmet: Unmet
) -> Instance:
    """One supplier feeding one place for each lead time; holding cost 1, whole units.

    Args:
        lead_times: Of the places.
        mean: Expected demand of each item at each place, shape (N, places).
        shortage_cost: Likewise.
        unmet: Whether unmet demand is lost.
    """
    places = [f"place{k}" for k in range(len(lead_times))]
    cover = 1.5 * mean * (1 + np.array(lead_times))
    return build(
        "single places",
        {"supplier": "supplier", **dict.fromkeys(places, "stocking")},
        {("supplier", place): lead for place, lead in zip(places, lead_times, strict=True)},
        places,
        unmet=unmet,
        horizon=1,
        items=len(mean),
        holding_cost=dict.fromkeys(places, 1.0),
        shortage_cost=dict(zip(places, shortage_cost.T, strict=True)),
        on_hand=dict(zip(places, cover.T, strict=True)),
        lot_size=1.0,
    )


def log_uniform(
    bounds: tuple[float, float], shape: tuple[int, ...], generator: np.random.Generator
) -> FloatArray:
    """Numbers between two bounds whose logarithms are uniform."""
    return np.exp(generator.uniform(np.log(bounds[0]), np.log(bounds[1]), shape))
