"""A plan's tables, costs and prices say the same thing as the instance's own numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from optrl_formulations.network import FloatArray, NodeKind

from optrl.instance import ArrivalProfile, Instance
from optrl.planning.plan import Plan, plan
from optrl.planning.summary import binding_resources, fill_rate
from optrl.policies import UnknownPolicyError
from optrl.solver import InfeasibleError
from optrl.testing import random_instance


def flows(instance: Instance, table: pl.DataFrame) -> FloatArray:
    """A table of flows as an array of shape (N, A, T)."""
    network = instance.network
    dense = np.zeros((len(network.items), len(network.lanes), instance.horizon))
    lanes = {lane: k for k, lane in enumerate(network.lanes)}
    items = {item: k for k, item in enumerate(network.items)}
    for item, origin, destination, period, quantity in table.iter_rows():
        dense[items[item], lanes[origin, destination], period - instance.start] = quantity
    return dense


def by_node(instance: Instance, table: pl.DataFrame, column: str) -> FloatArray:
    """A column of a table by node as an array of shape (N, V, T)."""
    network = instance.network
    dense = np.zeros((len(network.items), len(network.nodes), instance.horizon))
    items = {item: k for k, item in enumerate(network.items)}
    for row in table.iter_rows(named=True):
        place = items[row["item"]], network.node_index[row["node"]], row["period"] - instance.start
        dense[place] = row[column]
    return dense


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@pytest.mark.parametrize("policy", ["lookahead", "echelon_base_stock"])
def test_cost_follows_from_the_tables(unmet: str, policy: str) -> None:
    """Every kind of cost, computed from the tables and the instance alone."""
    made = random_instance(
        np.random.default_rng(4),
        items=2,
        customers=1,
        horizon=8,
        unmet=unmet,  # type: ignore[arg-type]
        integers=True,
        discount=0.9,
    )
    found = plan(made, policy)
    network, tables = made.network, found.tables
    factor = 0.9 ** np.arange(8)
    orders, served = flows(made, tables.orders), flows(made, tables.serving)
    moved = orders + served
    stock = by_node(made, tables.stock, "quantity")
    unmet_demand = by_node(made, tables.service, "unmet")
    storage = next(r for r in network.resources if r.kind == "storage")
    held = np.einsum("i,it->t", storage.use, stock[:, storage.node])
    over = np.maximum(held - storage.capacity_at(made.start, 8), 0)
    expected = {
        "purchase": np.einsum("ia,iat->t", network.purchase_cost, moved),
        "transport": np.einsum("ia,iat->t", network.lane_cost, moved),
        "fixed": np.einsum("ia,iat->t", network.fixed_cost, moved > 1e-9),
        "transit": np.zeros(8),
        "joint_fixed": np.einsum("a,at->t", network.joint_fixed_cost, (moved > 1e-9).any(axis=0)),
        "holding": np.einsum("iv,ivt->t", network.holding_cost, stock),
        "shortage": np.einsum("iv,ivt->t", network.shortage_cost, unmet_demand),
        "overflow": storage.overflow_cost * over,
    }
    assert set(found.cost) == set(expected)
    for kind, values in expected.items():
        assert found.cost[kind] == pytest.approx(values @ factor, abs=1e-6), kind
    assert found.total_cost == pytest.approx(sum(found.cost.values()) - found.terminal_value)


@pytest.fixture(scope="module")
def linear() -> Instance:
    """An instance without integers whose resources bind; all demand stands at customers.

    A stocking node serves its own demand first, whatever a plan wants: without such demand the
    simulator can play the plan as it is.
    """
    made = random_instance(np.random.default_rng(8), items=3, customers=3, horizon=8)
    at_customer = made.network.kind[made.demand.nodes] == NodeKind.CUSTOMER
    quantity = made.demand.quantity * at_customer[None, :, None]
    return replace(made, demand=replace(made.demand, quantity=quantity))


@pytest.fixture(scope="module")
def linear_plan(linear: Instance) -> Plan:
    """Its plan."""
    return plan(linear)


def test_prices_only_where_used_up(linear_plan: Plan) -> None:
    """Complementary slackness: a price stands only where capacity is used up."""
    priced = linear_plan.tables.prices.filter(pl.col("price") > 1e-6)
    assert priced.height > 0
    assert (priced["used"] >= priced["capacity"] * (1 - 1e-6)).all()


def test_rules_have_no_prices(linear: Instance) -> None:
    """A policy that solves no program leaves prices empty, and binding is what is used up."""
    found = plan(linear, "base_stock")
    assert found.program is None
    assert found.tables.prices["price"].is_null().all()
    summary = found.summary()
    assert summary["program"] is None
    assert summary["binding_resources"]
    assert all(row["largest_price"] is None for row in summary["binding_resources"])


def test_random_arrivals_are_left_out(linear: Instance) -> None:
    """The tables of a plan assume that orders arrive after their lead time."""
    lead = int(linear.network.lead_time[0])
    fraction = np.zeros((1, lead + 3))
    fraction[0, -1] = 0.5
    late = replace(linear, arrivals=(ArrivalProfile(0, np.ones(1), fraction),))
    found = plan(late, "base_stock")
    assert found.instance.arrivals == ()
    assert found.verification.passed


def test_policies_with_the_same_seed_plan_the_same(linear: Instance) -> None:
    """Planning twice gives the same tables."""
    first, second = (plan(linear, "s_s", seed=3).tables for _ in range(2))
    assert first.orders.equals(second.orders)
    assert first.stock.equals(second.stock)


def test_summary_counts(linear: Instance, linear_plan: Plan) -> None:
    """Key figures are those of the tables."""
    summary = linear_plan.summary()
    service = linear_plan.tables.service
    assert summary["kind"] == "optrl plan"
    assert summary["fill_rate"] == pytest.approx(service["served"].sum() / service["demand"].sum())
    assert summary["orders"] == linear_plan.tables.orders.height
    assert summary["ordered"] == pytest.approx(linear_plan.tables.orders["quantity"].sum())
    assert summary["total_cost"] == pytest.approx(linear_plan.total_cost, abs=1e-5)
    assert summary["periods"] == linear.horizon
    assert summary["verified"]["passed"]


def test_fill_rate_under_backorders() -> None:
    """Demand met in its own period counts, what was served late does not."""
    service = pl.DataFrame(
        {"demand": [4.0, 4.0, 2.0], "served": [1.0, 6.0, 3.0], "unmet": [3.0, 1.0, 0.0]}
    )
    assert fill_rate(service) == pytest.approx(1 - (3 + 1) / 10)
    assert fill_rate(service.with_columns(demand=pl.lit(0.0))) is None


def binding(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`binding_resources` of a table of prices."""
    types = {"capacity": pl.Float64, "used": pl.Float64, "price": pl.Float64}
    return binding_resources(pl.DataFrame(rows, schema_overrides=types))


def test_binding_resources_by_saving() -> None:
    """Resources are listed by what one more unit a period saves, with its periods."""
    rows = [
        {"resource": name, "period": period, "capacity": 5.0, "used": used, "price": price}
        for name, period, used, price in (
            ("dock", 3, 5.0, 0.5),
            ("dock", 4, 4.0, 0.0),
            ("space", 3, 5.0, 0.2),
            ("space", 4, 7.0, 2.0),
            ("idle", 3, 1.0, 0.0),
            ("idle", 4, 5.0, 0.0),
        )
    ]
    found = binding(rows)
    assert [row["resource"] for row in found] == ["space", "dock"]
    assert found[0]["periods"] == [3, 4]
    assert found[0]["largest_price"] == 2.0
    assert found[0]["largest_price_period"] == 4
    assert found[0]["saving"] == pytest.approx(2.2)
    assert found[0]["over_capacity"] == [4]
    assert found[1]["periods"] == [3]


def test_binding_resources_without_prices() -> None:
    """Without prices what is used up binds; a capacity of zero that nothing uses does not."""
    rows = [
        {"resource": name, "period": 3, "capacity": capacity, "used": used, "price": None}
        for name, capacity, used in (("full", 5.0, 5.0), ("half", 5.0, 2.5), ("shut", 0.0, 0.0))
    ]
    found = binding(rows)
    assert [row["resource"] for row in found] == ["full"]
    assert found[0]["saving"] is None
    assert found[0]["largest_price_period"] is None


def test_unknown_policy(linear: Instance) -> None:
    """A name that is no policy's suggests the nearest."""
    with pytest.raises(UnknownPolicyError, match="lookahead"):
        plan(linear, "look_ahead")


def test_infeasible_target() -> None:
    """A service level that supply cannot give has no plan, and the error says where."""
    made = random_instance(np.random.default_rng(1), horizon=8)
    network = made.network
    customers = network.kind == NodeKind.CUSTOMER
    level = np.where(customers[None, :], 1.0, 0.0) * np.ones((len(network.items), 1))
    nothing = replace(
        made,
        network=replace(
            network,
            service_level=level,
            supply_capacity=np.where(network.kind == NodeKind.SUPPLIER, 0.0, np.inf)
            * np.ones((len(network.items), 1)),
        ),
        on_hand=np.zeros_like(made.on_hand),
        due=np.zeros_like(made.due),
    )
    with pytest.raises(InfeasibleError, match="customer"):
        plan(nothing)
