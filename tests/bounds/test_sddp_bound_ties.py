"""SDDP's bound is of the instance and the outcomes that its cuts were made for, and no others."""

from dataclasses import replace

import numpy as np
import pytest

from optrl.bounds.errors import BoundRefusedError
from optrl.bounds.known_bounds import sddp_bound
from optrl.decomposition.sddp import DemandOutcomes, Sddp, group_by_means, replenishment_graph


def trained(instance, outcomes, iterations=8):
    """Cuts of a few iterations."""
    sddp = Sddp(replenishment_graph(instance, outcomes), seed=1)
    for _ in range(iterations):
        sddp.iterate()
    return sddp


def test_cuts_of_other_outcomes_are_refused(lost_sales):
    """Truth: the optimum, which cuts made for wider demand exceed; shown right outcomes, too."""
    source = lost_sales.source
    right = [grouping.outcomes for grouping in lost_sales.groupings]
    wide = DemandOutcomes(np.array([0.5, 0.5]), np.array([[0.0], [4.0]]))
    wrong = trained(source.instance, [wide] * len(right), iterations=30)
    assert wrong.bound > lost_sales.optimum * 1.01
    with pytest.raises(BoundRefusedError, match="this instance and these outcomes"):
        sddp_bound(source.instance, source.model, right, wrong)


def test_cuts_of_another_instance_are_refused(lost_sales):
    """Another first stock or another cost is another problem."""
    source = lost_sales.source
    outcomes = [grouping.outcomes for grouping in lost_sales.groupings]
    instance = source.instance
    network = replace(instance.network, shortage_cost=instance.network.shortage_cost * 1.5)
    others = (
        replace(instance, on_hand=instance.on_hand * 0.5),
        replace(instance, network=network),
        replace(instance, network=replace(instance.network, discount=0.99)),
    )
    for other in others:
        with pytest.raises(BoundRefusedError, match="this instance and these outcomes"):
            sddp_bound(other, source.model, outcomes, lost_sales.sddp)


def test_fewer_groups_are_other_outcomes(lost_sales):
    """Groups by conditional means pass every other condition; only the graph tells them apart."""
    source = lost_sales.source
    law = lost_sales.problem.demand.probability
    few = [group_by_means(law, 2)] * len(lost_sales.groupings)
    with pytest.raises(BoundRefusedError, match="this instance and these outcomes"):
        sddp_bound(source.instance, source.model, few, lost_sales.sddp)
    kept = sddp_bound(source.instance, source.model, few, trained(source.instance, few))
    assert kept.mean <= lost_sales.optimum
