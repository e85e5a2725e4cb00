"""Indexed Pyomo components whose members follow a layout's index arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyomo.environ as pyo

from optrl_formulations.network import FloatArray
from optrl_formulations.replenishment_layout import Index, ReplenishmentLayout

Member = tuple[Any, ...]


def members(layout: ReplenishmentLayout, index: Index, axes: str) -> list[Member]:
    """Names of the members, as keys of Pyomo components.

    Axes are ``i`` item, ``v`` node, ``a`` lane (two names), ``r`` resource, and ``n`` for
    integers kept as they are (tree nodes, arrival offsets).
    """
    network = layout.network
    columns: list[Sequence[Any]] = []
    for axis, column in zip(axes, index, strict=True):
        values = column.tolist()
        match axis:
            case "i":
                columns.append([network.items[k] for k in values])
            case "v":
                columns.append([network.nodes[k] for k in values])
            case "a":
                columns.append([network.lanes[k][0] for k in values])
                columns.append([network.lanes[k][1] for k in values])
            case "r":
                columns.append([network.resources[k].name for k in values])
            case _:
                columns.append(values)
    return list(zip(*columns, strict=True))


def add_variable(
    block: Any,
    name: str,
    keys: list[Member],
    *,
    domain: Any = pyo.NonNegativeReals,
    lower: FloatArray | None = None,
    upper: FloatArray | None = None,
) -> pyo.Var:
    """Add an indexed variable whose members, in order, are `keys`."""
    variable = pyo.Var(pyo.Set(initialize=keys, dimen=len(keys[0]) if keys else 1), domain=domain)
    block.add_component(name, variable)
    if lower is not None:
        for key, bound in zip(keys, lower.tolist(), strict=True):
            variable[key].setlb(bound)
    if upper is not None:
        for key, bound in zip(keys, upper.tolist(), strict=True):
            variable[key].setub(bound if bound < float("inf") else None)
    return variable


def add_data(block: Any, name: str, keys: list[Member], values: FloatArray) -> pyo.Var:
    """Add data as a variable fixed at `values`.

    Any solver sees constants. The solver path of optrl compiles it as a data slot, which can be
    pushed in bulk and whose gradient follows from the duals.
    """
    variable = pyo.Var(pyo.Set(initialize=keys, dimen=len(keys[0]) if keys else 1))
    block.add_component(name, variable)
    for key, value in zip(keys, values.tolist(), strict=True):
        variable[key].fix(value)
    return variable


def add_rows(block: Any, name: str, keys: list[Member], expressions: list[Any]) -> pyo.Constraint:
    """Add an indexed constraint whose members, in order, are `keys`."""
    constraint = pyo.Constraint(pyo.Set(initialize=keys, dimen=len(keys[0]) if keys else 1))
    block.add_component(name, constraint)
    for key, expression in zip(keys, expressions, strict=True):
        constraint.add(key if len(key) > 1 else key[0], expression)
    return constraint
