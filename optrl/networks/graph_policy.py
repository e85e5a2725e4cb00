"""A policy network over any graph: weights shared by all nodes, lanes and items.

The order of item i on lane a = (u, v) is ``scale[i, v] * softplus(f)``, f being a network of

* the state of v, divided by the scale: stock, backlog, stock of the nodes below, and what arrives
  1, 2, ... periods from now;
* conditions that do not change with the state: numbers of node and lane such as cost ratio,
  variability and lead time;
* messages from the nodes that v feeds and from those that feed it, in `rounds` rounds, and the
  state of u where u holds stock.

With `levels` the network moves the levels of echelon base stock instead: the order is
``scale[i, v] * softplus(f + level - position)`` on the primary lane into v, sharply bent, and f
begins near zero, so that learning begins with that policy.

One place fed by one supplier is the case without messages: a plain network with `depth` hidden
layers. Conditions enter the first layer and the lane's layer as biases, computed once for many
periods and scenarios.

Shapes: M stocking nodes, R replenishment lanes, S scenarios, N items, H width. Tensors of states
are graph-first (rows, S, N), those of hidden units (rows, S, N, H).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from optrl.networks.perceptron import perceptron
from optrl.simulation.rows import Rows

STATE = ("on_hand", "backlog", "below")
"""Inputs of a node's state, before the slots of what arrives."""

_IN_POSITION = (1.0, -1.0, 1.0)
"""How they count in a node's echelon inventory position; what arrives counts in full."""

_SHARPNESS = 8.0
"""Of the bend at an order of nothing where there are levels: 0.09 of the scale is ordered there."""


@dataclass(frozen=True)
class PolicyShape:
    """Sizes of a policy network.

    Attributes:
        node_features: Conditions of a node.
        lane_features: Conditions of a lane.
        slots: Inputs for what arrives; the last sums all that arrives later.
        width: Units of a hidden layer, H.
        depth: Hidden layers from a node's state to an order, at least 2.
        rounds: Rounds of messages between nodes; 0 where nodes know only themselves.
        levels: Whether the network moves levels of echelon base stock; else it gives orders.
    """

    node_features: int
    lane_features: int
    slots: int = 4
    width: int = 64
    depth: int = 2
    rounds: int = 0
    levels: bool = False

    def __post_init__(self) -> None:
        for name, least in (("slots", 1), ("width", 1), ("depth", 2), ("rounds", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}")


@dataclass(frozen=True)
class LaneGraph:
    """Which nodes a lane joins, and how much a message weighs.

    Attributes:
        destination: Stocking node at the end of each lane, R rows of M.
        fed: Lanes that begin at a stocking node, among the lanes.
        origin: Those lanes' origins, among the stocking nodes.
        target: Those lanes' destinations, among the stocking nodes.
        down: Weight of a destination's message to its origin, shape (fed lanes, 1, N, 1).
        up: Weight of an origin's message to its destination, same shape.
    """

    destination: Rows
    fed: Rows
    origin: Rows
    target: Rows
    down: Tensor
    up: Tensor


@dataclass(frozen=True)
class OrderUpTo:
    """Levels that a network moves.

    Attributes:
        level: Echelon level of each stocking node over its scale, shape (M, 1, N).
        primary: 1 where a lane is the primary one into its node, else 0, shape (R, 1, N).
    """

    level: Tensor
    primary: Tensor


class Condition(nn.Module):
    """Biases of a layer from numbers that do not change with the state."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(features, width)
        self.second = nn.Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """From (rows, N, features) to biases (rows, 1, N, H)."""
        bias: Tensor = self.second(torch.relu(self.first(features)))
        return bias[:, None]


class Round(nn.Module):
    """One exchange of messages between nodes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own = nn.Linear(width, width)
        self.below = nn.Linear(width, width, bias=False)
        self.above = nn.Linear(width, width, bias=False)

    def forward(self, hidden: Tensor, graph: LaneGraph) -> Tensor:
        """Hidden units after the exchange, (M, S, N, H)."""
        result: Tensor = self.own(hidden)
        if len(graph.fed):
            # Messages are made at the node they come from, which is cheaper than on each lane.
            fed = graph.target.take(self.below(hidden)) * graph.down
            feeding = graph.origin.take(self.above(hidden)) * graph.up
            result = result.index_add(0, graph.origin.tensor, fed)
            result = result.index_add(0, graph.target.tensor, feeding)
        return torch.relu_(result)


class PolicyNetwork(nn.Module):
    """Weights shared by all nodes, lanes and items.

    Args:
        shape: Sizes.
    """

    def __init__(self, shape: PolicyShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.state = nn.Linear(len(STATE) + shape.slots, width, bias=False)
        self.node = Condition(shape.node_features, width)
        self.exchange: Sequence[Round] = nn.ModuleList(Round(width) for _ in range(shape.rounds))  # type: ignore[assignment]  # a list of modules
        self.destination = nn.Linear(width, width, bias=False)
        self.origin = nn.Linear(width, width, bias=False) if shape.rounds else None
        self.lane = Condition(shape.node_features + shape.lane_features, width)
        dense = [nn.Linear(width, width) for _ in range(shape.depth - 2)]
        self.hidden: Sequence[nn.Linear] = nn.ModuleList(dense)  # type: ignore[assignment]  # a list of modules
        self.out = nn.Linear(width, 1)
        self.position = (
            nn.Parameter(torch.zeros(len(STATE) + shape.slots)) if shape.levels else None
        )

    @classmethod
    def seeded(cls, shape: PolicyShape, seed: int) -> PolicyNetwork:
        """A network whose first weights are a function of the seed alone."""
        generator = torch.Generator().manual_seed(seed)
        network = cls(shape)
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim == 2:
                    bound = (6.0 / parameter.shape[1]) ** 0.5
                    parameter.uniform_(-bound, bound, generator=generator)
                else:
                    parameter.zero_()
            network.out.weight.mul_(0.01)
            if network.position is None:
                # Orders begin near mean demand: softplus(0.54) = 1.
                network.out.bias.fill_(0.54)
            else:
                network.position.fill_(1.0)
                network.position[: len(STATE)] = torch.tensor(_IN_POSITION)
        return network

    def bind(
        self,
        graph: LaneGraph,
        node: Tensor,
        lane: Tensor,
        inputs: Tensor,
        up_to: OrderUpTo | None = None,
    ) -> BoundPolicy:
        """The network on one graph under given conditions.

        Args:
            graph: Nodes and lanes.
            node: Conditions of nodes, shape (M, N, node features).
            lane: Conditions of lanes, shape (R, N, lane features).
            inputs: Positions of the inputs that are given, among `STATE` and the slots; the
                others are zero.
            up_to: Levels, where the network moves some.

        Raises:
            ValueError: If levels are missing, or given for none.
        """
        if (up_to is None) == self.shape.levels:
            raise ValueError(
                "the network moves levels: give them"
                if self.shape.levels
                else "the network gives orders: levels are of no use to it"
            )
        both = torch.cat([graph.destination.take(node).expand(len(lane), -1, -1), lane], dim=-1)
        first = self.state.weight[:, inputs].t()
        position = None if self.position is None else self.position[inputs]
        biases = self.node(node), self.lane(both)
        return BoundPolicy(self, graph, first, *biases, up_to, position)


@dataclass(frozen=True)
class BoundPolicy:
    """A network with its conditions worked out, for many periods and scenarios.

    Attributes:
        network: The network.
        graph: Nodes and lanes.
        first: Weights of the inputs given, shape (inputs, H).
        node: Biases of nodes, shape (M, 1, N, H).
        lane: Biases of lanes, shape (R, 1, N, H).
        up_to: Levels that the network moves, or None.
        position: Weights of the inputs given in the inventory position, shape (inputs,), or None.
    """

    network: PolicyNetwork
    graph: LaneGraph
    first: Tensor
    node: Tensor
    lane: Tensor
    up_to: OrderUpTo | None = None
    position: Tensor | None = None

    def __call__(self, inputs: Tensor) -> Tensor:
        """Orders over scale.

        Args:
            inputs: State of the nodes over their scale, shape (inputs, M, S, N), contiguous.

        Returns:
            Shape (R, S, N), positive.
        """
        net, graph = self.network, self.graph
        nodes, scenarios, items = inputs.shape[1:]
        if not net.exchange and graph.destination.whole:
            biases = [self.node, self.lane, *(layer.bias for layer in net.hidden)]
            weights = [net.destination.weight.t(), *(layer.weight.t() for layer in net.hidden)]
            orders = perceptron(inputs, self.first, biases, weights, net.out.weight[0])
            return self._positive(orders + net.out.bias, inputs)
        size = (scenarios, items, net.shape.width)
        hidden = inputs.reshape(len(inputs), -1).t() @ self.first
        hidden = torch.relu_(hidden.view(nodes, *size).add_(self.node))
        for exchange in net.exchange:
            hidden = exchange(hidden, graph)
        lanes = graph.destination.take(net.destination(hidden))
        if net.origin is not None and len(graph.fed):
            from_stock = graph.origin.take(net.origin(hidden))
            lanes = lanes.expand(len(graph.destination), *size)
            lanes = lanes.index_add(0, graph.fed.tensor, from_stock.expand(len(graph.fed), *size))
        hidden = torch.relu_(lanes + self.lane)
        for layer in net.hidden:
            hidden = torch.relu_(layer(hidden))
        out = hidden.view(-1, net.shape.width) @ net.out.weight.t()
        return self._positive(out.view(-1, scenarios, items) + net.out.bias, inputs)

    def _positive(self, out: Tensor, inputs: Tensor) -> Tensor:
        """Orders over scale of what the network says, shape (R, S, N)."""
        if self.up_to is None or self.position is None:
            return softplus(out)
        position = torch.tensordot(self.position, inputs, 1)
        missing = self.graph.destination.take(self.up_to.level - position)
        return softplus(out + missing * self.up_to.primary, _SHARPNESS)
