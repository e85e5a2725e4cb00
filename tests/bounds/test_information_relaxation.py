"""Information relaxation: valid for any zero-mean penalty, tight for the right one."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from optrl.bounds.cut_penalty import CutPenalty
from optrl.bounds.errors import BoundError, BoundRefusedError
from optrl.bounds.information_relaxation import Relaxation, information_relaxation
from optrl.bounds.inner_problem import InnerProblem
from optrl.bounds.penalty import KnownPath, NoPenalty
from optrl.decomposition.sddp import Sddp, replenishment_graph
from optrl.demand.negative_binomial import NegativeBinomial
from optrl.demand.paths import steady
from optrl.evaluation.perfect_information import perfect_information
from optrl.exact.lost_sales_horizon import solve_horizon
from optrl.values.state_columns import StateColumns


def test_without_penalty_it_is_perfect_information(lost_sales):
    """Zero multipliers give the perfect-information value of each path."""
    source = lost_sales.source
    instance = source.instance
    nothing = NoPenalty(StateColumns.of(instance), instance.horizon)
    found = information_relaxation(source, nothing, 6)
    known = perfect_information(instance, source.demand(0, 6), seed=source.seed)
    assert found.sample == pytest.approx(known.bound, abs=1e-7)


def test_cut_penalties_have_expectation_zero(lost_sales):
    """Over all outcomes of a period's demand the multiplier averages to nothing, given the past."""
    penalty, source = lost_sales.penalty, lost_sales.source
    probability = lost_sales.groupings[0].outcomes.probability
    path = source.path(0)
    for t in range(source.instance.horizon):
        rows = []
        for demand in range(len(probability)):
            other = path.demand.copy()
            other[0, 0, t] = demand
            rows.append(penalty.on(KnownPath(other, path.rate), source.generator(0)))
        multipliers = np.array([made.multiplier[t] for made in rows])
        references = np.array([made.reference[t] for made in rows])
        assert np.abs(multipliers).max() > 0.1
        assert probability @ multipliers == pytest.approx(0.0, abs=1e-7)
        assert np.ptp(references, axis=0) == pytest.approx(0.0, abs=1e-7)


def test_converged_cuts_leave_no_gap(lost_sales):
    """The penalized mean is the optimum up to sampling; without penalty it is far below."""
    found = information_relaxation(lost_sales.source, lost_sales.penalty, 40)
    optimum = lost_sales.optimum
    assert lost_sales.sddp.bound <= optimum * (1 + 1e-6)
    assert found.low(0.001) <= optimum
    assert found.mean == pytest.approx(optimum, rel=0.01)
    free = information_relaxation(
        lost_sales.source,
        NoPenalty(lost_sales.penalty.columns, lost_sales.source.instance.horizon),
        40,
    )
    assert free.mean < 0.6 * found.mean


class _Scaled:
    """A penalty times a number: it stays dual feasible and fits less."""

    def __init__(self, penalty, factor):
        self.columns, self.conditions = penalty.columns, penalty.conditions
        self.assumption = penalty.assumption
        self._penalty, self._factor = penalty, factor

    def on(self, path, generator):
        made = self._penalty.on(path, generator)
        factor = self._factor
        return type(made)(factor * made.multiplier, made.reference, factor * made.constant)


@pytest.mark.parametrize("factor", [0.1, 0.4, 0.8])
def test_any_share_of_a_penalty_bounds(lost_sales, factor):
    """Too weak a penalty is valid still, and looser."""
    source = lost_sales.source
    relaxation = Relaxation(source, _Scaled(lost_sales.penalty, factor))
    values = [relaxation.solve(number).value for number in range(60)]
    mean, error = np.mean(values), np.std(values, ddof=1) / np.sqrt(60)
    assert mean - 4 * error <= lost_sales.optimum


def test_multipliers_that_pay_without_end_are_told(lost_sales):
    """An unbounded inner problem is an error that says what happened, not a number."""
    source = lost_sales.source
    instance = source.instance
    columns = StateColumns.of(instance)
    inner = InnerProblem(instance, columns, np.ones((1, 1)), instance.horizon, seed=0)
    steep = np.full((instance.horizon, columns.size), 50.0)
    with pytest.raises(BoundError, match="pay for orders without end"):
        inner.solve(source.path(0).demand, steep, 0 * steep, 0)


def test_dependent_demand_is_refused(lost_sales):
    """Cuts know nothing of an error of the level, so their penalty is refused under one."""
    source = lost_sales.source
    model = NegativeBinomial(
        np.array([1]),
        steady(np.array([[2.0]])),
        np.full((1, 1), np.inf),
        level_variance=np.array([0.1]),
    )
    penalty = CutPenalty(source.instance, model, lost_sales.groupings, lost_sales.sddp)
    with pytest.raises(BoundRefusedError, match="independent from period to period"):
        information_relaxation(replace(source, model=model), penalty, 2)


def test_all_paths_of_three_periods_give_the_optimum_exactly(lost_sales):
    """Enumerated with probabilities, penalized values sum to the optimum: nothing is sampled."""
    source = lost_sales.source
    instance = replace(source.instance, horizon=3)
    groupings = lost_sales.groupings[:3]
    sddp = Sddp(replenishment_graph(instance, [g.outcomes for g in groupings]), seed=1)
    for _ in range(60):
        sddp.iterate()
    penalty = CutPenalty(instance, source.model, groupings, sddp)
    inner = InnerProblem(instance, penalty.columns, np.ones((1, 1)), 3, seed=0)
    probability = groupings[0].outcomes.probability
    total = 0.0
    for numbers in itertools.product(range(len(probability)), repeat=3):
        path = np.array(numbers, dtype=float)[None, None]
        made = penalty.on(KnownPath(path, np.ones((1, 3))), source.generator(0))
        value = inner.solve(path, made.multiplier, made.reference, 0).value - made.constant
        total += probability[list(numbers)].prod() * value
    optimum = solve_horizon(lost_sales.problem, 3).cost(np.array([2, 2]))
    assert total <= optimum * (1 + 1e-6)
    assert total == pytest.approx(optimum, rel=1e-3)
