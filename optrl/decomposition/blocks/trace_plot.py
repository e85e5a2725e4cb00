"""The trace as a picture: both bounds, and the gap between them, against time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from optrl.decomposition.blocks.trace import TraceRow, table
from optrl.tables.atomic import write_file


def plot_trace(trace: Sequence[TraceRow], path: Path) -> None:
    """Draw into a file of any kind that matplotlib writes, whole or not at all.

    Raises:
        optrl.errors.OptrlError: If it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = table(trace)
    seconds = rows["seconds"].to_numpy()
    figure = Figure(figsize=(7.0, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    bounds, gap = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    for name, label, style in (
        ("upper", "upper bound: cost of the averaged plan", "-"),
        ("lower", "lower bound", "-"),
        ("value", "Lagrangian value of the round", "."),
    ):
        values = rows[name].to_numpy()
        bounds.plot(seconds, np.where(np.isfinite(values), values, np.nan), style, label=label)
    finite = rows.filter(rows["lower"].is_finite() & rows["upper"].is_finite())
    if len(finite):
        # Early rounds may be far off and would flatten the rest.
        low, high = float(finite["lower"].min() or 0.0), float(finite["upper"].max() or 0.0)  # type: ignore[arg-type]  # polars' scalars are of any type
        margin = 0.1 * max(high - low, 1e-9)
        bounds.set_ylim(low - margin, high + margin)
    bounds.set_ylabel("cost")
    bounds.legend()
    certified = rows["gap"].to_numpy()
    gap.plot(seconds, np.where(np.isfinite(certified), certified, np.nan), "-")
    if (np.isfinite(certified) & (certified > 0)).any():
        gap.set_yscale("log")
    gap.set_ylabel("certified gap")
    gap.set_xlabel("seconds")
    with write_file(path) as temporary:
        figure.savefig(temporary, dpi=150)
