"""Which depots to open
====================

Network design over a NetworkX graph: depots have an opening cost and a capacity, lanes a cost per
unit, customers a demand. Facility location, fixed-charge flow and plain minimum-cost flow are
this one formulation; binaries exist only where something has a fixed cost.
"""

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pyomo.environ as pyo
from optrl_formulations.network_design import add_network_design

from optrl.solver import Model, compile_model

# %%
# A made-up region
# ----------------
# Forty customers and eight sites on a square of 100 by 100 kilometres.

generator = np.random.default_rng(3)
places = {("site", k): generator.uniform(10, 90, 2) for k in range(8)}
places |= {("customer", k): generator.uniform(0, 100, 2) for k in range(40)}
demand = generator.integers(5, 20, 40).astype(float)

graph = nx.DiGraph()
for kind, k in places:
    if kind == "site":
        graph.add_node(
            (kind, k), opening_cost=2000.0, capacity=200.0, supply_capacity=float(demand.sum())
        )
    else:
        graph.add_node((kind, k), supply=-demand[k])
sites = [v for v in graph if v[0] == "site"]
customers = [v for v in graph if v[0] == "customer"]
for site in sites:
    for customer in customers:
        distance = float(np.linalg.norm(places[site] - places[customer]))
        graph.add_edge(site, customer, unit_cost=distance)

# %%
# Two relaxations
# ---------------
# Strong linking states ``flow <= bound * open`` for every lane; weak linking only for sums. The
# optimum is the same, the bound of the relaxation is not.


def build(linking, relaxed=False):
    """The design problem, compiled, and its handles."""
    model = pyo.ConcreteModel()
    model.design = pyo.Block()
    design = add_network_design(model.design, graph, linking=linking)
    model.cost = pyo.Objective(expr=design.cost)
    if relaxed:
        pyo.TransformationFactory("core.relax_integer_vars").apply_to(model)
    return Model(compile_model(model)), design


bounds = {
    linking: build(linking, relaxed=True)[0].solve().objective for linking in ("weak", "strong")
}
solver, design = build("strong")
solution = solver.solve(relative_gap=0.0)
for linking, bound in bounds.items():
    below = 100 * (1 - bound / solution.objective)
    print(f"{linking:6s} relaxation {bound:10.1f}, {below:5.2f} % below")
print(f"optimum           {solution.objective:10.1f}, proved in {solution.nodes} nodes")

# %%
# What opens
# ----------
# Handles are Pyomo components, and their names find their values in the solution.

opened = dict(zip(design.open.keys(), solution.values(design.open.name), strict=True))
flow = dict(zip(design.flow.keys(), solution.values(design.flow.name), strict=True))
print("open:", [design.nodes[v] for v, value in opened.items() if value > 0.5])

figure, axes = plt.subplots(figsize=(5, 4.5), layout="constrained")
for (lane, _), quantity in flow.items():
    if quantity > 1e-6:
        ends = np.array([places[v] for v in design.lanes[lane][:2]])
        axes.plot(*ends.T, color="tab:blue", linewidth=quantity / 8)
for v, value in opened.items():
    axes.plot(*places[design.nodes[v]], "s", color="black" if value > 0.5 else "lightgray", ms=9)
axes.scatter(
    *np.array([places[v] for v in customers]).T, s=3 * demand, color="tab:orange", zorder=3
)
axes.set(xlabel="km", ylabel="km", title="Open depots (black) and what they send")
plt.show()
