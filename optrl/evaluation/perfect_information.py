"""The perfect-information bound: the cost of a plan that knows all demand and all delays.

No policy can cost less on the same demand and the same random arrivals, because every decision a
policy takes is feasible for the program solved here, and the program's relaxations only lower its
value. It is a lower bound for each scenario, and its mean one for the expected cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from optrl_formulations.network import FloatArray
from optrl_formulations.replenishment_data import Delivery
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.instance import Instance
from optrl.simulation.arrivals import Underway
from optrl.simulation.dynamics import Dynamics
from optrl.stages.coarse import CoarseView, with_root
from optrl.stages.stage_problem import StageProblem


@dataclass(frozen=True)
class PerfectInformation:
    """Bounds by scenario.

    Attributes:
        bound: Lower bound on the total discounted cost less terminal value, shape (S,).
        seconds: Time to solve, shape (S,).
        integers_relaxed: Whether lots, fixed costs and minimum quantities were relaxed, which
            keeps the bound valid.
        assumption: What the bound's validity rests on.
    """

    bound: FloatArray
    seconds: FloatArray
    integers_relaxed: bool
    assumption: str


def perfect_information(
    instance: Instance,
    demand: FloatArray,
    *,
    seed: int,
    first_scenario: int = 0,
    time_limit: float | None = None,
) -> PerfectInformation:
    """Bound the cost of every policy on given demand paths.

    Every customer keeps all its lanes, and orders arrive as the simulator draws them for the same
    `seed` and scenario numbers.

    Args:
        instance: The instance.
        demand: Shape (S, N, D, T).
        seed: Seed of random arrivals, as given to `simulate`.
        first_scenario: Number of the first scenario in the whole run.
        time_limit: Seconds for each scenario.

    Raises:
        optrl.errors.OptrlError: If a program is not solved to optimality in time.
    """
    network = instance.network
    relaxed = network.has_integers
    if relaxed:
        network = replace(
            network,
            fixed_cost=np.zeros_like(network.fixed_cost),
            joint_fixed_cost=np.zeros_like(network.joint_fixed_cost),
            lot_size=np.zeros_like(network.lot_size),
            minimum_quantity=np.zeros_like(network.minimum_quantity),
            setup_time=np.zeros_like(network.setup_time),
        )
    # A service level or a hard storage limit need not hold on a policy's path: without them the
    # program is a relaxation of what any policy does.
    network = replace(
        network,
        service_level=np.zeros_like(network.service_level),
        resources=tuple(
            r for r in network.resources if r.kind != "storage" or np.isfinite(r.overflow_cost)
        ),
    )
    paths = np.asarray(demand, dtype=float)
    periods = paths.shape[3]
    open_instance = replace(instance, network=network)
    view = CoarseView.of(open_instance, paths.mean(axis=(0, 3)), merge=False)
    bounds, seconds = [], []
    problem: StageProblem | None = None
    for s, path in enumerate(paths):
        delivery = realized_delivery(instance, seed, first_scenario + s, periods)
        if problem is None or delivery is not None:
            # What stock or capacity cannot carry of a frozen order is cut as it is carried out.
            problem = StageProblem(
                view.aggregation.network,
                ScenarioTree.chain(periods),
                view.demand_pairs,
                frozen=view.frozen(),
                frozen_as="at_most",
                frozen_start=instance.start,
                delivery=delivery,
                held=view.held(),
            )
        solved = problem.solve(
            view.start(), instance.start, with_root(view.demand(path)), time_limit=time_limit
        )
        bounds.append(solved.solution.bound)
        seconds.append(solved.solution.seconds)
    return PerfectInformation(
        bound=np.array(bounds),
        seconds=np.array(seconds),
        integers_relaxed=relaxed,
        assumption=(
            "demand and delays of the whole horizon are known in advance; service levels and "
            "storage limits without a price are dropped"
            + ("; integers are relaxed" if relaxed else "")
            + ("; frozen orders may be released in part" if instance.frozen.size else "")
        ),
    )


def realized_delivery(
    instance: Instance, seed: int, scenario: int, periods: int
) -> Delivery | None:
    """How orders come in when the simulator draws their arrivals, on a chain of periods.

    What the terminal value credits for orders still on their way is the simulator's: what is
    expected given what has arrived by the end.
    """
    if not instance.arrivals:
        return None
    dynamics = Dynamics(instance, dtype=torch.float64)
    draws = dynamics.draws(seed, scenario, 1)
    arrivals = dynamics.places.arrivals
    shape = (len(arrivals), 1, len(instance.network.items))
    one = torch.ones(shape, dtype=torch.float64)
    fraction = np.zeros((shape[2], shape[0], periods + 1, arrivals.longest + 1))
    pending = np.zeros((shape[2], shape[0], periods + 1))
    for t in range(periods):
        orders = Underway(one, arrivals.draw(instance.start + t, draws))
        for delay in range(arrivals.longest + 1):
            fraction[:, :, t, delay] = arrivals.arriving(orders, delay)[:, 0].T.numpy()
        # The simulator values the state after the arrivals of the period that follows the last.
        age = periods - t
        if age <= arrivals.longest:
            credited = arrivals.arriving(orders, age) + arrivals.remaining(orders, age)
            pending[:, :, t] = credited[:, 0].T.numpy()
    return Delivery(arrivals.lanes, fraction, pending)
