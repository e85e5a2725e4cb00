"""The independent check accepts what policies plan and catches each kind of corruption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from optrl_formulations.network import NodeKind

from optrl.instance import Instance
from optrl.planning.plan import Plan, plan
from optrl.planning.plan_tables import PlanTables
from optrl.planning.verification import TOLERANCE, verify
from optrl.testing import random_instance


def rules_broken(instance: Instance, tables: PlanTables) -> set[str]:
    """Names of the rules that the tables break."""
    return {violation.rule for violation in verify(instance, tables).violations}


def changed(frame: pl.DataFrame, row: int, column: str, value: object) -> pl.DataFrame:
    """The frame with one cell replaced."""
    series = frame[column].to_list()
    series[row] = value
    return frame.with_columns(pl.Series(column, series, dtype=frame[column].dtype))


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@pytest.mark.parametrize("policy", ["lookahead", "base_stock"])
def test_plans_pass(unmet: str, policy: str) -> None:
    """What the simulator plays keeps every rule, and every kind of row was there to check."""
    made = random_instance(
        np.random.default_rng(11),
        items=3,
        horizon=8,
        unmet=unmet,  # type: ignore[arg-type]
        limited_supply=True,
    )
    result = plan(made, policy).verification
    assert result.passed
    assert result.largest <= TOLERANCE
    kinds = ("table", "stock balance", "demand balance", "resource", "supply", "order calendar")
    assert all(result.rows[kind] > 0 for kind in kinds)


def test_counts(limited_plan: Plan) -> None:
    """Each balance and resource is checked in each period."""
    instance, rows = limited_plan.instance, limited_plan.verification.rows
    network = instance.network
    n, t = len(network.items), instance.horizon
    assert limited_plan.verification.passed
    assert rows["stock balance"] == n * (network.kind == NodeKind.STOCKING).sum() * t
    assert rows["demand balance"] == n * len(instance.demand.nodes) * t
    assert rows["resource"] == len(network.resources) * t
    assert rows["frozen orders"] == 1
    assert rows["service level"] == 1


def drop_stock(tables: PlanTables) -> PlanTables:
    """One row of stock is missing."""
    return replace(tables, stock=tables.stock.tail(-1))


def drop_service(tables: PlanTables) -> PlanTables:
    """One row of service is missing."""
    return replace(tables, service=tables.service.head(-1))


def repeat_order(tables: PlanTables) -> PlanTables:
    """An order stands there twice, which would get past limits a row."""
    return replace(tables, orders=pl.concat([tables.orders, tables.orders.head(1)]))


def unknown_item(tables: PlanTables) -> PlanTables:
    """An order of an item that the instance does not have."""
    return replace(tables, orders=changed(tables.orders, 0, "item", "nothing"))


def unknown_lane(tables: PlanTables) -> PlanTables:
    """An order over a lane that the instance does not have."""
    return replace(tables, orders=changed(tables.orders, 0, "origin", "customer0"))


def late_order(tables: PlanTables) -> PlanTables:
    """An order after the horizon."""
    return replace(tables, orders=changed(tables.orders, 0, "period", 99))


def early_order(tables: PlanTables) -> PlanTables:
    """An order before the start."""
    return replace(tables, orders=changed(tables.orders, 0, "period", 0))


def not_a_number(tables: PlanTables) -> PlanTables:
    """A quantity that is not a number."""
    return replace(tables, stock=changed(tables.stock, 5, "quantity", float("nan")))


def empty_cell(tables: PlanTables) -> PlanTables:
    """A quantity that is not there."""
    return replace(tables, service=changed(tables.service, 5, "served", None))


@pytest.mark.parametrize(
    "corrupt",
    [
        drop_stock,
        drop_service,
        repeat_order,
        unknown_item,
        unknown_lane,
        late_order,
        early_order,
        not_a_number,
        empty_cell,
    ],
)
def test_tables_not_whole(limited_plan: Plan, corrupt: Callable[[PlanTables], PlanTables]) -> None:
    """Missing, repeated, unknown and empty rows are reported as such, and only they."""
    tables = corrupt(limited_plan.tables)
    result = verify(limited_plan.instance, tables)
    assert {v.rule for v in result.violations} == {"table"}
    assert result.largest == 1


def test_stock_that_appears(limited_plan: Plan) -> None:
    """One more unit in one period breaks the balance of that period and the next."""
    stock = limited_plan.tables.stock
    row = 2
    assert stock["period"][row + 1] == stock["period"][row] + 1
    more = changed(stock, row, "quantity", stock["quantity"][row] + 1.0)
    result = verify(limited_plan.instance, replace(limited_plan.tables, stock=more))
    broken = [v for v in result.violations if v.rule == "stock balance"]
    assert [v.amount for v in broken] == pytest.approx([1.0, 1.0])
    assert f"period {stock['period'][row]}" in broken[0].place
    assert stock["node"][row] in broken[0].place


def test_order_that_never_arrives(limited_plan: Plan) -> None:
    """A larger order shows in the balance when it is to arrive, if that is within the horizon."""
    instance, orders = limited_plan.instance, limited_plan.tables.orders
    more = changed(orders, 0, "quantity", orders["quantity"][0] + 2.0)
    assert "stock balance" in rules_broken(instance, replace(limited_plan.tables, orders=more))


def test_due_and_initial_stock_count(limited_plan: Plan) -> None:
    """The same tables fail against an instance with less stock, or less on its way."""
    instance = limited_plan.instance
    for name in ("on_hand", "due"):
        values = getattr(instance, name)
        assert values.any()
        other = replace(instance, **{name: values * 0.5})
        assert rules_broken(other, limited_plan.tables) == {"stock balance"}


def test_demand_not_accounted_for(limited_plan: Plan) -> None:
    """Demand that is neither served nor unmet."""
    service = limited_plan.tables.service
    more = changed(service, 4, "demand", service["demand"][4] + 0.5)
    tables = replace(limited_plan.tables, service=more)
    result = verify(limited_plan.instance, tables)
    assert {v.rule for v in result.violations} == {"demand balance"}
    assert result.violations[0].amount == pytest.approx(0.5)


def test_served_without_flow(limited_plan: Plan) -> None:
    """A customer is served what no lane brings."""
    service = limited_plan.tables.service
    at_customer = [k for k, node in enumerate(service["node"]) if node.startswith("customer")]
    row = next(k for k in at_customer if service["unmet"][k] > 0.1)
    more = changed(service, row, "served", service["served"][row] + 0.1)
    more = changed(more, row, "unmet", service["unmet"][row] - 0.1)
    tables = replace(limited_plan.tables, service=more)
    assert rules_broken(limited_plan.instance, tables) == {"demand balance"}


def test_backlog_is_carried() -> None:
    """Under backorders what waits must be served or wait on, from the first period's backlog on."""
    made = random_instance(np.random.default_rng(2), horizon=8, unmet="backorder")
    found = plan(made, "base_stock")
    assert found.verification.passed
    assert made.backlog.any()
    forgotten = replace(made, backlog=np.zeros_like(made.backlog))
    assert rules_broken(forgotten, found.tables) == {"demand balance"}


@pytest.mark.parametrize("kind", ["inbound", "outbound", "lane", "budget", "storage"])
def test_resource_exceeded(limited_plan: Plan, kind: str) -> None:
    """With a capacity below what is used, exactly the periods above it are broken."""
    instance, prices = limited_plan.instance, limited_plan.tables.prices
    network = instance.network
    used = prices.filter(pl.col("resource") == kind)["used"].to_numpy()
    lane = None
    if kind == "lane":  # the busiest, whatever the plan uses
        orders = limited_plan.tables.orders.join(
            pl.DataFrame({"item": network.items, "use": network.resources[3].use}), on="item"
        )
        busiest = orders.group_by("origin", "destination").len().sort("len", "origin").row(-1)
        lane = network.lanes.index((busiest[0], busiest[1]))
        on_it = orders.filter(origin=busiest[0], destination=busiest[1])
        loads = on_it.group_by("period").agg((pl.col("use") * pl.col("quantity")).sum())
        used = loads["use"].to_numpy()
    limit = 0.5 * float(used.max())
    assert limit > 0.1
    resources = tuple(
        replace(
            r,
            capacity=np.full_like(r.capacity, limit),
            overflow_cost=float("inf"),
            lane=r.lane if lane is None else lane,
        )
        if r.kind == kind
        else r
        for r in network.resources
    )
    scarce = replace(instance, network=replace(network, resources=resources))
    found = verify(scarce, limited_plan.tables).violations
    assert {v.rule for v in found} == {"resource"}
    assert sorted(v.amount for v in found) == pytest.approx(
        sorted(x - limit for x in used if x > limit + 1e-6)
    )
    assert all(f"resource {kind}" in v.place for v in found)


def test_setup_time_counts(limited_plan: Plan) -> None:
    """Use with set-up time, computed from the tables, is what the simulator measured."""
    instance, tables = limited_plan.instance, limited_plan.tables
    network = instance.network
    resource = next(r for r in network.resources if r.takes_setup_time)
    assert resource.node is not None
    node = network.nodes[resource.node]
    lanes = {lane: k for k, lane in enumerate(network.lanes)}
    items = {item: k for k, item in enumerate(network.items)}
    into = tables.orders.filter(pl.col("destination") == node)
    setup = sum(
        network.setup_time[items[row["item"]], lanes[row["origin"], row["destination"]]]
        for row in into.iter_rows(named=True)
    )
    plain = sum(resource.use[items[r["item"]]] * r["quantity"] for r in into.iter_rows(named=True))
    used = tables.prices.filter(pl.col("resource") == resource.name)["used"].sum()
    assert setup > 0
    assert used == pytest.approx(plain + setup)


def test_storage_may_overflow_at_a_cost(limited_plan: Plan) -> None:
    """The same excess is a violation only where the storage has no overflow cost."""
    instance = limited_plan.instance
    network = instance.network

    def with_storage(overflow_cost: float) -> Instance:
        resources = tuple(
            replace(r, capacity=np.zeros_like(r.capacity), overflow_cost=overflow_cost)
            if r.kind == "storage"
            else r
            for r in network.resources
        )
        return replace(instance, network=replace(network, resources=resources))

    assert verify(with_storage(1.0), limited_plan.tables).passed
    assert rules_broken(with_storage(float("inf")), limited_plan.tables) == {"resource"}


def test_supply_exceeded(limited_plan: Plan) -> None:
    """More of an item than its supplier has."""
    instance = limited_plan.instance
    network = instance.network
    less = replace(network, supply_capacity=np.minimum(network.supply_capacity, 0.5))
    broken = rules_broken(replace(instance, network=less), limited_plan.tables)
    assert broken == {"supply"}


def test_closed_lane(limited_plan: Plan) -> None:
    """An order in a period in which its lane is closed."""
    instance, orders = limited_plan.instance, limited_plan.tables.orders
    network = instance.network
    row = orders.row(0, named=True)
    lane = network.lanes.index((row["origin"], row["destination"]))
    closed = replace(network, closed=network.closed | {(lane, row["period"])})
    found = verify(replace(instance, network=closed), limited_plan.tables).violations
    assert {v.rule for v in found} == {"order calendar"}
    assert any(f"period {row['period']}" in v.place and row["origin"] in v.place for v in found)


@pytest.mark.parametrize(
    ("name", "value"),
    [("allowed", 0.0), ("lot_size", 0.7), ("minimum_quantity", 1e3), ("maximum_quantity", 0.1)],
)
def test_lots_and_quantities(limited_plan: Plan, name: str, value: float) -> None:
    """Orders that their lane does not take: not allowed, off lot, too small, too large."""
    instance = limited_plan.instance
    network = instance.network
    array = np.full_like(getattr(network, name), value)
    other = replace(instance, network=replace(network, **{name: array}))
    assert rules_broken(other, limited_plan.tables) == {"lots and quantities"}


def test_frozen_order_changed(limited_plan: Plan) -> None:
    """Frozen orders must stand as they are, and no others beside them."""
    instance = limited_plan.instance
    other = instance.frozen * 2
    assert other.any()
    broken = rules_broken(replace(instance, frozen=other), limited_plan.tables)
    assert broken == {"frozen orders"}
    none = np.zeros_like(instance.frozen)
    assert rules_broken(replace(instance, frozen=none), limited_plan.tables) == {"frozen orders"}


def test_service_level_missed(limited_plan: Plan) -> None:
    """A target above what is served."""
    instance = limited_plan.instance
    network = instance.network
    all_of_it = np.where(network.service_level > 0, 1.0, 0.0)
    other = replace(instance, network=replace(network, service_level=all_of_it))
    found = verify(other, limited_plan.tables).violations
    assert [v.rule for v in found] == ["service level"]
    i, v = (int(x[0]) for x in network.service_level.nonzero())
    unmet = limited_plan.tables.service.filter(
        (pl.col("item") == network.items[i]) & (pl.col("node") == network.nodes[v])
    )["unmet"].sum()
    assert found[0].amount == pytest.approx(unmet)


@pytest.mark.parametrize("table", ["orders", "serving", "stock"])
def test_negative_quantity(limited_plan: Plan, table: str) -> None:
    """Quantities below zero."""
    frame: pl.DataFrame = getattr(limited_plan.tables, table)
    tables = replace(limited_plan.tables, **{table: changed(frame, 0, "quantity", -3.0)})
    assert "sign" in rules_broken(limited_plan.instance, tables)


def test_rounding_passes(limited_plan: Plan) -> None:
    """A disturbance below the tolerance, relative to the row's numbers, is no violation."""
    stock = limited_plan.tables.stock.with_columns(pl.col("quantity") * (1 + 1e-9))
    result = verify(limited_plan.instance, replace(limited_plan.tables, stock=stock))
    assert result.passed
    assert 0 < result.largest < TOLERANCE
