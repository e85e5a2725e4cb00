"""Perfect information and SDDP as lower bounds of a certificate."""

from __future__ import annotations

import time
from collections.abc import Sequence

from optrl_formulations.network import FloatArray

from optrl.bounds.conditions import (
    Condition,
    all_periods_count,
    certain_arrivals,
    independent_periods,
    require,
)
from optrl.bounds.lower_bound import LowerBound
from optrl.bounds.outcome_conditions import grouped_demand
from optrl.decomposition.sddp import DemandOutcomes, Sddp, fingerprint, replenishment_graph
from optrl.demand.base import DemandModel
from optrl.evaluation.perfect_information import perfect_information, relaxations
from optrl.instance import Instance

_SDDP = "SDDP"


def perfect_information_bound(
    instance: Instance,
    demand: FloatArray,
    *,
    seed: int,
    first_scenario: int = 0,
    paths: str = "",
    warm_up: int = 0,
    time_limit: float | None = None,
) -> LowerBound:
    """Perfect information on given paths (`optrl.evaluation.perfect_information`).

    Args:
        instance: The instance.
        demand: Shape (S, N, D, T).
        seed: Seed of random arrivals, as given to `simulate`.
        first_scenario: Number of the first scenario, for random arrivals.
        paths: Names the paths.
        warm_up: First periods that the costs to be bounded leave out.
        time_limit: Seconds for each path.

    Raises:
        BoundRefusedError: If a warm-up is left out.
    """
    began = time.process_time()
    found = perfect_information(
        instance, demand, seed=seed, first_scenario=first_scenario, time_limit=time_limit
    )
    return known_perfect_information(
        instance, found.bound, paths=paths, warm_up=warm_up, seconds=time.process_time() - began
    )


def known_perfect_information(
    instance: Instance, values: FloatArray, *, paths: str, warm_up: int = 0, seconds: float = 0.0
) -> LowerBound:
    """Perfect information whose programs are solved already, values of shape (S,).

    Raises:
        BoundRefusedError: If a warm-up is left out.
    """
    return LowerBound(
        name="perfect information",
        assumption="; ".join(
            ["demand and delays of the whole horizon are known in advance", *relaxations(instance)]
        ),
        conditions=(all_periods_count(warm_up),),
        sample=values,
        paths=paths,
        seconds=seconds,
    )


def sddp_bound(
    instance: Instance, model: DemandModel, outcomes: Sequence[DemandOutcomes], sddp: Sddp
) -> LowerBound:
    """The deterministic bound of cuts trained on `replenishment_graph(instance, outcomes)`.

    Args:
        instance: The instance.
        model: What draws its demand; each period's outcomes must be groups of its demand by
            conditional means, or all of it.
        outcomes: By period, what the graph was built with; it is built from them once more, and
            cuts of a graph with any other number in it are refused.
        sddp: Trained.

    Raises:
        BoundRefusedError: If demand depends on the past, orders arrive at random, outcomes have
            another mean than the model's demand or vary more, the horizon differs, the risk
            measure is not the expectation, or the cuts are of another instance or other outcomes.
    """
    periods = len(outcomes)
    conditions = (
        independent_periods(model),
        certain_arrivals(instance),
        Condition(
            "its stages are the periods of the horizon",
            periods == instance.horizon == len(sddp.graph.stages),
            f"there are {len(sddp.graph.stages)} stages for {instance.horizon} periods",
        ),
        *grouped_demand(model, instance.start, outcomes),
        Condition(
            "costs are judged by their expectation",
            sddp.settings.risk.is_neutral,
            "the cuts were made under another risk measure",
        ),
    )
    require(_SDDP, conditions)
    return LowerBound(
        name=_SDDP,
        assumption=(
            "demand is independent from period to period, with outcomes of the model or groups of "
            "them by conditional means; costs are convex once integers are relaxed"
        ),
        conditions=(*conditions, _cuts_of(instance, outcomes, sddp)),
        value=sddp.bound,
    )


def _cuts_of(instance: Instance, outcomes: Sequence[DemandOutcomes], sddp: Sddp) -> Condition:
    """Cuts bound the problem they were made for, and no other."""
    same = fingerprint(sddp.graph) == fingerprint(replenishment_graph(instance, outcomes))
    return Condition(
        "its cuts were made for this instance and these outcomes",
        same,
        "numbers of its graph differ from those of replenishment_graph(instance, outcomes): give "
        "the instance and the outcomes that the graph was built from",
    )
