"""One warehouse and three retailers: the ten instances of Kaynov et al. (2024).

**Order of events and conventions.** The paper's totals over 100 periods are known, how they begin
is not; public re-implementations match them to 1-6 % only. Here

* a lead time of L means usable L periods after release, demand follows the decision, and costs
  fall at the end of the period; stock on the way costs nothing;
* costs are long-run averages: the system starts empty, 100 periods do not count, 100 do. Published
  totals are divided by 100;
* ``N(m,s)`` has standard deviation s, is rounded to integers, and below 0 is 0;
* levels of each policy are tuned in this simulator;
* ``base_stock`` and ``echelon_base_stock`` leave a short warehouse to the dynamics, which share in
  proportion to what is asked and keep at the warehouse what rounding down to units leaves.
  ``proportional_rationing`` gives that to the largest remainders. ``min_shortage_rationing``
  makes expected shortage over lead time and review period smallest; the published rule of that
  name evens out shortfalls from the levels, as re-implementations have it.

**Difference from what is published.** Proportional rationing costs 0.9-4.7 % less than published in
seven instances, the same in 2, 1 % more in 10 and 10 % more in 5; min-shortage rationing 0.6-6.2 %
less in nine and 2.9 % more in 5. The published order of the two, min-shortage the dearer one, holds
in instances 2, 7, 8 and 9. Base stock whose warehouse rounds down costs 1 % less (instance 1) to
12 % more (5) than published proportional rationing: that rounding alone costs 2-7 %.

Other conventions were tried in own runs of 1,000 scenarios (200 for empty systems), with shortfalls
evened out. Counting from the first period on raises costs by 1-5 % if every node begins at its
level with nothing on the way, by 11-32 % if all are empty (instances 1, 6 and 8). Normals cut down
to integers lower instances 2, 3, 5 and 10 by 3-7 %. Beginning at the levels brings seven instances
to within 2 % of what is published for both rules, but 1 stays 2-4 % below, and 5 and 10 are 10-12 %
and 5 % above. No convention tried reproduces all: compare policies by their improvement over the
tuned base stock.

Source: Kaynov, van Knippenberg, Menkovski, van Breemen & van Jaarsveld (2024), Deep Reinforcement
Learning for One-Warehouse Multi-Retailer inventory management, International Journal of Production
Economics 267.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from optrl_formulations.network import FloatArray, Unmet
from scipy import stats

from optrl.building import build
from optrl.demand.base import DemandModel
from optrl.demand.discrete import Discrete
from optrl.instance import Instance
from optrl.policies.base_stock import BaseStock
from optrl.policies.echelon_base_stock import EchelonBaseStock
from optrl.policies.min_shortage_rationing import MinShortageRationing
from optrl.policies.proportional_rationing import ProportionalRationing
from optrl.simulation.rollout import DecidingPolicy
from optrl.testbeds.base import Row, TestBed
from optrl.testbeds.published import results
from optrl.testbeds.simulated import simulated_row
from optrl.testbeds.tuning import tune_levels

SOURCE = "Kaynov et al. (2024), International Journal of Production Economics 267, instances 1-10"
WARM_UP, PERIODS = 100, 100
WAREHOUSE_HOLDING_COST, RETAILER_HOLDING_COST, SHORTAGE_COST = 0.5, 1.0, 9.0
_LARGEST = 60

Kind = Callable[[Instance, FloatArray, DemandModel], DecidingPolicy]

# Name of the policy here, the published one that it is to be compared with, how it is made.
_KINDS: tuple[tuple[str, str, Kind], ...] = (
    ("base_stock", "", lambda instance, level, demand: BaseStock.at_level(instance, level)),
    (
        "echelon_base_stock",
        "",
        lambda instance, level, demand: EchelonBaseStock.at_level(instance, level),
    ),
    (
        "proportional_rationing",
        "proportional",
        lambda instance, level, demand: ProportionalRationing.at_level(instance, level),
    ),
    ("min_shortage_rationing", "min_shortage", MinShortageRationing.at_level),
)


def demand_law(text: str) -> FloatArray:
    """Probabilities of 0, ..., 60 from ``Poisson(m)``, ``U[a,b]`` or ``N(m,s)``, shape (61,).

    The normal is rounded to the nearest integer and negative values are 0.

    Raises:
        ValueError: If the text is none of these.
    """
    demand = np.arange(_LARGEST + 1)
    numbers = [float(x) for x in re.findall(r"[\d.]+", text)]
    kind = text.strip()[0]
    if kind == "P" and len(numbers) == 1:
        law = stats.poisson.pmf(demand, numbers[0])
    elif kind == "U" and len(numbers) == 2:
        law = ((demand >= numbers[0]) & (demand <= numbers[1])).astype(float)
    elif kind == "N" and len(numbers) == 2:
        edges = stats.norm.cdf(np.append(demand, _LARGEST + 1) - 0.5, *numbers)
        edges[0] = 0.0
        law = np.diff(edges)
    else:
        raise ValueError(f"demand {text!r}: give Poisson(m), U[a,b] or N(m,s)")
    return np.asarray(law / law.sum(), dtype=float)


@dataclass(frozen=True)
class Case:
    """A published instance, or one like it with other numbers.

    Attributes:
        label: Its number or name.
        unmet: Whether unmet demand is lost.
        warehouse_lead_time: Periods from supplier to warehouse.
        retailer_lead_times: Periods from warehouse to each retailer.
        laws: Probabilities of 0, 1, ... at each retailer, shape (C, K + 1).
    """

    label: str
    unmet: Unmet
    warehouse_lead_time: int
    retailer_lead_times: tuple[int, ...]
    laws: FloatArray

    def instance(self, items: int = 1) -> Instance:
        """The instance, with a number of items alike that nothing couples."""
        nodes = {"supplier": "supplier", "warehouse": "stocking"}
        lanes = {("supplier", "warehouse"): self.warehouse_lead_time}
        retailers = [f"retailer{k + 1}" for k in range(len(self.retailer_lead_times))]
        for name, lead in zip(retailers, self.retailer_lead_times, strict=True):
            nodes[name] = "stocking"
            lanes["warehouse", name] = lead
        return build(
            self.label,
            nodes,
            lanes,
            retailers,
            unmet=self.unmet,
            horizon=WARM_UP + PERIODS,
            items=items,
            holding_cost={
                "warehouse": WAREHOUSE_HOLDING_COST,
                **dict.fromkeys(retailers, RETAILER_HOLDING_COST),
            },
            shortage_cost=dict.fromkeys(retailers, SHORTAGE_COST),
            lot_size=1.0,
        )

    @property
    def demand(self) -> Discrete:
        """Demand at the retailers."""
        return self.demand_of(1)

    def demand_of(self, items: int) -> Discrete:
        """Demand of a number of items alike."""
        retailers = np.arange(2, 2 + len(self.laws))
        return Discrete(retailers, np.repeat(self.laws[None], items, axis=0))

    def first_levels(self, echelon: bool) -> FloatArray:
        """Levels to start a search from: cover of lead time and a period, with 40 % more."""
        mean = self.laws @ np.arange(self.laws.shape[1])
        retailer = np.round(1.4 * mean * (np.array(self.retailer_lead_times) + 1))
        warehouse = np.round(mean.sum() * self.warehouse_lead_time)
        if echelon:
            warehouse += retailer.sum()
        return np.concatenate([[warehouse], retailer])


class OneWarehouseMultiRetailer:
    """A warehouse supplies three retailers."""

    name: ClassVar[str] = "one-warehouse-multi-retailer"

    @staticmethod
    def problems() -> Iterator[tuple[Case, dict[str, float]]]:
        """The published instances, with published costs a period by policy."""
        for row in results("one_warehouse_multi_retailer"):
            texts = row["demand"].split(";")
            if texts[0].endswith(" x3"):
                texts = [texts[0].removesuffix(" x3")] * 3
            unmet: Unmet = "lost" if row["unmet"] == "lost" else "backorder"
            case = Case(
                row["id"],
                unmet,
                int(row["warehouse_lead_time"]),
                tuple(int(x) for x in row["retailer_lead_times"].split("|")),
                np.stack([demand_law(text) for text in texts]),
            )
            columns = ("proportional", "min_shortage", "ppo")
            yield case, {name: float(row[f"{name}_cost"]) / 100 for name in columns}

    @staticmethod
    def cases() -> Iterator[TestBed]:
        """The ten published instances; optima are not known."""
        for case, published in OneWarehouseMultiRetailer.problems():
            name = f"{OneWarehouseMultiRetailer.name}/{case.label}"
            bed = TestBed(name, case.instance(), case.demand, WARM_UP, None, SOURCE, published)
            yield bed

    @staticmethod
    def rows() -> Iterator[Row]:
        """Base stock and rationing tuned in this simulator, beside the published costs."""
        beds = OneWarehouseMultiRetailer.cases()
        for (case, published), bed in zip(OneWarehouseMultiRetailer.problems(), beds, strict=True):
            for label, counterpart, kind in _KINDS:
                yield _row(case, bed, label, kind, published, counterpart)


def classical(
    label: str, instance: Instance, levels: FloatArray, demand: DemandModel
) -> DecidingPolicy:
    """A policy of the benchmark at given levels.

    Args:
        label: "base_stock", "echelon_base_stock", "proportional_rationing" or
            "min_shortage_rationing".
        instance: A warehouse and its retailers.
        levels: Of each item's stocking nodes, shape (N, M).
        demand: Of the instance's items.
    """
    return {name: kind for name, _, kind in _KINDS}[label](instance, levels, demand)


def _row(
    case: Case, bed: TestBed, label: str, kind: Kind, published: dict[str, float], counterpart: str
) -> Row:
    """The policy at its tuned levels, with its difference from the published counterpart."""

    def at_level(instance: Instance, level: FloatArray) -> DecidingPolicy:
        return kind(instance, level, case.demand_of(len(instance.network.items)))

    began = time.perf_counter()
    first = case.first_levels(label != "base_stock")
    tuned = tune_levels(case.instance, case.demand, at_level, first, warm_up=WARM_UP, seed=1)
    levels = ", ".join(f"{x:g}" for x in tuned.levels)
    row = simulated_row(
        bed,
        f"{label} (tuned: {levels})",
        at_level(bed.instance, tuned.levels[None]),
        scenarios=400,
        seconds=time.perf_counter() - began,
    )
    return replace(row, published=beside(row.cost, published, counterpart))


def beside(cost: float, published: dict[str, float], counterpart: str) -> str:
    """Published costs, with the difference of `cost` from the one it is to be compared with."""

    def text(name: str) -> str:
        known = published[name]
        difference = f" (here {100 * (cost / known - 1):+.1f} %)" if name == counterpart else ""
        return f"{name} {known:.2f}{difference}"

    return ", ".join(map(text, published))
