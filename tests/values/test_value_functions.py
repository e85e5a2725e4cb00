"""Truths of every value function: exact embedding, gradients, convexity, conditions, files."""

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optrl.values.base import (
    EmbeddingError,
    ValueFunction,
    ValueFunctionError,
    verify,
    verify_model,
)
from optrl.values.cuts import MaxAffine
from optrl.values.input_convex import InputConvex
from optrl.values.separable import Separable

SEEDS = st.integers(0, 2**32 - 1)
KINDS = ("separable", "cuts", "input_convex", "relu")
CONVEX = KINDS[:3]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, tight=st.booleans())
def test_embedded_value_is_the_forward_pass(make_value, solved, kind, seed, tight):
    """At a random point the solver's value is the float64 forward pass, to 1e-6 relative."""
    generator = np.random.default_rng(seed)
    value = make_value(kind, generator, tight=tight and kind == "relu")
    point = generator.uniform(-2.9, 2.9, value.size)
    solution, _ = solved(value, point)
    verify(value, point[None], np.array([solution.objective / 2.0]))


@pytest.mark.parametrize("kind", KINDS)
def test_protocol_and_shapes(make_value, kind):
    """Every kind satisfies the protocol and takes and gives the shapes it states."""
    value = make_value(kind, np.random.default_rng(0))
    assert isinstance(value, ValueFunction)
    assert value.name == kind
    x = np.zeros((7, value.size))
    assert value(x).shape == (7,)
    assert value.gradient(x).shape == x.shape
    assert value(x[:0]).shape == (0,)
    with pytest.raises(ValueFunctionError, match=r"expected \(B, 3\)"):
        value(np.zeros(3))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_gradient_is_the_difference_quotient(make_value, kind, seed):
    """Away from kinks the gradient is what central differences give."""
    generator = np.random.default_rng(seed)
    value = make_value(kind, generator)
    x = generator.uniform(-2, 2, (20, value.size))
    step = 1e-6
    gradient = value.gradient(x)
    for k in range(value.size):
        moved = np.zeros_like(x)
        moved[:, k] = step
        ahead, behind = value.gradient(x + moved), value.gradient(x - moved)
        smooth = (ahead == behind).all(axis=1)
        quotient = (value(x + moved) - value(x - moved)) / (2 * step)
        assert quotient[smooth] == pytest.approx(gradient[smooth, k], abs=1e-6)
        assert smooth.mean() > 0.5


@pytest.mark.parametrize("kind", CONVEX)
@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_convex_functions_lie_above_their_gradients(make_value, kind, seed):
    """f(y) >= f(x) + g(x)'(y - x), at random x and at kinks."""
    generator = np.random.default_rng(seed)
    value = make_value(kind, generator)
    x, y = generator.uniform(-2, 2, (2, 60, value.size))
    if isinstance(value, Separable):
        x[:30] = value.origin + value.width[:, 0]
    if isinstance(value, InputConvex):
        # On the kink of a first-layer unit along a random direction.
        weight, bias = value.network.argument_weight[0][0], value.network.bias[0][0]
        x[:30] -= ((x[:30] @ weight + bias) / (weight @ weight))[:, None] * weight
    tangent = value(x) + (value.gradient(x) * (y - x)).sum(axis=1)
    assert (value(y) >= tangent - 1e-9).all()
    middle = value((x + y) / 2)
    assert (middle <= (value(x) + value(y)) / 2 + 1e-9).all()


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_make_the_same_function(make_value, kind):
    """A function of its own arrays has the same values; a missing array is refused."""
    generator = np.random.default_rng(3)
    value = make_value(kind, generator, tight=kind == "relu")
    again = type(value).of_arrays(value.arrays())
    x = generator.uniform(-2, 2, (9, value.size))
    assert (again(x) == value(x)).all()
    assert all(np.array_equal(a, again.arrays()[k]) for k, a in value.arrays().items())
    arrays = value.arrays()
    arrays.popitem()
    with pytest.raises(ValueFunctionError, match="missing"):
        type(value).of_arrays(arrays)


def test_conditions_are_refused(make_network):
    """Falling slopes, negative weights, a floor that is none, wrong shapes, float32."""
    one = np.ones((1, 2))
    with pytest.raises(ValueFunctionError, match="slope falls from 2 to 1"):
        Separable(one, np.array([[2.0, 1.0]]), np.zeros(1))
    with pytest.raises(ValueFunctionError, match="finite but for the last"):
        Separable(np.array([[np.inf, 1.0]]), one, np.zeros(1))
    with pytest.raises(ValueFunctionError, match="floor"):
        MaxAffine.on_box(np.zeros(1), -np.ones((1, 1)), np.zeros(1), np.full(1, np.inf))
    network = make_network(np.random.default_rng(0), 3, (4, 4), False)
    with pytest.raises(ValueFunctionError, match="hidden_weight of layer 2 is -"):
        InputConvex(network)
    arrays = InputConvex(make_network(np.random.default_rng(0), 3, (4, 4), True)).arrays()
    with pytest.raises(ValueFunctionError, match="expected"):
        InputConvex.of_arrays(arrays | {"bias.1": np.zeros(3)})
    with pytest.raises(ValueFunctionError, match="finite"):
        InputConvex.of_arrays(arrays | {"bias.1": np.full(4, np.nan)})


def test_separable_has_a_domain():
    """Outside its segments it has no value; what a solver leaves there does."""
    value = Separable(np.array([[1.0, 1.0]]), np.array([[1.0, 3.0]]), np.zeros(1))
    with pytest.raises(ValueFunctionError, match=r"argument 0 is 2\.1"):
        value(np.array([[2.1]]))
    with pytest.raises(ValueFunctionError, match=r"argument 0 is -0\.1"):
        value(np.array([[-0.1]]))
    assert value(np.array([[-1e-9], [2 + 1e-9]])) == pytest.approx([0.0, 4.0], abs=1e-8)


def test_floor_on_a_box_changes_no_value():
    """The floor derived for a box is below the cuts everywhere on it, and as high as it can be."""
    generator = np.random.default_rng(5)
    lower, upper = np.full(3, -1.0), np.full(3, 2.0)
    value = MaxAffine.on_box(generator.normal(size=4), generator.normal(size=(4, 3)), lower, upper)
    x = generator.uniform(lower, upper, (5000, 3))
    height = (x @ value.gradients.T + value.intercept).max(axis=1)
    assert (value(x) == height).all()
    single = MaxAffine.on_box(np.zeros(1), np.ones((1, 3)), lower, upper)
    assert single.floor == -3.0


def test_tangents_touch():
    """Cuts from values and gradients take these values where they were made."""
    x = np.array([[0.0, 1.0], [2.0, -1.0]])
    value = MaxAffine.tangents((x**2).sum(axis=1), 2 * x, x, 0.0)
    assert value(x) == pytest.approx([1.0, 5.0])


def test_verify_finds_what_differs():
    """Differences above the tolerance, not a number, and slack where it is allowed."""
    value = MaxAffine(np.array([1.0]), np.ones((1, 1)), -9.0)
    x = np.array([[1.0], [2.0]])
    assert verify(value, x, np.array([2.0, 3.0 + 1e-7])) < 1e-7
    with pytest.raises(EmbeddingError, match=r"holds 3\.1 where the forward pass gives 3"):
        verify(value, x, np.array([2.0, 3.1]))
    with pytest.raises(EmbeddingError):
        verify(value, x, np.array([np.nan, 3.0]))
    verify(value, x, np.array([2.0, 3.1]), slack_above=True)
    with pytest.raises(EmbeddingError):
        verify(value, x, np.array([2.0, 2.9]), slack_above=True)


def test_verify_model_reads_pyomo_values(make_value):
    """A Pyomo model whose values are loaded is checked; one without a solution is an error."""
    value = make_value("input_convex", np.random.default_rng(0))
    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(3), bounds=(-1, 1))
    model.value = pyo.Block(concrete=True)
    handles = value.add_to(model.value, list(model.x.values()))
    model.objective = pyo.Objective(expr=handles.cost)
    with pytest.raises(EmbeddingError, match="no solution"):
        verify_model(value, handles)
    pyo.SolverFactory("appsi_highs").solve(model)
    assert verify_model(value, handles) < 1e-6
    model.value.constant.fix(model.value.constant.value + 1)
    with pytest.raises(EmbeddingError, match="forward pass"):
        verify_model(value, handles)
