"""The benchmark of a test bed: a row for each instance and policy."""

from __future__ import annotations

from collections.abc import Iterator

from optrl.testbeds import find
from optrl.testbeds.base import Row


def bench(name: str) -> Iterator[Row]:
    """Rows of a family, as they are computed.

    Args:
        name: Name of the family (`optrl.testbeds.names`).

    Raises:
        optrl.testbeds.UnknownTestBedError: If there is none of that name.
    """
    yield from find(name).rows()
