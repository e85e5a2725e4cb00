"""A network of one store whose expected cost is known in closed form, and random ones."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import networkx as nx
import numpy as np
import pytest
import torch
from optrl_formulations.network import Network

from optrl.demand.base import DemandModel
from optrl.instance import DemandTable, Forecast, Instance
from optrl.simulation.state import Decision, State

MEAN = 5.0
HOLDING = 1.0
SHORTAGE = 4.0


def store(periods: int = 4) -> Instance:
    """One item, a supplier, a store: lead time 0, lost sales, Poisson demand of mean `MEAN`."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_node("supplier", kind="supplier")
    graph.add_node("store", kind="stocking")
    graph.add_edge("supplier", "store", lead_time=0)
    lane, node = np.zeros((1, 1)), np.zeros((1, 2))
    network = Network(
        graph=graph,
        items=("item",),
        unmet="lost",
        **dict.fromkeys(("unit_cost", "volume", "weight", "time"), np.zeros(1)),
        allowed=np.ones((1, 1), dtype=bool),
        **dict.fromkeys(
            ("lane_cost", "fixed_cost", "lot_size", "minimum_quantity", "setup_time"), lane
        ),
        maximum_quantity=np.full((1, 1), np.inf),
        joint_fixed_cost=np.zeros(1),
        review_period=np.ones(1, dtype=np.int64),
        review_offset=np.zeros(1, dtype=np.int64),
        holding_cost=np.array([[0.0, HOLDING]]),
        shortage_cost=np.array([[0.0, SHORTAGE]]),
        terminal_value=node,
        service_level=node,
        supply_capacity=np.full((1, 2), np.inf),
    )
    return Instance(
        name="store",
        period="day",
        periods_per_year=365,
        money="EUR",
        quantity="units",
        network=network,
        start=0,
        horizon=periods,
        on_hand=node,
        due=np.zeros((1, 2, 0)),
        backlog=node,
        demand=DemandTable(np.array([1]), 0, np.full((1, 1, periods), MEAN)),
        forecast=Forecast(np.full((1, 1, periods), MEAN)),
        demand_family="poisson",
    )


@dataclass(frozen=True)
class UpToSix:
    """Orders up to a level."""

    name: ClassVar[str] = "up_to_six"
    level: ClassVar[float] = 6.0

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> "UpToSix":
        return cls()

    def decide(self, state: State, period: int) -> Decision:
        return Decision((self.level - state.on_hand[:, :, 1:]).clamp(min=0))


class UpToEight(UpToSix):
    """As above with a higher level."""

    name: ClassVar[str] = "up_to_eight"
    level: ClassVar[float] = 8.0


class AlsoUpToSix(UpToSix):
    """The same under another name."""

    name: ClassVar[str] = "also_up_to_six"


class RandomAboutSix(UpToSix):
    """Remembers a generator, so that what it decides depends on what it decided before."""

    name: ClassVar[str] = "random_about_six"

    def decide(self, state: State, period: int) -> Decision:
        generator = self.__dict__.setdefault("generator", np.random.default_rng(1))
        level = torch.as_tensor(generator.integers(5, 8, tuple(state.on_hand[:, :, 1:].shape)))
        return Decision((level - state.on_hand[:, :, 1:]).clamp(min=0))


class LockedAboutSix(RandomAboutSix):
    """As above, and cannot be copied, like what holds a solver."""

    name: ClassVar[str] = "locked_about_six"

    def __deepcopy__(self, memory: dict[int, object]) -> "LockedAboutSix":
        raise TypeError("cannot be copied")


@pytest.fixture(scope="session")
def build_store() -> Callable[..., Instance]:
    """Builds the store for a number of periods."""
    return store


@pytest.fixture(scope="session")
def kinds() -> dict[str, type[UpToSix]]:
    """Policies of the store by name."""
    found = (UpToSix, UpToEight, AlsoUpToSix, RandomAboutSix, LockedAboutSix)
    return {kind.name: kind for kind in found}


@pytest.fixture(scope="session")
def expected_cost() -> Callable[[float], float]:
    """Expected cost of a period when the stock before demand is `level`."""

    def cost(level: float) -> float:
        demand = np.arange(60)
        log_factorial = np.concatenate([[0.0], np.cumsum(np.log(demand[1:]))])
        probability = np.exp(demand * np.log(MEAN) - MEAN - log_factorial)
        left, short = np.maximum(level - demand, 0), np.maximum(demand - level, 0)
        return float(probability @ (HOLDING * left + SHORTAGE * short))

    return cost
