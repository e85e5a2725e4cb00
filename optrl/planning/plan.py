"""From instance to plan: choose what to release, serve and hold over the horizon.

A policy that can plan (it has a method `plan`, see `PlanningPolicy`) gives its flows over the whole
horizon at once; any other policy is rolled out on expected demand. Either way the flows then run
through the simulator on expected demand, and the tables come from there: they show what the
order of events makes of the plan, and the independent check (`verify`) holds them against the
instance.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from optrl_formulations.network import FloatArray, NodeKind

from optrl.demand.base import DemandModel
from optrl.demand.fit import fit
from optrl.instance import Instance
from optrl.planning.displacement import displaced_table, no_displacement, without_limits
from optrl.planning.plan_tables import PlanTables, flow_table, node_table, price_table
from optrl.planning.summary import binding_rows, summarize
from optrl.planning.verification import Verification, verify
from optrl.policies import find
from optrl.policies.base import PlanningPolicy, ProgramReport
from optrl.policies.planned import PlannedDecisions
from optrl.simulation.rollout import simulate
from optrl.simulation.trajectory import Detail, Trajectory
from optrl.solver.errors import NoSolutionError
from optrl.solver.highs import Progress


@dataclass(frozen=True)
class Plan:
    """A plan and what is known about it.

    Attributes:
        instance: What was planned for.
        policy: Name of the policy.
        tables: Orders, serving, stock, service, prices.
        cost: Money by kind over the horizon on expected demand, discounted.
        terminal_value: Value of what is left at the end, discounted.
        cut: Quantity that the order of events cut from the planned flows, by reason: zero but for
            rounding where plan and order of events agree.
        explained: Whether `tables` say which items shared limits displace.
        program: What the solver reported, or None where the policy solves no program.
        verification: The independent check of every row.
        seconds: Time to plan, reading and writing excluded.
        certificate: How far from optimal the policy can be, ready for JSON
            (`optrl.bounds.plan_certificate`), or None.
        uncertified: Why there is no certificate, in words; "" where there is one.
    """

    instance: Instance
    policy: str
    tables: PlanTables
    cost: Mapping[str, float]
    terminal_value: float
    cut: Mapping[str, float]
    explained: bool
    program: ProgramReport | None
    verification: Verification
    seconds: float
    certificate: Mapping[str, Any] | None = None
    uncertified: str = "it was not asked for"

    @property
    def total_cost(self) -> float:
        """Cost of all kinds less the terminal value."""
        return sum(self.cost.values()) - self.terminal_value

    def summary(self) -> dict[str, Any]:
        """Key figures, ready for JSON; see `optrl.planning.summary`."""
        return summarize(self)


def plan(
    instance: Instance,
    policy: str = "cost_to_go",
    *,
    demand: DemandModel | None = None,
    seed: int = 0,
    explain: bool = True,
    time_limit: float | None = None,
    relative_gap: float | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Plan:
    """Plan the instance's horizon on expected demand.

    Orders are planned to arrive after their lead time, also on lanes with random arrivals.

    Args:
        instance: What to plan.
        policy: Name of a policy (`optrl.policies.names`).
        demand: What is believed about demand; fitted from the instance when None.
        seed: For policies that sample.
        explain: Whether to plan once more without shared limits where some bind, for the items
            that they displace; left out where the solver has no such plan in time.
        time_limit: Seconds for the solver, for each of the two plans.
        relative_gap: At which a MIP may stop; the policy's own when None.
        progress: Called with the state of a long MIP.

    Raises:
        optrl.errors.OptrlError: If the policy does not apply, or no plan is feasible.
    """
    started = time.perf_counter()
    certain = replace(instance, arrivals=())
    believed = fit(instance) if demand is None else demand
    path = believed.mean(instance.start, instance.horizon)

    def play(wanted: Instance) -> tuple[Trajectory, ProgramReport | None]:
        player: Any = find(policy).fit(wanted, believed, seed=seed)
        program: ProgramReport | None = None
        if isinstance(player, PlanningPolicy):
            flows, program = player.plan(
                time_limit=time_limit, relative_gap=relative_gap, progress=progress
            )
            player = PlannedDecisions(flows)
        run = simulate(wanted, player, path[None], seed=seed, dtype=torch.float64, record="full")
        return run, program

    trajectory, program = play(certain)
    tables = _tables(certain, trajectory, path, program)
    interrupted = program is not None and program.status == "interrupted"
    explained = explain and not interrupted
    if explained and binding_rows(tables.prices).height:
        try:
            free, _ = play(without_limits(certain))
        except NoSolutionError:
            # Out of time: the plan is there, and its tables say that nothing was explained.
            explained = False
        else:
            displaced = displaced_table(
                certain, tables.prices, _detail_of(trajectory), _detail_of(free)
            )
            tables = replace(tables, displaced=displaced)
    discount = instance.network.discount ** np.arange(instance.horizon)
    cost = {kind: float(values[0].numpy() @ discount) for kind, values in trajectory.cost.items()}
    end = instance.network.discount**instance.horizon
    return Plan(
        instance=certain,
        policy=policy,
        tables=tables,
        cost=cost,
        terminal_value=float(trajectory.terminal_value[0]) * end,
        cut={reason: float(values.sum()) for reason, values in trajectory.cut.items()},
        explained=explained,
        program=program,
        verification=verify(certain, tables),
        seconds=time.perf_counter() - started,
    )


def _tables(
    instance: Instance, trajectory: Trajectory, path: FloatArray, program: ProgramReport | None
) -> PlanTables:
    network = instance.network
    detail = _detail_of(trajectory)
    nodes = instance.demand.nodes
    dense = np.zeros((3, len(network.items), len(network.nodes), instance.horizon))
    for row, values in enumerate((path, detail.sold[0].numpy(), detail.short[0].numpy())):
        dense[row][:, nodes] = values
    return PlanTables(
        orders=flow_table(instance, network.replenishment_lanes, detail.released[0].numpy()),
        serving=flow_table(instance, network.serving_lanes, detail.served[0].numpy()),
        stock=node_table(
            instance,
            np.flatnonzero(network.kind == NodeKind.STOCKING),
            {"quantity": detail.on_hand[0].numpy()},
        ),
        service=node_table(
            instance, nodes, {"demand": dense[0], "served": dense[1], "unmet": dense[2]}
        ),
        prices=price_table(
            instance,
            trajectory.resource_use[0].numpy(),
            None if program is None else program.prices,
        ),
        displaced=no_displacement(),
    )


def _detail_of(trajectory: Trajectory) -> Detail:
    """What a rollout recorded in full."""
    if trajectory.detail is None:
        raise ValueError("a plan's tables need a rollout recorded in full")
    return trajectory.detail
