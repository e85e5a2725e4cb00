"""What knowing the distribution is worth
======================================

Decisions of the replenishment formulation are indexed by the nodes of a scenario tree. Scenarios
that have seen the same so far share a node, and so share its decision: nothing else is needed to
keep a plan from knowing the future. Here the tree's shape alone tells three problems apart.
"""

import matplotlib.pyplot as plt
import numpy as np
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_data import ReplenishmentData
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.solver import Model
from optrl.testing import random_instance

# %%
# A small network with two items, and 40 equally likely paths of its demand over five periods.

PERIODS, SCENARIOS = 5, 40
generator = np.random.default_rng(11)
instance = random_instance(generator, customers=2, horizon=PERIODS, resources=False)
network = instance.network
n, v = len(network.items), len(network.nodes)
paths = np.zeros((SCENARIOS, n, v, PERIODS))
busy = generator.gamma(1.5, 1 / 1.5, (SCENARIOS, n, 1, PERIODS))
paths[:, :, instance.demand.nodes] = generator.poisson(
    4.0 * busy, (SCENARIOS, n, len(instance.demand.nodes), PERIODS)
)


def by_tree_node(tree):
    """Demand by item, node and tree node: the mean over the scenarios that pass through it."""
    demand = np.zeros((n, v, len(tree.parent)))
    leaves = tree.leaves
    share = SCENARIOS // len(leaves)
    for k, leaf in enumerate(leaves):
        demand[:, :, tree.scenario_nodes(leaf)] = paths[k * share : (k + 1) * share].mean(axis=0)
    return demand


def problem(tree):
    """Layout and compiled problem over a tree."""
    layout = ReplenishmentLayout(network, tree, instance.start, paths.any(axis=(0, 3)))
    data = ReplenishmentData(instance.on_hand, instance.due, instance.backlog, by_tree_node(tree))
    return layout, Model(build_replenishment(layout, data))


# %%
# Three trees
# -----------
# * a **forest**: every path has its own root, so each decision knows its whole path (wait and
#   see). No policy can cost less.
# * **two stages**: one first decision, then each path on its own.
# * a **chain**: one path, the mean. Its own optimum is too good to be true.

forest = problem(ScenarioTree.forest(PERIODS, SCENARIOS))[1].solve().objective
layout, two_stage = problem(ScenarioTree.two_stage(PERIODS, SCENARIOS))
stochastic = two_stage.solve()
chain_layout, chain = problem(ScenarioTree.chain(PERIODS))
deterministic = chain.solve()

# %%
# What the mean path's first decision really costs: it is fixed in the two-stage problem.


def first(layout, solution):
    """First decisions by item and lane."""
    item, lane, node = layout.order
    now = layout.tree.depth[node] == 0
    dense = np.zeros((n, len(network.lanes)))
    dense[item[now], lane[now]] = solution.values("order")[now]
    return dense


item, lane, node = layout.order
now = layout.tree.depth[node] == 0
upper = network.maximum_quantity[item, lane]
lower = np.zeros(len(item))
fixed = first(chain_layout, deterministic)[item[now], lane[now]]
lower[now] = upper[now] = fixed
two_stage.push_bounds("order", lower, upper)
expected_value = two_stage.solve().objective

print(f"perfect information (forest)          {forest:8.2f}")
print(f"two-stage stochastic program          {stochastic.objective:8.2f}")
print(f"first decision of the mean path       {expected_value:8.2f}")
print(f"what the mean path's plan believes    {deterministic.objective:8.2f}")
print(f"value of perfect information          {stochastic.objective - forest:8.2f}")
print(f"value of the stochastic solution      {expected_value - stochastic.objective:8.2f}")

# %%
# The first decisions
# -------------------
# What each plan releases at once, summed over the items.

both = first(layout, stochastic).sum(axis=0), first(chain_layout, deterministic).sum(axis=0)
used = np.flatnonzero(both[0] + both[1] > 1e-6)
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.bar(np.arange(len(used)) - 0.2, both[0][used], 0.4, label="two-stage")
axes.bar(np.arange(len(used)) + 0.2, both[1][used], 0.4, label="mean path")
axes.set_xticks(range(len(used)), [" to ".join(network.lanes[a]) for a in used], fontsize=7)
axes.set(ylabel="units released at once")
axes.legend(loc="upper center")
plt.show()
