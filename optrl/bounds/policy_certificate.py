"""The certificate of a policy: simulated on demand of the model, bounded on the same paths."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from optrl.bounds.certificate import Certificate, Upper, certify
from optrl.bounds.errors import BoundError
from optrl.bounds.information_relaxation import information_relaxation
from optrl.bounds.known_bounds import perfect_information_bound
from optrl.bounds.paths import PathSource
from optrl.bounds.penalty import Penalty
from optrl.demand.base import DemandModel
from optrl.demand.fit import fit
from optrl.instance import Instance
from optrl.policies import find
from optrl.simulation.rollout import DecidingPolicy, simulate

LEAST_PATHS = 2


def certify_policy(
    instance: Instance,
    policy: str | DecidingPolicy,
    paths: int,
    *,
    demand: DemandModel | None = None,
    penalty: Penalty | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    time_limit: float | None = None,
    told: Callable[[int], None] = lambda _path: None,
) -> Certificate:
    """How far from optimal a policy can be when demand comes as the model has it.

    Args:
        instance: The instance.
        policy: Name of a policy, or a policy.
        paths: Simulated horizons, at least 2; each costs a linear program of the whole horizon.
        demand: Draws demand, and what the policy believes; fitted to the instance when None.
        penalty: Of an information relaxation beside perfect information, chosen on other paths.
        seed: Of demand and random arrivals.
        confidence: Of all that the certificate says, together.
        time_limit: Seconds for each program.
        told: Called with the number of paths simulated so far.

    Raises:
        BoundError: If there are too few paths, or a program is unbounded.
        BoundRefusedError: If a condition of the penalty does not hold.
        BoundFaultError: If the policy is proved to cost less than a bound.
    """
    if paths < LEAST_PATHS:
        raise BoundError(f"{paths} paths say nothing of the sampling error; give at least 2")
    model = fit(instance) if demand is None else demand
    source = PathSource(instance, model, seed)
    costs = []
    for number in range(paths):
        # Each path meets the policy as it was fitted, whatever it remembers of another.
        decider = (
            find(policy).fit(instance, model, seed=seed) if isinstance(policy, str) else policy
        )
        run = simulate(
            instance,
            decider,
            source.demand(number, number + 1),
            seed=seed,
            first_scenario=number,
            dtype=torch.float64,
        )
        costs.append(float(run.total_cost[0]))
        told(number + 1)
    name = policy if isinstance(policy, str) else str(getattr(policy, "name", "policy"))
    bounds = [
        perfect_information_bound(
            instance, source.demand(0, paths), seed=seed, paths=source.name, time_limit=time_limit
        )
    ]
    if penalty is not None:
        bounds.append(information_relaxation(source, penalty, paths, time_limit=time_limit))
    return certify(Upper(name, np.array(costs), source.name), bounds, confidence=confidence)
