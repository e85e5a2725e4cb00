"""Cost of a policy on fixed common random numbers, the same at every validation of a training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from optrl.learning.base import Subject
from optrl.simulation.rollout import DecidingPolicy, simulate

SEED = 20_011
"""Of the paths that trainings are validated on, apart from those of their own seeds."""


class Validation:
    """Fixed paths of demand and arrivals.

    Args:
        subject: What is trained on.
        scenarios: Paths.
        periods: Periods that count, after the warm-up, where the subject is endless; else its
            horizon is simulated.
    """

    def __init__(self, subject: Subject, scenarios: int, periods: int) -> None:
        instance = subject.instance
        if subject.endless:
            instance = replace(instance, horizon=subject.warm_up + periods)
        self._instance, self._endless, self._warm_up = instance, subject.endless, subject.warm_up
        drawn = subject.demand.sample(
            scenarios, instance.start, instance.horizon, np.random.default_rng(SEED)
        )
        # Laid out as the simulator uses it, so that no validation copies it.
        by_period = torch.from_numpy(drawn).float().permute(3, 2, 0, 1).contiguous()
        self._paths = by_period.permute(2, 3, 1, 0)

    def cost(self, policy: DecidingPolicy) -> float:
        """Cost a period: after the warm-up where endless, else of the whole horizon.

        That of a whole horizon is discounted and less the terminal value, as the instance says.
        """
        warm_up = self._warm_up if self._endless else 0
        run = simulate(self._instance, policy, self._paths, seed=SEED, warm_up=warm_up)
        if self._endless:
            return float(run.period_cost[:, warm_up:].mean())
        return float(run.total_cost.mean()) / self._instance.horizon
