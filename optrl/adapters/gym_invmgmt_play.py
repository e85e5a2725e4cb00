"""Policies of this package acting inside a `gym-invmgmt` environment.

In every period the environment's own arrays (stock X, releases R, backlog U) become the state that
our order of events shows a decision (see `gym_invmgmt`), the policy decides, and its orders go into
the environment's `step`. What the environment cuts (stock and capacity, link by link) is cut by its
rule and not by ours, and the next state is read back from it, so nothing is simulated here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from optrl_formulations.network import FloatArray, IntArray
from torch import Tensor

from optrl.adapters.gym_invmgmt import GymInvmgmt
from optrl.adapters.gym_invmgmt_demand import AdapterError
from optrl.evaluation.perfect_information import perfect_information
from optrl.policies.lookahead import Lookahead
from optrl.policies.planned import PlannedDecisions
from optrl.simulation.state import Decision, State


class _Decides(Protocol):
    def decide(self, state: State, period: int) -> Decision: ...


@dataclass(frozen=True)
class GymInvmgmtState:
    """What a decision sees, in the instance's units; S = N = 1.

    Attributes:
        on_hand: Shape (1, 1, V).
        backlog: Shape (1, 1, V).
        due: Shape (1, 1, V, K).
    """

    on_hand: Tensor
    backlog: Tensor
    due: Tensor

    @property
    def in_transit(self) -> Tensor:
        """Total pipeline into each node, shape (1, 1, V)."""
        return self.due.sum(-1)


@dataclass(frozen=True)
class Episode:
    """An episode of T periods.

    Attributes:
        profit: The environment's reward by period, shape (T,).
        demand: Demand by retail link, their units, shape (D, T).
        filled: Released by reorder link after the environment's cuts, their units, (links, T).
        seconds: Wall-clock time of the decisions, fitting left out.
    """

    profit: FloatArray
    demand: FloatArray
    filled: FloatArray
    seconds: float

    @property
    def total(self) -> float:
        """Profit of the episode."""
        return float(self.profit.sum())


def state_of(env: Any, foreign: GymInvmgmt) -> GymInvmgmtState:
    """The state our order of events shows in the environment's current period."""
    env = env.unwrapped
    network, t = foreign.instance.network, int(env.period)
    on_hand = np.zeros(len(network.nodes))
    own = [env.network.node_map[j] for j in env.network.main_nodes]
    on_hand[foreign.node] = env.X[t, own] * foreign.node_scale
    due = np.zeros((len(network.nodes), max(network.longest_lead_time, 1)))
    for link, position in enumerate(foreign.order_lane):
        lane = network.replenishment_lanes[position]
        lead, node = int(network.lead_time[lane]), network.destination[lane]
        released = env.R[max(t - lead, 0) : t, link] * foreign.order_scale[link]
        # Releases of period r arrive in r + lead; those of t - lead are usable by this decision,
        # and only where receipts serve at once are they not yet in X.
        arrives = np.arange(max(t - lead, 0), t) + lead - t
        ships_only = lead > int(env.graph.edges[env.network.reorder_links[link]]["L"])
        if not ships_only:
            on_hand[node] += released[arrives == 0].sum()
        due[node, arrives[arrives > 0] - 1] += released[arrives > 0]
    backlog = np.zeros(len(network.nodes))
    if env.backlog and t > 0:
        backlog[foreign.demand.nodes] = env.U[t - 1] * foreign.demand.scale
    return GymInvmgmtState(
        *(torch.from_numpy(np.maximum(x, 0.0)[None, None]) for x in (on_hand, backlog, due))
    )


def play(env: Any, foreign: GymInvmgmt, policy: _Decides, seed: int) -> Episode:
    """Play one episode from `env.reset(seed=seed)`.

    Args:
        env: The environment that `foreign` was read from, or one made alike.
        foreign: Its instance.
        policy: Decides on tensors of S = N = 1, float64.
        seed: Of the environment's demand.

    Raises:
        AdapterError: If it has goodwill and is not the one that `foreign` was read from.
    """
    core = env.unwrapped
    if core.demand_engine.use_goodwill and core.demand_engine is not foreign.demand.engine:
        raise AdapterError(
            "demand follows goodwill of the environment that was read, and this is another: read "
            "this one with goodwill=True"
        )
    env.reset(seed=seed)
    profit, seconds, done = [], 0.0, False
    while not done:
        begun = time.perf_counter()
        decision = policy.decide(state_of(core, foreign), int(core.period))
        order = decision.order[0, 0].detach().double().numpy()
        action = order[foreign.order_lane] / foreign.order_scale
        seconds += time.perf_counter() - begun
        _, reward, terminated, truncated, _ = env.step(action)
        profit.append(float(reward))
        done = terminated or truncated
    return Episode(np.array(profit), core.D.T.copy(), core.R.T.copy(), seconds)


def demand_of(env: Any, foreign: GymInvmgmt, seed: int) -> FloatArray:
    """Demand of the episode that `seed` starts, which no decision changes, shape (1, 1, D, T).

    In the instance's units; the environment is stepped through without orders to see it.

    Raises:
        AdapterError: If decisions do change it, by goodwill.
    """
    _refuse_goodwill(env)
    env.reset(seed=seed)
    core = env.unwrapped
    for _ in range(core.num_periods):
        env.step(np.zeros(len(core.network.reorder_links)))
    paths: FloatArray = (core.D * foreign.demand.scale).T[None, None]
    return paths


def perfect_profit(
    env: Any, foreign: GymInvmgmt, demand: FloatArray, seed: int
) -> tuple[float, float]:
    """Profit with perfect information: the program's, and that of its orders in the environment.

    Args:
        env: The environment.
        foreign: Its instance.
        demand: What `demand_of` saw for `seed`, shape (1, 1, D, T).
        seed: Of the episode.

    Returns:
        An upper bound on every policy's profit, and what its orders earn. They are equal but for
        fixed ordering costs, which the bound relaxes, and nodes that serve and ship, which the
        bound lets ship what they have just received.

    Raises:
        AdapterError: If decisions change demand, by goodwill.
    """
    _refuse_goodwill(env)
    bound = perfect_information(foreign.instance, demand, seed=0).bound[0]
    revenue = profit_of(foreign, np.zeros(demand.shape[-1]), demand[0, 0]).sum()
    known = _Known(foreign, demand[0])
    plan = Lookahead(foreign.instance, known, safety=False).plan()[0]
    attained = play(env, foreign, PlannedDecisions(plan), seed).total
    return float(revenue - bound), attained


def _refuse_goodwill(env: Any) -> None:
    if env.unwrapped.demand_engine.use_goodwill:
        raise AdapterError(
            "with goodwill demand depends on decisions: there is none to know beforehand, and no "
            "optimum under perfect information"
        )


@dataclass(frozen=True)
class _Known:
    """Demand that is known, as a demand model."""

    foreign: GymInvmgmt
    path: FloatArray

    @property
    def nodes(self) -> IntArray:
        return self.foreign.demand.nodes

    def mean(self, first: int, periods: int) -> FloatArray:
        return self.path[:, :, first : first + periods]

    def variance(self, first: int, periods: int) -> FloatArray:
        return np.zeros_like(self.mean(first, periods))

    def sample(
        self, scenarios: int, first: int, periods: int, generator: np.random.Generator
    ) -> FloatArray:
        return np.repeat(self.mean(first, periods)[None], scenarios, axis=0)

    def total_variance(self, groups: FloatArray, first: int, periods: int) -> FloatArray:
        return np.zeros((groups.shape[0], groups.shape[2]))


def profit_of(foreign: GymInvmgmt, cost: FloatArray, demand: FloatArray) -> FloatArray:
    """Profit by period from our discounted costs by period (T,) and demand (D, T).

    Args:
        foreign: The instance read.
        cost: Discounted cost of each period, shape (..., T).
        demand: In the instance's units, shape (..., D, T).
    """
    discount = foreign.instance.network.discount ** np.arange(demand.shape[-1])
    revenue: FloatArray = (foreign.revenue[:, None] * demand).sum(-2) * discount
    return revenue - cost
