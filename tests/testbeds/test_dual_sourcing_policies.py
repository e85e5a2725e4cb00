"""Dual-sourcing policies in the simulator against their exact costs."""

import numpy as np
import pytest
import torch

from optrl.demand.fit import fit
from optrl.exact.dual_sourcing_policies import (
    best_capped_dual_index,
    best_dual_index,
    best_single_index,
    best_tailored_base_surge,
    bounded_cost,
    dual_index_overshoot,
)
from optrl.policies.base_stock import BaseStock
from optrl.policies.capped_dual_index import CappedDualIndex
from optrl.policies.dual_index import DualIndex
from optrl.policies.single_index import SingleIndex
from optrl.policies.sourcing import Sourcing
from optrl.policies.tailored_base_surge import TailoredBaseSurge
from optrl.policies.two_suppliers import Expediting
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.rollout import simulate
from optrl.testbeds.dual_sourcing import DualSourcingFamily
from optrl.testbeds.simulated import simulated_cost
from optrl.testing import random_instance

KINDS = (
    (CappedDualIndex, best_capped_dual_index),
    (DualIndex, best_dual_index),
    (SingleIndex, best_single_index),
    (TailoredBaseSurge, best_tailored_base_surge),
)
BED = DualSourcingFamily.case(3, 110.0)


def at_best(kind, best):
    given = (best.expedited_level, best.regular_level, best.cap)
    return kind.at_level(BED.instance, *[x for x in given if x is not None])


@pytest.mark.parametrize(("kind", "search"), KINDS)
def test_the_simulator_agrees_with_the_exact_cost(kind, search):
    """Fixed at the exact best parameters a policy costs what its chain says."""
    best = search(BED.problem)
    found = simulated_cost(BED, at_best(kind, best), scenarios=32, seed=6)
    assert abs(found.mean - best.cost) < 2 * found.half_width
    assert found.half_width < 0.01 * best.cost


@pytest.mark.parametrize(("kind", "search"), KINDS)
def test_fitted_parameters_are_nearly_the_best(kind, search):
    """On the same paths the fitted policy costs within 0.2 % of the exact best of its kind."""
    exact = simulated_cost(BED, at_best(kind, search(BED.problem)), scenarios=16, seed=8).mean
    fitted = kind.fit(BED.instance, BED.demand, seed=1)
    assert simulated_cost(BED, fitted, scenarios=16, seed=8).mean < 1.002 * exact


def test_a_decision_expedites_first_and_orders_the_rest():
    """From the empty system: up to 4 by the fast lane, up to 10 by both, at most the cap."""
    instance = BED.instance
    state = Dynamics(instance, dtype=torch.float64).initial_state(1)
    lanes = [instance.network.lanes[k][0] for k in instance.network.replenishment_lanes]

    def orders(policy):
        return dict(zip(lanes, policy.decide(state, 0).order[0, 0].tolist(), strict=True))

    assert orders(DualIndex.at_level(instance, 4, 10)) == {"expedited": 4.0, "regular": 6.0}
    capped = CappedDualIndex.at_level(instance, 4, 10, 2)
    assert orders(capped) == {"expedited": 4.0, "regular": 2.0}
    surge = TailoredBaseSurge.at_level(instance, 4, 1)
    assert orders(surge) == {"expedited": 4.0, "regular": 1.0}


def test_single_index_looks_at_the_whole_pipeline():
    """With enough on the way single index expedites nothing where dual index does."""
    instance = BED.instance
    dynamics = Dynamics(instance, dtype=torch.float64)
    state = dynamics.initial_state(1)
    first = DualIndex.at_level(instance, 0, 8).decide(state, 0)
    demand = torch.zeros(1, 1, 1, dtype=torch.float64)
    state, _ = dynamics.step(state, first, demand, dynamics.draws(0, 0, 1))
    assert float(state.in_transit.sum()) == 8
    rush = [lane[0] for lane in instance.network.lanes].index("expedited")
    single = SingleIndex.at_level(instance, 4, 8).decide(state, 1).order
    dual = DualIndex.at_level(instance, 4, 8).decide(state, 1).order
    assert float(single[0, 0, rush]) == 0
    assert float(dual[0, 0, rush]) == 4


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@pytest.mark.parametrize("kind", [kind for kind, _ in KINDS])
def test_they_work_on_any_network(kind, unmet):
    """Nodes with one supplier follow base stock; all cost less than ordering nothing."""
    costs = []
    for seed in range(3):
        instance = random_instance(
            np.random.default_rng(seed), items=4, unmet=unmet, resources=False, horizon=12
        )
        sourcing = Sourcing.of(instance)
        dual = Expediting.of(sourcing).dual
        assert not dual[sourcing.children > 0].any()
        model = fit(instance)
        demand = model.sample(8, instance.start, 12, np.random.default_rng(seed))
        ours = simulate(instance, kind.fit(instance, model), demand, seed=0)
        idle = simulate(instance, BaseStock.at_level(instance, 0.0), demand, seed=0)
        costs.append(float(ours.total_cost.mean() - idle.total_cost.mean()))
    assert max(costs) < 0


def test_the_overshoot_is_independent_of_the_level():
    """Costs at two expedited levels differ by the newsvendor's cost alone."""
    overshoot = dual_index_overshoot(BED.problem, 5)
    low, high = (bounded_cost(BED.problem, overshoot, level)[0] for level in (3, 4))
    stage = [
        BED.problem.stage_cost(level + overshoot.excess) @ overshoot.probability for level in (3, 4)
    ]
    assert low - high == pytest.approx(stage[0] - stage[1], abs=1e-5)
