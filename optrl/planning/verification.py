"""Checks a plan against the instance, from its tables alone.

Written without the formulation and without the simulator: it sums table rows with polars and
compares them with the instance's own numbers, so that an error in either shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
from optrl_formulations.network import NodeKind, Resource

from optrl.instance import Instance
from optrl.planning.plan_tables import PlanTables

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
        largest: Largest violation of any row.
    """

    rows: dict[str, int]
    violations: tuple[Violation, ...]
    largest: float

    @property
    def passed(self) -> bool:
        """Whether no row is broken."""
        return not self.violations


def verify(instance: Instance, tables: PlanTables) -> Verification:
    """Check balance of stock and demand, resources, supply, calendar, lots and signs.

    Storage with an overflow cost may be exceeded; the excess is not a violation, its cost is part
    of the plan.
    """
    rows: dict[str, int] = {}
    violations: list[Violation] = []
    largest = 0.0
    checks = {
        "stock balance": _stock_balance(instance, tables),
        "demand balance": _demand_balance(instance, tables),
        "resource": pl.concat([_empty(), *_resources(instance, tables)]),
        "supply": _supply(instance, tables),
        "order calendar": _calendar(instance, tables),
        "lots and quantities": _lots(instance, tables),
        "sign": _signs(tables),
    }
    for rule, frame in checks.items():
        rows[rule] = frame.height
        amount = frame["violation"] / frame["scale"].clip(lower_bound=1.0)
        largest = max(largest, _number(amount.max()))
        broken = frame.with_columns(relative=amount).filter(pl.col("relative") > TOLERANCE)
        violations.extend(
            Violation(rule, row["place"], row["violation"]) for row in broken.iter_rows(named=True)
        )
    return Verification(rows, tuple(violations), largest)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _empty() -> pl.DataFrame:
    schema = {"place": pl.String, "violation": pl.Float64, "scale": pl.Float64}
    return pl.DataFrame(schema=schema)


def _result(
    frame: pl.DataFrame, place: pl.Expr, violation: pl.Expr, scale: pl.Expr
) -> pl.DataFrame:
    return frame.select(
        place.cast(pl.String).alias("place"),
        violation.cast(pl.Float64).alias("violation"),
        scale.abs().cast(pl.Float64).alias("scale"),
    )


def _lanes(instance: Instance) -> pl.DataFrame:
    network = instance.network
    return pl.DataFrame(
        {
            "origin": [u for u, _ in network.lanes],
            "destination": [v for _, v in network.lanes],
            "lane": range(len(network.lanes)),
            "lead_time": network.lead_time,
            "from_supplier": network.kind[network.origin] == NodeKind.SUPPLIER,
            "to_customer": network.kind[network.destination] == NodeKind.CUSTOMER,
        }
    )


def _flows(instance: Instance, tables: PlanTables) -> pl.DataFrame:
    """All flows with what is known of their lane."""
    both = pl.concat([tables.orders, tables.serving])
    return both.join(_lanes(instance), on=["origin", "destination"], how="left")


def _sum(frame: pl.DataFrame, node: str, period: pl.Expr, name: str) -> pl.DataFrame:
    return (
        frame.select("item", pl.col(node).alias("node"), period.alias("period"), "quantity")
        .group_by("item", "node", "period")
        .agg(pl.col("quantity").sum().alias(name))
    )


def _stock_balance(instance: Instance, tables: PlanTables) -> pl.DataFrame:
    """Check that stock_t - stock_{t-1} - arrivals + departures + own sales = 0."""
    network = instance.network
    flows = _flows(instance, tables)
    key = ["item", "node", "period"]
    arrivals = _sum(
        flows.filter(~pl.col("to_customer")),
        "destination",
        pl.col("period") + pl.col("lead_time"),
        "arrived",
    )
    departures = _sum(flows.filter(~pl.col("from_supplier")), "origin", pl.col("period"), "left")
    due = pl.DataFrame(
        [
            {
                "item": network.items[i],
                "node": network.nodes[v],
                "period": instance.start + 1 + int(k),
                "due": float(instance.due[i, v, k]),
            }
            for i, v, k in zip(*instance.due.nonzero(), strict=True)
        ],
        schema={"item": pl.String, "node": pl.String, "period": pl.Int64, "due": pl.Float64},
    )
    initial = pl.DataFrame(
        {
            "item": [i for i in network.items for _ in network.nodes],
            "node": list(network.nodes) * len(network.items),
            "before": instance.on_hand.ravel(),
        }
    ).with_columns(period=pl.lit(instance.start, dtype=pl.Int64))
    earlier = tables.stock.select(
        "item", "node", (pl.col("period") + 1).alias("period"), pl.col("quantity").alias("before")
    )
    before = pl.concat([initial.select(*key, "before"), earlier])
    own = tables.service.select(*key, pl.col("served").alias("own")).join(
        pl.DataFrame(
            {
                "node": [
                    n
                    for n, k in zip(network.nodes, network.kind, strict=True)
                    if k == NodeKind.STOCKING
                ]
            }
        ),
        on="node",
        how="inner",
    )
    frame = tables.stock
    for other in (before, arrivals, due, departures, own):
        frame = frame.join(other, on=key, how="left")
    frame = frame.fill_null(0.0)
    moved = pl.col("before") + pl.col("arrived") + pl.col("due") - pl.col("left") - pl.col("own")
    place = pl.format("item {}, node {}, period {}", *key)
    scale = pl.col("before") + pl.col("arrived") + pl.col("due")
    return _result(frame, place, (pl.col("quantity") - moved).abs(), scale)


def _demand_balance(instance: Instance, tables: PlanTables) -> pl.DataFrame:
    """Check that served + unmet = demand (+ what waited), and served is what the flows bring."""
    key = ["item", "node", "period"]
    network = instance.network
    brought = _sum(tables.serving, "destination", pl.col("period"), "brought")
    customers = [
        n for n, k in zip(network.nodes, network.kind, strict=True) if k == NodeKind.CUSTOMER
    ]
    frame = tables.service.join(brought, on=key, how="left").fill_null(0.0)
    waited = pl.lit(0.0)
    if network.unmet == "backorder":
        initial = pl.DataFrame(
            {
                "item": [i for i in network.items for _ in network.nodes],
                "node": list(network.nodes) * len(network.items),
                "waited": instance.backlog.ravel(),
            }
        ).with_columns(period=pl.lit(instance.start, dtype=pl.Int64))
        earlier = tables.service.select(
            "item", "node", (pl.col("period") + 1).alias("period"), pl.col("unmet").alias("waited")
        )
        frame = frame.join(
            pl.concat([initial.select(*key, "waited"), earlier]), on=key, how="left"
        ).fill_null(0.0)
        waited = pl.col("waited")
    asked = pl.col("demand") + waited
    place = pl.format("item {}, node {}, period {}", *key)
    balance = (pl.col("served") + pl.col("unmet") - asked).abs()
    flow = (pl.col("served") - pl.col("brought")).abs() * pl.col("node").is_in(customers)
    return _result(frame, place, pl.max_horizontal(balance, flow), asked)


def _resources(instance: Instance, tables: PlanTables) -> Iterator[pl.DataFrame]:
    network = instance.network
    flows = _flows(instance, tables)
    periods = pl.DataFrame({"period": range(instance.start, instance.start + instance.horizon)})
    for resource in network.resources:
        use = pl.DataFrame({"item": network.items, "use": resource.use})
        counted = _counted(instance, tables, flows, resource)
        used = (
            counted.join(use, on="item", how="left")
            .group_by("period")
            .agg((pl.col("use") * pl.col("quantity")).sum().alias("used"))
        )
        if resource.takes_setup_time:
            used = _with_setup_time(instance, counted, used)
        capacity = resource.capacity_at(instance.start, instance.horizon)
        frame = periods.with_columns(capacity=pl.Series(capacity)).join(
            used, on="period", how="left"
        )
        frame = frame.fill_null(0.0)
        excess = (pl.col("used") - pl.col("capacity")).clip(lower_bound=0.0)
        if resource.kind == "storage" and resource.overflow_cost < float("inf"):
            excess = excess * 0.0
        place = pl.format("resource {}, period {}", pl.lit(resource.name), pl.col("period"))
        yield _result(frame, place, excess, pl.col("capacity"))


def _counted(
    instance: Instance, tables: PlanTables, flows: pl.DataFrame, resource: Resource
) -> pl.DataFrame:
    columns = ["item", "lane", "period", "quantity"]
    nodes = instance.network.nodes
    match resource.kind:
        case "storage":
            held = tables.stock.filter(pl.col("node") == nodes[resource.node or 0])
            return held.with_columns(lane=pl.lit(-1)).select(columns)
        case "inbound":
            wanted = pl.col("destination") == nodes[resource.node or 0]
        case "outbound":
            wanted = pl.col("origin") == nodes[resource.node or 0]
        case "lane":
            wanted = pl.col("lane") == resource.lane
        case "budget":
            wanted = pl.col("from_supplier")
    return flows.filter(wanted).select(columns)


def _with_setup_time(instance: Instance, counted: pl.DataFrame, used: pl.DataFrame) -> pl.DataFrame:
    network = instance.network
    times = pl.DataFrame(
        {
            "item": [i for i in network.items for _ in network.lanes],
            "lane": list(range(len(network.lanes))) * len(network.items),
            "setup": network.setup_time.ravel(),
        }
    )
    spent = (
        counted.filter(pl.col("quantity") > 0)
        .join(times, on=["item", "lane"], how="left")
        .group_by("period")
        .agg(pl.col("setup").sum())
    )
    joined = used.join(spent, on="period", how="full", coalesce=True).fill_null(0.0)
    return joined.select("period", (pl.col("used") + pl.col("setup")).alias("used"))


def _supply(instance: Instance, tables: PlanTables) -> pl.DataFrame:
    network = instance.network
    limits = pl.DataFrame(
        {
            "item": [i for i in network.items for _ in network.nodes],
            "origin": list(network.nodes) * len(network.items),
            "limit": network.supply_capacity.ravel(),
        }
    ).filter(pl.col("limit").is_finite())
    flows = pl.concat([tables.orders, tables.serving])
    used = flows.group_by("item", "origin", "period").agg(pl.col("quantity").sum())
    frame = used.join(limits, on=["item", "origin"], how="inner")
    place = pl.format("item {}, supplier {}, period {}", "item", "origin", "period")
    excess = (pl.col("quantity") - pl.col("limit")).clip(lower_bound=0.0)
    return _result(frame, place, excess, pl.col("limit"))


def _calendar(instance: Instance, tables: PlanTables) -> pl.DataFrame:
    network = instance.network
    open_at = network.open_periods(instance.start, instance.horizon)
    frame = _flows(instance, tables)
    closed = [
        not open_at[lane, period - instance.start]
        for lane, period in zip(frame["lane"], frame["period"], strict=True)
    ]
    place = pl.format("lane {} to {}, period {}", "origin", "destination", "period")
    violation = pl.col("quantity") * pl.Series("closed", closed, dtype=pl.Boolean)
    return _result(frame, place, violation, pl.lit(1.0))


def _lots(instance: Instance, tables: PlanTables) -> pl.DataFrame:
    network = instance.network
    frame = _flows(instance, tables)
    item_of = {name: k for k, name in enumerate(network.items)}
    items = [item_of[name] for name in frame["item"]]
    lanes = frame["lane"].to_list()
    frame = frame.with_columns(
        allowed=pl.Series(network.allowed[items, lanes], dtype=pl.Boolean),
        lot=pl.Series(network.lot_size[items, lanes], dtype=pl.Float64),
        least=pl.Series(network.minimum_quantity[items, lanes], dtype=pl.Float64),
        most=pl.Series(network.maximum_quantity[items, lanes], dtype=pl.Float64),
    )
    quantity, lot = pl.col("quantity"), pl.col("lot")
    off_lot = pl.when(lot > 0).then((quantity - (quantity / lot).round() * lot).abs()).otherwise(0)
    violation = pl.max_horizontal(
        quantity * ~pl.col("allowed"),
        off_lot,
        (pl.col("least") - quantity).clip(lower_bound=0.0) * (quantity > TOLERANCE),
        (quantity - pl.col("most")).clip(lower_bound=0.0),
    )
    place = pl.format(
        "item {}, lane {} to {}, period {}", "item", "origin", "destination", "period"
    )
    return _result(frame, place, violation, quantity)


def _signs(tables: PlanTables) -> pl.DataFrame:
    frames = [_empty()]
    for name, column in (("orders", "quantity"), ("serving", "quantity"), ("stock", "quantity")):
        frame: pl.DataFrame = getattr(tables, name)
        lowest = (-pl.col(column)).clip(lower_bound=0.0)
        frames.append(_result(frame, pl.lit(name), lowest, pl.lit(1.0)))
    for column in ("demand", "served", "unmet"):
        lowest = (-pl.col(column)).clip(lower_bound=0.0)
        frames.append(_result(tables.service, pl.lit(column), lowest, pl.lit(1.0)))
    return pl.concat(frames)
