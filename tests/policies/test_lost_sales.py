from dataclasses import dataclass

import numpy as np
import pytest
import torch

from optrl.demand.lead_time import total_loss
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.policies.lost_sales import LostSales
from optrl.policies.sourcing import Sourcing


@dataclass(frozen=True)
class Seen:
    on_hand: torch.Tensor
    due: torch.Tensor


def test_one_period_of_lead_time_loses_the_expected_shortage(build_instance):
    """With lead time 1 the projection is E (D - x)^+ of one period, within sampling error."""
    instance = build_instance({"s": "supplier", "w": "stocking"}, {("s", "w"): 1}, ["w"])
    demand = Poisson(np.array([1]), steady(np.array([[5.0]])))
    stock = np.arange(12.0)
    on_hand = torch.zeros(12, 1, 2, dtype=torch.float64)
    on_hand[:, 0, 1] = torch.from_numpy(stock)
    lost = LostSales(Sourcing.of(instance), demand, seed=1, paths=20_000)
    projected = lost.expected(Seen(on_hand, on_hand[..., None] * 0), 0)[0, :, 0].numpy()
    exact = total_loss(demand, np.ones((1, 1, 1)), 0, 1, stock[:, None, None])[0].ravel()
    assert projected == pytest.approx(exact, abs=4 * np.sqrt(5 / 20_000))


def test_arrivals_are_projected_in_their_period(build_instance):
    """Known demand 5 meets stock 2 and arrivals of 1, 9 and 0: 8 are lost in all.

    Period by period: 2 - 5 loses 3; 1 - 5 loses 4; 9 - 5 leaves 4; 4 + 0 - 5 loses 1.
    """
    instance = build_instance({"s": "supplier", "w": "stocking"}, {("s", "w"): 4}, ["w"])

    class Known(Poisson):
        def sample(self, scenarios, first, periods, generator):
            return np.full((scenarios, 1, 1, periods), 5.0)

    demand = Known(np.array([1]), steady(np.array([[5.0]])))
    on_hand = torch.tensor([[[0.0, 2.0]]])
    due = torch.tensor([[[[0.0] * 3, [1.0, 9.0, 0.0]]]])
    lost = LostSales(Sourcing.of(instance), demand, seed=0)
    assert lost.expected(Seen(on_hand, due), 0).item() == pytest.approx(8.0)


def test_nodes_that_only_supply_others_lose_nothing(build_instance):
    """A hub without own demand has no lost sales; its shop has."""
    instance = build_instance(
        {"s": "supplier", "hub": "stocking", "shop": "stocking"},
        {("s", "hub"): 2, ("hub", "shop"): 1},
        ["shop"],
    )
    demand = Poisson(np.array([2]), steady(np.array([[5.0]])))
    on_hand = torch.zeros(1, 1, 3)
    hub, shop = LostSales(Sourcing.of(instance), demand, seed=0).expected(
        Seen(on_hand, on_hand[..., None]), 0
    )
    assert hub.item() == 0.0
    assert shop.item() == pytest.approx(5.0, abs=1.0)
