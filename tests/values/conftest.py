"""Random value functions of every kind, and how to solve with one embedded."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pyomo.environ as pyo
import pytest
from optrl_formulations.cost_to_go.relu_network import ReluNetwork

from optrl.solver import Model, Solution, compile_model
from optrl.values.base import ValueFunction
from optrl.values.cuts import MaxAffine
from optrl.values.dense import Dense
from optrl.values.input_convex import InputConvex
from optrl.values.partially_convex import PartiallyConvex
from optrl.values.relu import Relu
from optrl.values.separable import Separable
from optrl.values.tightening import tightened

BOX = 3.0
KINDS = ("separable", "cuts", "input_convex", "relu")


def random_network(
    generator: np.random.Generator, arguments: int, hidden: Sequence[int], convex: bool
) -> ReluNetwork:
    """A ReLU network with skip connections, its weights scaled by the units below."""

    def normal(*shape: int) -> np.ndarray:
        return generator.normal(size=shape) / np.sqrt(shape[-1])

    through = [normal(b, a) for a, b in itertools.pairwise(hidden)]
    output = normal(hidden[-1])
    if convex:
        through, output = [abs(w) for w in through], abs(output)
    return ReluNetwork(
        tuple(normal(h, arguments) for h in hidden),
        tuple(through),
        tuple(generator.normal(size=h) for h in hidden),
        output,
        normal(arguments),
        float(generator.normal()),
    )


def random_value(
    kind: str, generator: np.random.Generator, arguments: int = 3, tight: bool = False
) -> ValueFunction:
    """A random function that is defined on -3 <= x <= 3."""
    lower, upper = np.full(arguments, -BOX), np.full(arguments, BOX)
    match kind:
        case "separable":
            width = generator.uniform(0, 2, (arguments, 4))
            width[:, -1] = np.inf
            slope = np.sort(generator.normal(size=(arguments, 4)), axis=1)
            return Separable(width, slope, lower, float(generator.normal()))
        case "cuts":
            gradients = generator.normal(size=(6, arguments))
            return MaxAffine.on_box(generator.normal(size=6), gradients, lower, upper)
        case "input_convex":
            return InputConvex(random_network(generator, arguments, (6, 5), True))
        case _:
            network = random_network(generator, arguments, (5, 4), False)
            if tight:
                return Relu(network, tightened(network, lower, upper))
            return Relu.on_box(network, lower, upper)


def random_partially_convex(
    generator: np.random.Generator, arguments: int = 3, contexts: int = 2
) -> PartiallyConvex:
    """A function convex in its arguments whose biases and output weights follow a context."""
    hidden = (5, 4)
    outputs = sum(hidden) + hidden[-1] + arguments + 1
    sizes = (contexts, 6, outputs)
    return PartiallyConvex(
        tuple(generator.normal(size=(h, arguments)) for h in hidden),
        (abs(generator.normal(size=(4, 5))),),
        Dense(
            tuple(generator.normal(size=(b, a)) for a, b in itertools.pairwise(sizes)),
            tuple(generator.normal(size=b) for b in sizes[1:]),
        ),
        0.7,
    )


def solve_with(value: ValueFunction, point: np.ndarray) -> tuple[Solution, pyo.ConcreteModel]:
    """Solve a model that holds the arguments at a point by rows and minimizes the value."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(value.size))
    model.hold = pyo.Constraint(range(value.size), rule=lambda m, k: m.x[k] == float(point[k]))
    model.value = pyo.Block(concrete=True)
    # Every other argument is an expression, every other a variable.
    arguments = [model.x[k] if k % 2 else 1.0 * model.x[k] + 0.0 for k in range(value.size)]
    handles = value.add_to(model.value, arguments)
    model.objective = pyo.Objective(expr=2.0 * handles.cost)
    return Model(compile_model(model, handles.data)).solve(relative_gap=1e-9), model


@pytest.fixture(scope="session")
def make_value() -> Callable[..., ValueFunction]:
    """Makes a random value function by its kind."""
    return random_value


@pytest.fixture(scope="session")
def make_network() -> Callable[..., ReluNetwork]:
    """Makes a random ReLU network."""
    return random_network


@pytest.fixture(scope="session")
def make_partially_convex() -> Callable[..., PartiallyConvex]:
    """Makes a random function with a context."""
    return random_partially_convex


@pytest.fixture(scope="session")
def solved() -> Callable[..., tuple[Solution, pyo.ConcreteModel]]:
    """Solves a model with an embedded function at a point."""
    return solve_with
