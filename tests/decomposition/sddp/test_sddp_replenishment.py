"""The replenishment formulation as stages against its extensive form over a full scenario tree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_data import ReplenishmentData
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.decomposition.sddp import (
    DemandOutcomes,
    Sddp,
    SddpSettings,
    StageError,
    Stopping,
    markovian_replenishment_graph,
    replenishment_graph,
    train,
)
from optrl.decomposition.sddp.replenishment import StateSpace
from optrl.instance import Instance
from optrl.solver import Model
from optrl.testing import random_instance

PERIODS = 3


def outcomes_of(instance: Instance, generator: np.random.Generator, count: int) -> DemandOutcomes:
    pairs = len(instance.network.items) * len(instance.demand.nodes)
    demand = generator.poisson(3.0, (count, pairs)).astype(float)
    return DemandOutcomes(np.full(count, 1 / count), demand)


def extensive_optimum(instance: Instance, outcomes: list[DemandOutcomes]) -> float:
    """The whole problem over the tree of all outcomes, solved at once."""
    space = StateSpace.of(instance)
    tree = ScenarioTree.branching([len(o.probability) for o in outcomes])
    layout = ReplenishmentLayout(instance.network, tree, instance.start, space.pairs, space.held)
    demand = np.zeros((*space.pairs.shape, len(tree.parent)))
    seen: dict[int, int] = {}
    for node in tree.outcomes.tolist():
        parent = int(tree.parent[node])
        k = seen[parent] = seen.get(parent, -1) + 1
        demand[:, :, node][space.pairs] = outcomes[int(tree.depth[parent])].demand[k]
    data = ReplenishmentData(instance.on_hand, instance.due, instance.backlog, demand)
    return Model(build_replenishment(layout, data)).solve().objective


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    unmet=st.sampled_from(["lost", "backorder"]),
    discount=st.sampled_from([1.0, 0.9]),
    limited=st.booleans(),
)
def test_the_bound_is_the_optimum_over_the_full_tree(
    seed: int, unmet: str, discount: float, limited: bool
) -> None:
    """Truth: the linear program over all outcomes; lead times, limits, discount, what is left."""
    generator = np.random.default_rng(seed)
    instance = random_instance(
        generator,
        items=1,
        stocking=2,
        customers=1,
        horizon=PERIODS,
        unmet=unmet,  # type: ignore[arg-type] # hypothesis draws plain text
        limited_supply=limited,
        discount=discount,
    )
    outcomes = [outcomes_of(instance, generator, 2) for _ in range(PERIODS)]
    truth = extensive_optimum(instance, outcomes)
    sddp = Sddp(replenishment_graph(instance, outcomes), seed=seed)
    for _ in range(60):
        bound = sddp.iterate()
        assert bound <= truth + 1e-6 * (1 + abs(truth))
        if bound >= truth - 1e-6 * (1 + abs(truth)):
            break
    assert bound == pytest.approx(truth, rel=1e-5, abs=1e-5)


def test_transit_cost_is_charged_until_the_horizon_ends() -> None:
    """Truth: the tree, which charges period by period."""
    generator = np.random.default_rng(3)
    instance = random_instance(generator, items=1, stocking=2, customers=1, horizon=PERIODS)
    network = instance.network
    transit = generator.uniform(0.1, 0.5, (1, len(network.lanes), 2))
    transit[:, network.lead_time < 2] = 0.0
    instance = replace(instance, network=replace(network, transit_cost=transit, discount=0.95))
    outcomes = [outcomes_of(instance, generator, 2) for _ in range(PERIODS)]
    sddp = Sddp(replenishment_graph(instance, outcomes))
    result = train(sddp, Stopping(iterations=40))
    assert result.bound == pytest.approx(extensive_optimum(instance, outcomes), rel=1e-6)


def test_a_chain_that_never_changes_is_independent_demand() -> None:
    """Truth: with equal outcomes in both states of the chain the chain does not matter."""
    generator = np.random.default_rng(5)
    instance = random_instance(generator, items=1, stocking=2, customers=1, horizon=PERIODS)
    outcomes = [outcomes_of(instance, generator, 2) for _ in range(PERIODS)]
    transition = [np.array([[0.7, 0.3], [0.2, 0.8]])] * (PERIODS - 1)
    graph = markovian_replenishment_graph(
        instance, [[o, o] for o in outcomes], transition, np.array([0.5, 0.5])
    )
    result = train(Sddp(graph), Stopping(iterations=60))
    assert result.bound == pytest.approx(extensive_optimum(instance, outcomes), rel=1e-6)


def test_a_chain_that_matters_costs_the_average_of_its_paths() -> None:
    """Truth: a chain whose first state decides all is the mean of two independent problems."""
    generator = np.random.default_rng(6)
    instance = random_instance(generator, items=1, stocking=2, customers=1, horizon=PERIODS)
    low = [outcomes_of(instance, generator, 2) for _ in range(PERIODS)]
    high = [DemandOutcomes(o.probability, o.demand + 4) for o in low]
    graph = markovian_replenishment_graph(
        instance,
        list(zip(low, high, strict=True)),
        [np.eye(2)] * (PERIODS - 1),
        np.array([0.25, 0.75]),
    )
    truth = 0.25 * extensive_optimum(instance, low) + 0.75 * extensive_optimum(instance, high)
    result = train(Sddp(graph, SddpSettings(paths=2)), Stopping(iterations=60))
    assert result.bound == pytest.approx(truth, rel=1e-6)


def test_integers_left_out_bound_from_below() -> None:
    """Truth: the mixed-integer program over the tree costs at least the bound."""
    generator = np.random.default_rng(8)
    instance = random_instance(
        generator, items=1, stocking=2, customers=1, horizon=2, integers=True
    )
    outcomes = [outcomes_of(instance, generator, 2) for _ in range(2)]
    bound = train(Sddp(replenishment_graph(instance, outcomes)), Stopping(iterations=30)).bound
    truth = extensive_optimum(instance, outcomes)
    assert bound <= truth + 1e-6
    assert bound > truth - 0.5 * abs(truth)


def test_service_level_targets_are_refused() -> None:
    """A target over the horizon couples the stages."""
    generator = np.random.default_rng(1)
    instance = random_instance(generator, items=1, service=True, horizon=2)
    with pytest.raises(StageError, match="shortage_cost"):
        replenishment_graph(instance, [outcomes_of(instance, generator, 2)] * 2)
