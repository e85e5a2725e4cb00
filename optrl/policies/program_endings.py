"""What a stage program ends in: values of inventory positions, or a learned value function.

Each kind makes the stage problem with itself at the end, gives the stock values that move with the
period, and writes what was learned to a folder, from which `read_shape` and
`optrl.values.files.load_value` read it.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Protocol

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
from optrl.stages.coarse import CoarseView
from optrl.stages.stage_problem import StageProblem, StageSolution
from optrl.stages.valued_stage import ValuedStageProblem
from optrl.values.base import ValueFunction
from optrl.values.files import save_value
from optrl.values.state_columns import StateColumns

VALUE_FILE, SHAPE_FILE = "value.safetensors", "shape.safetensors"
_KIND = "optrl position values"
_LONGEST = 1000
_RANKS = 2


class Ending(Protocol):
    """What stands for all that comes after a stage program."""

    @property
    def view(self) -> CoarseView:
        """The instance with customers merged."""
        ...

    @property
    def instance(self) -> Instance:
        """The instance."""
        ...

    @property
    def about(self) -> str:
        """What it is, in words for a plan's report."""
        ...

    def problem(self, tree: ScenarioTree, *, strict: bool = False) -> StageProblem:
        """The stage problem over a tree.

        Args:
            tree: What is known when.
            strict: Whether storage limits, service levels and frozen orders are kept as they
                stand; a decision amid random demand takes them elastically, since it is needed
                also where demand has broken them already.
        """
        ...

    def prices(self, problem: StageProblem, solved: StageSolution) -> FloatArray:
        """Prices of the resources in true money by tree node, shape (R, tree nodes)."""
        ...

    def believing(self, demand: DemandModel) -> Ending:
        """The same for another belief about demand, at the end of the same programs."""
        ...

    def lasting(self, horizon: int) -> Ending:
        """The same at the end of programs of another horizon."""
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
        self.instance, self._demand = instance, demand
        self._values = PositionValues(instance, demand, horizon, shape)
        weight = demand.mean(instance.start, max(1, instance.horizon)).mean(axis=2)
        first = serving_first(instance, self._values.sourcing)
        self.view = CoarseView.of(first, weight, ranks=_RANKS)

    @property
    def about(self) -> str:
        """By rule or searched."""
        how = "by rule, not trained" if self._values.shape == Shape() else "trained"
        return f"values of inventory positions, {how}"

    def problem(self, tree: ScenarioTree, *, strict: bool = False) -> StageProblem:
        """The stage problem on the network with the values' own costs."""
        network = self.view.aggregation.network
        network = self._values.network(network if strict else elastic(network))
        return self.view.problem(tree, network, "fixed" if strict else "fixed_if_possible")

    def prices(self, problem: StageProblem, solved: StageSolution) -> FloatArray:
        """With the true shortage costs, which the program raises to have demand served first."""
        true = self.view.with_shortage_cost(self.instance.network)
        return problem.price(solved, true).prices()

    def believing(self, demand: DemandModel) -> PositionEnding:
        """Positions valued by another belief; customers stay merged as they were."""
        other = copy.copy(self)
        other._demand, other._values = demand, self._values.believing(demand)
        return other

    def lasting(self, horizon: int) -> PositionEnding:
        """The same shape over another horizon."""
        return PositionEnding(self.instance, self._demand, horizon, self._values.shape)

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
        self.instance, self.value, self.columns = instance, value, columns
        weight = demand.mean(instance.start, max(1, instance.horizon)).mean(axis=2)
        self.view = CoarseView.of(instance, weight, ranks=_RANKS)

    @property
    def about(self) -> str:
        """Its class and size."""
        return f"learned value function ({type(self.value).__name__}, {self.value.size} arguments)"

    def problem(self, tree: ScenarioTree, *, strict: bool = False) -> StageProblem:
        """The stage problem with the value function in it."""
        view = self.view
        network = view.aggregation.network
        return ValuedStageProblem(
            network if strict else elastic(network),
            tree,
            view.demand_pairs,
            self.value,
            self.columns,
            frozen=view.frozen(),
            frozen_as="fixed" if strict else "fixed_if_possible",
            frozen_start=view.instance.start,
            delivery=view.delivery(tree),
            held=view.held(),
        )

    def prices(self, problem: StageProblem, solved: StageSolution) -> FloatArray:
        """The program's own: its shortage costs are the true ones."""
        return solved.prices()

    def believing(self, demand: DemandModel) -> ValueEnding:
        """Itself: the function is that of the demand it was learned on."""
        return self

    def lasting(self, horizon: int) -> ValueEnding:
        """Itself: the function does not know what came before."""
        return self

    def stock_values(self, period: int) -> tuple[StockValue, ...]:
        """None: the value function counts all stock."""
        return ()

    def write(self, folder: Path) -> None:
        """Write the value function."""
        save_value(folder / VALUE_FILE, self.value, self.columns)


def read_shape(path: Path) -> tuple[int, Shape]:
    """Horizon and shape of a file that `PositionEnding.write` wrote.

    Raises:
        OptrlError: If it holds no such thing.
    """
    tensors, about = read_tensor_file(path, _KIND)
    names = [field.name for field in fields(Shape)]
    check_same_form(tensors, {"shape": torch.zeros(len(names), dtype=torch.float64)}, str(path))
    horizon = about.get("horizon")
    if type(horizon) is not int or not 1 <= horizon <= _LONGEST or about.get("names") != names:
        raise OptrlError(f"{path} holds no position values of this version")
    return horizon, Shape(**dict(zip(names, tensors["shape"].tolist(), strict=True)))
