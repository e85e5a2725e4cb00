"""Demand that depends on a Markov chain, against the program over all of its paths."""

from __future__ import annotations

import numpy as np
import pytest
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_data import ReplenishmentData
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.decomposition.sddp import (
    DemandOutcomes,
    Sddp,
    SddpSettings,
    Stopping,
    markovian_replenishment_graph,
    train,
)
from optrl.decomposition.sddp.replenishment import StateSpace
from optrl.instance import Instance
from optrl.solver import Model
from optrl.testing import random_instance

PERIODS = 3


def optimum_over_all_paths(
    instance: Instance,
    outcomes: list[list[DemandOutcomes]],
    transition: list[np.ndarray],
    first: np.ndarray,
) -> float:
    """One program: each decision knows the chain's path up to its own period, and demand before."""
    parent, probability, chain, demand = [], [], [], []

    def grown(node: int, period: int) -> None:
        if period == PERIODS:
            return
        here = outcomes[period][chain[node]]
        # After the last period the chain leads nowhere.
        follow = transition[period][chain[node]] if period < PERIODS - 1 else np.ones(1)
        for chance, seen in zip(here.probability, here.demand, strict=True):
            for state, share in enumerate(follow):
                parent.append(node)
                probability.append(probability[node] * chance * share)
                chain.append(state)
                demand.append(seen)
                grown(len(parent) - 1, period + 1)

    for state, share in enumerate(first):
        parent.append(-1)
        probability.append(share)
        chain.append(state)
        demand.append(None)
        grown(len(parent) - 1, 0)
    space = StateSpace.of(instance)
    tree = ScenarioTree(np.array(parent), np.array(probability))
    layout = ReplenishmentLayout(instance.network, tree, instance.start, space.pairs, space.held)
    by_node = np.zeros((*space.pairs.shape, len(parent)))
    for node in tree.outcomes.tolist():
        by_node[:, :, node][space.pairs] = demand[node]
    data = ReplenishmentData(instance.on_hand, instance.due, instance.backlog, by_node)
    return Model(build_replenishment(layout, data)).solve().objective


@pytest.mark.parametrize("cuts", ["single", "multi"])
@pytest.mark.parametrize(("unmet", "discount"), [("lost", 1.0), ("backorder", 0.9)])
def test_the_bound_is_the_optimum_over_all_paths(cuts, unmet, discount) -> None:
    """Truth: the program over all paths of a chain of three states, demand differs in each."""
    generator = np.random.default_rng(11)
    instance = random_instance(
        generator,
        items=1,
        stocking=2,
        customers=1,
        horizon=PERIODS,
        unmet=unmet,
        discount=discount,
    )
    pairs = len(instance.network.items) * len(instance.demand.nodes)

    def drawn(mean: float) -> DemandOutcomes:
        demand = generator.poisson(mean, (2, pairs)).astype(float)
        return DemandOutcomes(np.array([0.4, 0.6]), demand)

    outcomes = [[drawn(mean) for mean in (1.0, 4.0, 9.0)] for _ in range(PERIODS)]
    transition = [generator.dirichlet(np.ones(3), 3) for _ in range(PERIODS - 1)]
    first = np.array([0.5, 0.2, 0.3])
    truth = optimum_over_all_paths(instance, outcomes, transition, first)
    graph = markovian_replenishment_graph(instance, outcomes, transition, first)
    sddp = Sddp(graph, SddpSettings(cuts=cuts, paths=2), seed=3)
    result = train(sddp, Stopping(iterations=60))
    assert max(bound for _, bound, _ in result.trace) <= truth * (1 + 1e-6)
    assert result.bound == pytest.approx(truth, rel=1e-5)
