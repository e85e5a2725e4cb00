"""Most scenarios of policies that take long, as given on the command line."""

from __future__ import annotations

from optrl.errors import OptrlError


def read_limits(given: list[str]) -> dict[str, int]:
    """Most scenarios by policy, of a list such as ``["lookahead=16"]``.

    Raises:
        OptrlError: If one is not a name and a number, or a policy is named twice.
    """
    result: dict[str, int] = {}
    for entry in given:
        name, _, number = entry.partition("=")
        if not number.isdecimal():
            raise OptrlError(f"--limit {entry}: give POLICY=N, such as lookahead=16")
        if name in result:
            raise OptrlError(f"--limit {entry}: {name!r} is limited to {result[name]} already")
        result[name] = int(number)
    return result
