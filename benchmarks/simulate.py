"""Throughput of the simulator against a plain numpy implementation of the same dynamics.

A base-stock policy on 100 thousand items in a network of one supplier, one hub and five stores,
with demand at the stores or, in the second variant, at ten customers that the stores serve.
Demand is drawn beforehand. One thread, float32. Only places with stock or customers count as
nodes: 6 item-nodes an item in the first variant, 16 in the second.

The numpy version computes flows and costs only; the simulator also reports fill rate, cycle
service, turns and what was cut, and checks its input.

Printed for each variant: item-node-periods per CPU second of `optrl.simulation.rollout.simulate`
and of numpy, their ratio, the difference of their costs, and the memory traffic a second that
the simulator's tensors amount to, as a share of what a copy reaches between arrays too large for
the cache. The traffic counts what is read and written by the operations on whole (rows, items)
tensors, most of which stays in cache because items are simulated in blocks; a share above 1 is
therefore possible.

    python benchmarks/simulate.py [--items 100000] [--periods 52] [--repeats 3]

For comparison, not measured here: 2.0e7 is the known figure of the simulator of Alvo, Russo &
Kanoria, Neural inventory control in networks via hindsight differentiable policy optimization
(2023).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import networkx as nx
import numpy as np
import torch
from optrl_formulations.network import Network
from torch import Tensor
from torch.overrides import TorchFunctionMode

from optrl.instance import DemandTable, Instance
from optrl.simulation.rollout import simulate
from optrl.simulation.state import Decision, State
from optrl.simulation.trajectory import Trajectory

Result = TypeVar("Result")
STORES = 5
HUB_LEAD_TIME, STORE_LEAD_TIME = 3, 2


@dataclass(frozen=True)
class BaseStock:
    """Order up to a level of the inventory position of each stocking node.

    Attributes:
        level: Levels of the stocking nodes, shape (N, stocking nodes).
    """

    level: Tensor

    def decide(self, state: State, period: int) -> Decision:
        """One order a stocking node; these are nodes 1, 2, ... and lanes 0, 1, ..."""
        stocked = slice(1, 1 + self.level.shape[1])
        position = state.on_hand[..., stocked] + state.in_transit[..., stocked]
        return Decision((self.level - position).clamp(min=0))

    def for_items(self, items: slice) -> BaseStock:
        """The policy of some items."""
        level = self.level[items].T.contiguous().T
        return replace(self, level=level)


def build(items: int, customers: int, generator: np.random.Generator) -> Instance:
    """One supplier, one hub, five stores; customers, if any, are served by two stores each."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_node("supplier", kind="supplier")
    graph.add_node("hub", kind="stocking")
    stores = [f"store{i}" for i in range(STORES)]
    places = [f"customer{i}" for i in range(customers)]
    graph.add_nodes_from(stores, kind="stocking")
    graph.add_nodes_from(places, kind="customer")
    graph.add_edge("supplier", "hub", lead_time=HUB_LEAD_TIME)
    for store in stores:
        graph.add_edge("hub", store, lead_time=STORE_LEAD_TIME)
    for i, place in enumerate(places):
        for choice in range(2):
            graph.add_edge(stores[(i + choice) % STORES], place, lead_time=0)
    n, v, a = items, len(graph), graph.number_of_edges()
    lane_cost = np.broadcast_to(np.arange(1, a + 1) * 0.01, (n, a))
    demand_nodes = [list(graph).index(name) for name in places or stores]
    price = generator.uniform(1, 10, n)
    network = Network(
        graph,
        tuple(map(str, range(n))),
        "lost",
        unit_cost=price,
        volume=np.ones(n),
        weight=np.ones(n),
        time=np.ones(n),
        allowed=np.ones((n, a), dtype=bool),
        lane_cost=lane_cost,
        fixed_cost=np.zeros((n, a)),
        joint_fixed_cost=np.zeros(a),
        lot_size=np.zeros((n, a)),
        minimum_quantity=np.zeros((n, a)),
        maximum_quantity=np.full((n, a), np.inf),
        setup_time=np.zeros((n, a)),
        review_period=np.ones(a, dtype=np.int64),
        review_offset=np.zeros(a, dtype=np.int64),
        holding_cost=np.repeat(0.01 * price[:, None], v, axis=1),
        shortage_cost=np.repeat(0.5 * price[:, None], v, axis=1),
        terminal_value=np.zeros((n, v)),
        service_level=np.zeros((n, v)),
        supply_capacity=np.full((n, v), np.inf),
    )
    on_hand = np.zeros((n, v))
    on_hand[:, 1], on_hand[:, 2 : 2 + STORES] = 60.0, 12.0
    return Instance(
        "benchmark",
        "week",
        52,
        "EUR",
        "unit",
        network,
        start=0,
        horizon=1,
        on_hand=on_hand,
        due=np.zeros((n, v, 0)),
        backlog=np.zeros((n, v)),
        demand=DemandTable(np.array(demand_nodes), 0, np.zeros((n, len(demand_nodes), 0))),
    )


def plain_numpy(
    instance: Instance, level: np.ndarray, demand: np.ndarray, serving: list[list[int]]
) -> np.ndarray:
    """The same dynamics in numpy over all items at once; costs by period, shape (T,).

    Args:
        instance: The instance.
        level: Base-stock levels, shape (6, N).
        demand: Shape (T, D, N).
        serving: By customer, its stores in the order of their lane costs; empty without
            customers.
    """
    network = instance.network
    single = np.float32
    stock = instance.on_hand.T[1 : 2 + STORES].astype(single)
    holding = network.holding_cost.T[1 : 2 + STORES].astype(single)
    shortage = network.shortage_cost.T[instance.demand.nodes].astype(single)
    replenishment = (network.lane_cost + network.purchase_cost).T[: 1 + STORES].astype(single)
    transport = network.lane_cost.T[1 + STORES :].astype(single)
    hub_ring = np.zeros((HUB_LEAD_TIME, stock.shape[1]), single)
    store_ring = np.zeros((STORE_LEAD_TIME, STORES, stock.shape[1]), single)
    moving = np.zeros_like(stock)
    costs = np.zeros(len(demand))
    for t, asked in enumerate(demand):
        order = np.maximum(level - (stock + moving), 0)
        wanted = order[1:].sum(axis=0)
        share = stock[0] / np.maximum(np.maximum(wanted, stock[0]), 1e-12)
        order[1:] *= share
        stock[0] = np.maximum(stock[0] - wanted, 0)
        moving += order
        cost = np.vdot(order, replenishment)
        if serving:
            left = asked.copy()
            lane = 0
            for rank in range(2):
                want = np.zeros((STORES, stock.shape[1]), single)
                for customer, stores in enumerate(serving):
                    want[stores[rank]] += left[customer]
                share = stock[1:] / np.maximum(np.maximum(want, stock[1:]), 1e-12)
                stock[1:] = np.maximum(stock[1:] - want, 0)
                for customer, stores in enumerate(serving):
                    lane = int(np.flatnonzero(_lanes_into(instance, customer))[rank])
                    sold = left[customer] * share[stores[rank]]
                    left[customer] -= sold
                    cost += np.vdot(sold, transport[lane])
        else:
            sold = np.minimum(stock[1:], asked)
            stock[1:] -= sold
            left = asked - sold
        costs[t] = cost + np.vdot(stock, holding) + np.vdot(left, shortage)
        hub, store = t % HUB_LEAD_TIME, t % STORE_LEAD_TIME
        # The slot holds what is due next period once the ring has turned.
        hub_ring[hub], store_ring[store] = order[0], order[1:]
        arrived = hub_ring[(t + 1) % HUB_LEAD_TIME], store_ring[(t + 1) % STORE_LEAD_TIME]
        stock[0] += arrived[0]
        stock[1:] += arrived[1]
        moving[0] -= arrived[0]
        moving[1:] -= arrived[1]
    return costs


def _lanes_into(instance: Instance, customer: int) -> np.ndarray:
    network = instance.network
    node = instance.demand.nodes[customer]
    found: np.ndarray = network.destination[network.serving_lanes] == node
    return found


class Traffic(TorchFunctionMode):
    """Counts bytes read and written by torch functions on floating tensors; views are free."""

    _VIEWS = ("__getitem__", "permute", "expand", "view", "transpose", "unbind", "flatten", "T")

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name.startswith("__get__") or name in self._VIEWS:
            return result
        made = result if isinstance(result, (tuple, list)) else [result]
        touched = [x for x in (*args, *made) if isinstance(x, Tensor) and x.is_floating_point()]
        self.bytes += sum(x.numel() * x.element_size() for x in touched)
        return result


def copy_bandwidth() -> float:
    """Bytes read and written per CPU second by a copy of 256 MB."""
    source = torch.ones(64_000_000)
    target = torch.empty_like(source)
    seconds = best(lambda: target.copy_(source), 5)[0]
    return 2 * source.numel() * source.element_size() / seconds


def best(run: Callable[[], Result], repeats: int) -> tuple[float, Result]:
    """Smallest CPU time of some runs, and the last result."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = run()
        times.append(time.process_time() - start)
    return min(times), result


def main() -> None:
    """Measure both variants and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--periods", type=int, default=52)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    generator = np.random.default_rng(7)
    bandwidth = copy_bandwidth()
    print(f"memory copy: {bandwidth / 1e9:.1f} GB/s read and written")
    for label, customers in (("demand at the stores", 0), ("customers, two ranks", 10)):
        instance = build(arguments.items, customers, generator)
        places = customers or STORES
        shape = (arguments.periods, places, arguments.items)
        demand = generator.poisson(4.0 * STORES / places, shape).astype(np.float32)
        levels = np.array([64.0] + [14.0] * STORES)
        level = np.repeat(levels[:, None], arguments.items, axis=1).astype(np.float32)
        paths = torch.from_numpy(demand)[:, :, None].permute(2, 3, 1, 0)
        policy = BaseStock(torch.from_numpy(level).T)

        def run(
            instance: Instance = instance, policy: BaseStock = policy, paths: Tensor = paths
        ) -> Trajectory:
            return simulate(instance, policy, paths, seed=0)

        seconds, result = best(run, arguments.repeats)
        serving = [sorted((i + k) % STORES for k in range(2)) for i in range(customers)]
        peer, costs = best(
            lambda i=instance, b=level, d=demand, s=serving: plain_numpy(i, b, d, s),
            arguments.repeats,
        )
        with Traffic() as traffic:
            run()
        work = arguments.items * (1 + STORES + customers) * arguments.periods
        difference = abs(float(result.period_cost.sum()) / costs.sum() - 1)
        print(
            f"{label}: {work / seconds:.3g} item-node-periods per core-second; plain numpy "
            f"{work / peer:.3g}; ratio {peer / seconds:.2f}; costs differ by {difference:.1e}; "
            f"traffic {traffic.bytes / seconds / 1e9:.1f} GB/s, "
            f"{traffic.bytes / seconds / bandwidth:.2f} of memory copy"
        )


if __name__ == "__main__":
    main()
