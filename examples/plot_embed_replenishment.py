"""The replenishment block in a model of your own
==============================================

A formulation of optrl adds components to a Pyomo block and hands back a record of them. It sets
no objective and solves nothing, so it can be a part of a larger model.

Here a producer of two juices plans promotions and overtime. How much to promote decides demand,
and what the network orders must be bottled. The network is optrl's; promotions, bottling and the
objective are the reader's own.
"""

# %%
# The network
# -----------
# A plant ships to a warehouse (two weeks), the warehouse to two shops (one week). Shops serve
# their demand from their own stock. The warehouse is small.

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import polars as pl
import pyomo.environ as pyo
from optrl_formulations.replenishment import add_replenishment
from optrl_formulations.replenishment_data import ReplenishmentData
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.solver import Model, compile_model
from optrl.tables import from_graph

WEEKS, SHOPS, ITEMS = 10, ("harbour", "station"), ("apple", "pear")

graph = nx.DiGraph()
graph.add_node("plant", kind="supplier")
graph.add_node("warehouse", kind="stocking")
graph.add_edge("plant", "warehouse", lead_time=2, cost=0.05)
for shop in SHOPS:
    graph.add_node(shop, kind="stocking")
    graph.add_edge("warehouse", shop, lead_time=1, cost=0.10)

week = np.arange(WEEKS)
base = {  # expected demand without promotion
    ("apple", "harbour"): 60 + 200 * np.exp(-((week - 7) ** 2)),
    ("apple", "station"): 40 + 0 * week,
    ("pear", "harbour"): 20 + 2 * week,
    ("pear", "station"): 30 + 0 * week,
}
instance = from_graph(
    graph,
    items=pl.DataFrame(
        {
            "item": ITEMS,
            "unit_cost": [0.9, 1.1],
            "holding_cost": [0.02, 0.02],
            "shortage_cost": [0.2, 0.2],  # goodwill only: lost sales lose their price below
            "terminal_value": [0.9, 1.1],
        }
    ),
    forecast=pl.DataFrame(
        [
            {"item": i, "node": v, "period": t, "mean": float(value)}
            for (i, v), path in base.items()
            for t, value in enumerate(path)
        ]
    ),
    item_nodes=pl.DataFrame(  # shelves are dearer than the warehouse
        [{"item": i, "node": v, "holding_cost": 0.06} for i in ITEMS for v in SHOPS]
    ),
    stock=pl.DataFrame(
        [
            {"item": i, "node": v, "quantity": q}
            for i, v, q in [
                ("apple", "warehouse", 80.0),
                ("apple", "harbour", 90.0),
                ("apple", "station", 60.0),
                ("pear", "warehouse", 40.0),
                ("pear", "harbour", 30.0),
                ("pear", "station", 45.0),
            ]
        ]
    ),
    pipeline=pl.DataFrame(
        {"item": list(ITEMS), "node": ["warehouse"] * 2, "period": [1] * 2, "quantity": [110, 50]}
    ),
    resources=pl.DataFrame(
        {
            "resource": ["warehouse room"],
            "kind": ["storage"],
            "node": ["warehouse"],
            "capacity": [120.0],
        }
    ),
    name="Juice",
    period="week",
    periods_per_year=52.0,
    start=0,
    horizon=WEEKS,
    unmet="lost",
    demand_family="poisson",
)
network = instance.network

# %%
# The block
# ---------
# The layout lists the components: the network, a scenario tree (here a chain, one scenario) and
# which items have demand where. A tree node is what is known: the decision of week t is taken at
# node t, and what happens in week t belongs to node t + 1.

path = np.zeros((len(ITEMS), len(network.nodes), WEEKS + 1))
path[:, instance.demand.nodes, 1:] = instance.forecast.mean
layout = ReplenishmentLayout(network, ScenarioTree.chain(WEEKS), 0, path.any(axis=2))
data = ReplenishmentData(instance.on_hand, instance.due, instance.backlog, path)

model = pyo.ConcreteModel()
model.network = pyo.Block()
flow = add_replenishment(model.network, layout, data)

# %%
# Demand becomes a decision
# -------------------------
# State and demand are variables that the block fixes. What you unfix is yours. Each promotion
# euro lifts demand of an item at all shops in a week, the first 20 euros more than the next 40.
# One budget pays for all of them; the budget is data, so that its worth can be asked later.

PRICE, LIFT, STEP = {"apple": 2.4, "pear": 2.8}, (0.9, 0.5), (20.0, 40.0)

model.spend = pyo.Var(ITEMS, range(WEEKS), range(2), bounds=lambda m, i, t, s: (0, STEP[s]))
model.budget = pyo.Var()
model.budget.fix(120.0)
model.within_budget = pyo.Constraint(expr=pyo.quicksum(model.spend.values()) <= model.budget)


def lifted(m, i, v, t):
    """Demand of a week is its base and what promotion adds."""
    lift = sum(LIFT[s] * m.spend[i, t, s] for s in range(2))
    return m.network.demand[i, v, t + 1] == float(base[i, v][t]) + lift


model.network.demand.unfix()
model.lifted = pyo.Constraint(ITEMS, SHOPS, range(WEEKS), rule=lifted)

# %%
# Orders need bottling
# --------------------
# What the network orders from the plant in a week must be bottled in that week: 200 bottles in
# regular hours, more in overtime at 0.10 each.

model.overtime = pyo.Var(range(WEEKS), bounds=(0, 50))


def bottled(m, t):
    """Orders from the plant need regular hours or overtime."""
    total = sum(m.network.order[i, "plant", "warehouse", t] for i in ITEMS)
    return total <= 200 + m.overtime[t]


model.bottled = pyo.Constraint(range(WEEKS), rule=bottled)

# %%
# One objective
# -------------
# ``flow.cost`` is the network's cost. The larger model earns the price of what is sold and pays
# for promotion and overtime.

sold = sum(PRICE[i] * flow.sales[i, v, m] for i, v, m in flow.sales)
model.profit = pyo.Objective(
    expr=sold
    - flow.cost
    - pyo.quicksum(model.spend.values())
    - 0.10 * pyo.quicksum(model.overtime.values()),
    sense=pyo.maximize,
)

# %%
# Solve
# -----
# The model is compiled once. The components named as data become slots: new values are pushed
# in bulk, and the next solve starts from the last basis.

state = [part for part in flow.data if part is not model.network.demand]
program = compile_model(model, data=[model.budget, *state])
solver = Model(program)
solution = solver.solve()
print(f"profit {solution.objective:.1f}, {solution.status.value}, {len(program.cost)} columns")
print(f"largest residual {solution.residuals().primal:.1e}")

# %%
# What is it worth?
# -----------------
# Duals price the reader's own rows and the block's alike. The gradient gives the worth of one
# more unit of any data.

room = solution.duals(flow.capacity.name)
print("one more place in the warehouse, by week:", np.round(room, 3))
print("one more euro of budget:", np.round(solution.gradient("budget"), 3))
stock_slot = model.network.initial_on_hand
worth = dict(zip(stock_slot.keys(), solution.gradient(stock_slot.name).round(3), strict=True))
for key, value in worth.items():
    print("one more bottle of", *key, value)

# %%
# The gradient is a derivative of the optimal value, so a small push must move the optimum by it.

solver.push_data("budget", np.array([121.0]))
again = solver.solve()
print(f"profit rose by {again.objective - solution.objective:.3f}, {again.iterations} iterations")

# %%
# The budget can be traced out; every point is a hot solve.

budgets = np.linspace(0, 240, 31)
profit = []
for budget in budgets:
    solver.push_data("budget", np.array([budget]))
    profit.append(solver.solve().objective)

spend = solution.values("spend").reshape(len(ITEMS), WEEKS, 2).sum(axis=2)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.bar(week, spend[0], label=ITEMS[0])
left.bar(week, spend[1], bottom=spend[0], label=ITEMS[1])
left.plot(week, solution.values("overtime"), "k.-", label="overtime bottles")
left.set(xlabel="week", ylabel="euros, bottles", title="Promotion and overtime", ylim=(0, 85))
left.legend(ncols=3, fontsize=8)
right.plot(budgets, profit)
right.set(xlabel="promotion budget", ylabel="profit", title="Profit by budget")
plt.show()
