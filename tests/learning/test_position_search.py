"""The search over shapes of position values only accepts what costs less on the same paths."""

from dataclasses import replace

import numpy as np
import pytest

from optrl.building import build
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.instance import DemandTable
from optrl.learning.base import Subject, TrainingError
from optrl.learning.position_search import PositionSearch, SearchSettings
from optrl.policies.cost_to_go import CostToGo

DEMAND = Poisson(np.array([1]), steady(np.array([[5.0]])))
SETTINGS = SearchSettings(scenarios=4, periods=25, horizon=2, first=(4.0, 1.0, 1.0))


def instance():
    """One place, lead time 3."""
    return build(
        "one",
        {"supplier": "supplier", "place": "stocking"},
        {("supplier", "place"): 3},
        ("place",),
        unmet="lost",
        horizon=30,
        holding_cost={"place": 1.0},
        shortage_cost={"place": 9.0},
        on_hand={"place": 18.0},
    )


def test_the_best_never_gets_worse():
    """Best costs fall from a bad first shape on, and are those of the shape's own program."""
    subject = Subject(instance(), DEMAND)
    search = PositionSearch(subject, SETTINGS, 0)
    costs, best = [], []
    for _ in range(8):
        costs.append(search.trial())
        best.append(search.best)
    assert best == np.minimum.accumulate(costs).tolist()
    assert best[-1] < best[0]
    again = PositionSearch(subject, SETTINGS, 0)
    assert [again.trial() for _ in range(8)] == costs
    assert again.shape == search.shape
    assert isinstance(search.policy(instance(), DEMAND), CostToGo)
    free = PositionSearch(subject, replace(SETTINGS, lead_time=0.0), 0)
    assert free.shape.lead_time == 0.0
    assert free.trial() != costs[0]


def test_replays_lie_before_the_start():
    """History before the start is replayed; weeks from the start on are refused."""
    history = np.random.default_rng(0).poisson(5.0, (1, 1, 60)).astype(float)
    known = replace(instance(), start=40, demand=DemandTable(np.array([1]), 0, history))
    settings = SearchSettings(scenarios=0, replays=(20,), replay_periods=20)
    search = PositionSearch(Subject(known, DEMAND), settings, 0)
    assert np.isfinite(search.trial())
    for start in (30, 0):
        with pytest.raises(TrainingError, match="replay"):
            PositionSearch(Subject(known, DEMAND), replace(settings, replays=(start,)), 0)


def test_replays_fit_demand_anew_where_told():
    """As often as once is the same as once; more often, what was seen in the replay counts."""
    generator = np.random.default_rng(0)
    mean = np.where(np.arange(60) < 25, 5.0, 9.0)
    history = generator.poisson(mean)[None, None].astype(float)
    known = replace(instance(), start=45, demand=DemandTable(np.array([1]), 0, history))
    costs = []
    for refit in (0, 20, 5):
        settings = SearchSettings(scenarios=0, replays=(20,), replay_periods=20, refit=refit)
        costs.append(PositionSearch(Subject(known, DEMAND), settings, 0).trial())
    assert costs[0] == costs[1]
    assert costs[2] < costs[0]
    for name in ("refit", "scenarios", "periods"):
        with pytest.raises(TrainingError, match=f"^{name} is -1"):
            SearchSettings(**{name: -1})
