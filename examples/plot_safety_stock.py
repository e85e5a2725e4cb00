"""Where to hold safety stock
==========================

The guaranteed-service model: every stage of a supply chain promises its customers a service time
and covers its net replenishment time from stock. Which promises are best is a mixed-integer
program over the network, solved here for a made-up chain.
"""

import matplotlib.pyplot as plt
import networkx as nx
import pyomo.environ as pyo
from optrl_formulations.safety_stock import add_safety_stock

from optrl.solver import Model, compile_model

# %%
# The chain
# ---------
# Two parts go into an assembly, which is shipped to two regions. Arcs run from supplier to
# customer stage. Regions face demand and must serve it at once (maximum service time 0).

graph = nx.DiGraph()
graph.add_node("casting", lead_time=12, added_cost=20.0)
graph.add_node("motor", lead_time=6, added_cost=60.0)
graph.add_node("assembly", lead_time=3, added_cost=30.0, risk_pooling=2.0)
graph.add_node(
    "region east",
    lead_time=2,
    added_cost=5.0,
    demand_standard_deviation=40.0,
    safety_factor=1.645,
    maximum_service_time=0,
)
graph.add_node(
    "region west",
    lead_time=4,
    added_cost=8.0,
    demand_standard_deviation=25.0,
    safety_factor=1.645,
    maximum_service_time=0,
)
graph.add_edge("casting", "assembly", quantity=2)
graph.add_edge("motor", "assembly")
graph.add_edge("assembly", "region east")
graph.add_edge("assembly", "region west")


def solve(graph):
    """Handles and solution of the guaranteed-service model."""
    model = pyo.ConcreteModel()
    model.stock = pyo.Block()
    handles = add_safety_stock(model.stock, graph, holding_rate=0.25)
    model.cost = pyo.Objective(expr=handles.cost)
    program = compile_model(model)
    solution = Model(program).solve(relative_gap=0.0)
    # Service times are expressions; put the solution into the model to read them.
    for component in model.component_objects(pyo.Var):
        for member, value in zip(component.values(), solution.values(component.name), strict=True):
            member.set_value(value, skip_validation=True)
    return handles, solution


handles, solution = solve(graph)
print(f"holding cost {solution.objective:.1f} a period")
for j, stage in enumerate(handles.stages):
    print(
        f"{stage:12s} is promised {pyo.value(handles.inbound_service_time[j]):4.0f}, "
        f"promises {abs(pyo.value(handles.service_time[j])):4.0f}, "
        f"covers {pyo.value(handles.net_replenishment_time[j]):4.0f} periods, "
        f"costs {pyo.value(handles.stage_cost[j]):7.1f}"
    )

# %%
# The price of a promise
# ----------------------
# If regions may let their customers wait, stock moves upstream, where it is cheaper and pooled.

waits, costs = list(range(11)), []
for wait in waits:
    for stage in ("region east", "region west"):
        graph.nodes[stage]["maximum_service_time"] = wait
    costs.append(solve(graph)[1].objective)

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.step(waits, costs, where="post", marker="o")
axes.set(xlabel="service time promised to customers (periods)", ylabel="holding cost a period")
axes.set_ylim(bottom=0)
plt.show()
