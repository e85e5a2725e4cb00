"""``optrl policies``: what can be given as --policy."""

from __future__ import annotations

import typer

from optrl.cli.failures import reported
from optrl.cli.terminal import write_line


@reported
def policies(context: typer.Context) -> None:
    """List the names of all policies, one a line."""
    from optrl.policies import names

    for name in names():
        write_line(name)
