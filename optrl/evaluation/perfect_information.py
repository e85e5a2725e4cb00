"""The perfect-information bound: the cost of a plan that knows all demand and all delays.

No policy can cost less on the same demand and the same random arrivals, because every decision a
policy takes is feasible for the program solved here, and the program's relaxations only lower its
value. It is a lower bound for each scenario, and its mean one for the expected cost.
"""

from __future__ import annotations

from collections.abc import Callable
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
from optrl.stages.stage_problem import StageProblem, StageSolution


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
    paths = np.asarray(demand, dtype=float)
    known = KnownFuture(instance, paths.mean(axis=(0, 3)), paths.shape[3], seed)
    bounds, seconds = [], []
    for s, path in enumerate(paths):
        solved = known.solve(path, first_scenario + s, time_limit=time_limit)
        bounds.append(solved.solution.bound)
        seconds.append(solved.solution.seconds)
    return PerfectInformation(
        bound=np.array(bounds),
        seconds=np.array(seconds),
        integers_relaxed=instance.network.has_integers,
        assumption=(
            "demand and delays of the whole horizon are known in advance; "
            + "; ".join(relaxations(instance))
        ),
    )


def relaxations(instance: Instance) -> list[str]:
    """What a program with the future known leaves out of an instance, in words."""
    found = ["service levels and storage limits without a price are dropped"]
    if instance.network.has_integers:
        found.append("integers are relaxed")
    if instance.frozen.size:
        found.append("frozen orders may be released in part")
    return found


class KnownFuture:
    """The program of a whole path, solved for path after path.

    Args:
        instance: The instance; what `relaxations` names is left out of it.
        weight: Typical demand, shape (N, D); pairs of zero weight have no demand at all.
        periods: Periods T of a path.
        seed: Seed of random arrivals.
        make: Makes the program; one that takes the same arguments as `StageProblem`.
        see: Merges customers of the relaxed instance in a way that costs no policy more
            (`optrl.bounds.zones`); all are kept apart when None.
    """

    def __init__(
        self,
        instance: Instance,
        weight: FloatArray,
        periods: int,
        seed: int,
        make: Callable[..., StageProblem] = StageProblem,
        see: Callable[[Instance, FloatArray], CoarseView] | None = None,
    ) -> None:
        """See the class."""
        self.instance, self.periods = instance, periods
        relaxed = relaxed_instance(instance)
        self.view = (
            CoarseView.of(relaxed, weight, merge=False) if see is None else see(relaxed, weight)
        )
        self._seed, self._make = seed, make
        self.problem: StageProblem | None = None
        self._scenario = -1

    def prepare(self, scenario: int) -> StageProblem:
        """The program of a scenario's arrivals, kept for as long as they are the same."""
        if self.problem is not None and (scenario == self._scenario or not self.instance.arrivals):
            return self.problem
        delivery = realized_delivery(self.instance, self._seed, scenario, self.periods)
        if delivery is not None:
            delivery = replace(delivery, lanes=self.view.aggregation.lane[delivery.lanes])
        self._scenario = scenario
        if self.problem is None or delivery is not None:
            view = self.view
            # What stock or capacity cannot carry of a frozen order is cut as it is carried out.
            self.problem = self._make(
                view.aggregation.network,
                ScenarioTree.chain(self.periods),
                view.demand_pairs,
                frozen=view.frozen(),
                frozen_as="at_most",
                frozen_start=self.instance.start,
                delivery=delivery,
                held=view.held(),
            )
        return self.problem

    def solve(
        self, path: FloatArray, scenario: int, *, time_limit: float | None = None
    ) -> StageSolution:
        """Solve for demand (N, D, T) and the arrivals of a scenario."""
        return self.prepare(scenario).solve(
            self.view.start(),
            self.instance.start,
            with_root(self.view.demand(path)),
            time_limit=time_limit,
        )


def relaxed_instance(instance: Instance) -> Instance:
    """The instance without what need not hold on a policy's path."""
    network = instance.network
    if network.has_integers:
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
    return replace(instance, network=network)


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
