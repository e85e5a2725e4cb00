"""What the benchmarks of learned policies share: training timed, and gaps computed exactly."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from optrl.exact.errors import ExactError
from optrl.learning.base import Subject
from optrl.learning.pathwise import Pathwise, PathwiseSettings
from optrl.simulation.rollout import DecidingPolicy
from optrl.testbeds.base import TestBed
from optrl.testbeds.exact_rule import exact_cost


@dataclass(frozen=True)
class Gap:
    """Cost above the optimum.

    Attributes:
        percent: Of the optimum; infinite where the policy's chain is too large.
        half_width: Half the distance of the cost's bounds, likewise.
    """

    percent: float
    half_width: float

    def cells(self, name: str) -> dict[str, str]:
        """Columns of a table."""
        return {
            f"{name}_gap_pct": f"{self.percent:.4f}",
            f"{name}_half_width_pct": f"{self.half_width:.4f}",
        }


def exact_gap(bed: TestBed, policy: DecidingPolicy) -> Gap:
    """Gap of a policy whose orders are whole units, by the chain of its states."""
    assert bed.optimum is not None
    try:
        cost = exact_cost(bed, policy)
    except ExactError:
        return Gap(np.inf, np.inf)
    return Gap(100 * (cost.cost / bed.optimum - 1), 50 * (cost.upper - cost.lower) / bed.optimum)


def trained(bed: TestBed, settings: PathwiseSettings, seed: int) -> tuple[DecidingPolicy, float]:
    """The policy after the last update, and the CPU seconds of all."""
    began = time.process_time()
    subject = Subject(bed.instance, bed.demand, endless=True, warm_up=bed.warm_up)
    learner = Pathwise.begin(subject, settings, seed)
    for _ in range(learner.total):
        learner.update()
    return learner.policy(bed.instance, bed.demand), time.process_time() - began


def summary(table: list[dict[str, str]], label: str) -> list[str]:
    """Mean and largest of the columns of gaps and seconds, for the table's head."""
    columns = dict.fromkeys(column for row in table for column in row)
    told = []
    for column in columns:
        if column.endswith(("gap_pct", "seconds")):
            values = [float(row[column]) for row in table if row.get(column)]
            told.append(f"{label}: {column}: mean {np.mean(values):.4f}, largest {max(values):.4f}")
    return told
