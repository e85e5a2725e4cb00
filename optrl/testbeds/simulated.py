"""Average cost of a policy on a test bed by simulation, with the interval of its mean."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from optrl_formulations.network import FloatArray
from scipy import stats

from optrl.errors import OptrlError
from optrl.policies import find
from optrl.simulation.rollout import DecidingPolicy, simulate
from optrl.testbeds.base import Row, TestBed


@dataclass(frozen=True)
class SimulatedCost:
    """A mean over scenarios.

    Attributes:
        mean: Average cost a period after warm-up.
        half_width: Half of its 95 % confidence interval (Student's t over scenarios).
    """

    mean: float
    half_width: float


def simulated_cost(
    bed: TestBed, policy: DecidingPolicy, *, scenarios: int = 100, seed: int = 0
) -> SimulatedCost:
    """Simulate a policy on the bed's own demand.

    Policies with the same `seed` meet the same demand.

    Args:
        bed: The test bed.
        policy: Decides.
        scenarios: Independent paths of the whole horizon, at least 2.
        seed: Of demand and random arrivals.

    Raises:
        OptrlError: If there are too few scenarios.
    """
    if scenarios < 2:
        raise OptrlError(f"{scenarios} scenarios give no interval; simulate at least 2")
    instance = bed.instance
    generator = np.random.default_rng(seed)
    demand = bed.demand.sample(scenarios, instance.start, instance.horizon, generator)
    run = simulate(instance, policy, demand, seed=seed, warm_up=bed.warm_up, dtype=torch.float64)
    each = run.period_cost[:, bed.warm_up :].mean(dim=1).numpy()
    return SimulatedCost(float(each.mean()), mean_half_width(each))


def mean_half_width(values: FloatArray) -> float:
    """Half of the 95 % confidence interval of a mean over scenarios (Student's t).

    Args:
        values: By scenario, shape (S,), at least 2.
    """
    quantile = float(stats.t.ppf(0.975, len(values) - 1))
    return quantile * float(values.std(ddof=1)) / float(np.sqrt(len(values)))


def simulated_row(
    bed: TestBed,
    label: str,
    policy: DecidingPolicy | None = None,
    *,
    bound: float | None = None,
    scenarios: int = 100,
    seed: int = 0,
    published: str = "",
    seconds: float = 0.0,
) -> Row:
    """The benchmark row of a policy.

    Args:
        bed: The test bed.
        label: Name of the policy; fitted to the bed under that name where `policy` is None.
        policy: The policy, or None.
        bound: Lower bound on the optimal cost.
        scenarios: Independent paths.
        seed: Of demand and of the fit.
        published: What the row is to be compared with.
        seconds: Time that finding the policy took.
    """
    began = time.perf_counter()
    if policy is None:
        policy = find(label).fit(bed.instance, bed.demand, seed=seed)
    cost = simulated_cost(bed, policy, scenarios=scenarios, seed=seed)
    reference = bed.optimum if bed.optimum is not None else bound
    return Row(
        bed.name,
        label,
        cost.mean,
        bed.optimum,
        bound,
        None if reference is None else 100 * (cost.mean / reference - 1),
        cost.half_width,
        seconds + time.perf_counter() - began,
        published,
    )
