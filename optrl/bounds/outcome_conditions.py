"""Whether outcomes of demand may be groups of a model's demand by conditional means.

Conditional means have the expectation of demand and, by the law of total variance, no weighted sum
of them varies more: the model's covariance less theirs is positive semidefinite. Outcomes that fail
are no such groups. Demand models tell the covariance between the nodes of an item, not between
items, so that only the former is looked up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.bounds.conditions import Condition
from optrl.decomposition.sddp import DemandOutcomes
from optrl.demand.base import DemandModel

_MEAN, _VARIANCE = 1e-4, 1e-3
"""Tolerances relative to the largest mean and variance: what tables leave out of demand's tails."""


def grouped_demand(
    model: DemandModel, start: int, outcomes: Sequence[DemandOutcomes]
) -> tuple[Condition, ...]:
    """What groups of the model's demand have in common.

    Args:
        model: What draws demand of N items at D nodes.
        start: Period of the first outcomes.
        outcomes: By period, of all N * D pairs, item by item.
    """
    mean = model.mean(start, len(outcomes))
    items, nodes, _ = mean.shape
    of_all = all(outcome.demand.shape[1] == items * nodes for outcome in outcomes)
    pairs = Condition(
        "outcomes are of all items at all nodes with demand",
        of_all,
        f"some have another number of columns than the {items * nodes} pairs of item and node",
    )
    if not of_all:
        return (pairs,)
    off, wider = 0.0, 0.0
    most = float(model.variance(start, len(outcomes)).max(initial=0.0))
    for t, outcome in enumerate(outcomes):
        given = outcome.probability @ outcome.demand
        off = max(off, float(np.abs(given - mean[:, :, t].ravel()).max(initial=0.0)))
        apart = (outcome.demand - given).reshape(-1, items, nodes)
        found = np.einsum("k,kni,knj->nij", outcome.probability, apart, apart)
        excess = np.linalg.eigvalsh(found - _covariance(model, start + t, nodes))
        wider = max(wider, float(excess.max(initial=0.0)))
    return (
        pairs,
        Condition(
            "outcomes have the expectation of the model's demand",
            off <= _MEAN * max(1.0, float(mean.max(initial=0.0))),
            f"they differ from it by up to {off:.3g}: group all of the model's demand",
        ),
        Condition(
            "outcomes vary no more than the model's demand, alone and together",
            wider <= _VARIANCE * max(1.0, most),
            f"the variance of some sum over an item's nodes is above it by up to {wider:.3g}: "
            "group the model's demand by conditional means, and join nodes by independent_product "
            "where they are independent",
        ),
    )


def _covariance(model: DemandModel, period: int, nodes: int) -> FloatArray:
    """Between the nodes of each item in a period, shape (N, D, D)."""
    first, second = np.triu_indices(nodes)
    weight = np.zeros((nodes, len(first)))
    pair = np.arange(len(first))
    weight[first, pair] = weight[second, pair] = 1.0
    items = model.mean(period, 1).shape[0]
    groups = np.broadcast_to(weight, (items, *weight.shape))
    total = model.total_variance(np.ascontiguousarray(groups), period, 1)
    alone = total[:, first == second]
    result = np.zeros((items, nodes, nodes))
    together = (total - alone[:, first] - alone[:, second]) / 2
    result[:, first, second] = result[:, second, first] = together
    result[:, np.arange(nodes), np.arange(nodes)] = alone
    return result
