"""A penalty from the cuts of SDDP: slopes of what each outcome of demand costs, less their mean.

In each period the stage that a trained graph has for it is solved with its incoming state open, at
the slope that the period before took (`optrl.decomposition.sddp.dual_path`). Its rows hold a copy
for every outcome of demand; their duals are the slopes, with respect to the state after the
decision, of *stage cost and cost-to-go together* under that outcome. (A unit in stock is worth the
lost sale that it avoids where demand exceeds stock: slopes of the next state's value alone would
miss that and leave the bound loose.) The multiplier is the slope under the outcome that happened
less the mean over outcomes; the constant is built likewise from values.

**Dual feasible, by construction.** Outcomes are groups of the demand of a period, which is
independent of the past; the probability of a group is exactly that of its outcome. Which group
demand falls into is all that the multiplier takes from the period's demand, and slopes and states
at which it is taken depend on groups of earlier periods alone. So its conditional expectation is
sum_k p_k (g_k - sum_l p_l g_l) = 0, exactly. The cuts need not have converged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from optrl_formulations.network import FloatArray, IntArray
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.bounds.conditions import Condition, certain_arrivals, independent_periods
from optrl.bounds.errors import BoundError
from optrl.bounds.penalty import KnownPath, Multipliers
from optrl.decomposition.sddp import DemandOutcomes, Sddp, group_by_means
from optrl.decomposition.sddp.dual_path import DualPath, OpenSolution
from optrl.decomposition.sddp.replenishment import StateSpace
from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.values.state_columns import KINDS, StateColumns

_ON_HAND, _DUE, _, _BACKLOG = range(len(KINDS))
# All of a penalty leaves orders without any cost on many paths, and rounding then pays for them.
_SHARE = 1 - 1e-4


@dataclass(frozen=True)
class Grouping:
    """One demand on whole numbers, in groups by conditional means.

    Attributes:
        outcomes: The groups.
        group: Group of each demand 0, 1, ...; what lies beyond belongs to the last, shape (n,).
    """

    outcomes: DemandOutcomes
    group: IntArray

    @classmethod
    def of(cls, probability: FloatArray, groups: int) -> Grouping:
        """Group a law on 0, 1, 2, ....

        Args:
            probability: Shape (n,), sums to 1.
            groups: At most so many.
        """
        outcomes = group_by_means(probability, groups)
        # Groups are runs of neighbours, so that masses tell where each ends.
        ends = np.cumsum(outcomes.probability)
        middle = (np.cumsum(probability) - probability / 2) / probability.sum()
        found = np.minimum(np.searchsorted(ends, middle), len(ends) - 1)
        mass = np.bincount(found, weights=probability, minlength=len(ends))
        if np.abs(mass / probability.sum() - outcomes.probability).max() > 1e-9:
            raise BoundError("groups of demand do not have the probabilities of their outcomes")
        return cls(outcomes, found)

    def __call__(self, demand: float) -> int:
        """The group of a demand."""
        return int(self.group[min(round(demand), len(self.group) - 1)])


@dataclass(frozen=True)
class CutPenalty:
    """See the module's docstring; for one pair of item and node with demand.

    Attributes:
        instance: The instance.
        model: Draws its demand.
        groupings: Of each period's demand.
        sddp: Trained on `replenishment_graph` of the instance and the outcomes of `groupings`.
    """

    instance: Instance
    model: DemandModel
    groupings: Sequence[Grouping]
    sddp: Sddp

    @property
    def assumption(self) -> str:
        """What dual feasibility rests on."""
        return (
            "the penalty is made of slopes of SDDP cuts, less their exact mean over the outcomes "
            "of a period's demand, which is independent of the past"
        )

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What must hold."""
        periods, horizon = len(self.groupings), self.instance.horizon
        pairs = len(self.instance.network.items) * len(self.instance.demand.nodes)
        return (
            independent_periods(self.model),
            certain_arrivals(self.instance),
            Condition(
                "one pair of item and node has demand", pairs == 1, f"there are {pairs} such pairs"
            ),
            Condition(
                "every period's demand is grouped",
                periods == horizon == len(self.sddp.graph.stages),
                f"{periods} groupings stand beside {len(self.sddp.graph.stages)} stages and a "
                f"horizon of {horizon}",
            ),
        )

    @cached_property
    def columns(self) -> StateColumns:
        """Stock, slots of the pipeline and backlog after the decision."""
        return StateColumns.of(self.instance)

    def on(self, path: KnownPath, generator: np.random.Generator) -> Multipliers:
        """The penalty on a path; nothing is sampled."""
        periods = len(self.groupings)
        multiplier = np.zeros((periods, self.columns.size))
        reference = np.zeros_like(multiplier)
        constant, slope = 0.0, None
        for t, grouping in enumerate(self.groupings):
            solved = self._path.solve(t, slope)
            probability = self._probability[t]
            seen = grouping(float(path.demand[0, 0, t]))
            slopes = self._slopes(solved, probability)
            multiplier[t] = slopes[seen] - probability @ slopes
            reference[t] = self._reference(solved)
            constant += float(solved.exit_values[seen] - probability @ solved.exit_values)
            slope = solved.exit_slopes[seen]
        return Multipliers(_SHARE * multiplier, reference, _SHARE * constant)

    @cached_property
    def _path(self) -> DualPath:
        return DualPath(self.sddp)

    @cached_property
    def _probability(self) -> list[FloatArray]:
        return [np.array([e.probability for e in s.exits]) for s in self.sddp.graph.stages.values()]

    @cached_property
    def _places(self) -> _Places:
        return _Places.of(self.instance, self.columns)

    def _slopes(self, solved: OpenSolution, probability: FloatArray) -> FloatArray:
        """Slopes with respect to the columns, by outcome, shape (outcomes, K)."""
        places, count = self._places, len(probability)
        found = np.zeros((count, self.columns.size))
        stock = solved.duals["balance"].reshape(-1, count).T / probability[:, None]
        waiting = solved.duals["demand_balance"].reshape(-1, count).T / probability[:, None]
        found[:, places.on_hand[0]] = stock[:, places.on_hand[1]]
        found[:, places.backlog[0]] = waiting[:, places.backlog[1]]
        if solved.exit_slopes.shape[1]:
            found[:, places.due[0]] = solved.exit_slopes[:, places.due[1]]
        return found

    def _reference(self, solved: OpenSolution) -> FloatArray:
        """Where the slopes were taken, which no outcome of the period's demand moves."""
        places = self._places
        found = np.zeros(self.columns.size)
        found[places.on_hand[0]] = solved.state[places.on_hand[1]]
        if solved.exit_states.shape[1]:
            ahead = solved.exit_states[0].copy()
            count = len(solved.exit_states)
            # The next stock is what is left and what arrives.
            ahead[: places.stocks] -= solved.values["on_hand"].reshape(-1, count)[:, 0]
            found[places.due[0]] = ahead[places.due[1]]
        return found


@dataclass(frozen=True)
class _Places:
    """Which entries of the stages' rows and states the columns are, each a pair of positions.

    Attributes:
        on_hand: Of columns, and of members of the first stock.
        due: Of columns, and of entries of an outgoing state: what arrives next is part of the next
            stock.
        backlog: Of columns, and of pairs with demand.
        stocks: Number of entries of stock in a state.
    """

    on_hand: tuple[IntArray, IntArray]
    due: tuple[IntArray, IntArray]
    backlog: tuple[IntArray, IntArray]
    stocks: int

    @classmethod
    def of(cls, instance: Instance, columns: StateColumns) -> _Places:
        space = StateSpace.of(instance)
        layout = space.layout(0, ScenarioTree.chain(1))
        n, v = space.pairs.shape
        stock = layout.initial_on_hand.positions((n, v))
        due = space.due.positions((n, v, space.periods))
        pairs = layout.initial_backlog.positions((n, v))
        stocks = len(layout.initial_on_hand)
        here = np.flatnonzero(columns.kind == _ON_HAND)
        way = np.flatnonzero(columns.kind == _DUE)
        waits = np.flatnonzero(columns.kind == _BACKLOG)
        item, node, slot = columns.item[way], columns.node[way], columns.slot[way]
        entry = stock[item, node].copy()
        later = slot > 0
        entry[later] = stocks + due[item[later], node[later], slot[later] - 1]
        return cls(
            (here, stock[columns.item[here], columns.node[here]]),
            (way, entry),
            (waits, pairs[columns.item[waits], columns.node[waits]]),
            stocks,
        )
