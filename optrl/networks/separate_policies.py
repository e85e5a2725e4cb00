"""A policy network for each item at each node, all worked out at once.

Each copy knows one system only, so that its conditions are constants: its biases. What is gained is
speed: many small networks learn side by side in batched products for hardly more than one.

The copies are numbered by node and then item, for nodes fed by one lane each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from optrl.errors import OptrlError
from optrl.networks.graph_policy import STATE, LaneGraph, OrderUpTo, PolicyNetwork, PolicyShape


class SeparatePolicies(nn.Module):
    """Networks of one shape.

    Args:
        shape: Sizes of each, without messages.
        copies: How many.
    """

    def __init__(self, shape: PolicyShape, copies: int) -> None:
        super().__init__()
        if shape.rounds or shape.levels:
            raise ValueError("separate networks exchange no messages and give orders, not levels")
        self.shape, self.copies = shape, copies
        width = shape.width
        inner = [len(STATE) + shape.slots, *[width] * (shape.depth - 1)]
        self.weight: Sequence[Tensor] = nn.ParameterList(  # type: ignore[assignment]  # a list
            torch.zeros(copies, rows, width) for rows in inner
        )
        self.bias: Sequence[Tensor] = nn.ParameterList(  # type: ignore[assignment]  # a list
            torch.zeros(copies, 1, width) for _ in inner
        )
        self.out_weight = nn.Parameter(torch.zeros(copies, width, 1))
        self.out_bias = nn.Parameter(torch.full((copies, 1, 1), 0.54))

    @classmethod
    def seeded(cls, shape: PolicyShape, copies: int, seed: int) -> SeparatePolicies:
        """Networks whose first weights are a function of the seed alone."""
        generator = torch.Generator().manual_seed(seed)
        network = cls(shape, copies)
        with torch.no_grad():
            for weight in network.weight:
                bound = (6.0 / weight.shape[1]) ** 0.5
                weight.uniform_(-bound, bound, generator=generator)
            bound = 0.01 * (6.0 / shape.width) ** 0.5
            network.out_weight.uniform_(-bound, bound, generator=generator)
        return network

    @classmethod
    def of(cls, network: PolicyNetwork, node: Tensor, lane: Tensor) -> SeparatePolicies:
        """Copies of one network for many, each under its own conditions, to learn on apart.

        Args:
            network: Without messages.
            node: Conditions of nodes, shape (M, N, node features).
            lane: Conditions of the one lane into each, shape (M, N, lane features).
        """
        copies = cls(network.shape, node.shape[0] * node.shape[1])
        biases = [network.node(node), network.lane(torch.cat([node, lane], dim=-1))]
        weights = [network.state.weight, network.destination.weight]
        with torch.no_grad():
            for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                copies.weight[k].copy_(weight.t().expand_as(copies.weight[k]))
                copies.bias[k].copy_(bias.reshape(copies.bias[k].shape))
            for k, layer in enumerate(network.hidden, start=2):
                copies.weight[k].copy_(layer.weight.t().expand_as(copies.weight[k]))
                copies.bias[k].copy_(layer.bias.expand_as(copies.bias[k]))
            copies.out_weight.copy_(network.out.weight.t().expand_as(copies.out_weight))
            copies.out_bias.copy_(network.out.bias.expand_as(copies.out_bias))
        return copies

    def bind(
        self,
        graph: LaneGraph,
        node: Tensor,
        lane: Tensor,
        inputs: Tensor,
        up_to: OrderUpTo | None = None,
    ) -> BoundSeparatePolicies:
        """The networks on the graph they were made for; see `PolicyNetwork.bind`.

        They move no levels: `up_to` is None.

        Raises:
            OptrlError: If there are not as many pairs of node and item, or some node is fed by
                more or less than one lane.
        """
        pairs = node.shape[0] * node.shape[1]
        if pairs != self.copies or not graph.destination.whole:
            raise OptrlError(
                f"{self.copies} networks, one for each item at each node fed by one lane, do not "
                f"fit {pairs} such pairs over {len(graph.destination)} lanes"
            )
        return BoundSeparatePolicies(self, self.weight[0][:, inputs])

    def alone(self, copy: int) -> PolicyNetwork:
        """One of them as a plain network."""
        network = PolicyNetwork(self.shape)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
            network.state.weight.copy_(self.weight[0][copy].t())
            network.node.second.bias.copy_(self.bias[0][copy, 0])
            network.destination.weight.copy_(self.weight[1][copy].t())
            network.lane.second.bias.copy_(self.bias[1][copy, 0])
            for k, layer in enumerate(network.hidden):
                layer.weight.copy_(self.weight[k + 2][copy].t())
                layer.bias.copy_(self.bias[k + 2][copy, 0])
            network.out.weight.copy_(self.out_weight[copy].t())
            network.out.bias.copy_(self.out_bias[copy, 0])
        return network.requires_grad_(False)

    def some(self, copies: Tensor) -> SeparatePolicies:
        """Those of some numbers."""
        network = SeparatePolicies(self.shape, len(copies))
        state: dict[str, Any] = {name: x[copies] for name, x in self.state_dict().items()}
        network.load_state_dict(state)
        return network.requires_grad_(False)


@dataclass(frozen=True)
class BoundSeparatePolicies:
    """The networks with the weights of the inputs that are given.

    Attributes:
        networks: The networks.
        first: Weights of the inputs given, shape (copies, inputs, H).
    """

    networks: SeparatePolicies
    first: Tensor

    def __call__(self, inputs: Tensor) -> Tensor:
        """Orders over scale, as `optrl.networks.graph_policy.BoundPolicy` gives them."""
        nets = self.networks
        count, nodes, scenarios, items = inputs.shape
        hidden = inputs.permute(1, 3, 2, 0).reshape(nets.copies, scenarios, count)
        for k, bias in enumerate(nets.bias):
            weight = nets.weight[k] if k else self.first
            hidden = torch.relu_(torch.baddbmm(bias, hidden, weight))
        orders = softplus(torch.baddbmm(nets.out_bias, hidden, nets.out_weight))
        return orders.view(nodes, items, scenarios).transpose(1, 2)
