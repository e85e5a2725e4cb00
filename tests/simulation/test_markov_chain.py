"""The simulator against an exact Markov chain."""

from __future__ import annotations

import numpy as np
import torch

from optrl.simulation.rollout import simulate


def exact_base_stock_cost(level: int, rate: float, holding: float, shortage: float) -> float:
    """Mean cost a period of base stock, lost sales, lead time 1, Poisson demand.

    The order of period t restores the position to `level` and is usable in t + 1, so that the
    state is the stock x seen by the decision and the next one is level - min(x, D).
    """
    size = level + 1
    factorial = np.cumsum(np.log(np.maximum(np.arange(size + 1), 1)))
    mass = np.exp(-rate + np.arange(size + 1) * np.log(rate) - factorial)
    chain = np.zeros((size, size))
    cost = np.zeros(size)
    for x in range(size):
        sold = np.append(mass[:x], 1 - mass[:x].sum())
        chain[x, level - np.arange(x + 1)] = sold
        mean_sold = sold @ np.arange(x + 1)
        cost[x] = holding * (x - mean_sold) + shortage * (rate - mean_sold)
    balance = np.vstack([chain.T - np.eye(size), np.ones(size)])
    stationary = np.linalg.lstsq(balance, np.append(np.zeros(size), 1.0), rcond=None)[0]
    return float(stationary @ cost)


def test_lost_sales_base_stock_costs_what_the_chain_says(build, base_stock):
    """Poisson(5) lost sales at L = 1: simulated cost is within 3 standard errors of the exact."""
    instance = build(
        [("supplier", "supplier"), ("store", "stocking")],
        [("supplier", "store", 1)],
        ["store"],
        items=3,
        on_hand={"store": 8.0},
        holding_cost={"store": 1.0},
        shortage_cost={"store": 9.0},
    )
    levels = [9, 12, 15]
    scenarios, periods, warm_up = 300, 400, 50
    demand = np.random.default_rng(11).poisson(5.0, (scenarios, 1, 1, periods))
    demand = np.broadcast_to(demand, (scenarios, 3, 1, periods)).astype(np.float32)
    policy = base_stock(instance, np.array(levels, dtype=float)[:, None], torch.float32)
    result = simulate(instance, policy, demand, seed=0, warm_up=warm_up, record="full")
    stock, short = result.detail.on_hand[:, :, 1], result.detail.short[:, :, 0]
    cost = (stock + 9.0 * short)[..., warm_up:].double().mean(-1)
    for item, level in enumerate(levels):
        exact = exact_base_stock_cost(level, 5.0, 1.0, 9.0)
        error = float(cost[:, item].std()) / np.sqrt(scenarios)
        assert error < 0.01 * exact
        assert abs(float(cost[:, item].mean()) - exact) < 3 * error
    counted = result.period_cost[:, warm_up:].mean(1)
    torch.testing.assert_close(counted, cost.sum(1), rtol=1e-5, atol=0)
