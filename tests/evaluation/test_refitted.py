"""Policies fitted anew in a replay: they see what was observed before the fit, and nothing else."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from optrl.building import build
from optrl.demand.fit import fit
from optrl.errors import OptrlError
from optrl.evaluation.judge import kept_demand
from optrl.evaluation.refitted import Refitted, moved_on
from optrl.instance import DemandTable, Forecast
from optrl.policies.base_stock import BaseStock
from optrl.simulation.rollout import simulate

START, HORIZON, EVERY = 40, 24, 6


@pytest.fixture
def grown():
    """One place whose demand doubles when planning starts."""
    one = build(
        "grown",
        {"supplier": "supplier", "place": "stocking"},
        {("supplier", "place"): 2},
        ("place",),
        unmet="lost",
        horizon=HORIZON,
        holding_cost={"place": 1.0},
        shortage_cost={"place": 19.0},
        on_hand={"place": 30.0},
    )
    generator = np.random.default_rng(8)
    mean = np.where(np.arange(START + HORIZON) < START, 10.0, 20.0)
    table = DemandTable(np.array([1]), 0, generator.poisson(mean)[None, None].astype(float))
    return replace(one, demand=table, start=START, demand_family="poisson")


def orders(instance, policy, demand):
    """What is released in each period of a replay."""
    run = simulate(instance, policy, demand, seed=0, dtype=torch.float64, record="full")
    return run.detail.released.ravel(), float(run.total_cost)


def test_decisions_are_those_of_a_policy_fitted_to_what_was_seen(grown):
    """Until the first new fit those of the policy as it began, after the last those of that one."""
    demand = kept_demand(grown)
    refitted, cost = orders(grown, Refitted(grown, BaseStock.fit, every=EVERY), demand)
    static, dearer = orders(grown, BaseStock.fit(grown, fit(grown)), demand)
    assert torch.equal(refitted[:EVERY], static[:EVERY])
    assert not torch.equal(refitted[EVERY:], static[EVERY:])
    assert cost < dearer
    last = moved_on(grown, START + HORIZON - EVERY)
    state = SimpleNamespace()
    for name in ("on_hand", "due", "backlog"):
        setattr(state, name, torch.from_numpy(getattr(grown, name))[None])
    state.in_transit = state.due.sum(dim=-1)
    period = START + HORIZON - 1
    found, wanted = (
        policy.decide(state, period).order
        for policy in (
            Refitted(grown, BaseStock.fit, every=EVERY),
            BaseStock.fit(last, fit(last)),
        )
    )
    assert torch.equal(found, wanted)


def test_demand_after_a_fit_is_not_looked_at(grown):
    """Other demand from the third fit on leaves all decisions before it as they were."""
    seen = START + 2 * EVERY
    other = grown.demand.quantity.copy()
    other[:, :, seen:] = 100.0
    changed = replace(grown, demand=replace(grown.demand, quantity=other))
    # The same demand is met: what differs is the table that fits may look at.
    demand = kept_demand(grown)
    first, second = (
        orders(each, Refitted(each, BaseStock.fit, every=EVERY), demand)[0]
        for each in (grown, changed)
    )
    assert torch.equal(first[: 3 * EVERY], second[: 3 * EVERY])
    assert not torch.equal(first[3 * EVERY :], second[3 * EVERY :])


def test_what_cannot_be_refitted_is_refused(grown):
    """No periods between fits, forecasts of the user's own, going back in time, no table."""
    with pytest.raises(OptrlError, match="every"):
        Refitted(grown, BaseStock.fit, every=0)
    forecast = Forecast(np.full((1, 1, HORIZON), 10.0))
    with pytest.raises(OptrlError, match="forecast"):
        Refitted(replace(grown, forecast=forecast), BaseStock.fit, every=EVERY)
    with pytest.raises(OptrlError, match="before"):
        moved_on(grown, START - 1)
    short = replace(grown, demand=replace(grown.demand, quantity=grown.demand.quantity[..., :45]))
    with pytest.raises(OptrlError, match="history"):
        Refitted(short, BaseStock.fit, every=1).decide(None, START + 10)


def test_the_end_stays_and_frozen_orders_move_along(grown):
    """Planning ends when it did; what was frozen for periods that are over is gone."""
    for gone in (0, 5, HORIZON - 1):
        later = moved_on(grown, START + gone)
        assert later.start + later.horizon == START + HORIZON
    assert moved_on(grown, START + HORIZON + 3).horizon == 1
    frozen = np.arange(3.0).reshape(1, 1, 3)
    later = moved_on(replace(grown, frozen=frozen), START + 2)
    assert later.frozen.ravel().tolist() == [2.0]
    assert moved_on(later, START + 9).frozen.size == 0
