"""The Lagrangian bound over items: below what capacities cost, unbiased on samples of items."""

import numpy as np
import pytest
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.bounds.errors import BoundRefusedError
from optrl.bounds.lagrangian import lagrangian_bound, priced_bound
from optrl.bounds.paths import PathSource
from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.oracle import Response
from optrl.demand.fit import fit
from optrl.evaluation.perfect_information import perfect_information
from optrl.stages.coarse import CoarseView, with_root
from optrl.testing import random_instance

PERIODS = 8


@pytest.fixture(scope="module")
def source():
    """Six items that share capacities of every kind."""
    instance = random_instance(np.random.default_rng(5), items=6, horizon=PERIODS)
    return PathSource(instance, fit(instance), 1)


def prices_of(source):
    """Prices of the program on expected demand: good ones, known in advance."""
    instance = source.instance
    mean = source.model.mean(instance.start, PERIODS)
    view = CoarseView.of(instance, mean.mean(axis=2), merge=False)
    problem = view.problem(ScenarioTree.chain(PERIODS))
    solved = problem.solve(view.start(), instance.start, with_root(view.demand(mean)))
    by_node = solved.prices()
    after = np.array([solved.layout.is_seen_after_demand(r) for r in instance.network.resources])
    return np.where(after[:, None], by_node[:, 1:], by_node[:, :-1])


def test_prices_bound_the_coupled_problem_path_by_path(source):
    """All items with good prices: below perfect information, above that without capacities."""
    prices = prices_of(source)
    assert (prices > 0).any()
    paths = 6
    priced = lagrangian_bound(source, prices, paths)
    coupled = perfect_information(source.instance, source.demand(0, paths), seed=source.seed)
    assert (priced.sample <= coupled.bound + 1e-6).all()
    free = lagrangian_bound(source, np.zeros_like(prices), paths)
    assert priced.mean > free.mean


def test_a_sample_of_items_is_unbiased(source):
    """The mean over samples of two items agrees with all items within its own interval."""
    prices = prices_of(source)
    whole = lagrangian_bound(source, prices, 60)
    part = lagrangian_bound(source, prices, 60, items=2)
    difference = part.sample - whole.sample
    assert abs(difference.mean()) <= 4 * difference.std(ddof=1) / np.sqrt(60)
    assert difference.std() > 0
    assert "2 of 6 items" in part.assumption


def test_wrong_prices_are_refused(source):
    """Negative prices, and prices of storage above its overflow cost, bound nothing."""
    prices = prices_of(source)
    with pytest.raises(BoundRefusedError, match="at least 0"):
        lagrangian_bound(source, prices - 1, 1)
    with pytest.raises(BoundRefusedError, match="a price for each resource"):
        lagrangian_bound(source, prices[:2], 1)
    steep = prices.copy()
    storage = [r.kind for r in source.instance.network.resources].index("storage")
    steep[storage] = 100.0
    with pytest.raises(BoundRefusedError, match="overflow cost"):
        lagrangian_bound(source, steep, 1)


def test_oracles_without_a_valid_bound_are_refused(source):
    """An oracle that claims nothing, or solves a sample of scenarios, certifies nothing."""
    mean = source.model.mean(source.instance.start, PERIODS)
    coupling = ReplenishmentItems.of(source.instance, mean).coupling
    prices = np.zeros(coupling.shape)
    usage = np.zeros(coupling.shape)
    exact = Response(np.array([3.0, 4.0]), np.array([3.0, 4.0]), usage)
    learned = Response(None, np.array([5.0]), usage)
    assert priced_bound(coupling, prices, [exact], certain=True).value == 7.0
    with pytest.raises(BoundRefusedError, match="block 1 claims none"):
        priced_bound(coupling, prices, [exact, learned], certain=True)
    with pytest.raises(BoundRefusedError, match="a sample of scenarios"):
        priced_bound(coupling, prices, [exact], certain=False)
    with pytest.raises(BoundRefusedError, match="price limit"):
        priced_bound(coupling, prices - 1.0, [exact], certain=True)
