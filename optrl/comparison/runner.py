"""Runs policies on parts of the scenarios, or takes what an earlier run has kept.

Every part is decided by a policy as it was right after `fit`: a copy where the policy can be
copied, fitted anew where it holds a solver. What a policy remembers (a basis, a random generator)
therefore never passes from one part to the next, and a run that was interrupted and continued
gives the same bits as one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from optrl_formulations.network import FloatArray

from optrl.bounds.fluid import Fluid, refuse_large
from optrl.bounds.lower_bound import LowerBound
from optrl.comparison.contender import Contender
from optrl.comparison.measurement import RECORDED, Measurement, join, recorded
from optrl.comparison.run_folder import RunFolder
from optrl.comparison.scenarios import Scenarios, paths_name
from optrl.demand.base import DemandModel
from optrl.errors import OptrlError
from optrl.evaluation.judge import BOUND
from optrl.evaluation.perfect_information import perfect_information
from optrl.simulation.rollout import DecidingPolicy, simulate

PART = 32
"""Scenarios of a part; all policies meet them one after the other, so that they are drawn once."""
_PART_OF_PROGRAMS = 4
"""Scenarios of a part for policies that solve programs, which take long."""


@dataclass(frozen=True)
class Advance:
    """How far a run is.

    Attributes:
        policy: What was run.
        scenarios: Scenarios done by it now.
        kept: Whether they were there already.
    """

    policy: str
    scenarios: int
    kept: bool


class _Whole:
    """A policy that is not split over items, so that the final state of the rollout is kept."""

    def __init__(self, name: str, policy: DecidingPolicy) -> None:
        self.name = name
        self.decide = policy.decide


@dataclass(frozen=True)
class Runner:
    """Runs policies on scenarios, part by part.

    Attributes:
        scenarios: What policies meet.
        believed: What policies believe about demand.
        folder: Where parts are kept.
        warm_up: First periods left out.
        progress: Told about every part.
    """

    scenarios: Scenarios
    believed: DemandModel
    folder: RunFolder
    warm_up: int
    progress: Callable[[Advance], None]
    _drawn: dict[int, FloatArray] = field(default_factory=dict, repr=False)

    def run(self, contender: Contender, first: int, stop: int) -> Measurement:
        """The policy on scenarios first, ..., stop - 1."""
        size = min(PART if contender.quick else _PART_OF_PROGRAMS, self._fitting())
        parts = []
        for low in range(first, stop, size):
            high = min(low + size, stop)
            found = self.folder.read(contender.key, low, high)
            if found is None:
                part = self._simulate(contender, low, high)
                self.folder.write(contender.key, low, high, part.arrays())
            else:
                part = self._kept(contender, low, high, found)
            parts.append(part)
            self.progress(Advance(contender.name, high - low, found is not None))
        return join(parts)

    def _kept(
        self, contender: Contender, first: int, stop: int, arrays: dict[str, FloatArray]
    ) -> Measurement:
        """A part that an earlier run has kept.

        Raises:
            OptrlError: If it is not one of these scenarios.
        """
        try:
            part = Measurement.from_arrays(arrays, self.scenarios.instance, contender.name)
            scenarios = part.trajectory.scenarios
        except (KeyError, IndexError, TypeError, ValueError, StopIteration) as error:
            raise OptrlError(self._damaged(contender, first, stop, repr(error))) from error
        if scenarios != stop - first:
            raise OptrlError(
                self._damaged(contender, first, stop, f"it holds {scenarios} scenarios")
            )
        return part

    def _damaged(self, contender: Contender, first: int, stop: int, why: str) -> str:
        return (
            f"what {self.folder.path} keeps of {contender.name!r} on scenarios {first} to "
            f"{stop - 1} is no part of this run ({why}). Remove the file; its scenarios are then "
            "simulated anew."
        )

    def bound(self, first: int, stop: int) -> FloatArray:
        """Perfect-information bounds of scenarios first, ..., stop - 1."""
        scenarios, result = self.scenarios, []
        for low in range(first, stop):
            found = self.folder.read(BOUND, low, low + 1)
            if found is None:
                solved = perfect_information(
                    scenarios.instance,
                    scenarios.paths(low, low + 1),
                    seed=scenarios.seed,
                    first_scenario=low,
                )
                arrays = {"bound": solved.bound, "seconds": solved.seconds}
                self.folder.write(BOUND, low, low + 1, arrays)
            else:
                arrays = found
            result.append(arrays["bound"])
            self.progress(Advance(BOUND, 1, found is not None))
        return np.concatenate([np.zeros(0), *result])

    def fluid(self, stop: int) -> LowerBound:
        """The fluid bound, with its number on each of scenarios 0, ..., stop - 1.

        Raises:
            optrl.errors.OptrlError: If the instance is too large or the program not solved.
        """
        scenarios = self.scenarios
        assert scenarios.model is not None
        refuse_large(scenarios.instance)
        fluid = Fluid.of(scenarios.instance, scenarios.model)
        size = self._fitting()
        sample = [
            fluid.on(scenarios.paths(low, min(low + size, stop))) for low in range(0, stop, size)
        ]
        name = paths_name(scenarios.seed)
        return fluid.bound(np.concatenate(sample), paths=name, warm_up=self.warm_up)

    def _fitting(self) -> int:
        """Scenarios whose demand and detail fit into memory together."""
        each = recorded(self.scenarios.instance, self.scenarios.periods)
        return max(1, 16 * RECORDED // max(1, each))

    def _paths(self, first: int, stop: int) -> FloatArray:
        """Demand of scenarios; the block they are in is kept for the policies to come."""
        size = min(PART, self._fitting())
        block = first // size
        if stop > (block + 1) * size:
            return self.scenarios.paths(first, stop)
        if block not in self._drawn:
            self._drawn.clear()
            self._drawn[block] = self.scenarios.paths(block * size, (block + 1) * size)
        return self._drawn[block][first - block * size : stop - block * size]

    def _simulate(self, contender: Contender, first: int, stop: int) -> Measurement:
        scenarios = self.scenarios
        demand = self._paths(first, stop)
        began = time.perf_counter()
        policy = contender.fresh(scenarios.instance, self.believed, scenarios.seed)
        detail = recorded(scenarios.instance, scenarios.periods) <= RECORDED
        trajectory = simulate(
            scenarios.instance,
            _Whole(contender.name, policy) if detail else policy,
            demand,
            seed=scenarios.seed,
            first_scenario=first,
            warm_up=self.warm_up,
            dtype=torch.float64,
            record="full" if detail else "totals",
            batch=stop - first if detail else None,
        )
        return Measurement.of(trajectory, demand, time.perf_counter() - began)
