"""Prices of shared resources forecast from what is known of the whole, not of each item.

For every resource a few sums over items: stock that the orders it limits leave from, what positions
lack where they go (stock and pipeline against the demand to come), what is asked of it at no price
and at half a typical one, the price of lasting scarcity, and the time of the year. One small
network (`optrl.networks.price_network`) answers them for all resources, with prices in units of
what a unit of the resource typically earns. It is learned from the prices that re-solving found in
simulation (`optrl.learning.price_path`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import torch
from optrl_formulations.network import FloatArray
from torch import nn

from optrl.decomposition.allocation.problem import Allocation
from optrl.errors import OptrlError
from optrl.networks.price_network import PriceNetwork
from optrl.networks.tensor_file import check_same_form, read_tensor_file, write_tensor_file

FEATURES = (
    "asked at no price",
    "asked at half the typical price",
    "stock that orders leave from",
    "shortfall below the first breakpoints",
    "price of lasting scarcity",
    "sine of the year",
    "cosine of the year",
)
"""What is known about a resource, in units of its capacity or typical price."""

FILE = "prices.safetensors"
_KIND = "optrl price forecast"
_WIDEST, _DEEPEST, _LONGEST_YEAR = 512, 8, 1e6


def features(
    allocation: Allocation, lasting: FloatArray, period: int, periods_per_year: float
) -> FloatArray:
    """What is known about each resource, shape (R, `FEATURES`).

    Args:
        allocation: The stage problem.
        lasting: Prices of lasting scarcity, shape (R,).
        period: Absolute period.
        periods_per_year: Length of the calendar.
    """
    terms = allocation.terms
    typical, use = terms.typical_prices, terms.use
    capacity = np.maximum(allocation.capacity, 1e-12)

    def asked(target: FloatArray) -> FloatArray:
        wanted = np.clip(target - allocation.position, 0.0, allocation.largest)
        load: FloatArray = wanted @ use / capacity
        return load

    # What an order may leave with: its part of the group's stock, nothing where it has no group.
    part = allocation.stock[: terms.groups] / np.maximum(terms.members, 1)
    stock = np.concatenate([[0.0], part])[terms.group + 1]
    below = np.maximum(terms.curves.reached[1] - allocation.position, 0.0)
    angle = 2 * np.pi * period / max(periods_per_year, 1.0)
    count = len(capacity)
    found = np.stack(
        [
            asked(terms.target_free),
            asked(terms.target_at_half),
            stock @ use / capacity,
            below @ use / capacity,
            lasting / typical,
            np.full(count, np.sin(angle)),
            np.full(count, np.cos(angle)),
        ],
        axis=1,
    )
    # Ratios to a capacity near zero say no more than that it is scarce.
    clipped: FloatArray = np.clip(found, -20.0, 20.0)
    return clipped


class PriceForecast:
    """Forecasts prices of a stage problem's resources.

    Args:
        network: From features to prices.
        periods_per_year: Length of the calendar.
    """

    def __init__(self, network: PriceNetwork, periods_per_year: float) -> None:
        """See the class."""
        self.network, self.periods_per_year = network, periods_per_year

    def prices(self, allocation: Allocation, lasting: FloatArray, period: int) -> FloatArray:
        """Prices, shape (R,)."""
        known = features(allocation, lasting, period, self.periods_per_year)
        with torch.no_grad():
            relative = self.network(torch.from_numpy(known).float()).double().numpy()
        found: FloatArray = relative * allocation.terms.typical_prices
        return found

    def save(self, folder: Path) -> None:
        """Write the network into an existing folder."""
        tensors = {name: x.detach() for name, x in self.network.named_parameters()}
        hidden = [int(x.out_features) for x in _dense(self.network)[:-1]]
        about = {"hidden": hidden, "periods_per_year": self.periods_per_year}
        write_tensor_file(folder / FILE, _KIND, tensors, {**about, "features": list(FEATURES)})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The network of a folder, which nobody vouches for.

        Raises:
            OptrlError: If the folder holds none of this version.
        """
        path = folder / FILE
        tensors, about = read_tensor_file(path, _KIND)
        hidden, year = about.get("hidden"), about.get("periods_per_year")
        sizes = isinstance(hidden, list) and 0 < len(hidden) <= _DEEPEST
        if not (sizes and all(type(x) is int and 0 < x <= _WIDEST for x in hidden or [])):
            raise OptrlError(f"{path}: {hidden!r} are no widths of a price network")
        known = about.get("features") == list(FEATURES)
        if not known or not isinstance(year, int | float) or not 0 < year < _LONGEST_YEAR:
            raise OptrlError(f"{path} holds no price forecast of this version")
        network = PriceNetwork(len(FEATURES), tuple(hidden or ()))
        check_same_form(tensors, dict(network.named_parameters()), str(path))
        network.load_state_dict(tensors)
        return cls(network, year)


def _dense(network: PriceNetwork) -> list[nn.Linear]:
    return [layer for layer in network.layers if isinstance(layer, nn.Linear)]
