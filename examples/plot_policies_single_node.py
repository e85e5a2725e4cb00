"""Policies against a published optimum
====================================

One node, one supplier, lost sales. The optimal cost of this system is published for a table of
lead times and shortage costs, so every policy can be held against it. All policies meet the same
demand paths (common random numbers), so that their differences are estimated far better than
their costs.

Source: Zipkin (2008), Old and new methods for lost-sales inventory systems, Operations Research
56(5). Poisson demand with mean 5, holding cost 1, shortage cost 9, no purchase cost, lead time 2:
the optimal average cost is 6.09.
"""

# %%
# The system
# ----------
# An order placed in period t is usable in period t + 2, and stock is counted after demand. The
# published system has the same order of events, so its costs compare as they are. Orders are
# whole units: the lane has a lot size of 1.

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import polars as pl

from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.policies import find
from optrl.simulation.kpis import Indicators
from optrl.simulation.rollout import simulate
from optrl.tables import from_graph

OPTIMUM, PERIODS, WARM_UP = 6.09364, 170, 20

graph = nx.DiGraph()
graph.add_node("supplier", kind="supplier")
graph.add_node("shop", kind="stocking")
graph.add_edge("supplier", "shop", lead_time=2, lot_size=1.0)
instance = from_graph(
    graph,
    items=pl.DataFrame({"item": ["a"], "holding_cost": [1.0], "shortage_cost": [9.0]}),
    forecast=pl.DataFrame(
        {
            "item": ["a"] * PERIODS,
            "node": ["shop"] * PERIODS,
            "period": range(PERIODS),
            "mean": [5.0] * PERIODS,
        }
    ),
    stock=pl.DataFrame({"item": ["a"], "node": ["shop"], "quantity": [8.0]}),
    pipeline=pl.DataFrame({"item": ["a"], "node": ["shop"], "period": [1], "quantity": [5.0]}),
    name="Zipkin",
    period="period",
    periods_per_year=1.0,
    start=0,
    horizon=PERIODS,
    unmet="lost",
    demand_family="poisson",
)

# %%
# The policies
# ------------
# Each is fitted with its defaults from the demand model. None of them searches for its best
# parameters here.

demand = Poisson(instance.demand.nodes, steady(np.array([[5.0]])))
paths = demand.sample(400, 0, PERIODS, np.random.default_rng(1))
names = ["base_stock", "capped_base_stock", "projected_inventory_level", "newsvendor", "s_s"]

cost = {}
for name in names:
    policy = find(name).fit(instance, demand, seed=0)
    run = simulate(instance, policy, paths, seed=7, warm_up=WARM_UP)
    cost[name] = run.period_cost[:, WARM_UP:].mean(dim=1).numpy()
    figures = Indicators.of(run)
    print(
        f"{name:28s} cost {figures.cost_per_period.mean:.3f} "
        f"+- {figures.cost_per_period.standard_error:.3f}, "
        f"fill rate {figures.fill_rate.mean:.3f}, "
        f"above the optimum {100 * (figures.cost_per_period.mean / OPTIMUM - 1):.1f} %"
    )

# %%
# Paired differences
# ------------------
# The same paths for all: the standard error of a difference is much smaller than that of a cost.

for name in names[1:]:
    difference = cost[name] - cost["base_stock"]
    error = difference.std(ddof=1) / len(difference) ** 0.5
    print(f"{name:28s} minus base_stock: {difference.mean():+.3f} +- {error:.3f}")

# %%
# The best level
# --------------
# Classes offer ``at_level`` besides ``fit``; here it traces the cost of a base stock by its level.

base_stock = find("base_stock")
levels = np.arange(15, 24)
trace = []
for level in levels:
    run = simulate(
        instance, base_stock.at_level(instance, float(level)), paths, seed=7, warm_up=WARM_UP
    )
    trace.append(Indicators.of(run).cost_per_period)

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.errorbar(levels, [x.mean for x in trace], yerr=[2 * x.standard_error for x in trace], fmt="o-")
axes.axhline(OPTIMUM, color="black", linewidth=1, label="published optimum")
axes.set(xlabel="base-stock level", ylabel="cost of a period")
axes.legend()
plt.show()
