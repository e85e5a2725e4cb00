"""The certificate of a policy: simulated on demand of the model, bounded on the same paths."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from optrl_formulations.network import FloatArray

from optrl.bounds.certificate import Certificate, Upper, certify
from optrl.bounds.errors import BoundError
from optrl.bounds.fluid import Fluid
from optrl.bounds.information_relaxation import information_relaxation
from optrl.bounds.known_bounds import perfect_information_bound
from optrl.bounds.paths import PathSource
from optrl.bounds.penalty import Penalty
from optrl.demand.base import DemandModel
from optrl.demand.fit import fit
from optrl.instance import Instance
from optrl.policies import find
from optrl.simulation.rollout import DecidingPolicy, simulate
from optrl.simulation.state import Decision, State

LEAST_PATHS = 2


def require_paths(paths: int) -> None:
    """Refuse what says nothing of the sampling error.

    Raises:
        BoundError: If there are fewer than 2 paths.
    """
    if paths < LEAST_PATHS:
        raise BoundError(f"{paths} paths say nothing of the sampling error; give at least 2")


def certify_policy(
    instance: Instance,
    policy: str | DecidingPolicy,
    paths: int,
    *,
    demand: DemandModel | None = None,
    perfect_information: bool = True,
    penalty: Penalty | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    seconds: float | None = None,
    time_limit: float | None = None,
    told: Callable[[int], None] = lambda _path: None,
) -> Certificate:
    """How far from optimal a policy can be when demand comes as the model has it.

    The fluid bound is always looked at; it costs one linear program, and nothing a path.

    Args:
        instance: The instance.
        policy: Name of a policy, or a policy.
        paths: Simulated horizons, at least 2.
        demand: Draws demand, and what the policy believes; fitted to the instance when None.
        perfect_information: Whether to bound by perfect information too, a linear program of the
            whole horizon for each path.
        penalty: Of an information relaxation beside them, chosen on other paths.
        seed: Of demand and random arrivals.
        confidence: Of all that the certificate says, together.
        seconds: After which no further path is simulated, so that there may be fewer.
        time_limit: Seconds for each program.
        told: Called with the number of paths simulated so far.

    Raises:
        BoundError: If there are too few paths, or a program is unbounded.
        BoundRefusedError: If a condition of the penalty does not hold.
        BoundFaultError: If the policy is proved to cost less than a bound.
        optrl.errors.OptrlError: If a program is not solved.
    """
    require_paths(paths)
    model = fit(instance) if demand is None else demand
    source = PathSource(instance, model, seed)
    fluid = Fluid.of(instance, model, time_limit=time_limit)
    costs = _simulated(source, policy, paths, seconds, told)
    done = len(costs)
    if done < LEAST_PATHS:
        raise BoundError(
            f"only {done} of {paths} horizons were simulated within {seconds:g} s, which says "
            f"nothing of what the policy costs. Every policy costs at least {fluid.value:,.7g} (by "
            "expected demand); allow more time, or give the number of horizons"
        )
    met = source.demand(0, done)
    bounds = [fluid.bound(fluid.on(met), paths=source.name)]
    if perfect_information:
        bounds.append(
            perfect_information_bound(
                instance, met, seed=seed, paths=source.name, time_limit=time_limit
            )
        )
    if penalty is not None:
        bounds.append(information_relaxation(source, penalty, done, time_limit=time_limit))
    name = policy if isinstance(policy, str) else str(getattr(policy, "name", "policy"))
    return certify(Upper(name, costs, source.name), bounds, confidence=confidence)


def _simulated(
    source: PathSource,
    policy: str | DecidingPolicy,
    paths: int,
    seconds: float | None,
    told: Callable[[int], None],
) -> FloatArray:
    """Costs on the first paths, on as many as the time allows."""
    end = np.inf if seconds is None else time.perf_counter() + seconds
    instance, costs = source.instance, []
    for number in range(paths):
        # Each path meets the policy as it was fitted, whatever it remembers of another.
        decider = (
            find(policy).fit(instance, source.model, seed=source.seed)
            if isinstance(policy, str)
            else policy
        )
        try:
            run = simulate(
                instance,
                _Timed(decider, end) if np.isfinite(end) else decider,
                source.demand(number, number + 1),
                seed=source.seed,
                first_scenario=number,
                dtype=torch.float64,
            )
        except _OutOfTimeError:
            break
        costs.append(float(run.total_cost[0]))
        told(number + 1)
    return np.array(costs)


class _OutOfTimeError(Exception):
    """The time for simulation is over."""


class _Timed:
    """A policy that decides until a moment."""

    def __init__(self, policy: DecidingPolicy, end: float) -> None:
        self._policy, self._end = policy, end

    def decide(self, state: State, period: int) -> Decision:
        """Decide, or give up the path."""
        if time.perf_counter() > self._end:
            raise _OutOfTimeError
        return self._policy.decide(state, period)
