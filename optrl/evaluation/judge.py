"""Policies judged side by side on the same demand and the same random arrivals."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import torch
from optrl_formulations.network import FloatArray

from optrl.demand.base import DemandModel
from optrl.errors import OptrlError
from optrl.evaluation.perfect_information import perfect_information
from optrl.instance import Instance
from optrl.policies import find
from optrl.simulation.kpis import Indicators
from optrl.simulation.rollout import simulate

BOUND = "perfect_information"


def kept_demand(instance: Instance) -> FloatArray:
    """Demand of the kept periods within the horizon as one scenario, shape (1, N, D, T).

    Raises:
        OptrlError: If no demand from the start on was observed.
    """
    periods = min(instance.horizon, instance.kept_periods)
    if periods < 1:
        raise OptrlError(
            f"the demand table of {instance.name!r} holds nothing from period {instance.start} "
            "on: move `start` back in instance.toml to keep periods to judge on"
        )
    return instance.demand.between(instance.start, instance.start + periods)[None]


def judge(
    instance: Instance,
    policies: Sequence[str],
    demand: FloatArray,
    believed: DemandModel,
    *,
    seed: int,
    bound: bool = True,
    told: Callable[[str], None] = lambda _: None,
) -> pl.DataFrame:
    """Roll every policy out on the same paths and bound them all from below.

    Args:
        instance: The instance.
        policies: Names of policies.
        demand: Paths, shape (S, N, D, T).
        believed: What policies believe about demand; fitted before the first period.
        seed: Of random arrivals and of policies that sample.
        bound: Whether to add the perfect-information bound, the first row.
        told: Called with a line about each policy when it is done.

    Returns:
        One row a policy, cheapest first: policy, cost (mean of discounted cost less terminal
        value) and its standard error, excess over the bound in percent, cost of each kind over
        the horizon, fill rate, cycle service, turns, mean stock, seconds.
    """
    periods = demand.shape[3]
    rows: list[dict[str, object]] = []
    lowest = float("nan")
    if bound:
        began = time.perf_counter()
        bounds = perfect_information(instance, demand, seed=seed).bound
        lowest = float(bounds.mean())
        rows.append(
            {
                "policy": BOUND,
                "cost": lowest,
                "standard_error": _standard_error(bounds),
                "seconds": time.perf_counter() - began,
            }
        )
        told(f"{BOUND}: {lowest:,.0f}")
    judged = []
    for name in policies:
        began = time.perf_counter()
        policy = find(name).fit(instance, believed, seed=seed)
        trajectory = simulate(instance, policy, demand, seed=seed, dtype=torch.float64)
        found = Indicators.of(trajectory)
        row: dict[str, object] = {
            "policy": name,
            "cost": found.cost.mean,
            "standard_error": found.cost.standard_error,
            "above_bound_percent": 100 * (found.cost.mean / lowest - 1),
        }
        row |= {kind: each.mean * periods for kind, each in found.cost_by_kind.items()}
        row |= {
            "terminal_value": float(trajectory.terminal_value.mean()),
            "fill_rate": found.fill_rate.mean,
            "cycle_service": found.cycle_service.mean,
            "turns": found.turns.mean,
            "mean_stock": found.mean_stock.mean,
            "seconds": time.perf_counter() - began,
        }
        judged.append(row)
        told(f"{name}: {found.cost.mean:,.0f}, fill rate {found.fill_rate.mean:.4f}")
    judged.sort(key=lambda row: float(str(row["cost"])))
    return pl.DataFrame(rows + judged, infer_schema_length=None)


def _standard_error(values: FloatArray) -> float:
    if len(values) < 2:
        return float("nan")
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))
