"""Linear expressions over many variables, built without an operator per term."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyomo.environ as pyo
from pyomo.core.expr import LinearExpression

from optrl_formulations.network import FloatArray


def linear(parts: Sequence[tuple[FloatArray, Sequence[Any]]], constant: float = 0.0) -> Any:
    """Constant plus sum of coefficient * variable over all parts, zero coefficients left out."""
    coefficients: list[float] = []
    variables: list[Any] = []
    for values, members in parts:
        for value, member in zip(values.tolist(), members, strict=True):
            if value:
                coefficients.append(value)
                variables.append(member)
    return LinearExpression(constant=constant, linear_coefs=coefficients, linear_vars=variables)


def as_variables(block: Any, arguments: Sequence[Any], size: int) -> list[Any]:
    """The arguments as variables: those that are none get ``argument[k]`` and a row ``tie[k]``.

    Raises:
        ValueError: If there are not `size` arguments.
    """
    if len(arguments) != size:
        raise ValueError(f"the function has {size} arguments, {len(arguments)} were given")
    found = list(arguments)
    others = [k for k, x in enumerate(arguments) if not _is_variable(x)]
    if others:
        block.argument = pyo.Var(others)
        block.tie = pyo.Constraint(others, rule=lambda b, k: b.argument[k] == arguments[k])
        for k in others:
            found[k] = block.argument[k]
    return found


def _is_variable(argument: Any) -> bool:
    return hasattr(argument, "is_variable_type") and bool(argument.is_variable_type())
