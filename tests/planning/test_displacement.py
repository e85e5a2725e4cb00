"""Items that shared limits hold back, against the plan without such limits."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from optrl.planning.displacement import without_limits
from optrl.planning.plan import plan
from optrl.planning.summary import binding_rows
from optrl.policies.cost_to_go import CostToGo
from optrl.solver.errors import NoSolutionError
from optrl.testing import random_instance


@pytest.fixture(scope="module")
def scarce():
    """An instance whose resources bind."""
    return random_instance(np.random.default_rng(8), items=3, customers=3, horizon=8)


@pytest.mark.parametrize("policy", ["cost_to_go", "echelon_base_stock"])
def test_rows_are_the_difference_of_the_two_plans(scarce, policy):
    """Wanted and planned use add up from the tables of both plans, where the resource binds."""
    ours, free = plan(scarce, policy), plan(without_limits(scarce), policy)
    displaced = ours.tables.displaced
    assert displaced.height
    keys = binding_rows(ours.tables.prices).select("resource", "period")
    assert displaced.join(keys, on=["resource", "period"], how="anti").is_empty()
    network = scarce.network
    suppliers = [name for name, kind in network.graph.nodes(data="kind") if kind == "supplier"]
    for resource in network.resources:
        use = pl.DataFrame({"item": network.items, "use": resource.use})
        node = "" if resource.node is None else network.nodes[resource.node]
        lane = ("", "") if resource.lane is None else network.lanes[resource.lane]
        counted = {
            "inbound": pl.col("destination") == node,
            "outbound": pl.col("origin") == node,
            "lane": (pl.col("origin") == lane[0]) & (pl.col("destination") == lane[1]),
            "budget": pl.col("origin").is_in(suppliers),
            "storage": pl.col("node") == node if node else pl.lit(value=False),
        }[resource.kind]

        def used(tables, counted=counted, use=use, resource=resource):
            frame = (
                tables.stock
                if resource.kind == "storage"
                else pl.concat([tables.orders, tables.serving])
            )
            return (
                frame.filter(counted)
                .join(use, on="item")
                .group_by("item", "period")
                .agg((pl.col("use") * pl.col("quantity")).sum().alias("use"))
            )

        both = (
            keys.filter(pl.col("resource") == resource.name)
            .join(use.select("item"), how="cross")
            .join(used(free.tables), on=["item", "period"], how="left")
            .join(used(ours.tables), on=["item", "period"], how="left", suffix="_ours")
            .fill_null(0.0)
            .filter(pl.col("use") > pl.col("use_ours") + 1e-5)
            .sort("item", "period")
        )
        rows = displaced.filter(
            (pl.col("resource") == resource.name) & (pl.col("wanted") > pl.col("planned") + 1e-5)
        ).sort("item", "period")
        assert rows.select("item", "period").equals(both.select("item", "period"))
        assert np.allclose(rows["wanted"], both["use"], atol=1e-5)
        assert np.allclose(rows["planned"], both["use_ours"], atol=1e-5)


def test_nothing_is_displaced_where_capacity_is_plenty(scarce):
    """No rows, and nothing that binds."""
    network = scarce.network
    wide = tuple(replace(r, capacity=r.capacity * 1e4) for r in network.resources)
    found = plan(replace(scarce, network=replace(network, resources=wide)))
    assert found.explained
    assert found.tables.displaced.is_empty()


def test_the_summary_says_who_misses_most(scarce):
    """By resource, largest first, as the table has it; None where it was not asked for."""
    found = plan(scarce)
    for row in found.summary()["binding_resources"]:
        missed = [each["missed"] for each in row["displaced"]]
        assert missed == sorted(missed, reverse=True)
        table = found.tables.displaced.filter(pl.col("resource") == row["resource"])
        if missed:
            most = table.group_by("item").agg((pl.col("wanted") - pl.col("planned")).sum())
            assert missed[0] == pytest.approx(most["wanted"].max())
        else:
            assert table.is_empty()
    short = plan(scarce, explain=False)
    assert not short.explained
    assert short.tables.displaced.is_empty()
    assert all(row["displaced"] is None for row in short.summary()["binding_resources"])


def test_a_plan_stands_where_the_one_without_limits_is_not_found(scarce, monkeypatch):
    """Out of time for the explanation alone, the plan is as without one."""
    solve = CostToGo.plan

    def slow(self, **how):
        if not self.ending.instance.network.resources:
            raise NoSolutionError("no time", 0.0)
        return solve(self, **how)

    short = plan(scarce, explain=False)
    monkeypatch.setattr(CostToGo, "plan", slow)
    found = plan(scarce)
    assert not found.explained
    assert found.total_cost == short.total_cost
    assert all(row["displaced"] is None for row in found.summary()["binding_resources"])
