"""Indicators a planner reads, from a trajectory."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import torch
from torch import Tensor

from optrl.simulation.trajectory import Trajectory


@dataclass(frozen=True)
class Estimate:
    """A mean over scenarios.

    Attributes:
        mean: Sample mean.
        standard_error: Sample standard deviation over the square root of the number of
            scenarios; not a number with a single scenario.
    """

    mean: float
    standard_error: float


@dataclass(frozen=True)
class ResourceUse:
    """How much a resource is used over scenarios and periods after the warm-up.

    Attributes:
        name: Name of the resource.
        kind: Kind of the resource.
        mean: Mean use of a period.
        largest: Largest use of a period.
        share: Mean of use over capacity, periods without capacity left out.
        violation_rate: Share of periods above capacity (storage only; others are hard).
        mean_excess: Mean excess over those periods, 0 without any.
    """

    name: str
    kind: str
    mean: float
    largest: float
    share: float
    violation_rate: float
    mean_excess: float


@dataclass(frozen=True)
class Indicators:
    """Indicators over scenarios, warm-up left out.

    Attributes:
        policy: Name of the policy.
        scenarios: Number of scenarios.
        periods: Number of periods counted.
        cost: Discounted cost of the horizon less the terminal value.
        cost_per_period: Undiscounted cost of a period, all kinds.
        cost_by_kind: Undiscounted cost of a period, by kind.
        fill_rate: Demand met in its own period over demand.
        cycle_service: Share of the item, demand node and period triples with demand in which
            all of it was met in its own period.
        turns: Annual sales over mean stock at the ends of periods, both at purchase price (in
            units where no item has a price); infinite without stock.
        days_of_stock: 365 over `turns`.
        mean_stock: Mean stock at the ends of periods, in item units.
        resources: Use of each resource.
        cut: Quantity of decisions cut in a period, by reason.
        lost_in_transit: Quantity of a period's orders that never arrives.
    """

    policy: str
    scenarios: int
    periods: int
    cost: Estimate
    cost_per_period: Estimate
    cost_by_kind: dict[str, Estimate]
    fill_rate: Estimate
    cycle_service: Estimate
    turns: Estimate
    days_of_stock: Estimate
    mean_stock: Estimate
    resources: tuple[ResourceUse, ...]
    cut: dict[str, Estimate]
    lost_in_transit: Estimate

    @classmethod
    def of(cls, trajectory: Trajectory) -> Indicators:
        """Compute the indicators of a trajectory."""
        first = trajectory.warm_up
        instance = trajectory.instance
        totals = {name: x.detach()[:, first:] for name, x in trajectory.totals.items()}
        cost = {kind: x.detach()[:, first:].mean(1) for kind, x in trajectory.cost.items()}
        demand, none = totals["demand"].sum(1), torch.zeros(trajectory.scenarios)
        has_price = bool(instance.network.unit_cost.any())
        if has_price:
            sales, stock = totals["sold_value"].mean(1), totals["stock_value"].mean(1)
        else:
            sales, stock = totals["sold"].mean(1), totals["stock"].mean(1)
        turns = instance.periods_per_year * _ratio(sales, stock, float("inf"))
        return cls(
            trajectory.policy,
            trajectory.scenarios,
            trajectory.periods - first,
            _estimate(trajectory.total_cost.detach()),
            _estimate(trajectory.period_cost.detach()[:, first:].mean(1)),
            {kind: _estimate(x) for kind, x in cost.items()},
            _estimate(1 - _ratio(totals["unmet"].sum(1), demand, 0.0)),
            _estimate(1 - _ratio(totals["short"].sum(1), totals["demanding"].sum(1), 0.0)),
            _estimate(turns),
            _estimate(365 / turns),
            _estimate(totals["stock"].mean(1)),
            _resource_use(trajectory),
            {
                reason: _estimate(x.detach()[:, first:].mean(1))
                for reason, x in trajectory.cut.items()
            },
            _estimate(totals["lost"].mean(1) if "lost" in totals else none),
        )

    def table(self) -> pl.DataFrame:
        """One row an indicator: indicator, mean, standard_error."""
        rows: list[tuple[str, Estimate]] = [
            ("cost", self.cost),
            ("cost_per_period", self.cost_per_period),
            *((f"cost_{kind}", x) for kind, x in self.cost_by_kind.items()),
            ("fill_rate", self.fill_rate),
            ("cycle_service", self.cycle_service),
            ("turns", self.turns),
            ("days_of_stock", self.days_of_stock),
            ("mean_stock", self.mean_stock),
            *((f"cut_{reason}", x) for reason, x in self.cut.items()),
            ("lost_in_transit", self.lost_in_transit),
        ]
        return pl.DataFrame(
            {
                "policy": [self.policy] * len(rows),
                "indicator": [name for name, _ in rows],
                "mean": [x.mean for _, x in rows],
                "standard_error": [x.standard_error for _, x in rows],
            }
        )

    def resource_table(self) -> pl.DataFrame:
        """One row a resource, columns as in `ResourceUse`."""
        names = list(ResourceUse.__dataclass_fields__)
        types = {name: pl.String if name in ("name", "kind") else pl.Float64 for name in names}
        rows = [{name: getattr(r, name) for name in names} for r in self.resources]
        return pl.DataFrame(rows, schema=types)


def _estimate(x: Tensor) -> Estimate:
    error = float("nan")
    if len(x) > 1:
        error = float(x.std()) / len(x) ** 0.5
    return Estimate(float(x.mean()), error)


def _ratio(numerator: Tensor, denominator: Tensor, otherwise: float) -> Tensor:
    ratio = numerator / denominator
    return torch.where(denominator > 0, ratio, otherwise)


def _resource_use(trajectory: Trajectory) -> tuple[ResourceUse, ...]:
    use = trajectory.resource_use.detach()[:, :, trajectory.warm_up :]
    capacity = trajectory.capacity[:, trajectory.warm_up :]
    # Rounding in the simulator's floating type is no violation.
    excess = (use - capacity * (1 + 1e-5)).clamp(min=0)
    result = []
    for r, resource in enumerate(trajectory.instance.network.resources):
        usable = capacity[r] > 0
        share = float((use[:, r, usable] / capacity[r, usable]).mean()) if usable.any() else 0.0
        above = excess[:, r] > 0
        mean_excess = float(excess[:, r][above].mean()) if above.any() else 0.0
        result.append(
            ResourceUse(
                resource.name,
                resource.kind,
                float(use[:, r].mean()),
                float(use[:, r].max()),
                share,
                float(above.double().mean()),
                mean_excess,
            )
        )
    return tuple(result)
