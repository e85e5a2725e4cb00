"""What may be learned about the value of positions: numbers that serve items of any kind.

A position's curve follows from what a unit short and a unit too many cost. The rule takes both from
the costs of the instance; what is learned multiplies them, at nodes that feed others and at nodes
that do not, and by how dear a shortage is beside a unit held:

    shortage * exp(a) * (shortage / overage / REFERENCE)**b,      overage * exp(c)

All is relative, so that what was learned from some items serves others. The share of the price of
lasting scarcity that is charged (`optrl.policies.dual_guided`) belongs to it: how much of it pays
depends on how long and how tight capacity is scarce.

Learned by `optrl.learning.position_worth` through the decisions that come of it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import torch
from optrl_formulations.network import BoolArray, FloatArray

from optrl.errors import OptrlError
from optrl.networks.tensor_file import check_same_form, read_tensor_file, write_tensor_file

REFERENCE = 20.0
"""Ratio of shortage to overage at which exponents change nothing."""

FILE = "worth.safetensors"
_KIND = "optrl worth of positions"
_LARGEST = 20.0

TOLL_SHARE = 0.8
"""Share of the price of lasting scarcity that is charged where nothing was learned.

At the whole price the demand that just does not fit is given up altogether, and capacity stays
idle whenever other demand is low. With expected demand 2, 5, 10 and 20 % above a shared capacity
the whole price costs 9-16 % more than four fifths of it, and no price 1 % less, 6, 13 and 21 % more
(`optrl.testbeds.shared_capacity`: 40 items, 3 stores, seed 0, one path of 104 periods, from 26 on).
"""


@dataclass(frozen=True)
class LearnedWorth:
    """Numbers that change the value of positions; zeros leave the rule as it is.

    Attributes:
        toll_share: Of the price of lasting scarcity that is charged, at least 0.
        feeding_shortage: Logarithm of what multiplies a shortage at nodes that feed others.
        ending_shortage: The same at nodes that do not.
        feeding_overage: Logarithm of what multiplies a unit too many at nodes that feed others.
        ending_overage: The same at nodes that do not.
        feeding_exponent: Of the ratio of shortage to overage at nodes that feed others.
        ending_exponent: The same at nodes that do not.
    """

    toll_share: float = TOLL_SHARE
    feeding_shortage: float = 0.0
    ending_shortage: float = 0.0
    feeding_overage: float = 0.0
    ending_overage: float = 0.0
    feeding_exponent: float = 0.0
    ending_exponent: float = 0.0

    def __post_init__(self) -> None:
        for name in self.names():
            value, least = getattr(self, name), 0.0 if name == "toll_share" else -_LARGEST
            if not least <= value <= _LARGEST:
                raise OptrlError(
                    f"{name} is {value}; it must lie between {least:g} and {_LARGEST:g}"
                )

    def applied(
        self, shortage: FloatArray, overage: FloatArray, feeding: BoolArray
    ) -> tuple[FloatArray, FloatArray]:
        """What units short and too many cost with what was learned.

        Args:
            shortage: Shape (N, M).
            overage: Shape (N, M).
            feeding: Whether a node feeds others, shape (N, M).
        """
        known = (shortage > 0) & (overage > 0)
        ratio = np.divide(shortage, overage, out=np.full_like(shortage, REFERENCE), where=known)
        exponent = np.where(feeding, self.feeding_exponent, self.ending_exponent)
        dearer = np.where(feeding, self.feeding_shortage, self.ending_shortage)
        factor = np.exp(dearer + exponent * np.log(ratio / REFERENCE))
        return shortage * factor, overage * np.exp(
            np.where(feeding, self.feeding_overage, self.ending_overage)
        )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the numbers, in order."""
        return tuple(each.name for each in fields(cls))

    @classmethod
    def matter(cls, feeding: bool, tolls: bool) -> BoolArray:
        """Which of the numbers, in order, make a difference.

        Args:
            feeding: Whether some nodes feed others.
            tolls: Whether there are resources whose scarcity may last.
        """
        return np.array(
            [
                tolls if name == "toll_share" else feeding or not name.startswith("feeding")
                for name in cls.names()
            ]
        )

    def vector(self) -> FloatArray:
        """The numbers in order."""
        return np.array([getattr(self, name) for name in self.names()])

    @classmethod
    def of(cls, vector: FloatArray) -> Self:
        """From numbers in order."""
        return cls(*(float(x) for x in vector))

    def save(self, folder: Path) -> None:
        """Write the numbers into an existing folder."""
        tensors = {"worth": torch.from_numpy(self.vector())}
        write_tensor_file(folder / FILE, _KIND, tensors, {"names": list(self.names())})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The numbers of a folder, which nobody vouches for.

        Raises:
            OptrlError: If the folder holds none of this version.
        """
        path = folder / FILE
        tensors, about = read_tensor_file(path, _KIND)
        names = cls.names()
        found = tensors.get("worth")
        if about.get("names") != list(names) or found is None:
            raise OptrlError(f"{path} holds no worth of positions of this version")
        check_same_form(tensors, {"worth": torch.zeros(len(names), dtype=torch.float64)}, str(path))
        return cls.of(found.numpy())
