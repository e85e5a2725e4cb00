"""The Iowa network: liquor orders of stores by county, semi-synthetic, read from its folder.

**Order of events**: this package's own. Demand is fitted to the history before the instance's
start; costs are averages over its horizon from the stock it starts with, all periods counting.
Lead times, capacities and costs are assumed, as the instance's notes say. No optimum is known.

Source: Iowa Department of Revenue, Alcoholic Beverages Division, through examples/iowa (see its
README for source and licence of the figures and for what is assumed).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from optrl.demand.fit import fit
from optrl.errors import OptrlError
from optrl.tables import load
from optrl.testbeds.base import Row, TestBed
from optrl.testbeds.simulated import simulated_row

SOURCE = "examples/iowa: real orders; lead times, capacities and costs assumed"
FOLDER = Path(__file__).resolve().parents[2] / "examples" / "iowa" / "instance"
_POLICIES = ("base_stock", "echelon_base_stock", "newsvendor", "s_s")
_SCENARIOS = 8


class Iowa:
    """One instance: the Iowa network on simulated demand."""

    name: ClassVar[str] = "iowa"

    @staticmethod
    def cases() -> Iterator[TestBed]:
        """The instance of the source tree."""
        yield Iowa.case()

    @staticmethod
    def case(folder: str | os.PathLike[str] = FOLDER) -> TestBed:
        """The instance of a folder.

        Raises:
            OptrlError: If the folder is not there, as in an installation without the examples.
        """
        if not Path(folder).is_dir():
            raise OptrlError(
                f"the Iowa instance is not at {folder}: it is part of the source tree, not of the "
                "installed package; run in a checkout, or give its folder to `Iowa.case`"
            )
        instance = load(folder)
        return TestBed(f"{Iowa.name}/simulated", instance, fit(instance), 0, None, SOURCE)

    @staticmethod
    def rows() -> Iterator[Row]:
        """Classical policies on the same simulated demand."""
        bed = Iowa.case()
        for policy in _POLICIES:
            yield simulated_row(bed, policy, scenarios=_SCENARIOS)
