"""The policy that plays a policy network; feasibility is the simulator's."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import torch
from optrl_formulations.network import IntArray
from torch import Tensor

from optrl.networks.graph_policy import STATE, BoundPolicy, OrderUpTo, PolicyNetwork
from optrl.networks.separate_policies import BoundSeparatePolicies, SeparatePolicies
from optrl.policies.neural_inputs import NeuralInputs, conditions, rows_tensor
from optrl.policies.neural_sharing import SharedStock, nearest_lots
from optrl.simulation.rows import Rows, graph_first, items_first
from optrl.simulation.state import Decision, State


class NeuralPolicy:
    """Orders of a network, in whole lots where lanes have lots.

    Orders are rounded to the nearest lot, which leaves no gradient: learning goes without. What is
    not possible is cut by the dynamics. Where the network moves levels, nodes that feed several
    others share out what is scarce here, so that learning sees it and rounding leaves nothing over
    (`optrl.policies.neural_sharing`).

    Args:
        network: The network, or one for each item and node.
        inputs: Scales and conditions of the instance.
        longest_due: Periods ahead for which the instance's first state knows of arrivals.
        whole_lots: Whether to round.
    """

    name: ClassVar[str] = "neural"

    def __init__(
        self,
        network: PolicyNetwork | SeparatePolicies,
        inputs: NeuralInputs,
        longest_due: int = 0,
        *,
        whole_lots: bool = True,
    ) -> None:
        self.network = network
        self.inputs = inputs
        self._longest_due, self._whole_lots = longest_due, whole_lots
        self._dtype = next(network.parameters()).dtype
        sourcing, network_ = inputs.sourcing, inputs.sourcing.network
        stocking, lanes, nodes = sourcing.stocking, inputs.lanes, len(network_.nodes)
        dtype = self._dtype
        self._graph = inputs.graph(dtype)
        self._scale = rows_tensor(inputs.scale, dtype)
        self._inverse = 1 / self._scale
        self._stocking = Rows(stocking, nodes)
        self._below: _Pairs | None = None
        upper, lower, weight = inputs.below()
        if len(upper):
            self._below = _Pairs(upper, lower, len(stocking), rows_tensor(weight, dtype))
        self._owed: _Pairs | None = None
        if network_.unmet == "backorder":
            owns = sourcing.owns
            d, m = np.nonzero(owns.any(axis=0))
            mask = owns[:, d, m].astype(float)
            self._owed = _Pairs(m, sourcing.demand_nodes[d], nodes, rows_tensor(mask, dtype))
        # An order released on a lane of lead time L is due in L - 1 periods when it is next seen.
        profiles = network_.lead_time[lanes].max(initial=1) - 1
        self._slots = max(int(profiles), longest_due)
        given = [STATE.index("on_hand")]
        if self._owed is not None:
            given.append(STATE.index("backlog"))
        if self._below is not None:
            given.append(STATE.index("below"))
        known = min(self._slots, inputs.space.slots)
        given += [len(STATE) + k for k in range(known)]
        self._given = torch.tensor(given)
        allowed = network_.allowed[inputs.items][:, lanes]
        self._allowed = None if allowed.all() else rows_tensor(allowed.astype(float), dtype)
        calendar = (network_.review_period[lanes] != 1).any()
        self._always_open = not calendar and not network_.closed
        self._sharing, self._up_to = None, None
        if network.shape.levels:
            to = np.searchsorted(stocking, network_.destination[lanes])
            primary = (sourcing.lane[:, to] == lanes).astype(float)
            level = rows_tensor(inputs.echelon_level, dtype)
            self._up_to = OrderUpTo(level, rows_tensor(primary, dtype))
            sharing = SharedStock(network_, lanes, rows_tensor(inputs.deviation(to), dtype))
            self._sharing = sharing if sharing.any else None
        lot = network_.lot_size[inputs.items][:, lanes]
        least = network_.minimum_quantity[inputs.items][:, lanes]
        self._lot = rows_tensor(lot, dtype) if lot.any() and whole_lots else None
        self._least = rows_tensor(least, dtype) if least.any() and whole_lots else None
        self._bound: BoundPolicy | BoundSeparatePolicies | None = None

    def for_items(self, items: slice) -> Self:
        """The policy of some items."""
        restricted, network = self.inputs.for_items(items), self.network
        if isinstance(network, SeparatePolicies):
            count, nodes = self.inputs.scale.shape
            network = network.some(
                torch.arange(network.copies).view(nodes, count)[:, items].ravel()
            )
        return type(self)(network, restricted, self._longest_due, whole_lots=self._whole_lots)

    def refresh(self) -> None:
        """Work out conditions again, after the network's weights have changed."""
        self._bound = None

    def decide(self, state: State, period: int) -> Decision:
        """Orders of all lanes."""
        quantity = self.orders(state, period)
        if self._allowed is not None:
            quantity = quantity * self._allowed
        if not self._always_open:
            opens = self.inputs.sourcing.network.open_periods(period, 1)[self.inputs.lanes, 0]
            quantity = quantity * torch.from_numpy(opens)[:, None, None]
        if self._sharing is not None:
            stock = self._stocking.take(graph_first(state.on_hand.to(self._dtype)))
            quantity = self._sharing.share(quantity, stock)
            if self._lot is not None:
                quantity = self._sharing.whole(quantity, stock, self._lot)
        elif self._lot is not None:
            quantity = nearest_lots(quantity, self._lot)
        if self._least is not None:
            raised = torch.where(quantity >= self._least / 2, self._least, 0.0)
            quantity = torch.where(quantity < self._least, raised, quantity)
        return Decision(items_first(quantity.to(state.on_hand.dtype)))

    def orders(self, state: State, period: int) -> Tensor:
        """Orders before calendar and lots, shape (R, S, N)."""
        bound = self._bind(period)
        asked = bound(self._inputs(state))
        return asked * self._graph.destination.take(self._scale)

    def _bind(self, period: int) -> BoundPolicy | BoundSeparatePolicies:
        if self._bound is None or self.inputs.space.forecast:
            node = conditions(self.inputs.node_at(period), self._dtype)
            lane = conditions(self.inputs.lane, self._dtype)
            self._bound = self.network.bind(self._graph, node, lane, self._given, self._up_to)
        return self._bound

    def _inputs(self, state: State) -> Tensor:
        """State over scale, shape (inputs, M, S, N)."""

        def rows(x: Tensor) -> Tensor:
            return self._stocking.take(x.to(self._dtype).permute(2, 0, 1))

        stock = rows(state.on_hand)
        local, columns = stock, [stock]
        if self._owed is not None:
            waiting = state.backlog.to(self._dtype).permute(2, 0, 1)
            owed = self._owed.total(waiting, len(self._stocking))
            columns.append(owed)
            local = stock - owed
        if self._below is not None:
            position = local + rows(state.in_transit)
            columns.append(self._below.total(position, len(self._stocking)))
        parts = [torch.stack(columns)]
        if self._slots:
            parts += self._due(state.due.to(self._dtype).permute(3, 2, 0, 1))
        return torch.cat(parts) * self._inverse

    def _due(self, due: Tensor) -> list[Tensor]:
        """What arrives, (slots given, M, S, N) in pieces, of all that is due (K, V, S, N)."""
        known = min(self._slots, self.inputs.space.slots)
        run = self._stocking.slice
        at = due[:, run] if run is not None else due.index_select(1, self._stocking.tensor)
        if known == self._slots or len(at) <= known:
            pieces = [at[:known]]
        else:
            pieces = [at[: known - 1], at[known - 1 :].sum(0, keepdim=True)]
        # A first state may know of fewer periods ahead than the longest lane.
        missing = known - sum(len(piece) for piece in pieces)
        if missing > 0:
            pieces.append(at.new_zeros(missing, *at.shape[1:]))
        return pieces


class _Pairs:
    """Weighted sums over pairs of rows.

    Args:
        to: Row that a pair is added to, shape (pairs,).
        source: Row that it takes, shape (pairs,).
        size: Number of rows taken from.
        weight: Shape (pairs, 1, N).
    """

    def __init__(self, to: IntArray, source: IntArray, size: int, weight: Tensor) -> None:
        self._to = torch.from_numpy(np.asarray(to, dtype=np.int64))
        self._source = Rows(source, size)
        self._weight = weight
        self._plain = bool((weight == 1).all())
        self._straight = self._plain and np.array_equal(to, np.arange(len(to)))

    def total(self, x: Tensor, rows: int) -> Tensor:
        """Sums, shape (rows, S, N)."""
        taken = self._source.take(x).expand(len(self._source), *x.shape[1:])
        if self._straight and len(self._to) == rows:
            return taken
        if not self._plain:
            taken = taken * self._weight
        return x.new_zeros(rows, *x.shape[1:]).index_add(0, self._to, taken)
