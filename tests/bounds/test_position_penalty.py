"""Penalties from position values: expectation zero given the past, valid, and trainable."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from optrl.bounds.errors import BoundRefusedError
from optrl.bounds.information_relaxation import Relaxation, information_relaxation
from optrl.bounds.paths import PathSource
from optrl.bounds.penalty_training import TrainingSettings, train_penalty
from optrl.bounds.position_penalty import SAMPLES, TAILS, PositionPenalty, _levels
from optrl.building import build
from optrl.demand.negative_binomial import NegativeBinomial
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.exact.lost_sales_horizon import solve_horizon
from optrl.instance import ArrivalProfile
from optrl.testbeds.lost_sales import LostSalesFamily

PERIODS = 10


@pytest.fixture(scope="module")
def source():
    """One store behind one warehouse; demand moves by shocks and an error of the level."""
    instance = build(
        "two echelons",
        {"supplier": "supplier", "warehouse": "stocking", "store": "stocking"},
        {("supplier", "warehouse"): 2, ("warehouse", "store"): 1},
        ["store"],
        unmet="lost",
        horizon=PERIODS,
        holding_cost={"warehouse": 1.0, "store": 1.2},
        shortage_cost={"store": 12.0},
    )
    on_hand, due = np.zeros_like(instance.on_hand), np.zeros((1, 3, 1))
    on_hand[0, 2], due[0, 1] = 25.0, 20.0
    network = replace(
        instance.network, maximum_quantity=np.full_like(instance.network.maximum_quantity, 60.0)
    )
    model = NegativeBinomial(
        np.array([2]),
        steady(np.array([[20.0]])),
        np.full((1, 1), np.inf),
        shock_variance=np.array([0.1]),
        level_variance=np.array([0.05]),
    )
    return PathSource(replace(instance, network=network, on_hand=on_hand, due=due), model, 5)


def test_levels_are_drawn_from_their_law_given_earlier_rates(source):
    """Against levels kept by rejection: those whose own first rates came close to what was seen."""
    generator = np.random.default_rng(0)
    model, seen, t = source.model, 1.3, 2
    level = generator.gamma(20, 1 / 20, 2_000_000)
    rates = level * generator.gamma(10 * t, 1 / 10, len(level)) / t
    kept = level[np.abs(rates - seen) < 0.01]
    drawn = np.concatenate(
        [_levels(model, t, np.array([seen * t]), generator)[0] for _ in range(50)]
    )
    assert drawn.mean() == pytest.approx(kept.mean(), abs=0.004)
    assert drawn.std() == pytest.approx(kept.std(), abs=0.004)
    assert stats.ks_2samp(drawn, kept).statistic < 0.02
    first = _levels(model, 0, np.zeros(1), generator)
    assert first.shape == (1, SAMPLES)
    assert first.mean() == pytest.approx(1.0, abs=0.01)


def test_multipliers_have_expectation_zero_given_the_past(source):
    """Times anything known before, such as an earlier rate, they average to nothing."""
    penalty = PositionPenalty.even(source.instance, source.model, 0.2)
    slopes, past = [], []
    for number in range(150):
        path = source.path(number)
        slopes.append(penalty.features(path, source.generator(number)).slope[:, 0])
        before = np.concatenate([[1.0], np.cumsum(path.rate[0])[:-1] / np.arange(1, PERIODS)])
        past.append(before)
    slope, known = np.array(slopes), np.array(past)[:, None, :]
    assert slope.std() > 0.1
    # Summed over periods, since 150 paths hold few of the rarer exceedances of each.
    for product in (slope, slope * (known - 1), slope * (known > 1.1)):
        total = product.sum(axis=2)
        error = total.std(axis=0, ddof=1) / np.sqrt(len(total))
        assert (np.abs(total.mean(axis=0)) < 4 * error).all()


def test_training_raises_the_bound_on_other_paths(source):
    """Trained on paths of one seed, the penalty gains on those of another."""
    none = PositionPenalty.even(source.instance, source.model)
    training = replace(source, seed=6)
    groups = np.tile(np.arange(none.share.size // len(TAILS)), len(TAILS))
    settings = TrainingSettings(steps=150, rate=0.02, most=0.4)
    trained = train_penalty(training, none, settings, groups)
    bound = information_relaxation(source, trained, 60)
    free = information_relaxation(source, none, 60)
    gain = bound.sample - free.sample
    assert gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(60)
    sums = trained.share.sum(axis=0)
    assert (trained.share >= 0).all()
    assert sums.max() <= 0.4 + 1e-9


@pytest.mark.parametrize("delayed", [False, True])
def test_the_derivative_of_a_path_is_that_of_its_value(source, delayed):
    """The slope that training follows is a finite difference of the inner problem's value."""
    if delayed:
        late = ArrivalProfile(0, np.array([0.7, 0.3]), np.eye(4)[2:])
        source = replace(source, instance=replace(source.instance, arrivals=(late,)))
    penalty = PositionPenalty.even(source.instance, source.model, 0.5)
    relaxation = Relaxation(source, penalty)
    found = penalty.features(source.path(3), source.generator(3))
    solved = relaxation.solve(3, penalty.multipliers(found))
    slope = penalty.slope_of(found, solved.columns)
    direction = np.random.default_rng(1).normal(size=len(slope))
    step = 1e-6
    moved = penalty.with_weights(penalty.weights + step * direction)
    value = relaxation.solve(3, moved.multipliers(found)).value
    free = relaxation.solve(3, penalty.with_weights(0 * penalty.weights).multipliers(found))
    # The program must have met the penalty, also where it is built anew for each path.
    assert np.abs(free.columns - solved.columns).max() > 1
    assert (value - solved.value) / step == pytest.approx(slope @ direction, rel=1e-3, abs=1e-4)


def test_demand_without_rates_is_refused(source):
    """The law of the rates must be known."""
    other = Poisson(np.array([2]), steady(np.array([[20.0]])))
    penalty = PositionPenalty.even(source.instance, other)
    with pytest.raises(BoundRefusedError, match="negative binomial"):
        # The condition is looked up before anything is drawn.
        information_relaxation(replace(source, model=other), penalty, 1)


def test_below_the_optimum_and_well_above_perfect_information():
    """Lost sales whose optimum a dynamic program knows: whatever the weights, it is a bound."""
    bed = LostSalesFamily.case("negative_binomial", 9.0, 1, mean=30.0, size=4.0)
    on_hand = np.zeros_like(bed.instance.on_hand)
    on_hand[0, 1] = 30.0
    network = bed.instance.network
    limit = np.full_like(network.maximum_quantity, 200.0)
    instance = replace(
        bed.instance,
        network=replace(network, maximum_quantity=limit),
        on_hand=on_hand,
        horizon=PERIODS,
    )
    # The same law with its spread in shocks, whose past the penalty may know.
    model = replace(bed.demand, size=np.full((1, 1), np.inf), shock_variance=np.array([0.25]))
    optimum = solve_horizon(bed.problem, PERIODS).cost(np.array([30]))
    source = PathSource(instance, model, 21)
    found = []
    for share in ([0, 0, 0, 0], [0.6, 0.3, 0, 0], [0.2, 0.3, 0.3, 0.1]):
        none = PositionPenalty.even(instance, model)
        weights = np.broadcast_to(np.array(share)[:, None, None], none.share.shape)
        found.append(information_relaxation(source, replace(none, share=weights), 60))
        assert found[-1].low(1e-4) <= optimum
    assert found[1].low(1e-4) > 3 * found[0].mean
