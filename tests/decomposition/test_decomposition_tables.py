"""The committed tables of decomposition: no bound lies above a known optimum."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"


def table(name: str) -> pl.DataFrame:
    """A committed table."""
    return pl.read_csv(RESULTS / name, comment_prefix="#", infer_schema_length=None)


def test_no_bound_of_lost_sales_is_above_the_dynamic_program() -> None:
    """Truth: the optimum beside each bound; what is called met is within its target and time."""
    rows = table("sddp_lost_sales.csv")
    assert (rows["bound"] <= rows["optimum"] * (1 + 1e-6)).all()
    met = rows.filter(pl.col("met") == "yes")
    assert (met["gap_percent"] <= met["target_percent"]).all()
    assert (met["cpu_seconds"] <= 300).all()
    again = 100 * (1 - rows["bound"] / rows["optimum"])
    assert again.to_list() == pytest.approx(rows["gap_percent"].to_list(), abs=1e-3)


def test_published_programs_lie_between_bound_and_value() -> None:
    """Truth: published optima; what is called optimal closes its gap there."""
    rows = table("stochastic_programs.csv")
    size = rows["published"].abs()
    # dcap233_200 is published to five digits, stock to four.
    assert (rows["bound"] <= rows["published"] + 1e-4 * size).all()
    two_stage = rows.filter(pl.col("method") != "SDDP", pl.col("value").is_finite())
    least = two_stage["published"] - 1e-4 * two_stage["published"].abs()
    assert (two_stage["value"] >= least).all()
    closed = two_stage.filter(pl.col("ended") == "optimal")
    assert closed["value"].to_list() == pytest.approx(closed["published"].to_list(), rel=1e-4)


def test_bounds_of_serial_systems_lie_below_the_optimum() -> None:
    """Truth: Clark and Scarf's optimum, which simulated policies confirm, and at most 1 % off."""
    rows = table("sddp_serial.csv")
    assert len(rows) == 10
    assert (rows["bound"] <= rows["optimum_at_least"]).all()
    assert (rows["optimum_at_least"] <= rows["optimum_at_most"]).all()
    assert (rows["optimum_at_most"] - rows["bound"] <= 0.01 * rows["optimum_at_most"]).all()
    off = (rows["optimal_levels"] - rows["optimum_at_most"]).abs()
    assert (off <= 3 * rows["optimal_half_width"]).all()
