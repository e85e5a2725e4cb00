"""What a comparison found, as tables, Parquet, JSON and a page."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
from optrl_formulations.network import FloatArray, IntArray

from optrl.bounds.certificate import Certificate, Upper, certify
from optrl.bounds.known_bounds import known_perfect_information
from optrl.bounds.lower_bound import LowerBound
from optrl.comparison.measurement import Measurement
from optrl.comparison.ranking import cost_estimates, ranking_table
from optrl.comparison.scenarios import paths_name
from optrl.comparison.statistics import (
    PairedDifferences,
    anchor_of,
    paired_differences,
    settled,
    spent,
)
from optrl.evaluation.judge import BOUND
from optrl.instance import Instance
from optrl.planning.json_text import json_text
from optrl.simulation.kpis import Indicators
from optrl.tables.atomic import write_file

_Number = TypeVar("_Number", float, FloatArray)


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
        limits: Most scenarios of policies that meet fewer than the others.
    """

    seed: int
    scenarios: int
    confidence: float
    tolerance: float
    schedule: tuple[int, ...]
    demand: str
    warm_up: int
    limits: Mapping[str, int] = field(default_factory=dict)


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
        fluid: The fluid bound with its number on every scenario, or None.
        uncertified: Why there is no fluid bound, in words; "" where there is one.
        prefixes: For each number of scenarios after which some policy stopped before the others,
            what every policy that met as many measured on them.
    """

    instance: Instance
    settings: Settings
    look: int
    measurements: Mapping[str, Measurement]
    bound: FloatArray
    optimum: float | None
    provenance: Mapping[str, Any]
    prefixes: Mapping[int, Mapping[str, Measurement]] = field(default_factory=dict)
    fluid: LowerBound | None = None
    uncertified: str = ""

    @property
    def policies(self) -> tuple[str, ...]:
        """Names in the order given."""
        return tuple(self.measurements)

    @property
    def scenarios(self) -> int:
        """Number of scenarios that were run, by the policies that met all."""
        return int(self.counts.max())

    @cached_property
    def counts(self) -> IntArray:
        """Number of scenarios that each policy met, shape (K,)."""
        return np.array([x.trajectory.scenarios for x in self.measurements.values()])

    @cached_property
    def cost(self) -> FloatArray:
        """Discounted cost less terminal value by scenario and policy, shape (S, K).

        Not a number where a policy has not met a scenario.
        """
        result = np.full((self.scenarios, len(self.policies)), np.nan)
        for k, measured in enumerate(self.measurements.values()):
            result[: self.counts[k], k] = measured.trajectory.total_cost.numpy()
        return result

    @cached_property
    def anchor(self) -> str:
        """The cheapest policy that met all scenarios."""
        return self.policies[anchor_of(self.cost)]

    def on_first(self, policy: str, scenarios: int) -> Measurement:
        """What a policy measured on its first scenarios.

        Args:
            policy: The policy.
            scenarios: As many as it met, or as another policy did that stopped before.
        """
        measured = self.measurements[policy]
        if measured.trajectory.scenarios == scenarios:
            return measured
        return self.prefixes[scenarios][policy]

    def on_common(self, one: str, other: str) -> tuple[Measurement, Measurement]:
        """What two policies measured on the scenarios that both met."""
        met = min(self.measurements[name].trajectory.scenarios for name in (one, other))
        return self.on_first(one, met), self.on_first(other, met)

    def estimate(self, policy: str, of: Callable[[Measurement], _Number]) -> _Number:
        """A mean over scenarios, estimated by differences where the policy met fewer than all.

        Args:
            policy: The policy.
            of: Takes the mean, a number or an array.
        """
        own = self.measurements[policy]
        if own.trajectory.scenarios == self.scenarios:
            return of(own)
        own, anchor = self.on_common(policy, self.anchor)
        return of(self.measurements[self.anchor]) + of(own) - of(anchor)

    @cached_property
    def differences(self) -> PairedDifferences:
        """All pairs of policies, in the order given."""
        alpha = 1 - self.settings.confidence
        here = spent(self.settings.schedule, self.look, alpha)
        return paired_differences(self.cost, alpha, here)

    @property
    def indifference(self) -> float:
        """Difference in cost that does not matter."""
        return self.settings.tolerance * abs(float(np.nanmin(cost_estimates(self)[0])))

    @property
    def settled(self) -> bool:
        """Whether every pair is proven different, or alike within the tolerance."""
        return settled(self.differences, self.indifference)

    def settled_among(self, policies: Collection[str]) -> bool:
        """Whether that holds of every pair of some policies."""
        among = np.array([name in policies for name in self.policies])
        return settled(self.differences, self.indifference, among)

    @cached_property
    def indicators(self) -> dict[str, Indicators]:
        """Indicators by policy, on the scenarios that it met."""
        return {name: Indicators.of(x.trajectory) for name, x in self.measurements.items()}

    @cached_property
    def certificates(self) -> Mapping[str, Certificate]:
        """How far from optimal each policy can be, all together at the confidence asked for.

        Empty without a bound. Each policy gets Bonferroni's share of the error that this look at
        the data may spend, since the data decided when to stop.

        Raises:
            optrl.bounds.errors.BoundFaultError: If a cost is proved to lie below a bound.
        """
        settings = self.settings
        paths = paths_name(settings.seed)
        bounds = [] if self.fluid is None else [self.fluid]
        if len(self.bound):
            bounds.append(
                known_perfect_information(
                    self.instance, self.bound, paths=paths, warm_up=settings.warm_up
                )
            )
        if not bounds:
            return {}
        error = spent(settings.schedule, self.look, 1 - settings.confidence)
        confidence = 1 - error / len(self.policies)
        found = {}
        for k, policy in enumerate(self.policies):
            cost = Upper(policy, self.cost[: int(self.counts[k]), k], paths)
            found[policy] = certify(cost, bounds, confidence=confidence)
        return found

    @cached_property
    def ranking(self) -> pl.DataFrame:
        """One row a policy, cheapest first.

        Columns: rank; policy; scenarios it met; cost, its standard_error and the half_width of
        its own interval;
        above_best, the paired difference to the cheapest, with above_best_low and above_best_high,
        the interval that holds for all pairs and looks at once; best_rank and worst_rank that are
        not ruled out; gap_percent to the reference (`reference`) and its half width; fill_rate,
        cycle_service, turns, mean_stock; seconds. Of a policy that met fewer scenarios than others
        cost and indicators are estimated by differences (`optrl.comparison.ranking`).
        """
        return ranking_table(self)

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
        all pairs and looks at once; proven, whether the latter excludes 0; same, whether all costs
        were equal, and may_differ, the share of scenarios in which they may then still differ;
        scenarios both met. With fewer than all these are differences of differences to the anchor.
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
                "same": found.same,
                "may_differ": found.may_differ,
                "scenarios": found.scenarios,
            },
            schema_overrides={"policy": pl.String, "dearer": pl.String},
        )

    @cached_property
    def indicator_table(self) -> pl.DataFrame:
        """One row a policy and indicator, on the scenarios that the policy met.

        Columns: policy, indicator, mean, standard_error.
        """
        return pl.concat([x.table() for x in self.indicators.values()])

    @cached_property
    def by_scenario(self) -> pl.DataFrame:
        """One row a policy and scenario: policy, scenario, cost, terminal_value, cost by kind."""
        tables = []
        for name, measured in self.measurements.items():
            path = measured.trajectory
            columns = {
                "cost": path.total_cost.numpy(),
                "terminal_value": path.terminal_value.numpy(),
                **{f"cost_{k}": x[:, path.warm_up :].sum(1).numpy() for k, x in path.cost.items()},
            }
            first = {"policy": [name] * path.scenarios, "scenario": np.arange(path.scenarios)}
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
            "uncertified": self.uncertified,
            "certificates": [each.summary() for each in self.certificates.values()],
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
