"""Two cuts through one problem: prices between items, values between periods
=============================================================================

Items share capacity, periods share stock. Here the items of a warehouse are taken apart by prices,
and one item's future by values of its stock. Both ways give a lower bound that is proved, and a
plan or policy whose cost is above it: what lies between is the certificate. The why stands in
:doc:`/explanation/value-and-price`.
"""

import matplotlib.pyplot as plt
import numpy as np
from optrl_formulations.replenishment_arrays import build_replenishment

from optrl.decomposition.blocks.events import Stopping as BlockStopping
from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.replenishment import decompose
from optrl.decomposition.blocks.trace import table
from optrl.decomposition.sddp import Sddp, Stopping, group_by_means, replenishment_graph, train
from optrl.solver import Model
from optrl.testbeds import find_bed
from optrl.testbeds.shared_capacity import SharedCapacity

# %%
# Prices between items
# --------------------
# A warehouse sends 60 items to two stores. Its throughput suffices on average and is short at the
# top of the season. Demand is one path, known in advance, so that the whole is one linear program.
# First prices come from the program of 10 of the items.

bed = SharedCapacity.case(items=60, stores=2, tightness=1.0, periods=12, swing=0.5)
path = bed.demand.sample(1, bed.instance.start, 12, np.random.default_rng(1))[0]
problem = ReplenishmentItems.of(bed.instance, path)
result = decompose(problem, sample=10, size=10, stopping=BlockStopping(gap=1e-4, iterations=60))
trace = table(result.trace)
trace.select("iteration", "lower", "upper", "gap").tail(3)

# %%
# Every round asks each item what it would do at the prices. The value of these answers, less what
# the capacity is worth, is a lower bound; the cheapest average of the answers so far that keeps the
# capacity is a plan. The whole program, which still fits here, lies between.

whole = Model(build_replenishment(problem.layout, problem.data)).solve()
print(f"lower {result.lower:.2f} <= whole {whole.objective:.2f} <= upper {result.upper:.2f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
left.plot(trace["iteration"], trace["lower"], label="lower bound")
left.plot(trace["iteration"], trace["upper"], label="plan")
left.axhline(whole.objective, color="black", linewidth=0.8, linestyle="--", label="whole program")
left.set_ylim(0.97 * whole.objective, 1.06 * whole.objective)
left.set_xlabel("round")
left.set_ylabel("cost")
left.legend()
known = problem.coupling.rows[0]
duals = np.zeros(known.size)
rows = problem.layout.resource_rows
duals[np.array(tuple(rows)[1])] = -whole.duals("capacity")
periods = np.arange(1, known.sum() + 1)
right.step(periods, result.prices[0][known], where="mid", label="decomposition")
right.plot(periods, duals[known], "k.", label="dual of the whole program")
right.set_xlabel("period")
right.set_ylabel("price of a unit of throughput")
right.legend()

# %%
# Values between periods
# ----------------------
# One item now, with random demand, over six periods. Whatever comes after a period is a convex
# function of stock and pipeline, approximated from below by cuts. Each sweep makes the cuts
# tighter; the first stage's value under them is a lower bound on the cost of every policy.

place = find_bed("lost-sales/poisson-p4-L1")
outcomes = group_by_means(place.problem.demand.probability, 12)
model = Sddp(replenishment_graph(place.instance, [outcomes] * 6))
found = train(model, Stopping(iterations=20))
cost = model.simulate(200, seed=3)
print(
    f"no policy costs less than {found.bound:.3f}; this one costs {cost.mean:.3f} "
    f"+- {cost.half_width:.3f} with demand in 12 groups"
)

figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
iterations, bounds, _ = zip(*found.trace, strict=True)
axes.plot(iterations, bounds, label="lower bound")
axes.axhspan(
    cost.mean - cost.half_width, cost.mean + cost.half_width, color="0.85", label="its policy"
)
axes.set_xlabel("iteration")
axes.set_ylabel("cost over six periods")
axes.legend()
