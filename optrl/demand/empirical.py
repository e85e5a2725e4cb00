"""Demand drawn from past periods, independent from period to period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.demand.estimate import history_before_start, require_history
from optrl.demand.totals import group_sum, independent_total, scenario_blocks
from optrl.instance import Instance

Joint = Literal["all", "nodes", "none"]


@dataclass(frozen=True)
class Empirical:
    """Each period repeats a past period drawn at random: no season, no trend.

    Attributes:
        nodes: Node index of each demand node, shape (D,).
        history: Past demand, shape (N, D, H).
        joint: What repeats the same past period: ``all`` items and nodes, the ``nodes`` of each
            item, or ``none`` together. It keeps their correlation.
    """

    name: ClassVar[str] = "empirical"
    independent_periods: ClassVar[bool] = True

    nodes: IntArray
    history: FloatArray
    joint: Joint = "all"

    @classmethod
    def fit(cls, instance: Instance) -> Self:
        """Take the last season of history, or all of it where none is complete, jointly.

        Raises:
            optrl.demand.estimate.HistoryError: If there is too little history.
        """
        require_history(instance, cls.name, "give more history or choose another family")
        history = history_before_start(instance)
        if 0 < instance.season <= history.shape[2]:
            history = history[:, :, -instance.season :]
        return cls(instance.demand.nodes, history)

    def mean(self, first: int, periods: int) -> FloatArray:
        """Average of history in every period, shape (N, D, periods)."""
        return np.repeat(self.history.mean(axis=2, keepdims=True), periods, axis=2)

    def variance(self, first: int, periods: int) -> FloatArray:
        """Variance over history (divisor H) in every period, shape (N, D, periods)."""
        return np.repeat(self.history.var(axis=2, keepdims=True), periods, axis=2)

    def sample(
        self, scenarios: int, first: int, periods: int, generator: np.random.Generator
    ) -> FloatArray:
        """Draw demand paths, shape (S, N, D, periods)."""
        items, demand_nodes, past = self.history.shape
        paths = np.empty((scenarios, items, demand_nodes, periods))
        for block in scenario_blocks(scenarios, items * demand_nodes * periods):
            count = block.stop - block.start
            if self.joint == "all":
                week = generator.integers(past, size=(count, periods))
                paths[block] = np.moveaxis(self.history[:, :, week], 2, 0)
                continue
            together = demand_nodes if self.joint == "none" else 1
            week = generator.integers(past, size=(count, items, together, periods))
            start = np.arange(items * demand_nodes).reshape(items, demand_nodes, 1) * past
            paths[block] = self.history.ravel()[start + week]
        return paths

    def total_variance(self, groups: FloatArray, first: int, periods: int) -> FloatArray:
        """Variance of totals over periods and groups (N, D, G) of nodes, shape (N, G)."""
        if self.joint == "none":
            return independent_total(groups, self.variance(first, periods))
        totals: FloatArray = group_sum(groups, self.history).var(axis=2)
        return periods * totals
