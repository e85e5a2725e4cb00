"""``optrl bench``: what is known about a family of test beds, computed anew."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from optrl.cli.failures import reported
from optrl.cli.terminal import messages, write_line
from optrl.errors import OptrlError

if TYPE_CHECKING:
    from optrl.testbeds.base import Row


@reported
def bench(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Family of test beds.")],
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the rows as JSON too.")
    ] = None,
) -> None:
    """Evaluate the policies of a family of test beds, a line per instance and policy.

    Lines appear as they are computed: instance, policy, cost a period, optimum or bound, gap in
    percent, half-width of the interval, seconds, and what was published.
    """
    from pathlib import Path

    if json is not None and Path(json).is_dir():
        raise OptrlError(f"{json} is a folder: give the name of a file to write")
    from optrl.testbeds import find
    from optrl.testbeds.bench import bench as rows_of

    find(name)
    rows: list[Row] = []
    write_line(
        f"{'instance':<34} {'policy':<36} {'cost':>12} {'optimum/bound':>14} {'gap %':>9} "
        f"{'half-width':>10} {'seconds':>8}  published"
    )
    with messages().status("computing") as status:
        for row in rows_of(name):
            rows.append(row)
            write_line(_line(row))
            status.update(f"computing; {len(rows):,} rows done")
    if json is not None:
        _write(name, rows, json)
        write_line(f"written: {json}")


def _line(row: Row) -> str:
    reference = row.bound if row.optimum is None else row.optimum
    known = "" if reference is None else f"{reference:.6f}"
    known = f">={known}" if row.optimum is None and known else known
    gap = "" if row.gap_percent is None else f"{row.gap_percent:.4f}"
    half = f"{row.half_width:.2g}" if math.isfinite(row.half_width) else ""
    return (
        f"{row.instance:<34} {row.policy:<36} {row.cost:>12.6f} {known:>14} {gap:>9} {half:>10} "
        f"{row.seconds:>8.2f}  {row.published}"
    ).rstrip()


def _write(name: str, rows: list[Row], path: str) -> None:
    from optrl.identity import code_version, library_versions
    from optrl.planning.json_text import json_text
    from optrl.tables.atomic import write_file

    document = {
        "kind": "optrl bench",
        "name": name,
        "code_version": code_version(),
        "libraries": dict(library_versions()),
        "rows": [vars(row) for row in rows],
    }
    with write_file(path) as temporary:
        temporary.write_text(json_text(document, indent=2) + "\n", encoding="utf-8")
