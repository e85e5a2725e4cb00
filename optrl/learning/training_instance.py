"""An instance as pathwise gradients need it: without lots, and with cost in units of its scale."""

from __future__ import annotations

from dataclasses import dataclass, replace

import networkx as nx
import numpy as np
from optrl_formulations.network import FloatArray, IntArray, NodeKind
from scipy import stats

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.critical_ratio import UnitCosts
from optrl.policies.levels import WindowDemand, mean_rate
from optrl.policies.sourcing import Sourcing
from optrl.simulation.dynamics import Dynamics


@dataclass(frozen=True)
class TrainingInstance:
    """What is simulated while learning.

    Attributes:
        original: The instance, as the policy sees it.
        demand: Its demand.
        instance: What is simulated: without lots, minimum quantities and fixed costs, whose
            gradients are zero; money in units of each system's scale.
        systems: Number of systems in it: items times parts of the network that share nothing.
        unit: Money in a unit of each item's systems, shape (N, V).
    """

    original: Instance
    demand: DemandModel
    instance: Instance
    systems: int
    unit: FloatArray


def training_instance(instance: Instance, demand: DemandModel) -> TrainingInstance:
    """Prepare an instance.

    The scale of a system is about what an optimal policy costs there: with K the sum over its nodes
    of (b + H) times the normal density at the ratio b / (b + H) times the standard deviation of
    demand to be covered, and P the cost of never serving anything, it is K P / (K + P) where
    demand is lost and K with backorders. Parts of the network that no lane joins, suppliers left
    out, are systems of their own, unless resources or joint fixed costs couple the items.
    """
    network = instance.network
    part, count = parts(instance)
    unit = _unit(instance, demand, part, count)
    if Dynamics.couples_items(instance):
        unit = np.full(unit.shape, unit.mean())
    by_lane = unit[:, network.destination]
    nothing = np.zeros_like(network.lane_cost)
    transit = network.transit_cost
    relaxed = replace(
        network,
        lot_size=nothing,
        minimum_quantity=nothing,
        fixed_cost=nothing,
        holding_cost=network.holding_cost / unit,
        shortage_cost=network.shortage_cost / unit,
        terminal_value=network.terminal_value / unit,
        unit_cost=np.zeros(len(network.items)),
        # A purchase is paid on lanes out of suppliers, in money of the system they lead to.
        lane_cost=(network.lane_cost + network.purchase_cost) / by_lane,
        transit_cost=None if transit is None else transit / by_lane[:, :, None],
    )
    systems = len(network.items) * count
    return TrainingInstance(instance, demand, replace(instance, network=relaxed), systems, unit)


def parts(instance: Instance) -> tuple[IntArray, int]:
    """Part of the network that each node belongs to, shape (V,), and how many hold stock."""
    network = instance.network
    graph = network.graph.to_undirected()
    suppliers = [n for n, k in zip(network.nodes, network.kind, strict=True) if k == 0]
    graph.remove_nodes_from(suppliers)
    part: IntArray = np.zeros(len(network.nodes), dtype=np.int64)
    count = 0
    for members in nx.connected_components(graph):
        index = [network.node_index[node] for node in members]
        if (network.kind[index] == NodeKind.STOCKING).any():
            part[index] = count
            count += 1
    return part, max(count, 1)


def _unit(instance: Instance, demand: DemandModel, part: IntArray, count: int) -> FloatArray:
    sourcing = Sourcing.of(instance)
    rate = mean_rate(demand, instance.start, instance.horizon)
    costs = UnitCosts.of(sourcing, rate)
    ratio = np.clip(costs.ratio(sourcing.review), 0.5, 0.9999)
    window = WindowDemand(sourcing, demand, "protection").at(instance.start)
    density = stats.norm.pdf(stats.norm.ppf(ratio))
    overage = np.where(costs.overage > 0, costs.overage, costs.underage * (1 / ratio - 1))
    safety = overage / (1 - ratio) * density * np.sqrt(np.maximum(window.variance, 0.0))
    n, v = len(rate), len(part)
    stock, idle = np.zeros((n, count)), np.zeros((n, count))
    np.add.at(stock.T, part[sourcing.stocking], safety.T)
    shortage = instance.network.shortage_cost[:, sourcing.demand_nodes] * rate
    np.add.at(idle.T, part[sourcing.demand_nodes], shortage.T)
    if costs.lost:
        stock = stock * idle / np.maximum(stock + idle, 1e-300)
    typical = np.where(stock > 0, stock, np.maximum(idle, 0.0))
    return np.where(typical > 0, typical, 1.0)[:, part].reshape(n, v)
