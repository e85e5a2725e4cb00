"""Separable convex piecewise-linear functions as parallel arcs.

    f_k(x_k) = sum_s slope_ks * segment_ks,   sum_s segment_ks = x_k - origin_k,
    0 <= segment_ks <= width_ks,  slopes rising in s

Rising slopes make cheaper segments fill first, so that the epigraph needs no binaries and a
network flow stays a network flow. Source: Dantzig, Linear Programming and Extensions (1963),
section 24-3; as a cost-to-go learned by slopes: Powell, Ruszczynski & Topaloglu (2004),
Mathematics of Operations Research 29(4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from optrl_formulations.network import FloatArray


@dataclass(frozen=True)
class PiecewiseHandles:
    """Components of `add_piecewise`.

    Attributes:
        segment: ``segment[k, s]``.
        composition: ``composition[k]``: the segments add up to the argument.
        cost: Sum of all functions, to be put into the objective (minimized).
    """

    segment: pyo.Var
    composition: pyo.Constraint
    cost: pyo.Expression


def add_piecewise(
    block: Any,
    arguments: Sequence[Any],
    width: FloatArray,
    slope: FloatArray,
    origin: FloatArray | None = None,
) -> PiecewiseHandles:
    """Add sum_k f_k(argument_k) to `block`.

    Args:
        block: Pyomo block that receives the components.
        arguments: K linear expressions or variables.
        width: Width of each segment, shape (K, S); the last may be infinite. Arguments beyond
            the last segment are infeasible.
        slope: Cost per unit of each segment, shape (K, S), rising along S.
        origin: Where each function starts, f_k(origin_k) = 0, shape (K,); zero by default.
            Arguments below it are infeasible.

    Raises:
        ValueError: If slopes fall (the epigraph would not be exact) or widths are negative.
    """
    if width.shape != slope.shape or width.shape[0] != len(arguments):
        raise ValueError(
            f"width {width.shape} and slope {slope.shape} must have shape "
            f"({len(arguments)}, segments)"
        )
    falling = np.argwhere(np.diff(slope, axis=1) < 0)
    if len(falling):
        k, s = falling[0]
        raise ValueError(
            f"argument {k}: slope falls from {slope[k, s]} to {slope[k, s + 1]}; a convex "
            "function needs rising slopes"
        )
    if (width < 0).any():
        raise ValueError("widths must be nonnegative")
    start = np.zeros(len(arguments)) if origin is None else origin
    size, segments = width.shape
    block.segment = pyo.Var(
        range(size),
        range(segments),
        bounds=lambda _, k, s: (0, float(width[k, s]) if np.isfinite(width[k, s]) else None),
    )
    block.composition = pyo.Constraint(
        range(size),
        rule=lambda b, k: (
            pyo.quicksum(b.segment[k, s] for s in range(segments)) == arguments[k] - float(start[k])
        ),
    )
    block.cost = pyo.Expression(
        expr=pyo.quicksum(
            float(slope[k, s]) * block.segment[k, s] for k in range(size) for s in range(segments)
        )
    )
    return PiecewiseHandles(block.segment, block.composition, block.cost)
