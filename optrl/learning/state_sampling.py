"""States after decisions that a policy meets, and some that it would not meet by itself.

Paths of the simulator are carried on from call to call. Decisions are disturbed, on the first path
not at all and more from path to path, so that most states are the policy's or near them and some
farther off (off-policy). What is asked is cut to what is possible by the dynamics: each state
after a decision is one that can be reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.learning.rollout_targets import Afterwards, started
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.rollout import DecidingPolicy
from optrl.simulation.rows import items_first
from optrl.simulation.state import Decision
from optrl.values.post_decision import PostDecision


class StateSampler:
    """See the module's docstring.

    Args:
        instance: The instance, with continuous quantities.
        demand: Its demand.
        policy: Decides.
        paths: Paths side by side.
        spacing: Periods between states that are taken of one path.
        noise: Standard deviation of the logarithm of what orders are multiplied by, on the last
            path; on the others in proportion to their number.
        scale: What a unit of the noise that is added to orders is, by lane, shape (N, lanes).
    """

    def __init__(
        self,
        instance: Instance,
        demand: DemandModel,
        policy: DecidingPolicy,
        *,
        paths: int,
        spacing: int,
        noise: float,
        scale: Tensor,
    ) -> None:
        self._dynamics = Dynamics(instance)
        self._flow = PostDecision(instance)
        self._demand, self.policy = demand, policy
        self._paths, self._spacing, self._scale = paths, spacing, scale
        self._noise = noise * torch.linspace(0, 1, paths)[:, None, None]
        state = self._dynamics.initial_state(paths)
        longest = self._dynamics.places.longest
        due = state.due.permute(3, 2, 0, 1)
        empty = torch.zeros(longest, *state.stock.shape)
        empty[: len(due)] = due
        backlog = state.backlog.permute(2, 0, 1).contiguous()
        self._now = Afterwards(state.stock.clone(), empty, backlog)
        self.period = instance.start

    def skip(self, periods: int, generator: np.random.Generator) -> None:
        """Let all paths run for some periods."""
        for _ in range(periods):
            self._step(generator)

    def take(self, generator: np.random.Generator) -> tuple[Afterwards, int]:
        """One state after a decision of each path, and the period of that decision."""
        self.skip(self._spacing - 1, generator)
        period = self.period
        return self._step(generator), period

    def tensors(self) -> dict[str, Tensor]:
        """Where the paths stand."""
        return {"stock": self._now.stock, "due": self._now.due, "backlog": self._now.backlog}

    def restore(self, tensors: Mapping[str, Tensor], period: int) -> None:
        """Go to where `tensors` was taken."""
        self._now = Afterwards(*(tensors[name].clone() for name in ("stock", "due", "backlog")))
        self.period = period

    def _step(self, generator: np.random.Generator) -> Afterwards:
        with torch.no_grad():
            state = started(self._dynamics, self._now, self.period)
            order = self.policy.decide(state, self.period).order.float()
            drawn = generator.standard_normal((2, *order.shape)).astype(np.float32)
            relative, added = (self._noise * torch.from_numpy(part) for part in drawn)
            # Half of the noise is added, so that orders of nothing are disturbed too.
            order = order * relative.exp() + 0.5 * added * self._scale
            sample = self._demand.sample(self._paths, self.period, 1, generator)
            demand = torch.from_numpy(sample[..., 0]).float().permute(2, 0, 1).contiguous()
            draws = self._dynamics.draws(0, 0, self._paths)
            # The state is handed over: the dynamics may write over it.
            kept = replace(state, stock=state.stock.clone(), moving=state.moving.clone())
            following, outcome = self._dynamics.step(
                kept, Decision(order.clamp(min=0)), demand, draws
            )
            stock, due = self._flow.apply(state, items_first(outcome.released))
            after = Afterwards(
                stock.permute(2, 0, 1).contiguous(),
                due.permute(3, 2, 0, 1).contiguous(),
                state.backlog.permute(2, 0, 1).contiguous(),
            )
            next_due = following.due.permute(3, 2, 0, 1).contiguous()
            backlog = following.backlog.permute(2, 0, 1).contiguous()
            self._now = Afterwards(following.stock.clone(), next_due, backlog)
            self.period += 1
        return after
