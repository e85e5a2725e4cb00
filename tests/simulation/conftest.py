"""Small instances built straight from the dataclasses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from optrl_formulations.network import Network

from optrl.instance import ArrivalProfile, DemandTable, Instance
from optrl.simulation.state import Decision, State


def make_instance(
    nodes: Sequence[tuple[str, str]],
    lanes: Sequence[tuple[str, str, int]],
    demand_nodes: Sequence[str],
    *,
    items: int = 1,
    on_hand: dict[str, float] | None = None,
    due: np.ndarray | None = None,
    backlog: dict[str, float] | None = None,
    arrivals: tuple[ArrivalProfile, ...] = (),
    frozen: np.ndarray | None = None,
    horizon: int = 4,
    **network: Any,
) -> Instance:
    graph: nx.DiGraph[str] = nx.DiGraph()
    for name, kind in nodes:
        graph.add_node(name, kind=kind)
    for origin, destination, lead_time in lanes:
        graph.add_edge(origin, destination, lead_time=lead_time)
    n, v, a = items, graph.number_of_nodes(), graph.number_of_edges()
    order = list(graph.edges)
    index = {name: i for i, name in enumerate(graph.nodes)}

    def by_lane(default: float, key: str) -> np.ndarray:
        value = network.pop(key, default)
        if isinstance(value, dict):
            full = np.full((n, a), float(default))
            for lane, quantity in value.items():
                full[:, order.index(lane)] = quantity
            return full
        return np.broadcast_to(np.asarray(value, dtype=type(default)), (n, a)).copy()

    def by_node(default: float, key: str, source: dict[str, Any]) -> np.ndarray:
        value = source.pop(key, None)
        full = np.full((n, v), float(default))
        if isinstance(value, dict):
            for name, quantity in value.items():
                full[:, index[name]] = quantity
        elif value is not None:
            full[:] = value
        return full

    state = {"on_hand": on_hand, "backlog": backlog}
    fields: dict[str, Any] = {
        "unit_cost": np.zeros(n),
        "volume": np.ones(n),
        "weight": np.ones(n),
        "time": np.ones(n),
    }
    for key in ("unit_cost", "volume", "weight", "time"):
        if key in network:
            fields[key] = np.broadcast_to(np.asarray(network.pop(key), float), (n,)).copy()
    for key in ("lane_cost", "fixed_cost", "lot_size", "minimum_quantity", "setup_time"):
        fields[key] = by_lane(0.0, key)
    fields["maximum_quantity"] = by_lane(np.inf, "maximum_quantity")
    fields["allowed"] = by_lane(True, "allowed").astype(bool)
    for key in ("holding_cost", "shortage_cost", "terminal_value", "service_level"):
        fields[key] = by_node(0.0, key, network)
    fields["supply_capacity"] = by_node(np.inf, "supply_capacity", network)
    fields["joint_fixed_cost"] = network.pop("joint_fixed_cost", np.zeros(a))
    fields["review_period"] = network.pop("review_period", np.ones(a, dtype=np.int64))
    fields["review_offset"] = network.pop("review_offset", np.zeros(a, dtype=np.int64))
    built = Network(
        graph,
        tuple(f"item{i}" for i in range(n)),
        network.pop("unmet", "lost"),
        **fields,
        **network,
    )
    places = np.sort(np.array([index[name] for name in demand_nodes], dtype=np.int64))
    return Instance(
        name="small",
        period="week",
        periods_per_year=52,
        money="EUR",
        quantity="unit",
        network=built,
        start=0,
        horizon=horizon,
        on_hand=by_node(0.0, "on_hand", state),
        due=np.zeros((n, v, 0)) if due is None else due,
        backlog=by_node(0.0, "backlog", state),
        demand=DemandTable(places, 0, np.zeros((n, len(places), horizon))),
        arrivals=arrivals,
        **({} if frozen is None else {"frozen": frozen}),
    )


@dataclass(frozen=True)
class Script:
    """Orders given in advance, shape (lanes,) or (S, N, lanes) for each period."""

    orders: Sequence[Any]
    serves: Sequence[Any] | None = None

    def decide(self, state: State, period: int) -> Decision:
        def full(value: Any) -> torch.Tensor:
            x = torch.tensor(np.asarray(value), dtype=state.on_hand.dtype)
            return x.expand(*state.on_hand.shape[:2], x.shape[-1])

        serve = None if self.serves is None else full(self.serves[period])
        return Decision(full(self.orders[period]), serve)


@dataclass(frozen=True)
class BaseStock:
    """Order up to a level (N, lanes) of the inventory position at each lane's destination."""

    level: torch.Tensor
    destination: torch.Tensor

    def decide(self, state: State, period: int) -> Decision:
        position = state.on_hand + state.in_transit - state.backlog
        return Decision((self.level - position[:, :, self.destination]).clamp(min=0))

    def for_items(self, items: slice) -> BaseStock:
        return replace(self, level=self.level[items])


@pytest.fixture(scope="session")
def build() -> Callable[..., Instance]:
    return make_instance


@pytest.fixture(scope="session")
def script() -> type[Script]:
    return Script


@pytest.fixture(scope="session")
def base_stock() -> Callable[[Instance, np.ndarray, torch.dtype], BaseStock]:
    def make(instance: Instance, level: np.ndarray, dtype: torch.dtype) -> BaseStock:
        network = instance.network
        destination = torch.from_numpy(network.destination[network.replenishment_lanes])
        return BaseStock(torch.as_tensor(level, dtype=dtype), destination)

    return make
