"""The demand process of a `gym-invmgmt` environment without goodwill, as a demand model."""

from __future__ import annotations

from collections.abc import Mapping
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

    Attributes:
        nodes: Node index of each demand node, shape (D,).
        engine: The environment's demand engine.
        links: Demand of each node.
        scale: Units of the instance per unit of the environment, shape (D,).
    """

    nodes: IntArray
    engine: Any  # gym_invmgmt.demand_engine.DemandEngine, not a dependency
    links: tuple[_Link, ...]
    scale: FloatArray

    @classmethod
    def of(cls, env: Any, nodes: IntArray, scale: FloatArray) -> Self:
        """Read the environment's retail links, in its order.

        Raises:
            AdapterError: If demand depends on service (goodwill), or on a function of its own.
        """
        engine = env.demand_engine
        if engine.use_goodwill:
            raise AdapterError(
                "demand_config['use_goodwill'] is True: demand would depend on past service, "
                "which an instance cannot express; set it to False"
            )
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
        return cls(nodes, engine, tuple(links), scale)

    def engine_mean(self, first: int, periods: int) -> FloatArray:
        """The engine's location by period, shape (periods,)."""
        return np.array([self.engine.get_current_mu(t) for t in range(first, first + periods)])

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
        mean = self.engine_mean(first, periods)
        paths = np.zeros((scenarios, 1, len(self.nodes), periods))
        for position, link in enumerate(self.links):
            if link.given is not None:
                paths[:, 0, position] = _between(link.given, first, periods)
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
        noise = float(self.engine.noise_scale)
        for position, link in enumerate(self.links):
            if link.given is not None:
                expected[0, position] = _between(link.given, first, periods)
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
