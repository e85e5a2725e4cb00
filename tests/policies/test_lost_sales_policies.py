"""Policies on Zipkin's lost-sales instances, evaluated exactly over the whole state space.

Zipkin (2008), Operations Research 56(5): Poisson demand of mean 5, holding 1, no unit cost.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import stats

from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.policies.base_stock import BaseStock
from optrl.policies.capped_base_stock import CappedBaseStock
from optrl.policies.projected_inventory_level import ProjectedInventoryLevel
from optrl.simulation.rollout import simulate

TOP = 40
DEMAND = Poisson(np.array([1]), steady(np.array([[5.0]])))


@dataclass(frozen=True)
class Grid:
    """Every state (on hand, due next period, ...) of one node fed by one supplier."""

    on_hand: torch.Tensor
    due: torch.Tensor

    @property
    def in_transit(self):
        return self.due.sum(-1)

    @property
    def backlog(self):
        return torch.zeros_like(self.on_hand)


def exact_cost(policy, lead_time, shortage, period=0):
    """Long-run average cost, from the stationary distribution of the policy's Markov chain."""
    levels = [np.arange(TOP + 1)] * 1 + [np.arange(TOP // 2)] * (lead_time - 1)
    states = np.stack([x.ravel() for x in np.meshgrid(*levels, indexing="ij")], axis=1)
    count = len(states)
    values = torch.zeros(count, 1, 2, lead_time + 1, dtype=torch.float64)
    values[:, 0, 1, :lead_time] = torch.from_numpy(states).double()
    order = policy.decide(Grid(values[..., 0], values[..., 1:]), period).order
    quantity = order[:, 0, 0].numpy()
    assert (quantity == np.round(quantity)).all()
    demand = np.arange(31)
    weight = stats.poisson.pmf(demand, 5)
    weight[-1] += stats.poisson.sf(30, 5)
    left = np.maximum(states[:, :1] - demand, 0)
    lost = np.maximum(demand - states[:, :1], 0)
    cost = (left + shortage * lost) @ weight
    pipeline = np.column_stack([states[:, 1:], quantity.astype(int)])
    following = np.minimum(left + pipeline[:, :1], TOP)
    for k in range(1, lead_time):
        following = following * (TOP // 2) + np.minimum(pipeline[:, k : k + 1], TOP // 2 - 1)
    share = np.full(count, 1 / count)
    for _ in range(400):
        moved = np.bincount(following.ravel(), (share[:, None] * weight).ravel(), count)
        change = np.abs(moved - share).sum()
        share = moved
        if change < 1e-12:
            break
    return share @ cost


@pytest.fixture(scope="module")
def lost_sales(build_instance):
    def build(lead_time, shortage=9.0):
        return build_instance(
            {"s": "supplier", "w": "stocking"},
            {("s", "w"): lead_time},
            ["w"],
            holding={"w": 1.0},
            shortage=shortage,
            on_hand={"w": 8.0},
            due={"w": [5.0] * (lead_time - 1)} if lead_time > 1 else None,
            lot_size=np.ones((1, 1)),
        )

    return build


@pytest.mark.parametrize(
    ("shortage", "lead_time", "optimum", "level", "cap", "gap"),
    [
        (4, 1, 4.04071, 12, 6, 0.61),
        (9, 1, 5.43822, 14, 6, 0.79),
        (9, 2, 6.09364, 19, 6, 0.42),
        (39, 2, 9.10638, 22, 8, 0.29),
    ],
)
def test_capped_base_stock_costs_what_is_known(
    lost_sales, shortage, lead_time, optimum, level, cap, gap
):
    """The best capped base stock (Xin 2021) costs the known gap above the optimum, exactly."""
    policy = CappedBaseStock.at_level(lost_sales(lead_time), level, cap)
    cost = exact_cost(policy, lead_time, shortage)
    assert cost == pytest.approx(optimum * (1 + gap / 100), rel=1e-4)


@pytest.mark.parametrize(("lead_time", "optimum", "gap"), [(1, 5.43822, 0.34), (2, 6.09364, 0.54)])
def test_best_projected_inventory_level_costs_what_is_known(lost_sales, lead_time, optimum, gap):
    """The best level comes within 0.25 % of the best exact projection, never below the optimum."""
    instance = lost_sales(lead_time)
    costs = [
        exact_cost(ProjectedInventoryLevel.at_level(instance, DEMAND, level), lead_time, 9)
        for level in np.arange(7.0, 9.0, 0.125)
    ]
    assert min(costs) > optimum
    assert min(costs) == pytest.approx(optimum * (1 + gap / 100), rel=2.5e-3)


def test_base_stock_is_worse_than_both_and_its_default_level_is_next_to_the_best(lost_sales):
    """The best base stock costs more than the best capped one; `fit` finds a level next to it."""
    instance = lost_sales(2)
    costs = {
        level: exact_cost(BaseStock.at_level(instance, level), 2, 9) for level in range(15, 24)
    }
    best = min(costs, key=costs.__getitem__)
    assert costs[best] > 6.09364 * 1.0042
    assert abs(BaseStock.fit(instance, DEMAND).levels.at(0).item() - best) <= 1


def test_simulation_agrees_with_the_exact_cost(lost_sales):
    """The simulated cost of a base stock equals that of its Markov chain within 4 errors."""
    instance = lost_sales(2)
    policy = BaseStock.at_level(instance, 19)
    demand = DEMAND.sample(400, 0, 120, np.random.default_rng(3))
    run = simulate(instance, policy, demand, seed=0, warm_up=20)
    mean = run.period_cost[:, 20:].mean(dim=1)
    error = float(mean.std()) / np.sqrt(len(mean))
    assert abs(float(mean.mean()) - exact_cost(policy, 2, 9)) < 4 * error


def test_defaults_order_as_theory_does(lost_sales):
    """Fitted projection and cap beat fitted base stock, all within 10 % of the optimum."""
    instance = lost_sales(2)
    base, capped, projected = (
        exact_cost(kind.fit(instance, DEMAND), 2, 9)
        for kind in (BaseStock, CappedBaseStock, ProjectedInventoryLevel)
    )
    assert 6.09364 < capped < base < 6.09364 * 1.1
    assert 6.09364 < projected < base


def test_without_lead_time_projection_is_base_stock(lost_sales):
    """Nothing can be lost before an order that arrives at once."""
    instance = lost_sales(0)
    state = Grid(torch.tensor([[[0.0, 3.0]], [[0.0, 20.0]]]), torch.zeros(2, 1, 2, 1))
    projected = ProjectedInventoryLevel.at_level(instance, DEMAND, 8.0).decide(state, 0).order
    assert projected[:, 0, 0].tolist() == [5.0, 0.0]
    assert torch.equal(projected, BaseStock.at_level(instance, 8.0).decide(state, 0).order)
