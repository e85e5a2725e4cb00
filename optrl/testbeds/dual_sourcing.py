"""Dual sourcing at one place: six published instances, and any other.

**Order of events.** Arrivals; both orders, the expedited one available at once; demand; holding or
backorder cost. That is the order of events here with an expedited lane of lead time 0 and a
regular lane of lead time l; unit costs are the lanes' costs, paid on release. The published
averages include purchases, as costs here do. The system starts empty, and the first 200 periods
do not count.

**Instances beyond the published ones** are named ``lL-ceC[-crR][-hH][-bB][-uD]``: regular lead
time, cost of an expedited unit, and where they are not 100, 5, 495 and 4 cost of a regular unit,
holding cost, backorder cost and largest demand, such as ``dual-sourcing/l3-ce120-u6``. Their
optimum is not known in advance.

Source: Gijsbrechts, Boute, Van Mieghem & Zhang (2022), Can Deep Reinforcement Learning Improve
Inventory Management?, M&SOM 24(3), after Veeraraghavan & Scheller-Wolf (2008), Operations
Research 56(4); optima and gaps of heuristics are own exact computations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from optrl.building import build
from optrl.demand.discrete import Discrete
from optrl.exact.distribution import DemandDistribution
from optrl.exact.dual_sourcing import DualSourcing, solve
from optrl.exact.dual_sourcing_policies import (
    DualSourcingPolicy,
    best_capped_dual_index,
    best_dual_index,
    best_single_index,
    best_tailored_base_surge,
)
from optrl.testbeds.base import Row, TestBed
from optrl.testbeds.labels import NUMBER, WHOLE, Label, in_full
from optrl.testbeds.published import results

SOURCE = (
    "Gijsbrechts et al. (2022), M&SOM 24(3), after Veeraraghavan & Scheller-Wolf (2008); optima "
    "and heuristics: own exact computations"
)
WARM_UP, PERIODS = 200, 1000
LABEL = Label(
    form="lL-ceC[-crR][-hH][-bB][-uD]",
    meaning="l lead time of the regular supplier; ce cost of an expedited unit; cr of a regular "
    "one, 100 unless given; h holding cost, 5 unless given; b backorder cost, 495 unless given; "
    "u largest demand of a period, 4 unless given",
    pattern=rf"l(?P<l>{WHOLE})-ce(?P<ce>{NUMBER})(-cr(?P<cr>{NUMBER}))?(-h(?P<h>{NUMBER}))?"
    rf"(-b(?P<b>{NUMBER}))?(-u(?P<u>{WHOLE}))?",
    example="dual-sourcing/l3-ce120-u6",
)

_POLICIES: tuple[tuple[str, Callable[[DualSourcing], DualSourcingPolicy]], ...] = (
    ("capped_dual_index", best_capped_dual_index),
    ("dual_index", best_dual_index),
    ("single_index", best_single_index),
    ("tailored_base_surge", best_tailored_base_surge),
)


@dataclass(frozen=True)
class DualSourcingBed(TestBed):
    """A dual-sourcing instance with the problem that exact methods solve.

    Attributes:
        problem: The same instance for `optrl.exact.dual_sourcing`.
    """

    problem: DualSourcing | None = None

    def solved(self) -> DualSourcingBed:
        """The bed with its optimum computed.

        Raises:
            optrl.errors.OptrlError: If the dynamic program is too large.
        """
        return self if self.problem is None else replace(self, optimum=solve(self.problem).cost)


class DualSourcingFamily:
    """One item, one place, a cheap slow supplier and a dear fast one."""

    name: ClassVar[str] = "dual-sourcing"

    @staticmethod
    def cases() -> Iterator[TestBed]:
        """The six published instances."""
        for row in results("dual_sourcing"):
            bed = DualSourcingFamily.case(
                int(row["regular_lead_time"]), float(row["expedited_unit_cost"])
            )
            optimum = float(row["optimal_cost"])
            published = {
                policy: optimum * (1 + float(row[f"{policy}_gap_pct"]) / 100)
                for policy in (*(name for name, _ in _POLICIES), "a3c")
            }
            yield replace(bed, optimum=optimum, published={"optimal": optimum, **published})

    @staticmethod
    def case(
        regular_lead_time: int,
        expedited_unit_cost: float,
        *,
        regular_unit_cost: float = 100.0,
        holding_cost: float = 5.0,
        backorder_cost: float = 495.0,
        largest_demand: int = 4,
    ) -> DualSourcingBed:
        """Any instance with demand uniform on 0..largest_demand."""
        law = DemandDistribution.uniform(0, largest_demand)
        label = f"l{regular_lead_time}-ce{in_full(expedited_unit_cost)}"
        for key, value, usual in (
            ("cr", regular_unit_cost, 100.0),
            ("h", holding_cost, 5.0),
            ("b", backorder_cost, 495.0),
            ("u", largest_demand, 4),
        ):
            label += f"-{key}{in_full(value)}" if value != usual else ""
        instance = build(
            label,
            {"regular": "supplier", "expedited": "supplier", "store": "stocking"},
            {("regular", "store"): regular_lead_time, ("expedited", "store"): 0},
            ["store"],
            unmet="backorder",
            horizon=WARM_UP + PERIODS,
            holding_cost={"store": holding_cost},
            shortage_cost={"store": backorder_cost},
            lane_cost={
                ("regular", "store"): regular_unit_cost,
                ("expedited", "store"): expedited_unit_cost,
            },
            lot_size=1.0,
        )
        problem = DualSourcing(
            law,
            holding_cost,
            backorder_cost,
            regular_unit_cost,
            expedited_unit_cost,
            regular_lead_time,
        )
        model = Discrete(np.array([2]), law.probability[None, None])
        name = f"{DualSourcingFamily.name}/{label}"
        return DualSourcingBed(name, instance, model, WARM_UP, None, SOURCE, {}, problem)

    @staticmethod
    def labelled(label: str) -> TestBed:
        """The instance of a label, `LABEL`.

        Raises:
            LabelError: If the label is not of that form.
            optrl.exact.errors.ExactError: If there is no such instance.
        """
        given = LABEL.read(label)
        return DualSourcingFamily.case(
            int(given["l"]),
            float(given["ce"]),
            regular_unit_cost=float(given.get("cr", 100.0)),
            holding_cost=float(given.get("h", 5.0)),
            backorder_cost=float(given.get("b", 495.0)),
            largest_demand=int(given.get("u", 4)),
        )

    @staticmethod
    def rows() -> Iterator[Row]:
        """Optimum and best heuristics of the six instances, all exact."""
        for bed in DualSourcingFamily.cases():
            assert isinstance(bed, DualSourcingBed)
            yield from exact_rows(bed)


def exact_rows(bed: DualSourcingBed) -> Iterator[Row]:
    """Exact costs of the optimum and of the best heuristic of each kind."""
    assert bed.problem is not None
    began = time.perf_counter()
    solution = solve(bed.problem)
    optimum = solution.cost
    yield Row(
        bed.name,
        "optimal",
        optimum,
        optimum,
        solution.lower,
        0.0,
        (solution.upper - solution.lower) / 2,
        time.perf_counter() - began,
        f"{bed.optimum:.6f}" if bed.optimum is not None else "",
    )
    for policy, search in _POLICIES:
        began = time.perf_counter()
        best = search(bed.problem)
        values = f"expedited {best.expedited_level}"
        if best.regular_level is not None:
            values += f", regular {best.regular_level}"
        if best.cap is not None:
            values += f", {'constant' if best.regular_level is None else 'cap'} {best.cap}"
        known = bed.published.get(policy)
        printed = "" if known is None else f"{100 * (known / bed.published['optimal'] - 1):.3f} %"
        yield Row(
            bed.name,
            f"{policy} ({values})",
            best.cost,
            optimum,
            solution.lower,
            100 * (best.cost / optimum - 1),
            (best.upper - best.lower) / 2,
            time.perf_counter() - began,
            printed,
        )
