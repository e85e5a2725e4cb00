"""A convex cost-to-go as the maximum of affine cuts.

    cost_to_go >= intercept_c + sum_k gradient_ck * argument_k      for each cut c

Exact under minimization because the cost-to-go has a positive weight in the objective. Source:
Van Slyke & Wets (1969), SIAM Journal on Applied Mathematics 17(4); Pereira & Pinto (1991),
Mathematical Programming 52.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from optrl_formulations.network import FloatArray


@dataclass(frozen=True)
class CutHandles:
    """Components of `add_cuts`.

    Attributes:
        cost_to_go: The variable to put into the objective with a positive weight.
        cut: ``cut[c]``.
    """

    cost_to_go: pyo.Var
    cut: pyo.Constraint


def add_cuts(
    block: Any,
    arguments: Sequence[Any],
    intercept: FloatArray,
    gradient: FloatArray,
    lower_bound: float,
) -> CutHandles:
    """Add a variable bounded below by all cuts.

    Args:
        block: Pyomo block that receives the components.
        arguments: K linear expressions or variables.
        intercept: Shape (C,).
        gradient: Shape (C, K).
        lower_bound: A valid lower bound of the cost-to-go; an invalid one gives a wrong optimum
            without complaint, so there is no default.

    Raises:
        ValueError: If shapes do not fit or numbers are not finite.
    """
    if gradient.shape != (len(intercept), len(arguments)):
        raise ValueError(
            f"gradient has shape {gradient.shape}, expected ({len(intercept)}, {len(arguments)})"
        )
    if not (np.isfinite(intercept).all() and np.isfinite(gradient).all()):
        raise ValueError("cuts must be finite")
    if not np.isfinite(lower_bound):
        raise ValueError(f"lower_bound must be finite, found {lower_bound}")
    block.cost_to_go = pyo.Var(bounds=(lower_bound, None))
    block.cut = pyo.Constraint(
        range(len(intercept)),
        rule=lambda b, c: (
            b.cost_to_go
            >= float(intercept[c])
            + pyo.quicksum(float(gradient[c, k]) * x for k, x in enumerate(arguments))
        ),
    )
    return CutHandles(block.cost_to_go, block.cut)
