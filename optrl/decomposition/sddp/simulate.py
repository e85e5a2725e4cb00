"""What the policy of the cuts costs: a statistical upper bound.

Paths are drawn by the true probabilities and independently of training. The cost of a step is
the stage's expected cost over its exits, which has the same mean as the cost of the exit drawn and
varies less. The bound is for the problem as modelled: where demand was grouped by conditional
means, the true cost of the policy is another one, to be had from a simulator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from optrl.decomposition.sddp.errors import SddpError
from optrl.decomposition.sddp.forward import OwnPolicy, walk
from optrl.decomposition.sddp.graph import PolicyGraph
from optrl.decomposition.sddp.node_solver import NodeSolver
from optrl.decomposition.sddp.risk import RiskMeasure


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Attributes:
        mean: Of the paths' costs.
        half_width: Of the interval of `confidence`, by Student's t.
        confidence: Of the two-sided interval.
        paths: Number of paths.
    """

    mean: float
    half_width: float
    confidence: float
    paths: int

    @property
    def upper(self) -> float:
        """Upper end of the interval."""
        return self.mean + self.half_width


def simulate(
    graph: PolicyGraph,
    solvers: Mapping[str, NodeSolver],
    risk: RiskMeasure,
    paths: int,
    generator: np.random.Generator,
    *,
    confidence: float = 0.95,
    longest: int = 10_000,
) -> Estimate:
    """Estimate the expected discounted cost of the policy that the cuts give.

    Args:
        graph: The graph.
        solvers: By node.
        risk: Of the training; must be the expectation.
        paths: At least 2.
        generator: Draws the paths.
        confidence: Of the interval.
        longest: Steps after which a path in a cycle is cut off.

    Raises:
        SddpError: If the risk measure is nested and not the expectation, whose value no sample
            mean of path costs estimates, or a path is cut off.
    """
    if not risk.is_neutral:
        raise SddpError(
            "a nested risk measure has no sample mean that bounds it from above: simulate the "
            "policy's cost distribution with the expectation, or compare lower bounds"
        )
    if paths < 2:
        raise SddpError(f"{paths} paths give no interval; simulate at least 2")
    costs = np.array([_path(graph, solvers, generator, longest) for _ in range(paths)])
    error = float(costs.std(ddof=1) / np.sqrt(paths))
    width = float(stats.t.ppf((1 + confidence) / 2, paths - 1)) * error
    return Estimate(float(costs.mean()), width, confidence, paths)


def _path(
    graph: PolicyGraph,
    solvers: Mapping[str, NodeSolver],
    generator: np.random.Generator,
    longest: int,
) -> float:
    steps = walk(graph, solvers, OwnPolicy(), generator, 0, longest)
    if not graph.is_acyclic:
        if len(steps) == longest:
            raise SddpError(
                f"a path did not end within {longest} steps: allow more, or discount more"
            )
        return float(sum(step.cost for step in steps))
    # Without cycles the pass goes on to the end, and what arcs leave over is a discount.
    total, weight = 0.0, 1.0
    for step in steps:
        total += weight * step.cost
        weight *= sum(p for _, p in step.continuation)
    return total
