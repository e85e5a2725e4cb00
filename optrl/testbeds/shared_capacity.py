"""Many items that share the throughput of a warehouse: synthetic, of any size and tightness.

A supplier feeds a warehouse, which feeds stores with demand; unmet demand is lost. All items share
the warehouse's outbound capacity in volume, ``tightness`` being expected demand over capacity.

**Order of events**: this package's own; nothing is published. The system starts with the mean
demand of lead time and one period more in every place, so that the capacity binds from the first
period on, and all periods count. The lower bound of a benchmark is that of perfect information on
the same paths (`optrl.evaluation.perfect_information`).

Synthetic throughout: mean demands are gamma distributed (coefficient of variation 1) about 5 an
item and store, volumes uniform on 0.5..1.5, holding costs 0.5 (warehouse) and 1 (stores) times a
value that is uniform on 0.5..2, shortage costs 9-39 times it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from optrl_formulations.network import FloatArray, Resource

from optrl.building import build
from optrl.demand.paths import SeasonalPath, steady
from optrl.demand.poisson import Poisson
from optrl.errors import OptrlError
from optrl.evaluation.perfect_information import perfect_information
from optrl.testbeds.base import Row, TestBed
from optrl.testbeds.simulated import mean_half_width, simulated_row


def _season(items: int, swing: float) -> FloatArray:
    """Factors of a season that starts and ends at its mean, shape (N, 12)."""
    season = 1 + swing * np.sin(2 * np.pi * np.arange(_SEASON) / _SEASON)
    return np.broadcast_to(season, (items, _SEASON))


_SEASON = 12

SOURCE = "synthetic: optrl.testbeds.shared_capacity"
_SCENARIOS = 8
_POLICIES = ("base_stock", "capped_base_stock", "echelon_base_stock", "projected_inventory_level")


class SharedCapacity:
    """Items that share a warehouse's throughput."""

    name: ClassVar[str] = "shared-capacity"

    @staticmethod
    def cases() -> Iterator[TestBed]:
        """Two sizes, each with loose and tight capacity."""
        for items, stores in ((20, 2), (50, 4)):
            for tightness in (0.8, 1.0):
                yield SharedCapacity.case(items, stores, tightness)

    @staticmethod
    def case(
        items: int,
        stores: int,
        tightness: float,
        *,
        periods: int = 26,
        swing: float = 0.0,
        seed: int = 0,
    ) -> TestBed:
        """An instance of any size.

        Args:
            items: Number of items, at least 1.
            stores: Number of stores, at least 1; the nodes are these, a warehouse and a supplier.
            tightness: Expected demand over capacity, above 0; above 1 not all can be served.
            periods: Horizon.
            swing: Mean demand rises and falls by this share about its mean, as a sine over 12
                periods, in 0..1. Then capacity binds at the top of the season even where it is
                ample on average, and what is sent out beforehand is worth a price by period.
            seed: Of the coefficients.

        Raises:
            OptrlError: If a number is out of range.
        """
        if items < 1 or stores < 1 or not tightness > 0:
            raise OptrlError(
                f"{items} items, {stores} stores and tightness {tightness}: all must be positive"
            )
        if not 0 <= swing <= 1:
            raise OptrlError(f"swing is {swing}: it must lie in 0..1")
        generator = np.random.default_rng(seed)
        names = [f"store{k + 1}" for k in range(stores)]
        mean = generator.gamma(1.0, 5.0, size=(items, stores))
        volume = generator.uniform(0.5, 1.5, items)
        value = generator.uniform(0.5, 2.0, items)
        shortage = generator.uniform(9.0, 39.0, items) * value
        leads = generator.integers(1, 3, stores)
        inbound = 3
        capacity = float(volume @ mean.sum(axis=1)) / tightness
        throughput = Resource(
            "warehouse throughput", "outbound", volume, np.array([capacity]), node=1
        )
        label = f"N{items}-V{stores}-tight{tightness:g}"
        if swing:
            label += f"-swing{swing:g}"
        if seed:
            label += f"-seed{seed}"
        instance = build(
            label,
            {"supplier": "supplier", "warehouse": "stocking", **dict.fromkeys(names, "stocking")},
            {
                ("supplier", "warehouse"): inbound,
                **{("warehouse", n): int(k) for n, k in zip(names, leads, strict=True)},
            },
            names,
            unmet="lost",
            horizon=periods,
            items=items,
            holding_cost={"warehouse": 0.5 * value, **dict.fromkeys(names, value)},
            shortage_cost=dict.fromkeys(names, shortage),
            on_hand={
                "warehouse": np.round((inbound + 1) * mean.sum(axis=1)),
                **{
                    n: np.round((k + 1) * mean[:, j])
                    for j, (n, k) in enumerate(zip(names, leads, strict=True))
                },
            },
            resources_=(throughput,),
            notes={"data": "synthetic"},
        )
        path = SeasonalPath(mean, _season(items, swing)) if swing else steady(mean)
        demand = Poisson(np.arange(2, 2 + stores), path)
        return TestBed(f"{SharedCapacity.name}/{label}", instance, demand, 0, None, SOURCE)

    @staticmethod
    def rows() -> Iterator[Row]:
        """Classical policies above the bound of perfect information on the same paths."""
        for bed in SharedCapacity.cases():
            began = time.perf_counter()
            instance = bed.instance
            generator = np.random.default_rng(0)
            demand = bed.demand.sample(_SCENARIOS, instance.start, instance.horizon, generator)
            bounds = perfect_information(instance, demand, seed=0).bound / bed.periods
            bound = float(bounds.mean())
            half = mean_half_width(bounds)
            seconds = time.perf_counter() - began
            yield Row(bed.name, "perfect_information", bound, None, bound, None, half, seconds)
            for policy in _POLICIES:
                yield simulated_row(bed, policy, bound=bound, scenarios=_SCENARIOS)
