"""A state and an outcome put into a loaded program of a stage."""

from __future__ import annotations

from optrl_formulations.network import FloatArray

from optrl.decomposition.sddp.stage import Outcome, Stage
from optrl.solver import Model


def push_state(model: Model, stage: Stage, state: FloatArray) -> None:
    """Push an incoming state, shape (K,)."""
    for name, part in stage.split(state).items():
        model.push_data(name, part)


def push_outcome(model: Model, outcome: Outcome) -> None:
    """Push data, costs and bounds of an outcome."""
    for name, values in outcome.data.items():
        model.push_data(name, values)
    for name, values in outcome.cost.items():
        model.push_cost(name, values)
    for name, values in outcome.lower.items():
        model.push_bounds(name, lower=values)
    for name, values in outcome.upper.items():
        model.push_bounds(name, upper=values)
