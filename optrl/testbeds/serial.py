"""Serial systems with backorders and normal demand: ten published instances.

**Order of events.** The published model charges each stage for the demand of L_j periods: stage
j's echelon stock at the end of an order's lead time is its position less the demand of L_j
periods, and units on the way to a stage are charged at the holding cost of the stage that sent
them. Here a decision precedes the period's demand and costs fall at the period's end, so that
demand of lead time + 1 periods falls between an order and its cost. The two agree exactly when

* the lane into the customer's stage takes L_1 - 1 periods, all others L_j: at the customer's
  stage an order then meets the demand of (L_1 - 1) + 1 periods, and an order of a stage above
  reaches it, at once shipped on, L_j periods after its release;
* each lane between stages costs L_j times the sender's holding cost a unit. In the long run demand
  passes every lane, which charges for L_j periods on the way. With L_1 - 1 periods on the lane into
  stage 1, the missing period makes up for the stages above being charged here after one period's
  demand more than there (the sum of their echelon holding costs is the holding cost of stage 2).

With a single stage there is no such lane, and only the lead time changes. Demand is clipped at
zero, which 4 standard deviations keep below notice. The system starts empty, and the first 200
periods do not count.

Source: Pirhooshyaran & Snyder (arXiv 2006.05608), instances 1-10; Snyder & Shen (2019),
Fundamentals of Supply Chain Theory, Example 6.1; optima by `optrl.exact.serial`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from optrl.building import build
from optrl.demand.normal import Normal
from optrl.demand.paths import steady
from optrl.exact.serial import SerialSystem, solve
from optrl.policies.echelon_base_stock import EchelonBaseStock
from optrl.testbeds.base import Row, TestBed
from optrl.testbeds.published import results
from optrl.testbeds.simulated import simulated_row

SOURCE = "Pirhooshyaran & Snyder (arXiv 2006.05608), instances 1-10; own computation"
WARM_UP, PERIODS = 200, 800


@dataclass(frozen=True)
class SerialBed(TestBed):
    """A serial system with the problem that the exact method solves.

    Attributes:
        problem: The same instance for `optrl.exact.serial`.
    """

    problem: SerialSystem | None = None

    def solved(self) -> SerialBed:
        """The bed with its optimum computed."""
        return self if self.problem is None else replace(self, optimum=solve(self.problem).cost)


class SerialFamily:
    """One item through a chain of stages, unmet demand waits."""

    name: ClassVar[str] = "serial"

    @staticmethod
    def cases() -> Iterator[TestBed]:
        """The ten published instances; their optima are those of the recursion."""
        for row in results("serial"):
            upstream_first = row["local_holding_upstream_first"].split("|")
            leads = row["lead_times_upstream_first"].split("|")
            problem = SerialSystem(
                float(row["demand_mean"]),
                float(row["demand_sd"]),
                tuple(float(x) for x in reversed(upstream_first)),
                float(row["shortage_cost"]),
                tuple(int(x) for x in reversed(leads)),
            )
            bed = SerialFamily.case(problem, row["id"])
            yield replace(
                bed,
                optimum=float(row["own_computation"]),
                published={"optimal": float(row["published_cost"])},
            )

    @staticmethod
    def case(problem: SerialSystem, label: str) -> SerialBed:
        """Any serial system, under a label."""
        count = len(problem.lead_time)
        stages = [f"stage{j + 1}" for j in range(count)]
        above = [*stages[1:], "supplier"]
        # Lanes must follow the order of their origins among the nodes: from the supplier down.
        lanes = {
            (above[j], stages[j]): problem.lead_time[j] - (j == 0) for j in reversed(range(count))
        }
        on_the_way = {
            (above[j], stages[j]): problem.lead_time[j] * problem.holding_cost[j + 1]
            for j in range(count - 1)
        }
        instance = build(
            label,
            {"supplier": "supplier", **dict.fromkeys(reversed(stages), "stocking")},
            lanes,
            ["stage1"],
            unmet="backorder",
            horizon=WARM_UP + PERIODS,
            holding_cost=dict(zip(stages, problem.holding_cost, strict=True)),
            shortage_cost={"stage1": problem.shortage_cost},
            lane_cost=on_the_way,
        )
        demand = Normal(
            np.array([count]),
            steady(np.array([[problem.demand_mean]])),
            steady(np.array([[problem.demand_sd]])),
        )
        name = f"{SerialFamily.name}/{label}"
        return SerialBed(name, instance, demand, WARM_UP, None, SOURCE, {}, problem)

    @staticmethod
    def rows() -> Iterator[Row]:
        """The optimum, its levels simulated, and levels fitted by bounds."""
        for bed in SerialFamily.cases():
            assert isinstance(bed, SerialBed)
            yield from _rows(bed)


def _rows(bed: SerialBed) -> Iterator[Row]:
    assert bed.problem is not None
    began = time.perf_counter()
    solution = solve(bed.problem)
    finer = solve(bed.problem, resolution=200)
    printed = f"{bed.published['optimal']:.2f}"
    seconds = time.perf_counter() - began
    error = abs(finer.cost - solution.cost)
    bed = replace(bed, optimum=finer.cost)
    yield Row(bed.name, "optimal", finer.cost, finer.cost, None, 0.0, error, seconds, printed)
    # Stocking nodes stand from the supplier down.
    level = np.array(solution.level)[::-1]
    policy = EchelonBaseStock.at_level(bed.instance, level)
    yield simulated_row(bed, "echelon_base_stock (optimal levels)", policy)
    yield simulated_row(bed, "echelon_base_stock")
