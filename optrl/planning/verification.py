"""Checks a plan against the instance, from its tables alone.

Written without the formulation and without the simulator: it sums table rows with polars and
compares them with the instance's own numbers, so that an error in either shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from optrl.instance import Instance
from optrl.planning import verification_rules as rules
from optrl.planning.plan_tables import PlanTables
from optrl.planning.verification_resources import resources
from optrl.planning.verification_tables import tables_are_whole

TOLERANCE = 1e-6
"""Largest violation, relative to the numbers in the row (at least 1)."""


@dataclass(frozen=True)
class Violation:
    """A row of the model that the plan breaks.

    Attributes:
        rule: Which rule.
        place: Item, node, lane, resource and period.
        amount: By how much, in the rule's own units.
    """

    rule: str
    place: str
    amount: float


@dataclass(frozen=True)
class Verification:
    """Result of `verify`.

    Attributes:
        rows: Number of rows checked, by rule.
        violations: The broken ones.
        largest: Largest violation of any row, relative to the numbers in it (at least 1);
            infinite where one is not a number.
    """

    rows: dict[str, int]
    violations: tuple[Violation, ...]
    largest: float

    @property
    def passed(self) -> bool:
        """Whether no row is broken."""
        return not self.violations


def verify(instance: Instance, tables: PlanTables) -> Verification:
    """Check that the tables are whole and keep every rule of the instance.

    Balance of stock and demand, resources, supply, order calendar, lots and quantities, frozen
    orders, service levels and signs. Where rows are missing, repeated or name what the instance
    does not have, only that is reported, since sums over them would say nothing.

    Storage with an overflow cost may be exceeded; the excess is not a violation, its cost is part
    of the plan.
    """
    whole = {"table": tables_are_whole(instance, tables)}
    if not (whole["table"]["violation"] > 0).any():
        checks = whole | {
            "stock balance": rules.stock_balance(instance, tables),
            "demand balance": rules.demand_balance(instance, tables),
            "resource": resources(instance, tables),
            "supply": rules.supply(instance, tables),
            "order calendar": rules.calendar(instance, tables),
            "lots and quantities": rules.lots(instance, tables),
            "frozen orders": rules.frozen(instance, tables),
            "service level": rules.service_level(instance, tables),
            "sign": rules.signs(tables),
        }
    else:
        checks = whole
    rows: dict[str, int] = {}
    violations: list[Violation] = []
    largest = 0.0
    for rule, frame in checks.items():
        rows[rule] = frame.height
        relative = (frame["violation"] / frame["scale"].clip(lower_bound=1.0)).alias("relative")
        relative = relative.fill_nan(float("inf")).fill_null(float("inf"))
        worst = relative.max()
        largest = max(largest, float(worst) if isinstance(worst, int | float) else 0.0)
        broken = frame.with_columns(relative).filter(pl.col("relative") > TOLERANCE)
        violations.extend(
            Violation(rule, row["place"], row["violation"]) for row in broken.iter_rows(named=True)
        )
    return Verification(rows, tuple(violations), largest)
