"""What a comparison found, as tables, Parquet, JSON and a page."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from optrl_formulations.network import FloatArray

from optrl.comparison.measurement import Measurement
from optrl.comparison.statistics import (
    PairedDifferences,
    dearer,
    paired_differences,
    rank_bounds,
    settled,
    spent,
    standard_error,
    t_half_width,
)
from optrl.evaluation.judge import BOUND
from optrl.instance import Instance
from optrl.planning.json_text import json_text
from optrl.simulation.kpis import Indicators
from optrl.tables.atomic import write_file


@dataclass(frozen=True)
class Settings:
    """What was asked for.

    Attributes:
        seed: Of demand, random arrivals and policies that sample.
        scenarios: At most so many.
        confidence: Of all statements together, and of each interval by itself.
        tolerance: Difference that does not matter, as a share of the cheapest policy's cost.
        schedule: Numbers of scenarios at which the ranking is looked at.
        demand: How demand was drawn: the family, or "replay".
        warm_up: First periods left out.
    """

    seed: int
    scenarios: int
    confidence: float
    tolerance: float
    schedule: tuple[int, ...]
    demand: str
    warm_up: int


@dataclass(frozen=True)
class Comparison:
    """Policies on the same scenarios.

    Attributes:
        instance: What was simulated.
        settings: What was asked for.
        look: Number of the last look at the data, from 0.
        measurements: By policy, in the order given.
        bound: Perfect-information bound of the first scenarios, possibly none, shape (B,).
        optimum: Known optimal cost, or None.
        provenance: Instance hash, code version, versions of libraries.
    """

    instance: Instance
    settings: Settings
    look: int
    measurements: Mapping[str, Measurement]
    bound: FloatArray
    optimum: float | None
    provenance: Mapping[str, Any]

    @property
    def policies(self) -> tuple[str, ...]:
        """Names in the order given."""
        return tuple(self.measurements)

    @property
    def scenarios(self) -> int:
        """Number of scenarios that were run."""
        return len(self.cost)

    @cached_property
    def cost(self) -> FloatArray:
        """Discounted cost less terminal value by scenario and policy, shape (S, K)."""
        columns = [x.trajectory.total_cost.numpy() for x in self.measurements.values()]
        return np.stack(columns, axis=1)

    @cached_property
    def differences(self) -> PairedDifferences:
        """All pairs of policies, in the order given."""
        alpha = 1 - self.settings.confidence
        here = spent(self.settings.schedule, self.look, alpha)
        return paired_differences(self.cost, alpha, here)

    @property
    def indifference(self) -> float:
        """Difference in cost that does not matter."""
        return self.settings.tolerance * abs(float(self.cost.mean(axis=0).min()))

    @property
    def settled(self) -> bool:
        """Whether every pair is proven different, or alike within the tolerance."""
        return settled(self.differences, self.indifference)

    @cached_property
    def indicators(self) -> dict[str, Indicators]:
        """Indicators by policy."""
        return {name: Indicators.of(x.trajectory) for name, x in self.measurements.items()}

    @cached_property
    def ranking(self) -> pl.DataFrame:
        """One row a policy, cheapest first.

        Columns: rank; policy; cost, its standard_error and the half_width of its own interval;
        above_best, the paired difference to the cheapest, with above_best_low and above_best_high,
        the interval that holds for all pairs and looks at once; best_rank and worst_rank that are
        not ruled out; gap_percent to the reference (`reference`) and its half width; fill_rate,
        cycle_service, turns, mean_stock; seconds.
        """
        mean = self.cost.mean(axis=0)
        error = standard_error(self.cost)
        half = t_half_width(error, self.scenarios, 1 - self.settings.confidence)
        best, worst = rank_bounds(dearer(self.differences, len(mean)))
        order = np.lexsort((np.arange(len(mean)), mean))
        difference, width = self._to(int(order[0]))
        gap, gap_half = self._gaps()
        rows = []
        for position, k in enumerate(order.tolist()):
            name = self.policies[k]
            found = self.indicators[name]
            rows.append(
                {
                    "rank": position + 1,
                    "policy": name,
                    "cost": mean[k],
                    "standard_error": error[k],
                    "half_width": half[k],
                    "above_best": difference[k],
                    "above_best_low": difference[k] - width[k],
                    "above_best_high": difference[k] + width[k],
                    "best_rank": int(best[k]),
                    "worst_rank": int(worst[k]),
                    "gap_percent": gap[k],
                    "gap_half_width": gap_half[k],
                    "fill_rate": found.fill_rate.mean,
                    "cycle_service": found.cycle_service.mean,
                    "turns": found.turns.mean,
                    "mean_stock": found.mean_stock.mean,
                    "seconds": self.measurements[name].seconds,
                }
            )
        return pl.DataFrame(rows, infer_schema_length=None)

    @property
    def reference(self) -> str | None:
        """What `gap_percent` is measured against: "optimum", the bound's name, or None."""
        if self.optimum is not None:
            return "optimum"
        return BOUND if len(self.bound) else None

    @cached_property
    def pairs(self) -> pl.DataFrame:
        """One row a pair of policies, the cheaper first.

        Columns: policy and dearer (names); difference (dearer less policy) and its standard_error;
        low and high of the interval by itself; low_all and high_all of the interval that holds for
        all pairs and looks at once; proven, whether the latter excludes 0.
        """
        found = self.differences
        sign = np.where(found.mean <= 0, -1.0, 1.0)
        names = np.array(self.policies, dtype=object)
        mean = np.abs(found.mean)
        return pl.DataFrame(
            {
                "policy": np.where(sign < 0, names[found.first], names[found.second]).tolist(),
                "dearer": np.where(sign < 0, names[found.second], names[found.first]).tolist(),
                "difference": mean,
                "standard_error": found.standard_error,
                "low": mean - found.half_width,
                "high": mean + found.half_width,
                "low_all": mean - found.half_width_all,
                "high_all": mean + found.half_width_all,
                "proven": mean > found.half_width_all,
            },
            schema_overrides={"policy": pl.String, "dearer": pl.String},
        )

    @cached_property
    def indicator_table(self) -> pl.DataFrame:
        """One row a policy and indicator: policy, indicator, mean, standard_error."""
        return pl.concat([x.table() for x in self.indicators.values()])

    @cached_property
    def by_scenario(self) -> pl.DataFrame:
        """One row a policy and scenario: policy, scenario, cost, terminal_value, cost by kind."""
        tables = []
        for position, (name, measured) in enumerate(self.measurements.items()):
            path = measured.trajectory
            columns = {
                "cost": self.cost[:, position],
                "terminal_value": path.terminal_value.numpy(),
                **{f"cost_{k}": x[:, path.warm_up :].sum(1).numpy() for k, x in path.cost.items()},
            }
            first = {"policy": [name] * self.scenarios, "scenario": np.arange(self.scenarios)}
            tables.append(pl.DataFrame(first | columns))
        return pl.concat(tables)

    def summary(self) -> dict[str, Any]:
        """Everything but the scenarios, ready for JSON."""
        return {
            "kind": "optrl comparison",
            "instance": self.instance.name,
            "money": self.instance.money,
            "period": self.instance.period,
            "periods": next(iter(self.measurements.values())).trajectory.periods,
            "scenarios": self.scenarios,
            "settled": self.settled,
            "settings": vars(self.settings),
            "reference": self.reference,
            "optimum": self.optimum,
            "bound_scenarios": len(self.bound),
            "bound": float(self.bound.mean()) if len(self.bound) else None,
            "provenance": dict(self.provenance),
            "ranking": self.ranking.to_dicts(),
            "pairs": self.pairs.to_dicts(),
            "indicators": self.indicator_table.to_dicts(),
            "resources": [
                {"policy": name, **row}
                for name, found in self.indicators.items()
                for row in found.resource_table().to_dicts()
            ],
        }

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write `summary` as one JSON file, whole or not at all."""
        with write_file(path) as temporary:
            temporary.write_text(json_text(self.summary(), indent=2) + "\n", encoding="utf-8")

    def to_parquet(self, folder: str | os.PathLike[str]) -> None:
        """Write ranking, pairs, indicators and scenarios as Parquet tables into a folder.

        Hashes, versions and seed are in each file's metadata.
        """
        tables = {
            "ranking": self.ranking,
            "pairs": self.pairs,
            "indicators": self.indicator_table,
            "scenarios": self.by_scenario,
        }
        about = {
            "optrl": json_text({"settings": vars(self.settings), **dict(self.provenance)}),
        }
        for name, table in tables.items():
            with write_file(Path(folder) / f"{name}.parquet") as temporary:
                table.write_parquet(temporary, metadata=about)

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the report as one self-contained page."""
        from optrl.report.page import report_page

        text = report_page(self)
        with write_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _to(self, best: int) -> tuple[FloatArray, FloatArray]:
        """Difference of each policy to policy `best` and half-width for all pairs and looks."""
        found, count = self.differences, self.cost.shape[1]
        mean, width = np.zeros(count), np.zeros(count)
        for own, other, sign in (
            (found.first, found.second, 1),
            (found.second, found.first, -1),
        ):
            here = other == best
            mean[own[here]] = sign * found.mean[here]
            width[own[here]] = found.half_width_all[here]
        return mean, width

    def _gaps(self) -> tuple[FloatArray, FloatArray]:
        """Excess over the reference in percent and its half-width, each of shape (K,)."""
        alpha = 1 - self.settings.confidence
        count = self.cost.shape[1]
        if self.optimum is not None:
            half = t_half_width(standard_error(self.cost), self.scenarios, alpha)
            scale = 100 / abs(self.optimum) if self.optimum else np.nan
            return (self.cost.mean(axis=0) - self.optimum) * scale, half * scale
        if not len(self.bound):
            return np.full(count, np.nan), np.full(count, np.nan)
        excess = self.cost[: len(self.bound)] - self.bound[:, None]
        mean = float(self.bound.mean())
        scale = 100 / abs(mean) if mean else np.nan
        half = t_half_width(standard_error(excess), len(self.bound), alpha)
        return excess.mean(axis=0) * scale, half * scale
