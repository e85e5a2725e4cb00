"""The family of one warehouse and its retailers: laws, forests, and learning on them."""

import numpy as np
import pytest
import torch
from scipy import stats

from optrl.learning.gradient_steps import GradientSteps
from optrl.learning.one_warehouse_family import OneWarehouseSystems, demand_laws, forest
from optrl.learning.simulated_systems import SimulatedSystems
from optrl.networks.graph_policy import PolicyNetwork
from optrl.policies.neural_file import policy_shape
from optrl.testbeds.one_warehouse_multi_retailer import OneWarehouseMultiRetailer, demand_law


def test_laws_are_those_of_the_test_bed():
    """Poisson, uniform and cut normal agree with the published instances' own; all sum to 1."""
    kind = np.array([0, 2, 3, 1])
    mean, deviation = np.array([3.0, 3.0, 1.0, 2.0]), np.full(4, 5.0)
    laws = demand_laws(kind, mean, deviation, np.full(4, 1.5))
    for law, text in zip(laws, ("Poisson(3)", "U[0,6]", "N(1,5)"), strict=False):
        np.testing.assert_allclose(law, demand_law(text), atol=1e-12)
    assert laws.sum(axis=1) == pytest.approx(1.0)
    assert laws[3] @ np.arange(61) == pytest.approx(2.0, rel=1e-3)
    assert laws[3, 0] == pytest.approx(stats.nbinom.pmf(0, 1.5, 1.5 / 3.5))


def test_drawn_systems_are_a_forest_within_the_ranges():
    """Every warehouse feeds as many retailers as asked for; both conventions; equal shapes."""
    family = OneWarehouseSystems(retailers=(3, 5, 10))
    drawn = [family.draw(12, np.random.default_rng(seed)) for seed in range(4)]
    for pair in drawn:
        assert [each.instance.network.unmet for each in pair] == ["lost", "backorder"]
        for each in pair:
            network = each.original.network
            assert each.systems == 6
            fed = [network.graph.out_degree(f"warehouse{w}") for w in range(3)]
            assert fed == [3, 5, 10]
            lead = network.lead_time
            assert lead[[a == "supplier" for a, _ in network.lanes]].max() == 5
            shortage = network.shortage_cost[:, each.original.demand.nodes]
            assert shortage.min() >= 5.0
            assert shortage.max() <= 16.0
            mean = each.demand.mean(0, 1)
            assert mean.min() > 0.2
    assert len({each.original.network.lead_time.tobytes() for pair in drawn for each in pair}) > 4


def test_a_forest_of_one_is_the_published_instance():
    """Same graph, costs and conventions as instance 4 of the test bed."""
    bed = list(OneWarehouseMultiRetailer.cases())[3]
    mine = forest(
        np.array([2]),
        [np.array([1, 2, 3])],
        np.full((1, 3), 3.0),
        holding_cost=np.array([[0.5]]),
        shortage_cost=np.array([[9.0]]),
        unmet="backorder",
    ).network
    other = bed.instance.network
    for field in ("kind", "origin", "destination", "lead_time", "holding_cost", "shortage_cost"):
        np.testing.assert_array_equal(getattr(mine, field), getattr(other, field), field)
    np.testing.assert_array_equal(mine.lot_size, other.lot_size)


def test_learning_lowers_the_cost_of_drawn_systems():
    """From echelon base stock on, by some percent within a few steps, on demand of its own."""
    family = OneWarehouseSystems(retailers=(3,), warehouse_lead_times=(1, 2))
    drawn = family.draw(8, np.random.default_rng(3))
    network = PolicyNetwork.seeded(policy_shape(family.space, 8, 2, 1, levels=True), 0)
    steps, generator = GradientSteps(network), np.random.default_rng(4)

    def cost(systems, demand):
        for each in systems:
            each.restart()
        return sum((each.cost(25, demand, 0, 0) for each in systems), start=torch.zeros(()))

    systems = [SimulatedSystems(d, network, family.space, paths=24, endless=True) for d in drawn]
    with torch.no_grad():
        before = float(cost(systems, np.random.default_rng(5)))
    for _ in range(25):
        steps.descend(cost(systems, generator), 1e-2, 1.0)
    with torch.no_grad():
        after = float(cost(systems, np.random.default_rng(5)))
    assert after < 0.99 * before
