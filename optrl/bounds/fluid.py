"""The fluid bound: one linear program on expected demand and expected arrivals.

Every limit and cost of the model is linear or convex in what a policy orders, serves and holds,
once integers are relaxed. What an order brings in on a lane with random arrivals is its quantity
times a share drawn independently of it. So the expectations of any policy's decisions satisfy the
program's rows with expected demand and expected shares, and cost there at most what the policy
costs in expectation: **the program's value is below the cost of every policy**, with no sampling
and nothing assumed of how periods depend on one another.

**Merged customers.** The program is solved with customers merged that the network cannot tell
apart, each with its cheapest lanes only, which is no relaxation. Its multipliers of stock and
capacities are then taken to the whole network, where the best multiplier of each customer's demand
follows: a dual feasible point, hence a bound, of a program that was never solved.

**On a path** the same multipliers give a number linear in its demand whose expectation is the
bound. Taken off a policy's cost on that path it removes most of what the path itself brings, so
that a few paths certify a gap (a control variate).

Source: Bertsekas, Dynamic Programming and Optimal Control, vol. I, 4th ed., section 6.2 (certainty
in place of chance as a bound for convex problems); Gallego & van Ryzin (1994), Management Science
40(8), theorem 2 (fluid bounds); Glasserman, Monte Carlo Methods in Financial Engineering (2004),
section 4.1 (control variates).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import FloatArray
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_data import ReplenishmentData
from optrl_formulations.replenishment_layout import Index, ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.bounds.conditions import all_periods_count
from optrl.bounds.errors import BoundError
from optrl.bounds.lower_bound import LowerBound
from optrl.demand.base import DemandModel
from optrl.evaluation.perfect_information import relaxations, relaxed_instance
from optrl.instance import Instance
from optrl.stages.coarse import CoarseView, with_root
from optrl.stages.stage_problem import StageSolution

NAME = "fluid"

_RANKS = 2
"""Lanes into each merged customer: on examples/iowa the bound loses 0.01 % by merging, and is found
ten times faster."""

_ROUNDING = 1e-7
"""Of reduced costs, relative to costs: HiGHS' own tolerance of dual feasibility."""


MOST_FLOWS = 1_000_000
"""Flows up to which the program is solved without being asked for: about a minute."""


def flows_of(instance: Instance) -> int:
    """Items' lanes times periods, what the program grows with."""
    return int(instance.network.allowed.sum()) * instance.horizon


def refuse_large(instance: Instance) -> None:
    """Say that nobody waits for the program unless he asks for it.

    Raises:
        BoundError: If the instance has more than `MOST_FLOWS` flows.
    """
    flows = flows_of(instance)
    if flows > MOST_FLOWS:
        raise BoundError(
            f"{instance.name!r} has {flows:,} flows, and its bound would take long; above "
            f"{MOST_FLOWS:,} ask for it (optrl plan --certify N), or use optrl decompose"
        )


@dataclass(frozen=True)
class Fluid:
    """The program's value and its slopes in demand.

    Attributes:
        instance: The instance.
        value: Of the program: a lower bound on the expected cost of every policy.
        mean: Expected demand, shape (N, D, T).
        slope: What a unit more of demand adds to the bound, shape (N, D, T).
        seconds: CPU seconds spent.
    """

    instance: Instance
    value: float
    mean: FloatArray
    slope: FloatArray
    seconds: float

    @classmethod
    def of(
        cls, instance: Instance, model: DemandModel, *, time_limit: float | None = None
    ) -> Fluid:
        """Solve the program.

        Args:
            instance: The instance.
            model: Draws its demand.
            time_limit: Seconds for the solver.

        Raises:
            BoundError: If the multipliers found bound nothing.
            optrl.errors.OptrlError: If the program is not solved.
        """
        began = time.process_time()
        mean = model.mean(instance.start, instance.horizon)
        program, layout, merged = _programs(instance, mean, time_limit)
        multipliers = _multipliers(program, layout, merged)
        value, multipliers = dual_value(program, multipliers)
        if not np.isfinite(value):
            raise BoundError(
                f"the multipliers of expected demand bound nothing for {instance.name!r}: some "
                "order or stock pays for itself without limit at these prices; use perfect "
                "information (--bound, --certify)"
            )
        block = program.data["demand"]
        shape = (len(instance.network.items), layout.shape[1], layout.shape[3])
        slope = layout.demand.scatter(block.cost - block.transposed @ multipliers, shape)
        nodes = merged.fine.aggregation.node[instance.demand.nodes]
        slope = slope[:, nodes][:, :, layout.tree.outcomes]
        return cls(instance, value, mean, slope, time.process_time() - began)

    def on(self, demand: FloatArray) -> FloatArray:
        """Numbers with the bound as their expectation, by path.

        Args:
            demand: Paths, shape (S, N, D, T).

        Returns:
            Shape (S,).
        """
        moved: FloatArray = np.einsum("sndt,ndt->s", demand - self.mean, self.slope)
        return self.value + moved

    def bound(self, sample: FloatArray, *, paths: str = "", warm_up: int = 0) -> LowerBound:
        """The bound, with what `on` gives for the paths of policies.

        Args:
            sample: By path, shape (S,); may be empty.
            paths: Names the paths.
            warm_up: First periods that the costs to be bounded leave out.

        Raises:
            BoundRefusedError: If a warm-up is left out.
        """
        return LowerBound(
            name=NAME,
            assumption="; ".join(
                [
                    "expected demand and arrivals stand for random ones, which no policy can "
                    "better where costs are convex",
                    *relaxations(self.instance),
                ]
            ),
            conditions=(all_periods_count(warm_up),),
            value=self.value,
            sample=sample,
            paths=paths if len(sample) else "",
            seconds=self.seconds,
        )


@dataclass(frozen=True)
class _Merged:
    """The small program's solution, and both views of the instance."""

    coarse: CoarseView
    fine: CoarseView
    solved: StageSolution


def _programs(
    instance: Instance, mean: FloatArray, time_limit: float | None
) -> tuple[LinearProgram, ReplenishmentLayout, _Merged]:
    """The program of the whole network, unsolved, and the merged one, solved."""
    known, weight = relaxed_instance(instance), mean.mean(axis=2)
    tree = ScenarioTree.chain(mean.shape[2])
    coarse = CoarseView.of(known, weight, ranks=_RANKS)
    problem = coarse.problem(tree, frozen_as="at_most")
    demand = with_root(coarse.demand(mean))
    solved = problem.solve(coarse.start(), instance.start, demand, time_limit=time_limit)
    fine = CoarseView.of(known, weight, merge=False)
    layout = ReplenishmentLayout(
        fine.aggregation.network, tree, instance.start, fine.demand_pairs, fine.held()
    )
    start, frozen = fine.start(), fine.frozen()
    data = ReplenishmentData(
        on_hand=start.on_hand,
        due=start.due,
        backlog=start.backlog,
        demand=with_root(fine.demand(mean)),
        frozen=frozen if frozen.size else None,
        delivery=fine.delivery(tree),
    )
    program = build_replenishment(layout, data)
    if frozen.size:
        # Frozen orders may be released in part, as in the program solved.
        lower = program.column_lower.copy()
        lower[program.columns["order"].slice] = 0.0
        program = replace(program, column_lower=lower)
    return program, layout, _Merged(coarse, fine, solved)


def _multipliers(
    program: LinearProgram, layout: ReplenishmentLayout, merged: _Merged
) -> FloatArray:
    """Multipliers of the whole program's rows from those of the merged one."""
    solved = merged.solved
    found = np.zeros(program.matrix.shape[0])
    items, _, _, nodes = layout.shape
    for name in ("balance", "supply", "demand_balance"):
        rows = program.rows[name].slice
        own, theirs = _index(layout, name), _index(solved.layout, name)
        coarse = theirs.scatter(solved.solution.duals(name), (items, solved.layout.shape[1], nodes))
        full = coarse[:, merged.coarse.aggregation.node]
        fine = np.zeros((items, layout.shape[1], nodes))
        fine[:, merged.fine.aggregation.node] = full
        found[rows] = own.gather(fine)
    shape = (len(layout.network.resources), nodes)
    duals = solved.layout.resource_rows.scatter(solved.solution.duals("capacity"), shape)
    found[program.rows["capacity"].slice] = layout.resource_rows.gather(duals)
    if layout.network.unmet == "lost":
        _price_demand(program, found)
    return found


def _price_demand(program: LinearProgram, multipliers: FloatArray) -> None:
    """Give each demand the cheapest way to meet it, or to leave it, as its multiplier.

    Where unmet demand is lost each column serves one demand, so that this is the largest that
    keeps reduced costs at 0 or above.
    """
    rows = program.rows["demand_balance"].slice
    multipliers[rows] = 0.0
    reduced = program.cost - program.matrix.T @ multipliers
    ways = program.matrix[rows]
    multipliers[rows] = np.minimum.reduceat(reduced[ways.indices] / ways.data, ways.indptr[:-1])


def _index(layout: ReplenishmentLayout, rows: str) -> Index:
    return {"balance": layout.on_hand, "supply": layout.supply_rows}.get(rows, layout.demand)


def dual_value(program: LinearProgram, multipliers: FloatArray) -> tuple[float, FloatArray]:
    """What multipliers prove of a program to be minimized, at its built-in data.

    Args:
        program: The program; integers are relaxed.
        multipliers: Of its rows, shape (rows,); those whose sign asks for a side that a row does
            not have count as 0.

    Returns:
        A lower bound on its value, -inf where a column without a limit pays for itself, and the
        multipliers that prove it.
    """
    shift = program.row_shift()
    lower, upper = program.row_lower - shift, program.row_upper - shift
    side = np.where(multipliers > 0, lower, upper)
    used = np.where(np.isfinite(side), multipliers, 0.0)
    reduced = program.cost - program.matrix.T @ used
    # What a solver takes for zero: without this no multipliers of its own would prove anything.
    zero = np.abs(reduced) <= _ROUNDING * np.maximum(1.0, np.abs(program.cost))
    limit = np.where(reduced > 0, program.column_lower, program.column_upper)
    zero &= ~np.isfinite(limit)
    value = program.offset + sum(block.cost @ block.value for block in program.data.values())
    value += used[used != 0] @ side[used != 0]
    counts = ~zero & (reduced != 0)
    return float(value + reduced[counts] @ limit[counts]), used
