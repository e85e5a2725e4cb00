"""The replenishment formulation as stages: one period each, orders before demand is seen.

The state is what the first decision of a period sees: stock, pipeline and, where demand waits,
backlog. One program holds the orders once and sales, unmet demand and stock once an outcome of
demand; each outcome is an exit whose state is stock plus what arrives next, the pipeline moved on
by one period, and the backlog. What stock is worth in the end is credited in the last stage.

Transit cost of an order is charged when it is released, for all periods until it arrives or the
horizon ends. Lots, minimum quantities, set-up times and fixed costs are left out, which lets more
plans in at less cost: a lower bound stays one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from optrl_formulations.linear_program import Block, DataBlock, LinearProgram
from optrl_formulations.network import BoolArray, FloatArray, IntArray, Network
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_data import ReplenishmentData
from optrl_formulations.replenishment_layout import Index, ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix, hstack, vstack

from optrl.decomposition.sddp.errors import StageError
from optrl.decomposition.sddp.graph import PolicyGraph
from optrl.decomposition.sddp.outcomes import DemandOutcomes
from optrl.decomposition.sddp.stage import Exit, Stage
from optrl.instance import Instance


def replenishment_graph(
    instance: Instance,
    outcomes: Sequence[DemandOutcomes],
    demand_pairs: BoolArray | None = None,
) -> PolicyGraph:
    """The instance over its periods, with demand independent from period to period.

    Args:
        instance: Gives network, first state, first period and frozen orders.
        outcomes: Of each period's demand; the horizon is their number.
        demand_pairs: Which items have demand at which nodes, shape (N, V), in the order of the
            columns of `DemandOutcomes.demand`; None for all items at all demand nodes.

    Raises:
        StageError: If the instance has random arrivals or service-level targets.
    """
    space = StateSpace.of(instance, demand_pairs)
    stages = [replenishment_stage(space, t, len(outcomes), seen) for t, seen in enumerate(outcomes)]
    return _discounted(PolicyGraph.linear(stages, space.first()), instance.network.discount)


def markovian_replenishment_graph(
    instance: Instance,
    outcomes: Sequence[Sequence[DemandOutcomes]],
    transition: Sequence[FloatArray],
    first: FloatArray,
    demand_pairs: BoolArray | None = None,
) -> PolicyGraph:
    """Likewise, with demand that depends on a Markov chain seen when orders are placed.

    Args:
        instance: See `replenishment_graph`.
        outcomes: Of demand by period and state of the chain.
        transition: From the states of a period to those of the next, T - 1 matrices.
        first: Probability of each state of the first period.
        demand_pairs: See `replenishment_graph`.
    """
    space = StateSpace.of(instance, demand_pairs)
    stages = [
        [replenishment_stage(space, t, len(outcomes), seen) for seen in row]
        for t, row in enumerate(outcomes)
    ]
    graph = PolicyGraph.markovian(stages, transition, first, space.first())
    return _discounted(graph, instance.network.discount)


def _discounted(graph: PolicyGraph, discount: float) -> PolicyGraph:
    arcs = {
        name: tuple({child: p * discount for child, p in leaving.items()} for leaving in row)
        for name, row in graph.arcs.items()
    }
    return replace(graph, arcs=arcs)


@dataclass(frozen=True)
class StateSpace:
    """Which entries the state has.

    Attributes:
        instance: The instance.
        network: Its network without integers.
        pairs: Which items have demand at which nodes, shape (N, V).
        held: Where stock is or arrives that no lane of its item touches, shape (N, V).
        periods: Periods ahead in which something may arrive.
        due: (i, v, k) that may be other than zero, in the order of the state.
    """

    instance: Instance
    network: Network
    pairs: BoolArray
    held: BoolArray
    periods: int
    due: Index

    @classmethod
    def of(cls, instance: Instance, pairs: BoolArray | None = None) -> StateSpace:
        """The state of an instance.

        Raises:
            StageError: If the instance has random arrivals or service-level targets.
        """
        network = instance.network
        if instance.arrivals:
            raise StageError(
                "random arrivals are not part of the stages: leave them out, or bound the cost by "
                "perfect information"
            )
        if (network.service_level > 0).any():
            raise StageError(
                "a service-level target over the horizon couples the stages: price unmet demand "
                "by shortage_cost instead"
            )
        if pairs is None:
            pairs = np.zeros((len(network.items), len(network.nodes)), dtype=np.bool_)
            pairs[:, instance.demand.nodes] = True
        lead = network.lead_time[network.replenishment_lanes]
        periods = max(int(lead.max(initial=0)) - 1, instance.due.shape[2], 0)
        may = np.zeros((*pairs.shape, periods), dtype=np.bool_)
        for k in range(instance.due.shape[2]):
            # What is due now moves through all earlier entries.
            may[:, :, : k + 1] |= (instance.due[:, :, k] > 0)[:, :, None]
        for lane in network.replenishment_lanes.tolist():
            ahead = max(int(network.lead_time[lane]) - 1, 0)
            may[:, network.destination[lane], :ahead] |= network.allowed[:, lane, None]
        held = (instance.on_hand > 0) | (instance.due > 0).any(axis=2)
        return cls(instance, _without_integers(network), pairs, held, periods, Index.of(may))

    def first(self) -> FloatArray:
        """The state of the first decision, shape (K,)."""
        layout = self.layout(0, ScenarioTree.chain(1))
        due = np.zeros((*self.pairs.shape, self.periods))
        due[:, :, : self.instance.due.shape[2]] = self.instance.due
        parts = [layout.initial_on_hand.gather(self.instance.on_hand), self.due.gather(due)]
        if self.network.unmet == "backorder":
            parts.append(layout.initial_backlog.gather(self.instance.backlog))
        return np.concatenate(parts)

    def layout(self, period: int, tree: ScenarioTree) -> ReplenishmentLayout:
        """The formulation's components in a period from the start on."""
        first = self.instance.start + period
        return ReplenishmentLayout(self.network, tree, first, self.pairs, self.held)


def replenishment_stage(
    space: StateSpace, period: int, horizon: int, outcomes: DemandOutcomes
) -> Stage:
    """The stage of one period.

    Args:
        space: The state.
        period: Counted from the start of the instance.
        horizon: Number of periods.
        outcomes: Demand of the pairs of `space`, item by item.

    Raises:
        StageError: If outcomes do not fit the pairs.
    """
    n, v = space.pairs.shape
    if outcomes.demand.shape[1] != int(space.pairs.sum()):
        raise StageError(
            f"demand outcomes of {outcomes.demand.shape[1]} pairs given for "
            f"{int(space.pairs.sum())} pairs of item and node with demand"
        )
    likely = outcomes.probability > 0
    probability = outcomes.probability[likely]
    tree = ScenarioTree.two_stage(1, len(probability), probability)
    last = period == horizon - 1
    network = space.network
    if not last:
        network = replace(network, terminal_value=np.zeros_like(network.terminal_value))
    layout = replace(space.layout(period, tree), network=network)
    demand = np.zeros((n, v, len(tree.parent)))
    demand[:, :, 1:][space.pairs] = outcomes.demand[likely].T
    frozen = space.instance.frozen[:, :, period:] if space.instance.frozen.size else None
    zeros = np.zeros((n, v))
    due = np.zeros((n, v, space.periods))
    program = build_replenishment(
        layout, ReplenishmentData(zeros, due, zeros, demand, frozen=frozen)
    )
    program = _with_transit(program, layout, horizon - period)
    program = _with_reachable_due(program, layout, space)
    incoming = ["initial_on_hand", "initial_due"]
    if network.unmet == "backorder":
        incoming.append("initial_backlog")
    if not last:
        program = _with_outgoing(program, layout, space)
    return Stage((program,), tuple(incoming), _exits(program, layout))


def _without_integers(network: Network) -> Network:
    return replace(
        network,
        fixed_cost=np.zeros_like(network.fixed_cost),
        joint_fixed_cost=np.zeros_like(network.joint_fixed_cost),
        lot_size=np.zeros_like(network.lot_size),
        minimum_quantity=np.zeros_like(network.minimum_quantity),
        setup_time=np.zeros_like(network.setup_time),
    )


def _with_transit(program: LinearProgram, layout: ReplenishmentLayout, left: int) -> LinearProgram:
    """Transit cost of the periods after the first, which the one-period program leaves out."""
    transit = layout.network.transit_cost
    if transit is None:
        return program
    item, lane, _ = layout.order
    k = np.arange(1, min(left, transit.shape[2]))
    cost = program.cost.copy()
    cost[program.columns["order"].slice] += transit[item, lane][
        :, k
    ] @ layout.network.discount ** k.astype(float)
    return replace(program, cost=cost)


def _with_reachable_due(
    program: LinearProgram, layout: ReplenishmentLayout, space: StateSpace
) -> LinearProgram:
    """Only what may be in the pipeline is data; the rest is zero for good."""
    n, v, _, _ = layout.shape
    members = layout.initial_due(space.periods).positions((n, v, space.periods))[tuple(space.due)]
    block = program.data["initial_due"]
    kept = DataBlock(
        name=block.name,
        matrix=csc_matrix(block.matrix[:, members]),
        cost=block.cost[members],
        value=block.value[members],
        label=lambda k: block.label(int(members[k])),
    )
    return replace(program, data={**program.data, "initial_due": kept})


def _with_outgoing(
    program: LinearProgram, layout: ReplenishmentLayout, space: StateSpace
) -> LinearProgram:
    """Columns of the next period's stock, by outcome, and pipeline, and the rows that set them.

    on_hand'[i,v,m] = on_hand[i,v,m] + due[i,v,0] + sum of orders of lead time 1
    due'[i,v,k]     = due[i,v,k+1] + sum of orders of lead time k + 2
    """
    network = layout.network
    n, v, a, nodes = layout.shape
    item, place, _ = layout.on_hand
    i, w, k = space.due
    stocks, dues = len(item), len(i)
    width, height = len(program.cost), len(program.row_lower)
    order = layout.order.positions((n, a, nodes))[:, :, 0]
    due = space.due.positions((n, v, space.periods)) if space.periods else None
    # Rows: new column - what it consists of = 0.
    entries: list[tuple[IntArray, IntArray, float]] = [
        (np.arange(stocks), program.columns["on_hand"].start + np.arange(stocks), -1.0),
        (np.arange(stocks + dues), width + np.arange(stocks + dues), 1.0),
    ]
    data: list[tuple[IntArray, IntArray]] = []
    if due is not None:
        data.append((np.arange(stocks), due[item, place, 0]))
        later = k + 1 < space.periods
        data.append((stocks + np.flatnonzero(later), due[i[later], w[later], k[later] + 1]))
    for lane in network.replenishment_lanes.tolist():
        lead, into = int(network.lead_time[lane]), network.destination[lane]
        start = program.columns["order"].start
        if lead == 1:
            row = np.flatnonzero(place == into)
            column = order[item[row], lane]
        else:
            row = np.flatnonzero((w == into) & (k == lead - 2))
            column = order[i[row], lane]
            row = row + stocks
        exists = column >= 0
        entries.append((row[exists], start + column[exists], -1.0))
    matrix = _triplets(entries, (stocks + dues, width + stocks + dues))
    empty = csr_matrix((height, stocks + dues))
    blocks = dict(program.data)
    for name, block in program.data.items():
        below = csc_matrix((stocks + dues, block.matrix.shape[1]))
        if name == "initial_due":
            known = [(row[m >= 0], m[m >= 0], -1.0) for row, m in data]
            below = csc_matrix(_triplets(known, (stocks + dues, block.matrix.shape[1])))
        blocks[name] = replace(block, matrix=csc_matrix(vstack([block.matrix, below])))
    zeros = np.zeros(stocks + dues)
    names = [("next_on_hand", stocks), ("next_due", dues)]
    columns, rows = dict(program.columns), dict(program.rows)
    at, below_at = width, height
    for name, size in names:
        columns[name] = Block(name, at, at + size, _label(layout, space, name))
        rows[name] = Block(name, below_at, below_at + size, _label(layout, space, name))
        at, below_at = at + size, below_at + size
    return replace(
        program,
        cost=np.concatenate([program.cost, zeros]),
        matrix=csr_matrix(vstack([hstack([program.matrix, empty]), matrix], format="csr")),
        row_lower=np.concatenate([program.row_lower, zeros]),
        row_upper=np.concatenate([program.row_upper, zeros]),
        column_lower=np.concatenate([program.column_lower, zeros]),
        column_upper=np.concatenate([program.column_upper, np.full(stocks + dues, np.inf)]),
        integrality=np.concatenate([program.integrality, np.zeros(stocks + dues, dtype=bool)]),
        columns=columns,
        rows=rows,
        data=blocks,
    )


def _triplets(
    entries: list[tuple[IntArray, IntArray, float]], shape: tuple[int, int]
) -> csr_matrix:
    if not entries:
        return csr_matrix(shape)
    rows = np.concatenate([row for row, _, _ in entries])
    columns = np.concatenate([column for _, column, _ in entries])
    values = np.concatenate([np.full(len(row), value) for row, _, value in entries])
    return csr_matrix(coo_matrix((values, (rows, columns)), shape=shape))


def _label(layout: ReplenishmentLayout, space: StateSpace, name: str) -> Callable[[int], str]:
    network = layout.network
    index = layout.on_hand if name == "next_on_hand" else space.due

    def label(position: int) -> str:
        item, node, last = (int(c[position]) for c in index)
        return f"{network.items[item]}, {network.nodes[node]}, {last}"

    return label


def _exits(program: LinearProgram, layout: ReplenishmentLayout) -> tuple[Exit, ...]:
    """One exit an outcome: its own costs and, but for the last stage, its state columns."""
    tree = layout.tree
    goes_on = "next_on_hand" in program.columns
    node_of = np.full(len(program.cost), -1)
    for name, index in (
        *(("serve", layout.serve), ("sales", layout.sales), ("unmet", layout.demand)),
        *(("on_hand", layout.on_hand), ("overflow", layout.overflow)),
    ):
        node_of[program.columns[name].slice] = index.columns[-1]
    exits = []
    for node in tree.outcomes.tolist():
        columns = _next_state(program, layout, node) if goes_on else np.zeros(0, dtype=np.int64)
        probability = float(tree.probability[node])
        cost = np.where(node_of == node, program.cost, 0.0) / probability
        label = f"outcome {node}"
        exits.append(Exit(columns, probability, cost, label))
    return tuple(exits)


def _next_state(program: LinearProgram, layout: ReplenishmentLayout, node: int) -> IntArray:
    """Columns of the state after an outcome, in the order of the state."""
    stock = np.flatnonzero(layout.on_hand.columns[-1] == node)
    due = program.columns["next_due"]
    parts = [program.columns["next_on_hand"].start + stock, np.arange(due.start, due.stop)]
    if layout.network.unmet == "backorder":
        waiting = np.flatnonzero(layout.demand.columns[-1] == node)
        parts.append(program.columns["unmet"].start + waiting)
    return np.concatenate(parts)
