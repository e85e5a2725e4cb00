"""Costs of a period, by kind; terms whose coefficients are all zero take no work."""

from __future__ import annotations

import numpy as np
import torch
from optrl_formulations.network import FloatArray, IntArray, Network, NodeKind
from torch import Tensor

from optrl.simulation.features import Features
from optrl.simulation.rows import Weights

COST_KINDS = (
    "purchase",
    "transport",
    "transit",
    "fixed",
    "joint_fixed",
    "holding",
    "shortage",
    "overflow",
)


class _Terms:
    """Named sums of coefficient times quantity over rows and items."""

    def __init__(self, coefficients: dict[str, FloatArray], dtype: torch.dtype) -> None:
        weights = {kind: Weights(c, dtype) for kind, c in coefficients.items()}
        self._weights = {kind: w for kind, w in weights.items() if w.any}

    def __bool__(self) -> bool:
        return bool(self._weights)

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        return {kind: weigh(x) for kind, weigh in self._weights.items()}


class CostRates:
    """Coefficients of an instance.

    Args:
        network: The network.
        stocking: Stocking nodes, shape (M,).
        demand_nodes: Demand nodes, shape (D,).
        items: Items simulated.
        dtype: Floating type.
        features: What the network uses.
    """

    def __init__(
        self,
        network: Network,
        stocking: IntArray,
        demand_nodes: IntArray,
        items: slice,
        dtype: torch.dtype,
        features: Features,
    ) -> None:
        self._flow, self._use, self._joint = [], [], []
        self._transit: list[Weights] = []
        if network.transit_cost is not None:
            on_the_way = network.transit_cost[items][:, network.replenishment_lanes]
            self._transit = [Weights(by_age, dtype) for by_age in np.moveaxis(on_the_way, 2, 0)]
        unit_cost = network.unit_cost[items][:, None]
        for lanes in (network.replenishment_lanes, network.serving_lanes):
            flow = {
                "transport": network.lane_cost[items][:, lanes],
                "purchase": unit_cost * (network.kind[network.origin[lanes]] == NodeKind.SUPPLIER),
            }
            self._flow.append(_Terms(flow, dtype))
            used = {"fixed": network.fixed_cost[items][:, lanes]} if features.fixed else {}
            self._use.append(_Terms(used, dtype))
            joint = network.joint_fixed_cost[lanes]
            self._joint.append(torch.from_numpy(joint).to(dtype) if joint.any() else None)
        holding = network.holding_cost[items][:, stocking]
        value = np.broadcast_to(unit_cost, holding.shape)
        self._stock = _Terms({"holding": holding, "stock_value": value}, dtype)
        shortage = network.shortage_cost[items][:, demand_nodes]
        self._shortage = _Terms({"shortage": shortage}, dtype)
        self._sold = _Terms({"sold_value": np.broadcast_to(unit_cost, shortage.shape)}, dtype)
        self._terminal = _Terms({"terminal": network.terminal_value[items][:, stocking]}, dtype)

    def flows(self, released: Tensor, served: Tensor) -> dict[str, Tensor]:
        """Purchase, transport, fixed and joint fixed cost of a period, each of shape (S,)."""
        result: dict[str, Tensor] = {}
        for position, q in enumerate((released, served)):
            terms = self._flow[position](q)
            if self._use[position]:
                terms |= self._use[position]((q > 0).to(q.dtype))
            joint = self._joint[position]
            if joint is not None:
                terms["joint_fixed"] = joint @ (q > 0).any(2).to(q.dtype)
            for kind, value in terms.items():
                result[kind] = result[kind] + value if kind in result else value
        return result

    def transit(self, released: Tensor, charges: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """What falls due for units on their way, in this period and those that follow.

        Args:
            released: Released in this period, (replenishment lanes, S, N).
            charges: What falls due for earlier releases; ``[k]`` in k periods, shape (S,).

        Returns:
            The same with this period's releases; empty where nothing on its way costs anything.
        """
        if not any(weigh.any for weigh in self._transit):
            return ()
        new = [weigh(released) for weigh in self._transit]
        earlier = (*charges, *(torch.zeros_like(new[0]) for _ in new[len(charges) :]))
        return tuple(a + b for a, b in zip(new, earlier, strict=True))

    def stock(self, stock: Tensor) -> dict[str, Tensor]:
        """Holding cost and stock at purchase price, each of shape (S,)."""
        return self._stock(stock)

    def shortage(self, short: Tensor) -> dict[str, Tensor]:
        """Shortage cost of what is lost or waiting."""
        return self._shortage(short)

    def sold(self, sold: Tensor) -> dict[str, Tensor]:
        """What is sold, at purchase price."""
        return self._sold(sold)

    def terminal(self, left: Tensor) -> Tensor:
        """Value of what is left (M, S, N) when the horizon ends, not discounted, shape (S,)."""
        return self._terminal(left).get("terminal", left.new_zeros(left.shape[1]))
