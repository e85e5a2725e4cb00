"""Pictures drawn when the documentation is built, from committed tables or by themselves."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write(results: Path, target: Path) -> None:
    """Draw every picture into the folder `target`."""
    learning_curves(results / "ppo_lost_sales.csv", target / "ppo_lost_sales.svg")
    value_and_price(target / "value_and_price.svg")


def learning_curves(table: Path, picture: Path) -> None:
    """Gap by step, a line a seed, with the optimum and what is reported for A3C.

    Costs are validated on a few paths: differences to a policy whose cost is known exactly take out
    what these paths have in common.
    """
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
    _save(figure, picture)


def value_and_price(picture: Path) -> None:
    """Items by periods: balance rows join along a line, capacity rows across, and both are cut."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.5), layout="constrained")
    FigureCanvasSVG(figure)
    items, periods = 4, 5
    parts = figure.subplots(1, 3)
    titles = ("the whole", "cut by values", "cut by prices")
    for k, (axes, title) in enumerate(zip(parts, titles, strict=True)):
        for t in range(periods):
            for i in range(items):
                if t + 1 < periods:
                    cut = {"color": "tab:blue", "linestyle": ":"} if k == 1 else {"color": "0.3"}
                    axes.plot([t, t + 1], [i, i], linewidth=2, zorder=1, **cut)
                if i + 1 < items:
                    cut = {"color": "tab:orange", "linestyle": ":"} if k == 2 else {"color": "0.7"}
                    axes.plot([t, t], [i, i + 1], linewidth=2, zorder=1, **cut)
                axes.scatter(t, i, s=70, color="white", edgecolor="0.2", zorder=2)
        if k == 1:
            axes.text(1.5, items - 0.55, "value of stock", color="tab:blue", ha="center")
        if k == 2:
            axes.text(2, 0.5, "price of capacity", color="tab:orange", ha="center",
                      bbox={"color": "white", "pad": 1})  # fmt: skip
        axes.set_title(title)
        axes.set_xlabel("periods: stock balance")
        axes.set_xlim(-0.4, periods - 0.6)
        axes.set_ylim(-0.5, items - 0.2)
        axes.set_xticks([])
        axes.set_yticks([])
    parts[0].set_ylabel("items: capacity")
    _save(figure, picture)


def _save(figure: Figure, picture: Path) -> None:
    """Without a date and with fixed names the same table gives the same file."""
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "optrl"}):
        figure.savefig(picture, metadata={"Date": None})
