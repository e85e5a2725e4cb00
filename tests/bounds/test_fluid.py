"""The fluid bound: below the clairvoyant on every path, unbiased on paths, below known optima."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_data import ReplenishmentData
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.bounds.certificate import Upper, certify
from optrl.bounds.errors import BoundRefusedError
from optrl.bounds.fluid import Fluid, dual_value
from optrl.bounds.paths import PathSource
from optrl.building import build
from optrl.demand.fit import fit
from optrl.evaluation.perfect_information import perfect_information
from optrl.instance import ArrivalProfile
from optrl.policies import find
from optrl.simulation.rollout import simulate
from optrl.solver import Model
from optrl.stages.coarse import CoarseView, with_root
from optrl.testbeds.iowa import Iowa
from optrl.testing import random_instance

PERIODS = 8


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    unmet=st.sampled_from(["lost", "backorder"]),
    integers=st.booleans(),
    limited=st.booleans(),
    discount=st.sampled_from([1.0, 0.97]),
)
def test_every_path_lies_above(seed, unmet, integers, limited, discount):
    """With lead times certain, multipliers fit every demand: no clairvoyant is below them."""
    instance = random_instance(
        np.random.default_rng(seed),
        items=2,
        customers=4,
        horizon=PERIODS,
        unmet=unmet,
        integers=integers,
        limited_supply=limited,
        discount=discount,
    )
    model = fit(instance)
    fluid = Fluid.of(instance, model)
    assert fluid.on(fluid.mean[None]) == pytest.approx([fluid.value])
    paths = PathSource(instance, model, seed).demand(0, 3)
    known = perfect_information(instance, np.concatenate([fluid.mean[None], paths]), seed=seed)
    low = np.append(fluid.value, fluid.on(paths))
    scale = 1e-6 * np.maximum(1.0, np.abs(known.bound))
    assert (low <= known.bound + scale).all()
    if unmet == "backorder":
        # No customers are merged, and the program is the clairvoyant's of expected demand.
        assert fluid.value == pytest.approx(known.bound[0], rel=1e-6, abs=1e-6)


def test_merging_loses_little():
    """On Iowa the bound of four weeks is within 0.1 % of the program that merges nobody."""
    bed = Iowa.case()
    instance = replace(bed.instance, horizon=4, arrivals=())
    fluid = Fluid.of(instance, bed.demand)
    known = perfect_information(instance, fluid.mean[None], seed=0).bound[0]
    assert known - 1e-3 * abs(known) <= fluid.value <= known + 1e-7 * abs(known)


class Certain:
    """No demand at first, then 12."""

    nodes = np.array([1])

    def mean(self, first, periods):
        return np.array([[[0.0, 12.0]]])[:, :, first : first + periods]


def test_random_arrivals_are_bounded_in_expectation():
    """Of one order half or all arrives: 16 are ordered in the fluid, the best policy pays 21."""
    instance = build(
        "half",
        {"maker": "supplier", "shop": "stocking"},
        {("maker", "shop"): 1},
        ["shop"],
        unmet="lost",
        horizon=2,
        shortage_cost={"shop": 3.0},
        lane_cost={("maker", "shop"): 1.0},
    )
    arrivals = ArrivalProfile(0, np.array([0.5, 0.5]), np.array([[0.0, 0.5], [0.0, 1.0]]))
    fluid = Fluid.of(replace(instance, arrivals=(arrivals,)), Certain())
    order = np.linspace(0, 40, 401)
    optimum = (order + 3 * np.maximum(12 - np.outer([0.5, 1.0], order), 0).mean(axis=0)).min()
    assert optimum == pytest.approx(21)
    assert fluid.value == pytest.approx(16)


def test_below_a_known_optimum(lost_sales):
    """The optimum by dynamic program is above it."""
    source = lost_sales.source
    assert Fluid.of(source.instance, source.model).value <= lost_sales.optimum


def test_it_is_a_control_variate():
    """Paired with the bound on its paths, a policy's cost is known far better than by its mean."""
    instance = random_instance(np.random.default_rng(3), items=4, horizon=12)
    model = fit(instance)
    source, fluid = PathSource(instance, model, 5), Fluid.of(instance, model)
    demand = source.demand(0, 40)
    run = simulate(instance, find("base_stock").fit(instance, model), demand, seed=5)
    upper = Upper("base_stock", run.total_cost.double().numpy(), source.name)
    few = Upper("base_stock", upper.cost[:8], source.name)
    paired = certify(few, [fluid.bound(fluid.on(demand[:8]), paths=source.name)])
    plain = certify(few, [fluid.bound(np.zeros(0))])
    assert paired.gap < plain.gap
    assert paired.upper < plain.upper
    assert paired.lower == plain.lower == fluid.value
    assert paired.cost == pytest.approx(fluid.value + paired.estimated_gap)
    with pytest.raises(BoundRefusedError, match="costs of all periods count"):
        fluid.bound(np.zeros(0), warm_up=2)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), noise=st.sampled_from([0.0, 0.1, 2.0]))
def test_any_multipliers_prove_no_more_than_the_optimum(seed, noise):
    """Weak duality, also with multipliers of the wrong sign; at the optimal ones it is tight."""
    generator = np.random.default_rng(seed)
    instance = random_instance(generator, horizon=PERIODS)
    mean = fit(instance).mean(instance.start, PERIODS)
    view = CoarseView.of(instance, mean.mean(axis=2), merge=False)
    tree = ScenarioTree.chain(PERIODS)
    layout = ReplenishmentLayout(view.aggregation.network, tree, instance.start, view.demand_pairs)
    start = view.start()
    demand = with_root(view.demand(mean))
    program = build_replenishment(
        layout, ReplenishmentData(start.on_hand, start.due, start.backlog, demand)
    )
    solved = Model(program).solve()
    value, used = dual_value(
        program, solved.row_dual + noise * generator.normal(size=len(program.row_lower))
    )
    assert value <= solved.objective + 1e-6 * abs(solved.objective)
    assert len(used) == len(program.row_lower)
    if not noise:
        assert value == pytest.approx(solved.objective, rel=1e-6)
