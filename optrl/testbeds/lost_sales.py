"""Lost sales at one place with a lead time: the 32 instances of Zipkin (2008), and any other.

**Order of events.** Zipkin's state is stock after this period's receipt, then the pipeline; the
order is placed, it arrives L periods later; demand is seen; holding falls on what is left,
shortage on what is lost. That is the order of events here with lead time L: a unit released in
period t is usable in t + L. The published long-run averages are averages here: the system starts
empty, and the first 200 periods do not count.

**Instances beyond the published ones** are named ``DEMAND-pP-LL[-meanM][-sizeK][-hH]``: demand
(``poisson``, ``geometric``, ``negative_binomial``, ``uniform`` on 0..2 M), cost of a lost unit,
lead time, and where they are not 5, 1 and 1 mean demand, size of the negative binomial and holding
cost, such as ``lost-sales/geometric-p4-L2-mean10``. Their optimum is not known in advance.

Source: Zipkin (2008), Old and New Methods for Lost-Sales Inventory Systems, Operations Research
56(5), Tables 3-4; gaps of policies are own exact computations.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from optrl.building import build
from optrl.demand.base import DemandModel
from optrl.demand.discrete import Discrete
from optrl.demand.negative_binomial import NegativeBinomial
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.exact.distribution import DemandDistribution
from optrl.exact.lost_sales import LostSales, solve
from optrl.exact.lost_sales_policies import (
    Best,
    best_base_stock,
    best_capped_base_stock,
    best_projected_inventory_level,
    myopic,
)
from optrl.testbeds.base import Row, TestBed
from optrl.testbeds.labels import NUMBER, WHOLE, Label, in_full
from optrl.testbeds.published import results

SOURCE = "Zipkin (2008), Operations Research 56(5), Tables 3-4; gaps: own exact computations"
WARM_UP, PERIODS = 200, 1000
LABEL = Label(
    form="DEMAND-pP-LL[-meanM][-sizeK][-hH]",
    meaning="DEMAND poisson, geometric, negative_binomial or uniform; p cost of a lost unit; "
    "L lead time; mean demand of a period, 5 unless given; size of the negative binomial, 1 unless "
    "given; h holding cost, 1 unless given",
    pattern=rf"(?P<family>[a-z_]+)-p(?P<p>{NUMBER})-L(?P<L>{WHOLE})(-mean(?P<mean>{NUMBER}))?"
    rf"(-size(?P<size>{NUMBER}))?(-h(?P<h>{NUMBER}))?",
    example="lost-sales/geometric-p4-L2-mean10",
)

_POLICIES: tuple[tuple[str, Callable[[LostSales], Best], tuple[str, ...]], ...] = (
    ("base_stock", best_base_stock, ("level",)),
    ("capped_base_stock", best_capped_base_stock, ("level", "cap")),
    ("projected_inventory_level", best_projected_inventory_level, ("level",)),
    ("myopic", myopic, ()),
)


@dataclass(frozen=True)
class LostSalesBed(TestBed):
    """A lost-sales instance with the problem that exact methods solve.

    Attributes:
        problem: The same instance for `optrl.exact.lost_sales`, None where lead time is 0.
    """

    problem: LostSales | None = None

    def solved(self) -> LostSalesBed:
        """The bed with its optimum computed.

        Raises:
            optrl.errors.OptrlError: If the dynamic program is too large.
        """
        if self.problem is None:
            return self
        return replace(self, optimum=solve(self.problem).cost)


class LostSalesFamily:
    """One item, one place, lost sales."""

    name: ClassVar[str] = "lost-sales"

    @staticmethod
    def cases() -> Iterator[TestBed]:
        """The 32 published instances."""
        for row in results("lost_sales"):
            bed = LostSalesFamily.case(
                row["demand"], float(row["shortage_cost"]), int(row["lead_time"])
            )
            optimum = float(row["optimal_cost"])
            gaps = {
                policy: optimum * (1 + float(row[f"{column}_gap_pct"]) / 100)
                for policy, column in (
                    ("capped_base_stock", "capped_base_stock"),
                    ("projected_inventory_level", "pil"),
                )
            }
            yield replace(bed, optimum=optimum, published={"optimal": optimum, **gaps})

    @staticmethod
    def case(
        family: str,
        shortage_cost: float,
        lead_time: int,
        *,
        mean: float = 5.0,
        size: float = 1.0,
        holding_cost: float = 1.0,
    ) -> LostSalesBed:
        """Any lost-sales instance.

        Args:
            family: ``poisson``, ``geometric``, ``negative_binomial`` or ``uniform`` (on
                0..2 * mean).
            shortage_cost: p, a unit lost.
            lead_time: L.
            mean: Mean demand of a period.
            size: Size of the negative binomial, its variance is mean + mean**2 / size.
            holding_cost: h, a unit and period.

        Raises:
            ValueError: If the family is unknown, or uniform demand cannot have that mean.
        """
        node, path = np.array([1]), steady(np.array([[mean]]))
        model: DemandModel
        match family:
            case "poisson":
                law, model = DemandDistribution.poisson(mean), Poisson(node, path)
            case "geometric":
                law = DemandDistribution.geometric(mean)
                model = NegativeBinomial.geometric(node, path)
            case "negative_binomial":
                law = DemandDistribution.negative_binomial(mean, size)
                model = NegativeBinomial(node, path, np.array([[size]]))
            case "uniform":
                if not float(2 * mean).is_integer():
                    raise ValueError(
                        f"uniform demand on 0..{2 * mean:g}, of mean {mean:g}: twice the mean "
                        f"must be a whole number; choose {math.floor(2 * mean) / 2:g} or "
                        f"{math.ceil(2 * mean) / 2:g}"
                    )
                law = DemandDistribution.uniform(0, round(2 * mean))
                model = Discrete(node, law.probability[None, None])
            case _:
                raise ValueError(
                    f"demand family {family!r}: choose poisson, geometric, negative_binomial or "
                    "uniform"
                )
        label = f"{family}-p{in_full(shortage_cost)}-L{lead_time}"
        for key, value, usual in (
            ("mean", mean, 5.0),
            ("size", size, 1.0),
            ("h", holding_cost, 1.0),
        ):
            label += f"-{key}{in_full(value)}" if value != usual else ""
        instance = build(
            label,
            {"supplier": "supplier", "store": "stocking"},
            {("supplier", "store"): lead_time},
            ["store"],
            unmet="lost",
            horizon=WARM_UP + PERIODS,
            holding_cost={"store": holding_cost},
            shortage_cost={"store": shortage_cost},
            lot_size=1.0,
        )
        problem = LostSales(law, holding_cost, shortage_cost, lead_time) if lead_time else None
        return LostSalesBed(
            f"{LostSalesFamily.name}/{label}", instance, model, WARM_UP, None, SOURCE, {}, problem
        )

    @staticmethod
    def labelled(label: str) -> TestBed:
        """The instance of a label, `LABEL`.

        Raises:
            LabelError: If the label is not of that form.
            ValueError: If there is no such instance.
        """
        given = LABEL.read(label)
        return LostSalesFamily.case(
            given["family"],
            float(given["p"]),
            int(given["L"]),
            mean=float(given.get("mean", 5.0)),
            size=float(given.get("size", 1.0)),
            holding_cost=float(given.get("h", 1.0)),
        )

    @staticmethod
    def rows() -> Iterator[Row]:
        """Optimum and best classical policies of the 32 instances, all exact."""
        for bed in LostSalesFamily.cases():
            assert isinstance(bed, LostSalesBed)
            yield from exact_rows(bed)


def exact_rows(bed: LostSalesBed) -> Iterator[Row]:
    """Exact costs of the optimum and of the best policy of each kind."""
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
        f"{bed.optimum:.5f}" if bed.optimum is not None else "",
    )
    for policy, search, parameters in _POLICIES:
        began = time.perf_counter()
        best = search(bed.problem)
        values = ", ".join(
            f"{key} {value:g}" for key, value in zip(parameters, best.parameters, strict=True)
        )
        known = bed.published.get(policy)
        printed = "" if known is None else f"{100 * (known / bed.published['optimal'] - 1):.2f} %"
        yield Row(
            bed.name,
            f"{policy} ({values})" if values else policy,
            best.cost.cost,
            optimum,
            solution.lower,
            100 * (best.cost.cost / optimum - 1),
            (best.cost.upper - best.cost.lower) / 2,
            time.perf_counter() - began,
            printed,
        )
