"""Laws of bounds: on random trees of demand every bound lies below the optimum of the tree."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.bounds.inner_problem import InnerProblem
from optrl.bounds.lagrangian import lagrangian_bound
from optrl.bounds.paths import PathSource
from optrl.bounds.penalty import KnownPath
from optrl.stages.coarse import CoarseView
from optrl.testing import random_instance
from optrl.values.state_columns import StateColumns

PERIODS = 3
TREE = ScenarioTree.branching([2] * PERIODS)
SEEDS = st.integers(0, 2**32 - 1)


class OfTree:
    """Demand of a tree's leaves, all alike likely, as a model whose paths are told by number."""

    def __init__(self, instance, by_node):
        self.nodes = instance.demand.nodes
        self.paths = np.stack([by_node[:, :, TREE.scenario_nodes(k)] for k in TREE.leaves])

    def mean(self, first, periods):
        return self.paths.mean(axis=0)


def drawn(seed, unmet):
    """An instance, demand by tree node (N, D, nodes), and the optimum of the tree."""
    generator = np.random.default_rng(seed)
    instance = random_instance(generator, horizon=PERIODS, unmet=unmet)
    shape = (len(instance.network.items), len(instance.demand.nodes), len(TREE.parent))
    by_node = generator.poisson(3.0, shape).astype(float)
    view = CoarseView.of(instance, by_node.mean(axis=2), merge=False)
    solved = view.problem(TREE).solve(view.start(), instance.start, view.demand(by_node))
    return generator, instance, by_node, solved.solution.objective


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.sampled_from(["lost", "backorder"]))
def test_zero_mean_multipliers_bound_the_optimum_of_a_tree(seed, unmet):
    """Whatever they are, the mean over all paths stays below what the best policy costs."""
    generator, instance, by_node, optimum = drawn(seed, unmet)
    columns = StateColumns.of(instance)
    inner = InnerProblem(instance, columns, by_node.mean(axis=2), PERIODS, seed=0)
    steep = generator.choice([0.0, 0.02, 0.1])
    # One vector a node where a decision is taken; the two outcomes take it with opposite signs.
    vector = steep * generator.normal(size=(len(TREE.parent), columns.size))
    first = {parent: child for child, parent in reversed(list(enumerate(TREE.parent.tolist())))}
    values = []
    for leaf in TREE.leaves.tolist():
        nodes = TREE.scenario_nodes(leaf)
        decided = TREE.parent[nodes]
        sign = [1.0 if first[n] == m else -1.0 for m, n in zip(nodes, decided, strict=True)]
        multiplier = np.array(sign)[:, None] * vector[decided]
        reference = vector[decided] ** 2
        path = by_node[:, :, nodes]
        values.append(inner.solve(path, multiplier, reference, 0).value)
    assert np.mean(values) <= optimum + 1e-6 * max(1.0, abs(optimum))


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.sampled_from(["lost", "backorder"]))
def test_any_prices_bound_the_optimum_of_a_tree(seed, unmet):
    """Prices fixed in advance on shared capacities, items apart, over all paths of the tree."""
    generator, instance, by_node, optimum = drawn(seed, unmet)
    prices = generator.choice([0.0, 0.3, 2.0], (len(instance.network.resources), PERIODS))
    leaves = len(TREE.leaves)

    class Paths(PathSource):
        def path(self, number):
            path = self.model.paths[number]
            return KnownPath(path, np.ones((len(path), PERIODS)))

    found = lagrangian_bound(Paths(instance, OfTree(instance, by_node), 0), prices, leaves)
    assert len(found.sample) == leaves
    assert found.mean <= optimum + 1e-6 * max(1.0, abs(optimum))
