"""The application: its commands and the options before them."""

from __future__ import annotations

from typing import Annotated

import typer

from optrl.cli.bench import bench
from optrl.cli.check import check
from optrl.cli.compare import compare
from optrl.cli.decompose import decompose
from optrl.cli.plan import plan
from optrl.cli.policies import policies
from optrl.cli.simulate import simulate
from optrl.cli.solve import solve
from optrl.cli.train import learners, train

app = typer.Typer(
    name="optrl",
    help="Plan inventory across a fulfilment network.",
    epilog="Exit codes: 0 done; 1 faults in the input, a plan that breaks a row, or a file that "
    "cannot be solved; 2 wrong use or no result; 70 a defect of optrl; 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from optrl._version import __version__

        typer.echo(f"optrl {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Plan inventory across a fulfilment network."""


app.command()(check)
app.command()(plan)
app.command()(decompose)
app.command()(simulate)
app.command()(compare)
app.command()(train)
app.command()(bench)
app.command()(solve)
app.command()(policies)
app.command()(learners)
