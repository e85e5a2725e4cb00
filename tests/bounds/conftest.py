"""A small lost-sales instance with its optimum and trained cuts."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from optrl.bounds.cut_penalty import CutPenalty, Grouping
from optrl.bounds.paths import PathSource
from optrl.decomposition.sddp import Sddp, replenishment_graph
from optrl.exact.lost_sales import LostSales
from optrl.exact.lost_sales_horizon import solve_horizon
from optrl.testbeds.lost_sales import LostSalesFamily

PERIODS = 5


@dataclass(frozen=True)
class Known:
    """An instance whose optimum is known."""

    source: PathSource
    groupings: list[Grouping]
    sddp: Sddp
    optimum: float
    problem: LostSales

    @property
    def penalty(self) -> CutPenalty:
        source = self.source
        return CutPenalty(source.instance, source.model, self.groupings, self.sddp)


@pytest.fixture(scope="session")
def lost_sales() -> Known:
    """Uniform demand on 0..4, lead time 2, five periods, cuts of a few iterations."""
    bed = LostSalesFamily.case("uniform", 4.0, 2, mean=2.0)
    on_hand, due = np.zeros_like(bed.instance.on_hand), np.zeros((1, 2, 1))
    on_hand[0, 1] = due[0, 1] = 2.0
    instance = replace(bed.instance, on_hand=on_hand, due=due, horizon=PERIODS)
    groupings = [Grouping.of(bed.problem.demand.probability, 24)] * PERIODS
    sddp = Sddp(replenishment_graph(instance, [g.outcomes for g in groupings]), seed=1)
    for _ in range(30):
        sddp.iterate()
    optimum = solve_horizon(bed.problem, PERIODS).cost(np.array([2, 2]))
    return Known(PathSource(instance, bed.demand, 3), groupings, sddp, optimum, bed.problem)
