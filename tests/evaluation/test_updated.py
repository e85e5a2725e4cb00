"""Policies that learn from the demand they meet: from the past of their own path and no more."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from optrl.building import build
from optrl.demand.negative_binomial import NegativeBinomial
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.errors import OptrlError
from optrl.evaluation.updated import Updated
from optrl.policies.base_stock import BaseStock
from optrl.policies.cost_to_go import CostToGo
from optrl.policies.lookahead import Lookahead
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.rollout import simulate

START, HORIZON = 7, 12


@pytest.fixture
def place():
    """One place whose level may be off by a lot."""
    one = build(
        "place",
        {"supplier": "supplier", "place": "stocking"},
        {("supplier", "place"): 2},
        ("place",),
        unmet="lost",
        horizon=HORIZON,
        holding_cost={"place": 1.0},
        shortage_cost={"place": 19.0},
        on_hand={"place": 30.0},
    )
    return replace(one, start=START)


@pytest.fixture
def believed():
    """Demand of 10 a period whose level has a deviation of 60 %."""
    return NegativeBinomial(
        np.array([1]),
        steady(np.array([[10.0]])),
        np.full((1, 1), 9.0),
        level_variance=np.array([0.36]),
    )


def demand(*levels):
    """Paths of one demand each, with noise."""
    generator = np.random.default_rng(2)
    return np.stack([generator.poisson(x, (1, 1, HORIZON)) for x in levels]).astype(float)


def released(place, policy, paths, **how):
    """What is ordered in each scenario and period, and what it costs."""
    run = simulate(place, policy, paths, seed=0, dtype=torch.float64, record="full", **how)
    return run.detail.released[:, 0, 0], run.total_cost


MAKERS = {
    "levels": BaseStock.fit,
    "program": CostToGo.fit,
    "lookahead": lambda i, d: Lookahead(i, d, horizon=6),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_each_scenario_learns_from_its_own_path(place, believed, make):
    """Together or alone decisions are the same; the first is the plain policy's."""
    paths = demand(20.0, 5.0)
    together, _ = released(place, Updated(place, believed, make), paths)
    for s in range(2):
        alone, _ = released(place, Updated(place, believed, make), paths[s : s + 1])
        torch.testing.assert_close(together[s : s + 1], alone)
    plain, _ = released(place, make(place, believed), paths)
    assert torch.equal(together[:, 0], plain[:, 0])
    assert together[1].sum() < 0.9 * plain[1].sum()


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_learning_saves_where_the_level_is_unsure(place, believed, make):
    """On paths of the model that is believed, policies that learn cost less on average."""
    paths = believed.sample(12, START, HORIZON, np.random.default_rng(5))
    _, cost = released(place, Updated(place, believed, make), paths)
    _, dearer = released(place, make(place, believed), paths)
    assert cost.mean() < 0.97 * dearer.mean()


def test_later_demand_is_not_looked_at(place, believed):
    """Another future leaves the decisions before it as they were, but not those after it."""
    paths = demand(10.0)
    other = paths.copy()
    other[..., 6:] = 60.0
    first, second = (
        released(place, Updated(place, believed, BaseStock.fit), each)[0] for each in (paths, other)
    )
    # Demand of the seventh period is met after its decision.
    assert torch.equal(first[:, :7], second[:, :7])
    assert not torch.equal(first[:, 7:], second[:, 7:])


@pytest.mark.parametrize("make", [CostToGo.fit, MAKERS["lookahead"]], ids=["program", "lookahead"])
def test_a_believing_policy_decides_as_one_made_anew(place, believed, make):
    """Sharing the program changes no decision."""

    @dataclass(frozen=True)
    class Made:
        """A policy that cannot take another belief."""

        policy: object

        def decide(self, state, period):
            return self.policy.decide(state, period)

    paths = demand(17.0)
    shared, _ = released(place, Updated(place, believed, make), paths)
    anew, _ = released(place, Updated(place, believed, lambda i, d: Made(make(i, d))), paths)
    torch.testing.assert_close(shared, anew)


def test_rollouts_tell_past_demand_lost_sales_included(place, believed):
    """In period t all t periods before are told, in batches as in one."""

    @dataclass
    class Watching:
        """Keeps what it is told."""

        policy: BaseStock
        told: list = field(default_factory=list)

        def decide(self, state, period):
            self.told.append(state.seen.clone())
            return self.policy.decide(state, period)

    paths = demand(50.0, 5.0)
    for batch in (1, 2):
        watching = Watching(BaseStock.fit(place, believed))
        released(place, watching, paths, batch=batch)
        for column, told in enumerate(watching.told[-HORIZON:]):
            np.testing.assert_array_equal(told.numpy(), paths[-batch:, :, :, :column])


def test_demand_before_the_start_is_not_counted_twice(place, believed):
    """A policy that begins within a rollout learns from its own start on."""
    paths = demand(20.0)
    late = replace(place, start=START + 5, horizon=HORIZON - 5)
    policy = Updated(late, believed, BaseStock.fit)
    orders = released(place, policy, paths)[0]
    plain = released(place, BaseStock.fit(place, believed), paths)[0]
    assert torch.equal(orders[:, :6], plain[:, :6])
    assert not torch.equal(orders[:, 6:], plain[:, 6:])


def test_what_cannot_learn_is_refused(place, believed):
    """A model without a level to learn, and states that do not tell demand."""
    poisson = Poisson(np.array([1]), steady(np.array([[10.0]])))
    with pytest.raises(OptrlError, match="Poisson"):
        Updated(place, poisson, BaseStock.fit)
    state = Dynamics(place).initial_state(1)
    assert state.seen is None
    with pytest.raises(OptrlError, match="simulate"):
        Updated(place, believed, BaseStock.fit).decide(state, START)
