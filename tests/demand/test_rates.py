"""Expected demand estimated from history."""

import numpy as np
import pytest

from optrl.demand.rates import RateOptions, estimate_rates

SEASON = 52
T = np.arange(179)
PROFILE = 1 + 0.5 * np.sin(2 * np.pi * np.arange(SEASON) / SEASON)


def seasonal_history(level: np.ndarray, seed: int | None = 0) -> np.ndarray:
    mean = level[:, :, None] * PROFILE[T % SEASON]
    return mean if seed is None else np.random.default_rng(seed).poisson(mean).astype(float)


def test_noiseless_history_is_continued():
    """Exactly seasonal demand is forecast within 3 percent, shares and season included."""
    level = np.array([[30.0, 10.0], [5.0, 45.0]])
    history = seasonal_history(level, None)
    options = RateOptions(smoothing=0.0, share_shrinkage=0.0)
    found = estimate_rates(history, 0, SEASON, options).path.at(179, 52)
    np.testing.assert_allclose(
        found, level[:, :, None] * PROFILE[(179 + np.arange(52)) % 52], rtol=0.03
    )


def test_seasonal_factors_of_noisy_history_are_recovered():
    """Factors of many noisy items come close to the truth, closer than no season at all."""
    level = np.random.default_rng(1).uniform(1, 20, size=(12, 6))
    path = estimate_rates(seasonal_history(level), 0, SEASON).path
    error = np.abs(path.season - PROFILE).mean()
    assert error < 0.05
    assert error < 0.2 * np.abs(1 - PROFILE).mean()
    np.testing.assert_allclose(path.season.mean(axis=1), 1.0)


def test_first_period_shifts_the_season():
    """The same demand in later absolute periods has its factors at other positions."""
    history = seasonal_history(np.array([[50.0, 20.0]]))
    early = estimate_rates(history, 0, SEASON).path
    late = estimate_rates(history, 7, SEASON).path
    np.testing.assert_allclose(np.roll(early.season, 7, axis=1), late.season)
    np.testing.assert_allclose(early.at(179, 20), late.at(186, 20))


def test_scaling_demand_scales_rates():
    """Rates do not depend on the unit of quantity."""
    history = seasonal_history(np.array([[3.0, 0.2], [40.0, 1.0]]))
    one = estimate_rates(history, 0, SEASON)
    many = estimate_rates(history * 1000, 0, SEASON)
    np.testing.assert_allclose(many.path.at(179, 10), 1000 * one.path.at(179, 10), rtol=1e-9)
    np.testing.assert_allclose(many.one_step, 1000 * one.one_step, rtol=1e-9)


def test_items_without_demand_get_zero_and_harm_no_other():
    """An item and a node never ordered get the rate zero, all values stay finite."""
    history = seasonal_history(np.array([[20.0, 0.0], [0.0, 0.0]]))
    rates = estimate_rates(history, 0, SEASON)
    ahead = rates.path.at(179, 52)
    assert np.isfinite(ahead).all()
    assert not ahead[1].any()
    assert not ahead[0, 1].any()
    assert ahead[0, 0].mean() == pytest.approx(20.0, rel=0.2)


def test_late_items_count_from_their_introduction():
    """An item introduced 20 periods ago keeps its level and takes the season of the others."""
    history = seasonal_history(np.full((8, 4), 25.0))
    history[0, :, :159] = 0.0
    rates = estimate_rates(history, 0, SEASON)
    assert not rates.active[0, :159].any()
    assert not rates.one_step[0, :, :159].any()
    assert rates.path.level[0].sum() == pytest.approx(100.0, rel=0.15)
    assert np.corrcoef(rates.path.season[0], PROFILE)[0, 1] > 0.9


def test_one_step_rates_know_only_the_past():
    """A jump in the last period changes no one-step rate but through the season and shares."""
    history = np.full((1, 1, 40), 10.0)
    jumped = history.copy()
    jumped[0, 0, -1] = 1000.0
    before, after = estimate_rates(history, 0, 0), estimate_rates(jumped, 0, 0)
    np.testing.assert_allclose(before.one_step, after.one_step)
    assert after.path.level[0, 0] > 2 * before.path.level[0, 0]


def test_short_history_has_no_season():
    """With less than one and a half seasons all factors are 1."""
    history = seasonal_history(np.array([[20.0]]))[:, :, :70]
    np.testing.assert_array_equal(estimate_rates(history, 0, SEASON).path.season, 1.0)


def test_trend_is_found_and_fades():
    """Growing demand is forecast above its last level, by less and less each period."""
    history = np.linspace(50, 150, 100)[None, None, :]
    path = estimate_rates(history, 0, 0).path
    assert path.growth is not None
    assert path.growth[0] > 0.002
    step = np.diff(path.at(100, 10)[0, 0])
    assert (step > 0).all()
    assert (np.diff(step) < 0).all()
