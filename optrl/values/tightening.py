"""Bounds of ReLU networks by linear programs, tighter than interval arithmetic.

Layer by layer, each activation that may still be on or off is minimized and maximized over the
relaxation of the layers below (their binaries between 0 and 1), re-solved hot with other costs. A
bound is an optimal value, moved outwards by ten times the solver's tolerance, and never wider
than interval arithmetic's. Source: Tjeng, Xiao & Tedrake (2019), Evaluating robustness of neural
networks with mixed integer programming, ICLR, section 4.2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
from optrl_formulations.cost_to_go.icnn import add_icnn, check_convex
from optrl_formulations.cost_to_go.relu import add_relu, without_stable_units
from optrl_formulations.cost_to_go.relu_bounds import ReluBounds, check_box, image, interval_bounds
from optrl_formulations.cost_to_go.relu_network import ReluNetwork
from optrl_formulations.network import FloatArray

from optrl.solver import Model, compile_model

# Relative to max(1, |bound|): ten times HiGHS' feasibility tolerance.
_MARGIN = 1e-6


def tightened(network: ReluNetwork, lower: FloatArray, upper: FloatArray) -> ReluBounds:
    """Bounds on all activations over lower <= x <= upper, by linear programs.

    Args:
        network: The network.
        lower: Shape (K,), finite.
        upper: Shape (K,), finite.

    Raises:
        ValueError: If the box is not finite or crossed.
    """
    bounds = interval_bounds(network, lower, upper)
    lows, highs = [bounds.lower[0]], [bounds.upper[0]]
    for layer in range(1, len(network.bias)):
        low, high = _next_intervals(network, layer, lows[-1], highs[-1], lower, upper)
        low, high = np.maximum(low, bounds.lower[layer]), np.minimum(high, bounds.upper[layer])
        below = ReluBounds(lower, upper, tuple(lows), tuple(highs))
        undecided = np.flatnonzero((low < 0) & (high > 0))
        if len(undecided):
            tight_low, tight_high = _by_programs(network, layer, low, high, below)
            low[undecided] = np.maximum(low[undecided], tight_low)
            high[undecided] = np.minimum(high[undecided], tight_high)
        lows.append(low)
        highs.append(high)
    return ReluBounds(lower, upper, tuple(lows), tuple(highs))


def smallest_value(network: ReluNetwork, lower: FloatArray, upper: FloatArray) -> float:
    """Smallest value of an input-convex network on lower <= x <= upper, by one linear program.

    Raises:
        ValueError: If the network is not input-convex, or the box not finite or crossed.
    """
    check_convex(network)
    check_box(network, lower, upper)
    model = _boxed(lower, upper)
    handles = add_icnn(model.network, list(model.x.values()), network)
    model.objective = pyo.Objective(expr=handles.cost)
    found = Model(compile_model(model)).solve().objective
    return found - _MARGIN * max(1.0, abs(found))


def _next_intervals(
    network: ReluNetwork,
    layer: int,
    low: FloatArray,
    high: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Interval arithmetic from the tightened bounds of the layer below."""
    skip = image(network.argument_weight[layer], lower, upper)
    through = image(network.hidden_weight[layer - 1], np.maximum(low, 0.0), np.maximum(high, 0.0))
    shift = network.bias[layer]
    return skip[0] + through[0] + shift, skip[1] + through[1] + shift


def _by_programs(
    network: ReluNetwork, layer: int, low: FloatArray, high: FloatArray, below: ReluBounds
) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest activation of undecided units, over the relaxation below `layer`."""
    full = ReluBounds(
        below.argument_lower, below.argument_upper, (*below.lower, low), (*below.upper, high)
    )
    reduced = without_stable_units(_first_layers(network, layer + 1), full)
    units = len(reduced.free[-1])
    model = _boxed(below.argument_lower, below.argument_upper)
    add_relu(model.network, list(model.x.values()), _first_layers(network, layer), below)
    model.objective = pyo.Objective(expr=0.0 * model.x[0])
    program = compile_model(model)
    solver = Model(replace(program, integrality=np.zeros_like(program.integrality)))
    sides = np.empty((2, units))
    for k in range(units):
        row = reduced.weight[len(reduced.weight) - units + k]
        shift = reduced.bias[len(reduced.bias) - units + k]
        for side, sign in enumerate((1.0, -1.0)):
            solver.push_cost("x", sign * row[: network.size])
            solver.push_cost("network.hidden", sign * row[network.size :])
            value = solver.solve().objective
            sides[side, k] = sign * (value - _MARGIN * max(1.0, abs(value))) + shift
    return sides[0], sides[1]


def _first_layers(network: ReluNetwork, layers: int) -> ReluNetwork:
    """The first layers with an output that is zero."""
    return ReluNetwork(
        network.argument_weight[:layers],
        network.hidden_weight[: layers - 1],
        network.bias[:layers],
        np.zeros(len(network.bias[layers - 1])),
        np.zeros(network.size),
        0.0,
    )


def _boxed(lower: FloatArray, upper: FloatArray) -> Any:
    model = pyo.ConcreteModel()
    sides = list(zip(lower.tolist(), upper.tolist(), strict=True))
    model.x = pyo.Var(range(len(sides)), bounds=lambda _, k: sides[k])
    model.network = pyo.Block(concrete=True)
    return model
