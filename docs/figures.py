"""Pictures that are drawn from committed tables when the documentation is built."""

from __future__ import annotations

import csv
from pathlib import Path


def write(results: Path, target: Path) -> None:
    """Draw every picture into the folder `target`."""
    learning_curves(results / "ppo_lost_sales.csv", target / "ppo_lost_sales.svg")


def learning_curves(table: Path, picture: Path) -> None:
    """Gap by step, a line a seed, with the optimum and what is reported for A3C.

    Costs are validated on a few paths: differences to a policy whose cost is known exactly take out
    what these paths have in common.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    lines = table.read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    optimum = float(rows[0]["optimum"])
    common = float(rows[0]["capped_exact"]) - float(rows[0]["capped_validation"])
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    for seed in sorted({int(row["seed"]) for row in rows}):
        own = [row for row in rows if int(row["seed"]) == seed]
        steps = [int(row["steps"]) / 1e6 for row in own]
        gaps = [100 * (float(row["validation_cost"]) + common - optimum) / optimum for row in own]
        axes.plot(steps, gaps, linewidth=1.2, label=f"seed {seed}")
    axes.axhspan(3, 7, color="0.9", label="A3C, as reported")
    axes.axhline(0, color="black", linewidth=1, linestyle="--", label="optimum")
    axes.set_xlabel("million steps")
    axes.set_ylabel("above the optimum, percent")
    axes.set_ylim(-1, 12)
    axes.legend(fontsize="small", ncols=2)
    # Without a date and with fixed names the same table gives the same file.
    with rc_context({"svg.hashsalt": "optrl"}):
        figure.savefig(picture, metadata={"Date": None})
