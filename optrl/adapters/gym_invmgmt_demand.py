"""The demand process of a `gym-invmgmt` environment as a demand model."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.demand.totals import independent_total
from optrl.errors import OptrlError

# Midpoints of equal probability that moments of clipped demand are averaged over.
_POINTS = 2048


class AdapterError(OptrlError):
    """An environment has something that an instance cannot express."""


@dataclass(frozen=True)
class _Link:
    """Demand of one retail link.

    Attributes:
        distribution: A scipy.stats distribution, or None where demand is given.
        parameters: Parameters set on the link; the engine replaces the location by its mean.
        given: Demand by period, or None.
    """

    distribution: Any  # scipy.stats ships no common public base class
    parameters: Mapping[str, float] | None
    given: FloatArray | None


@dataclass(frozen=True)
class GymInvmgmtDemand:
    """What an informed agent knows: mean by period, distribution, noise scale.

    A link draws raw demand from its distribution with the engine's mean m of the period in place
    of the location, and demand is max(0, m + noise_scale (raw - m)). Periods and links are
    independent. Links whose demand is given know it. After the end of given demand there is none.

    **Goodwill** multiplies the mean: it falls after a period with unmet demand, and grows after one
    without. What this model gives then is demand as it will be if all demand is met from the
    environment's current period on, whose own multiplier is known by then (`sentiment`). It follows
    the environment, so that policies which ask in each period act on what has become of goodwill;
    none of them counts what an unmet unit costs in later demand.

    Attributes:
        nodes: Node index of each demand node, shape (D,).
        env: The environment.
        engine: Its demand engine.
        links: Demand of each node.
        scale: Units of the instance per unit of the environment, shape (D,).
    """

    nodes: IntArray
    env: Any  # gym_invmgmt.CoreEnv, not a dependency
    engine: Any
    links: tuple[_Link, ...]
    scale: FloatArray

    @classmethod
    def of(cls, env: Any, nodes: IntArray, scale: FloatArray) -> Self:
        """Read the environment's retail links, in its order.

        Raises:
            AdapterError: If demand depends on a function of its own.
        """
        links = []
        for edge in env.network.retail_links:
            data = env.graph.edges[edge]
            given = data.get("user_D", 0)
            if isinstance(given, np.ndarray | list):
                links.append(_Link(None, None, np.asarray(given, dtype=float)))
                continue
            if not hasattr(data["demand_dist"], "ppf"):
                raise AdapterError(
                    f"demand_dist of retail link {edge} is {data['demand_dist']!r}: only "
                    "distributions of scipy.stats have known moments; give one of those or user_D"
                )
            links.append(_Link(data["demand_dist"], data.get("dist_param"), None))
        return cls(nodes, env, env.demand_engine, tuple(links), scale)

    def sentiment(self, first: int, periods: int) -> FloatArray:
        """Goodwill's multiplier by period, shape (periods,); ones without goodwill.

        That of the environment's current period follows from service before it; later ones are
        what it grows to when all demand is met. Periods before the current one get the current's.
        """
        now, engine = int(self.env.period), copy(self.engine)
        if now > 0:
            engine.update_goodwill(self.env.U[now - 1].sum())
        path = []
        for period in range(now, max(now, first + periods - 1) + 1):
            if period > now:
                engine.update_goodwill(0.0)
            path.append(engine.sentiment if engine.use_goodwill else 1.0)
        return np.array(path)[np.maximum(np.arange(first, first + periods) - now, 0)]

    def engine_mean(self, first: int, periods: int) -> FloatArray:
        """The engine's location by period, shape (periods,)."""
        engine, mean = copy(self.engine), []
        for period, sentiment in enumerate(self.sentiment(first, periods), start=first):
            engine.sentiment = sentiment
            mean.append(engine.get_current_mu(period))
        return np.array(mean)

    def mean(self, first: int, periods: int) -> FloatArray:
        """Expected demand, shape (1, D, periods)."""
        return self._moments(first, periods)[0]

    def variance(self, first: int, periods: int) -> FloatArray:
        """Variance, shape (1, D, periods)."""
        return self._moments(first, periods)[1]

    def sample(
        self, scenarios: int, first: int, periods: int, generator: np.random.Generator
    ) -> FloatArray:
        """Draw demand paths, shape (S, 1, D, periods)."""
        mean, sentiment = self.engine_mean(first, periods), self.sentiment(first, periods)
        paths = np.zeros((scenarios, 1, len(self.nodes), periods))
        for position, link in enumerate(self.links):
            if link.given is not None:
                paths[:, 0, position] = _between(link.given, first, periods) * sentiment
                continue
            raw = link.distribution.rvs(
                **_parameters(link, mean), size=(scenarios, periods), random_state=generator
            )
            paths[:, 0, position] = self._demand(raw, mean)
        return paths * self.scale[None, None, :, None]

    def total_variance(self, groups: FloatArray, first: int, periods: int) -> FloatArray:
        """Variance of totals over periods and groups (1, D, G) of nodes, shape (1, G)."""
        return independent_total(groups, self.variance(first, periods))

    def _demand(self, raw: FloatArray, mean: FloatArray) -> FloatArray:
        noisy: FloatArray = mean + self.engine.noise_scale * (raw - mean)
        return np.maximum(noisy, 0.0)

    def _moments(self, first: int, periods: int) -> tuple[FloatArray, FloatArray]:
        mean = self.engine_mean(first, periods)
        expected = np.zeros((1, len(self.nodes), periods))
        variance = np.zeros_like(expected)
        noise, sentiment = float(self.engine.noise_scale), self.sentiment(first, periods)
        for position, link in enumerate(self.links):
            if link.given is not None:
                expected[0, position] = _between(link.given, first, periods) * sentiment
                continue
            frozen = link.distribution(**_parameters(link, mean))
            lowest = np.asarray(frozen.support()[0], dtype=float)
            if noise == 0 or (mean + noise * (lowest - mean) >= 0).all():
                expected[0, position] = np.maximum(mean + noise * (frozen.mean() - mean), 0.0)
                variance[0, position] = noise**2 * frozen.var()
            else:
                share = (np.arange(_POINTS) + 0.5) / _POINTS
                drawn = self._demand(frozen.ppf(share[:, None]), mean)
                expected[0, position] = drawn.mean(axis=0)
                variance[0, position] = drawn.var(axis=0)
        return expected * self.scale[None, :, None], variance * self.scale[None, :, None] ** 2


def _between(given: FloatArray, first: int, periods: int) -> FloatArray:
    part = given[first : first + periods]
    return np.pad(part, (0, periods - len(part)))


def _parameters(link: _Link, mean: FloatArray) -> dict[str, FloatArray | float]:
    """Parameters of the raw draw, as the engine sets them."""
    name = link.distribution.name
    if link.parameters is None:
        if name == "norm":
            return {"loc": mean, "scale": np.sqrt(np.maximum(mean, 0.1))}
        if name == "uniform":
            return {"loc": 0.0, "scale": 2 * mean}
        return {"mu" if "mu" in _shapes(link) else "loc": mean}
    parameters: dict[str, FloatArray | float] = dict(link.parameters)
    replaced = (
        "mu" if "mu" in parameters or (name == "poisson" and "loc" not in parameters) else "loc"
    )
    return parameters | {replaced: mean}


def _shapes(link: _Link) -> tuple[str, ...]:
    return tuple(part.strip() for part in (link.distribution.shapes or "").split(","))
