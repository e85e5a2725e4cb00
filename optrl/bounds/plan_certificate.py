"""The certificate that every plan carries: of the policy that planned it.

A plan is made for expected demand; what it is worth shows when the same policy meets random demand
and plans anew each period, with its belief updated where demand seen says something of later demand
(`optrl.evaluation.updated`). How many horizons are simulated follows the instance's size, within
the time that planning took: a certificate from few is wide, and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from optrl.bounds.fluid import flows_of, refuse_large
from optrl.bounds.policy_certificate import certify_policy, require_paths
from optrl.demand.base import DemandModel
from optrl.demand.fit import fit
from optrl.errors import OptrlError
from optrl.evaluation.policy_names import UPDATED, learns
from optrl.planning.plan import Plan

_FEWEST, _MOST = 4, 32
_FLOWS = 1_000_000
"""Flows of all horizons simulated together, where their number is not given."""
_PERFECT = 500_000
"""Flows of all horizons up to which each is bounded by perfect information too."""
_SECONDS = (10.0, 60.0)
"""Least and most time for simulation where the number of horizons is not given."""


def certify_plan(
    plan: Plan,
    paths: int | None = None,
    *,
    demand: DemandModel | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    time_limit: float | None = None,
    told: Callable[[int], None] = lambda _path: None,
) -> Plan:
    """The plan with its certificate, or with the reason why it has none.

    Args:
        plan: The plan.
        paths: Simulated horizons, each bounded by perfect information too; when None as many as
            suit the instance's size, and no more than are done in the time that planning took (10
            seconds at least, 60 at most), with perfect information where that is cheap.
        demand: Draws demand; fitted to the instance when None.
        seed: Of demand and random arrivals.
        confidence: Of all that the certificate says, together.
        time_limit: Seconds for each program.
        told: Called with the number of horizons simulated so far.

    Raises:
        BoundError: If fewer than 2 horizons are asked for.
    """
    if paths is not None:
        require_paths(paths)
    instance = plan.instance
    count, perfect, seconds = paths, True, None
    try:
        if count is None:
            refuse_large(instance)
            flows = flows_of(instance)
            count = max(_FEWEST, min(_MOST, _FLOWS // max(1, flows)))
            perfect = flows * count <= _PERFECT
            seconds = min(max(_SECONDS[0], plan.seconds), _SECONDS[1])
        believed = fit(instance) if demand is None else demand
        found = certify_policy(
            instance,
            plan.policy + (UPDATED if learns(believed) else ""),
            count,
            demand=believed,
            known_future=perfect,
            seed=seed,
            confidence=confidence,
            seconds=seconds,
            time_limit=time_limit,
            told=told,
        )
    except OptrlError as error:
        # The plan is there and stays; why nothing is certified is said with it.
        return replace(plan, certificate=None, uncertified=str(error))
    except KeyboardInterrupt:
        return replace(plan, certificate=None, uncertified="interrupted")
    return replace(plan, certificate=found.summary(), uncertified="")
