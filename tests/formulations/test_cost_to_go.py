"""Piecewise functions and cuts take the values they represent, through a small LP."""

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.cost_to_go.cuts import add_cuts
from optrl_formulations.cost_to_go.piecewise import add_piecewise

from optrl.solver import InfeasibleError, Model, compile_model

SEEDS = st.integers(0, 2**32 - 1)


def minimum(model, cost):
    model.objective = pyo.Objective(expr=cost)
    return Model(compile_model(model, ())).solve().objective


def model_at(point):
    """Variables held at a point."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(len(point)))
    model.hold = pyo.Constraint(range(len(point)), rule=lambda m, k: m.x[k] == float(point[k]))
    return model


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, last_open=st.booleans())
def test_piecewise_is_the_function_it_states(seed, last_open):
    """At random arguments: the integral of the slopes from the origin on."""
    generator = np.random.default_rng(seed)
    k, s = 3, 4
    width = generator.uniform(0, 2, (k, s))
    slope = np.sort(generator.normal(size=(k, s)), axis=1)
    origin = generator.normal(size=k)
    point = origin + generator.random(k) * width.sum(axis=1)
    if last_open:
        width[:, -1] = np.inf
        point = point + 5
    model = model_at(point)
    model.value = pyo.Block(concrete=True)
    handles = add_piecewise(model.value, [model.x[j] for j in range(k)], width, slope, origin)
    expected = 0.0
    for j in range(k):
        breaks = origin[j] + np.concatenate([[0], np.cumsum(width[j])])
        for low, high, rate in zip(breaks[:-1], breaks[1:], slope[j], strict=True):
            expected += rate * (min(point[j], high) - low) * (point[j] > low)
    assert minimum(model, handles.cost) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("point", [-0.1, 3.1])
def test_piecewise_is_infeasible_outside_its_domain(point):
    """Below the origin and beyond the last segment."""
    model = model_at([point])
    handles = add_piecewise(model, [model.x[0]], np.array([[1.0, 2.0]]), np.array([[0.0, 1.0]]))
    with pytest.raises(InfeasibleError, match="composition"):
        minimum(model, handles.cost)


def test_piecewise_refuses_what_is_not_convex():
    """Falling slopes, negative widths, shapes that do not fit."""
    model = model_at([1.0])
    one = [model.x[0]]
    with pytest.raises(ValueError, match=r"slope falls from 2\.0 to 1\.0"):
        add_piecewise(model, one, np.ones((1, 2)), np.array([[2.0, 1.0]]))
    with pytest.raises(ValueError, match="nonnegative"):
        add_piecewise(model, one, np.array([[-1.0, 1.0]]), np.array([[0.0, 1.0]]))
    with pytest.raises(ValueError, match="must have shape"):
        add_piecewise(model, one, np.ones((2, 2)), np.ones((2, 2)))
    with pytest.raises(ValueError, match="must have shape"):
        add_piecewise(model, one, np.ones((1, 2)), np.ones((1, 3)))


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_cuts_are_the_maximum_of_planes(seed):
    """At random arguments: the highest of the planes and the lower bound."""
    generator = np.random.default_rng(seed)
    c, k = 6, 3
    intercept, gradient = generator.normal(size=c), generator.normal(size=(c, k))
    point = generator.normal(size=k)
    bound = float(generator.normal())
    model = model_at(point)
    handles = add_cuts(model, [model.x[j] for j in range(k)], intercept, gradient, bound)
    expected = max(bound, (intercept + gradient @ point).max())
    assert minimum(model, 2 * handles.cost_to_go) == pytest.approx(2 * expected, abs=1e-7)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_tangents_underestimate_a_convex_function(seed):
    """Tangents of a quadratic lie below it and touch it where they were made."""
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(3, 3))
    form = root.T @ root
    made = generator.normal(size=(8, 3))
    value = np.einsum("ci,ij,cj->c", made, form, made)
    gradient = 2 * made @ form
    intercept = value - (gradient * made).sum(axis=1)
    for point, touches in ((made[3], True), (generator.normal(size=3), False)):
        model = model_at(point)
        handles = add_cuts(model, [model.x[j] for j in range(3)], intercept, gradient, 0.0)
        found = minimum(model, handles.cost_to_go)
        assert found <= point @ form @ point + 1e-7
        if touches:
            assert found == pytest.approx(point @ form @ point, abs=1e-6)


def test_cuts_refuse_wrong_numbers():
    """Shapes that do not fit, cuts that are not finite, no lower bound."""
    model = model_at([1.0])
    with pytest.raises(ValueError, match=r"gradient has shape \(2, 2\), expected \(2, 1\)"):
        add_cuts(model, [model.x[0]], np.zeros(2), np.zeros((2, 2)), 0.0)
    with pytest.raises(ValueError, match="finite"):
        add_cuts(model, [model.x[0]], np.array([np.nan]), np.zeros((1, 1)), 0.0)
    with pytest.raises(ValueError, match="lower_bound must be finite"):
        add_cuts(model, [model.x[0]], np.zeros(1), np.zeros((1, 1)), -np.inf)
