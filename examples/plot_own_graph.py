"""From your own graph to a plan
=============================

A network that lives in NetworkX and three small tables are enough for a plan. The same check that
reads an instance folder reads them, so every fault is named before anything is solved.
"""

# %%
# The network
# -----------
# Nodes carry ``kind``; lanes carry ``lead_time`` and what else applies to them. The attribute
# names are the columns of the tables *nodes* and *lanes* of an instance folder. A lane into a
# customer is a serving lane: it is used when demand is seen and has lead time 0.

import matplotlib.pyplot as plt
import networkx as nx
import polars as pl

from optrl.errors import InstanceError
from optrl.planning.plan import plan
from optrl.tables import from_graph

graph = nx.DiGraph()
graph.add_node("mill", kind="supplier")
graph.add_node("hub", kind="stocking")
graph.add_node("north", kind="stocking")
graph.add_node("south", kind="stocking")
for town in ("Aby", "Bro", "Dal"):
    graph.add_node(town, kind="customer")

graph.add_edge("mill", "hub", lead_time=3, cost=0.4)
graph.add_edge("hub", "north", lead_time=1, cost=0.3)
graph.add_edge("hub", "south", lead_time=1, cost=0.2)
graph.add_edge("north", "south", lead_time=1, cost=0.5)  # transshipment
graph.add_edge("north", "Aby", lead_time=0, cost=0.1)
graph.add_edge("north", "Bro", lead_time=0, cost=0.2)
graph.add_edge("south", "Bro", lead_time=0, cost=0.3)
graph.add_edge("south", "Dal", lead_time=0, cost=0.1)

# %%
# The tables
# ----------
# A made-up history of 40 weeks; planning starts in week 40.

items = pl.DataFrame(
    {
        "item": ["flour", "oats"],
        "unit_cost": [2.0, 3.0],
        "volume": [1.0, 1.5],
        "holding_cost": [0.02, 0.03],
        "shortage_cost": [4.0, 6.0],
        "terminal_value": [2.0, 3.0],
    }
)
level = {("flour", "Aby"): 20, ("flour", "Bro"): 12, ("flour", "Dal"): 15, ("oats", "Aby"): 6}
demand = pl.DataFrame(
    [
        {"item": item, "node": town, "period": week, "quantity": float(mean + (3 * week) % 7 - 3)}
        for (item, town), mean in level.items()
        for week in range(40)
    ]
)
stock = pl.DataFrame(
    {
        "item": ["flour", "flour", "flour", "oats", "oats"],
        "node": ["hub", "north", "south", "hub", "north"],
        "quantity": [90.0, 60.0, 50.0, 15.0, 14.0],
    }
)
pipeline = pl.DataFrame(
    {
        "item": ["flour", "flour", "oats"],
        "node": ["hub", "hub", "hub"],
        "period": [41, 42, 42],
        "quantity": [45.0, 45.0, 12.0],
    }
)
resources = pl.DataFrame(
    {
        "resource": ["hub dock"],
        "kind": ["outbound"],
        "node": ["hub"],
        "consumes": ["volume"],
        "capacity": [55.0],
    }
)
settings = {
    "name": "Mill",
    "period": "week",
    "periods_per_year": 52.0,
    "start": 40,
    "horizon": 12,
    "unmet": "lost",
    "money": "EUR",
}

# %%
# What is wrong is said at once
# -----------------------------
# Two faults on purpose: demand of an item that the items table does not know, and a negative
# quantity.

here = (pl.col("item") == "flour") & (pl.col("node") == "Aby")
broken = demand.with_columns(
    item=pl.when(here & (pl.col("period") == 7)).then(pl.lit("flower")).otherwise(pl.col("item")),
    quantity=pl.when(here & (pl.col("period") == 9)).then(-1.0).otherwise(pl.col("quantity")),
)
try:
    from_graph(graph, items, broken, **settings)
except InstanceError as error:
    print(error)

# %%
# The plan
# --------
# The default policy, ``cost_to_go``, solves the whole horizon as one linear program on expected
# demand, with values for safety stock and for what comes after the horizon. The tables show what
# the order of events makes of it.

instance = from_graph(
    graph, items, demand, stock=stock, pipeline=pipeline, resources=resources, **settings
)
result = plan(instance)
result.tables.orders.head(8)

# %%
# Every row of the model is checked again from the tables alone, by code that knows neither the
# formulation nor the simulator.

print(f"rows checked: {result.verification.rows}")
print(f"largest violation: {result.verification.largest:.1e}, passed: {result.verification.passed}")
print(f"total cost: {result.total_cost:.1f} {instance.money}")

# %%
# The price of the dock says what one more unit of its capacity would save, week by week.

prices = result.tables.prices
print(prices.filter(pl.col("price") > 1e-6))

# %%
# Stock at the end of each week, and how much of the dock is used.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for (node,), rows in result.tables.stock.group_by(["node"], maintain_order=True):
    total = rows.group_by("period", maintain_order=True).agg(pl.col("quantity").sum())
    left.step(total["period"], total["quantity"], where="mid", label=node)
left.set(xlabel="week", ylabel="units in stock", title="Stock at the end of the week")
left.legend()
right.bar(prices["period"], prices["used"])
right.axhline(55, color="black", linewidth=1)
right.set(xlabel="week", ylabel="volume", title="Released from the hub, and the dock's capacity")
plt.show()
