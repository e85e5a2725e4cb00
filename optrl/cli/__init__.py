"""The command line. Commands import what they need when they run, so that help is quick."""

from __future__ import annotations


def main() -> None:
    """Entry point of ``optrl``."""
    from optrl.cli.app import app
    from optrl.cli.terminal import accept_any_character

    accept_any_character()
    app(prog_name="optrl")
