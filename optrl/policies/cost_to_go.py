"""Stage programs of a few periods that end in a cost-to-go: short programs with long sight.

Each period a linear or mixed-integer program over the next H >= 1 periods is solved, hot from the
last basis, and its first decision is taken. All limits of the network hold in it, also those that
the cost-to-go was never trained with. What comes after is

* **separable** (`policy="cost_to_go"`, no training needed): concave functions of inventory
  positions (`optrl.policies.position_values`) on expected demand with safety values; a network flow
  stays a network flow;
* **a value function** of stock, pipeline and backlog (`optrl.values`), input-convex or any other
  with an exact embedding, learned by ``optrl train --learner fitted_value``. For H > 1 recourse
  weighs sampled demand: a first decision shared by all paths, then each path on its own.

Customers that the network cannot tell apart are merged, and storage limits are elastic, as in the
lookahead policy.

Source: Powell, Approximate Dynamic Programming, 2nd ed. (2011), chapter 13 (value functions in
programs); two-stage sampling as in `optrl.policies.two_stage`.
"""

from __future__ import annotations

import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from optrl_formulations.network import FloatArray
from optrl_formulations.replenishment_data import StockValue
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.demand.base import DemandModel
from optrl.errors import OptrlError
from optrl.instance import Instance
from optrl.networks.tensor_file import check_same_form, read_tensor_file, write_tensor_file
from optrl.policies.lookahead import elastic, serving_first
from optrl.policies.position_values import PositionValues, Shape
from optrl.simulation.state import Decision, State
from optrl.stages.coarse import CoarseView
from optrl.stages.stage_problem import StageProblem
from optrl.stages.valued_stage import ValuedStageProblem
from optrl.values.base import ValueFunction
from optrl.values.files import load_value, save_value
from optrl.values.state_columns import StateColumns

HORIZON = 4
VALUE_FILE, SHAPE_FILE = "value.safetensors", "shape.safetensors"
_KIND = "optrl position values"
_LONGEST = 1000
# Keeps the sample apart from demand that a caller draws with the same seed.
_STREAM = 7_301
_RANKS = 2


class Ending(Protocol):
    """What stands for all that comes after a stage program."""

    @property
    def view(self) -> CoarseView:
        """The instance with customers merged."""
        ...

    def problem(self, tree: ScenarioTree) -> StageProblem:
        """The stage problem over a tree."""
        ...

    def stock_values(self, period: int) -> tuple[StockValue, ...]:
        """Values of stock in a program that begins in a period."""
        ...

    def write(self, folder: Path) -> None:
        """Write what was learned."""
        ...


class PositionEnding:
    """Separable: concave values of inventory positions.

    Args:
        instance: The instance.
        demand: What is believed about its demand.
        horizon: Periods of the programs.
        shape: What was learned; the rule's own when None.
    """

    def __init__(
        self, instance: Instance, demand: DemandModel, horizon: int, shape: Shape | None = None
    ) -> None:
        """See the class."""
        self._values = PositionValues(instance, demand, horizon, shape)
        weight = demand.mean(instance.start, max(1, instance.horizon)).mean(axis=2)
        first = serving_first(instance, self._values.sourcing)
        self.view = CoarseView.of(first, weight, ranks=_RANKS)

    def problem(self, tree: ScenarioTree) -> StageProblem:
        """The stage problem on the network with the values' own costs."""
        network = self._values.network(elastic(self.view.aggregation.network))
        return self.view.problem(tree, network)

    def stock_values(self, period: int) -> tuple[StockValue, ...]:
        """Values of positions and of stock against forecast error."""
        aggregation = self.view.aggregation
        return self._values.at(period, aggregation.node, len(aggregation.network.nodes))

    def write(self, folder: Path) -> None:
        """Write the shape and the horizon."""
        shape = asdict(self._values.shape)
        numbers = torch.tensor(list(shape.values()), dtype=torch.float64)
        about: dict[str, Any] = {"horizon": self._values.horizon, "names": list(shape)}
        write_tensor_file(folder / SHAPE_FILE, _KIND, {"shape": numbers}, about)


class ValueEnding:
    """A learned value function of the state.

    Args:
        instance: The instance.
        demand: What is believed about its demand.
        value: The value function.
        columns: The state that it takes.

    Raises:
        optrl.values.base.ValueFunctionError: If they do not fit each other or the instance.
    """

    def __init__(
        self,
        instance: Instance,
        demand: DemandModel,
        value: ValueFunction,
        columns: StateColumns,
    ) -> None:
        """See the class."""
        columns.check_fits(instance.network)
        self.value, self.columns = value, columns
        weight = demand.mean(instance.start, max(1, instance.horizon)).mean(axis=2)
        self.view = CoarseView.of(instance, weight, ranks=_RANKS)

    def problem(self, tree: ScenarioTree) -> StageProblem:
        """The stage problem with the value function in it."""
        view = self.view
        return ValuedStageProblem(
            elastic(view.aggregation.network),
            tree,
            view.demand_pairs,
            self.value,
            self.columns,
            frozen=view.frozen(),
            frozen_as="fixed_if_possible",
            frozen_start=view.instance.start,
            delivery=view.delivery(tree),
            held=view.held(),
        )

    def stock_values(self, period: int) -> tuple[StockValue, ...]:
        """None: the value function counts all stock."""
        return ()

    def write(self, folder: Path) -> None:
        """Write the value function."""
        save_value(folder / VALUE_FILE, self.value, self.columns)


class CostToGo:
    """See the module's docstring.

    Args:
        ending: What comes after the program's periods.
        demand: What is believed about demand.
        horizon: Periods H of a program.
        paths: Sampled demand paths where recourse matters; 0 for expected demand.
        seed: Of the sample.
        time_limit: Seconds for one decision.
        relative_gap: At which a MIP may stop.

    Raises:
        OptrlError: If horizon or paths are out of range.
    """

    name: ClassVar[str] = "cost_to_go"

    def __init__(
        self,
        ending: Ending,
        demand: DemandModel,
        *,
        horizon: int,
        paths: int = 0,
        seed: int = 0,
        time_limit: float | None = 60.0,
        relative_gap: float = 1e-3,
    ) -> None:
        """See the class."""
        if horizon < 1 or paths < 0:
            raise OptrlError(f"horizon {horizon} must be at least 1 and paths {paths} at least 0")
        self.ending, self.demand, self.horizon = ending, demand, horizon
        self._seed, self._paths = seed, paths
        self._time_limit, self._relative_gap = time_limit, relative_gap
        tree = ScenarioTree.two_stage(horizon, paths) if paths else ScenarioTree.chain(horizon)
        self.stage = ending.problem(tree)

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """The separable kind as its rule has it: no training, no random numbers."""
        return cls(PositionEnding(instance, demand, HORIZON), demand, horizon=HORIZON, seed=seed)

    @classmethod
    def with_value(
        cls,
        instance: Instance,
        demand: DemandModel,
        value: ValueFunction,
        columns: StateColumns,
        *,
        horizon: int = 1,
        paths: int = 0,
        seed: int = 0,
    ) -> Self:
        """With a learned value function.

        Args:
            instance: The instance.
            demand: What is believed about its demand.
            value: The value function.
            columns: The state that it takes.
            horizon: Periods of a program; 1 is a single decision.
            paths: See the class; a function that stands after the only decision needs none.
            seed: Of the sample.
        """
        ending = ValueEnding(instance, demand, value, columns)
        return cls(ending, demand, horizon=horizon, paths=paths, seed=seed)

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str], instance: Instance, demand: DemandModel, **how: int
    ) -> Self:
        """The policy of what `save` wrote.

        Args:
            folder: The folder, which nobody vouches for.
            instance: What to decide about.
            demand: What is believed about its demand.
            how: ``horizon`` and ``paths`` for a value function, see `with_value`.

        Raises:
            OptrlError: If the folder holds neither kind, or one that does not fit.
        """
        place = Path(folder)
        if (place / VALUE_FILE).is_file():
            value, columns = load_value(place / VALUE_FILE)
            if columns is None or not isinstance(value, ValueFunction):
                raise OptrlError(f"{place / VALUE_FILE} holds no value function of a state")
            return cls.with_value(instance, demand, value, columns, **how)
        horizon, shape = _read_shape(place / SHAPE_FILE)
        return cls(PositionEnding(instance, demand, horizon, shape), demand, horizon=horizon)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write what was learned into an existing folder."""
        self.ending.write(Path(folder))

    def decide(self, state: State, period: int) -> Decision:
        """Solve each scenario's program and release its first decision."""
        view, stage = self.ending.view, self.stage
        demand, values = self._demand_of(period), self.ending.stock_values(period)
        released = [
            view.orders(
                stage.solve(
                    each,
                    period,
                    demand,
                    values,
                    time_limit=self._time_limit,
                    relative_gap=self._relative_gap,
                )
            )[:, :, 0]
            for each in view.states(state)
        ]
        return Decision(order=torch.as_tensor(np.stack(released)).to(state.on_hand.dtype))

    def _demand_of(self, period: int) -> FloatArray:
        """Demand of the coarse network by tree node, shape (N, V, tree nodes)."""
        view = self.ending.view
        if not self._paths:
            coarse = view.demand(self.demand.mean(period, self.horizon))[:, :, None]
        else:
            generator = np.random.default_rng([self._seed, _STREAM])
            paths = self.demand.sample(self._paths, period, self.horizon, generator)
            # The tree lists the outcomes of a period by path, one period after the other.
            coarse = np.stack([view.demand(path) for path in paths], axis=3)
        n, v = coarse.shape[:2]
        return np.concatenate([np.zeros((n, v, 1)), coarse.reshape(n, v, -1)], axis=2)


def _read_shape(path: Path) -> tuple[int, Shape]:
    tensors, about = read_tensor_file(path, _KIND)
    names = [field.name for field in fields(Shape)]
    check_same_form(tensors, {"shape": torch.zeros(len(names), dtype=torch.float64)}, str(path))
    horizon = about.get("horizon")
    if type(horizon) is not int or not 1 <= horizon <= _LONGEST or about.get("names") != names:
        raise OptrlError(f"{path} holds no position values of this version")
    return horizon, Shape(**dict(zip(names, tensors["shape"].tolist(), strict=True)))
