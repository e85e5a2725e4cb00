"""The search over shapes of position values only accepts what costs less on the same paths."""

from dataclasses import replace

import numpy as np
import pytest

from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.instance import DemandTable
from optrl.learning.base import Subject, TrainingError
from optrl.learning.position_search import PositionSearch, PositionSearchSettings
from optrl.policies.cost_to_go import CostToGo
from optrl.testbeds.building import build

DEMAND = Poisson(np.array([1]), steady(np.array([[5.0]])))
SETTINGS = PositionSearchSettings(
    updates=8, scenarios=4, periods=25, horizon=2, first=(4.0, 1.0, 1.0)
)


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


def test_the_best_never_gets_worse_and_a_restored_search_goes_on(tmp_path):
    """Best costs fall; a copy restored midway ends at the same shape; files hold it."""
    subject = Subject(instance(), DEMAND)
    search = PositionSearch.begin(subject, SETTINGS, 0)
    best = []
    for k in range(SETTINGS.updates):
        if k == 4:
            kept = search.state()
        best.append(search.update()["best"])
    assert (np.diff(best) <= 0).all()
    assert best[-1] < best[0]
    assert search.validate() == pytest.approx(best[-1])
    copy = PositionSearch.begin(subject, SETTINGS, 0)
    copy.restore(kept)
    for _ in range(4):
        copy.update()
    assert copy.shape == search.shape
    search.save_policy(tmp_path)
    assert isinstance(PositionSearch.load_policy(tmp_path, instance(), DEMAND), CostToGo)


def test_replays_lie_before_the_start():
    """History before the start is replayed; weeks from the start on are refused."""
    history = np.random.default_rng(0).poisson(5.0, (1, 1, 60)).astype(float)
    known = replace(instance(), start=40, demand=DemandTable(np.array([1]), 0, history))
    settings = PositionSearchSettings(updates=1, scenarios=0, replays=(20,), replay_periods=20)
    search = PositionSearch.begin(Subject(known, DEMAND), settings, 0)
    assert np.isfinite(search.update()["loss"])
    for start in (30, 0):
        with pytest.raises(TrainingError, match="replay"):
            PositionSearch.begin(Subject(known, DEMAND), replace(settings, replays=(start,)), 0)
