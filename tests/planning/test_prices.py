"""Prices are what capacity is worth in true money."""

import networkx as nx
import polars as pl
import pytest

from optrl.planning.plan import plan
from optrl.tables import from_graph

PERIODS = 8


def depot(capacity):
    graph = nx.DiGraph()
    graph.add_node("mill", kind="supplier")
    graph.add_node("depot", kind="stocking")
    graph.add_node("shop", kind="customer")
    graph.add_edge("mill", "depot", lead_time=2)
    graph.add_edge("depot", "shop", lead_time=0)
    rows = range(PERIODS)
    return from_graph(
        graph,
        pl.DataFrame(
            {
                "item": ["flour"],
                "unit_cost": [1.0],
                "holding_cost": [0.01],
                "shortage_cost": [4.0],
                "terminal_value": [1.0],
            }
        ),
        name="depot",
        period="week",
        periods_per_year=52,
        start=0,
        horizon=PERIODS,
        unmet="lost",
        demand_family="normal",
        forecast=pl.DataFrame(
            {
                "item": ["flour" for _ in rows],
                "node": ["shop" for _ in rows],
                "period": list(rows),
                "mean": [10.0 for _ in rows],
                "standard_deviation": [3.0 for _ in rows],
            }
        ),
        stock=pl.DataFrame({"item": ["flour"], "node": ["depot"], "quantity": [20.0]}),
        resources=pl.DataFrame(
            {
                "resource": ["dock"],
                "kind": ["inbound"],
                "node": ["depot"],
                "consumes": ["unit"],
                "capacity": [capacity],
            }
        ),
    )


def test_sum_of_prices_is_what_one_more_unit_in_every_period_saves():
    """The program raises shortage costs to serve first; its prices must not show that."""
    little, more = plan(depot(6.0)), plan(depot(7.0))
    promised = little.tables.prices["price"].sum()
    saved = little.total_cost - more.total_cost
    assert promised == pytest.approx(saved, rel=0.1)
    assert little.tables.prices["price"].max() <= 3.0 + 1e-6  # shortage less purchase
    assert little.cut == pytest.approx(dict.fromkeys(little.cut, 0.0), abs=1e-6)


def test_prices_vanish_where_capacity_is_plenty():
    """No price without scarcity."""
    assert plan(depot(1000.0)).tables.prices["price"].sum() == pytest.approx(0.0, abs=1e-6)
