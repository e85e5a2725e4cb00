"""Read brand files of weekly sales by item, town and county, and keep items with enough history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from assumptions import Assumptions, BuildError

SUFFIX = "_iowa_liquor_sales_brand"
COLUMNS = (
    "weekStarting",
    "item",
    "store_location_city",
    "county",
    "sum_sale_liters",
    "sum_sale_dollars",
)


@dataclass(frozen=True)
class Sales:
    """Weekly sales by item and county.

    Attributes:
        weekly: Columns item, brand, county (key), period, litres, dollars; sorted, keys unique.
        weeks: Number of weeks, the first of them period 0.
        first_week: Date on which week 0 starts.
        dropped: Number of raw rows left out, by reason.
    """

    weekly: pl.DataFrame
    weeks: int
    first_week: str
    dropped: dict[str, int]


def place_key(column: str) -> pl.Expr:
    """A place name's letters in upper case, so that O'Brien, O Brien and OBRIEN agree."""
    return pl.col(column).str.to_uppercase().str.replace_all("[^A-Z]", "")


def find_files(sources: Sequence[Path]) -> dict[str, Path]:
    """Brand files by brand name: all of a folder's, or the files named.

    Raises:
        BuildError: If a source does not exist, a folder has no brand file, or two files have
            the same brand.
    """
    files: dict[str, Path] = {}
    for source in sources:
        if not source.exists():
            raise BuildError(f"--sales {source}: no such file or folder")
        found = sorted(source.glob(f"*{SUFFIX}.csv*")) if source.is_dir() else [source]
        if not found:
            raise BuildError(f"--sales {source}: the folder holds no file *{SUFFIX}.csv[.gz]")
        for path in found:
            brand = path.name.split("_")[0]
            if brand in files:
                raise BuildError(f"brand {brand!r} has two files: {files[brand]} and {path}")
            files[brand] = path
    return dict(sorted(files.items()))


def read_brand(brand: str, path: Path) -> pl.DataFrame:
    """One brand file as raw rows with typed columns; null where a number cannot be read."""
    try:
        table = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).split("\n")[0]
        raise BuildError(f"{path}: cannot be read as CSV ({reason})") from error
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise BuildError(f"{path}: columns {missing} are missing, it has {table.columns}")
    return table.select(
        pl.lit(brand).alias("brand"),
        pl.col("weekStarting").str.to_date("%Y-%m-%d", strict=False).alias("week"),
        pl.col("item").str.strip_chars().replace("", None),
        pl.col("store_location_city").alias("town"),
        place_key("county").replace("", None).alias("county"),
        pl.col("sum_sale_liters").cast(pl.Float64, strict=False).alias("litres"),
        pl.col("sum_sale_dollars").cast(pl.Float64, strict=False).alias("dollars"),
    )


def read_sales(sources: Sequence[Path]) -> Sales:
    """Read, clean and aggregate brand files.

    Rows without item or county, rows that repeat another exactly, and rows whose litres or
    dollars are unreadable or not positive (returns) are left out and counted.

    Raises:
        BuildError: If no row is left, dates are unreadable or off the weekly grid, or one item
            stands in two brand files (its sales would count twice).
    """
    files = find_files(sources)
    raw = pl.concat([read_brand(brand, path) for brand, path in files.items()])
    if undated := raw["week"].null_count():
        raise BuildError(f"weekStarting: {undated} rows have no date of the form 2012-01-31")
    dropped = {}
    for reason, keep in {
        "item or county missing": pl.col("item").is_not_null() & pl.col("county").is_not_null(),
        "litres or dollars not positive": (pl.col("litres") > 0) & (pl.col("dollars") > 0),
        "row repeated": pl.struct(pl.all()).is_first_distinct(),
    }.items():
        before = raw.height
        raw = raw.filter(keep.fill_null(False))
        dropped[reason] = before - raw.height
    if raw.is_empty():
        raise BuildError(f"no usable row in {[str(path) for path in files.values()]}: {dropped}")
    shared = raw.group_by("item").agg(pl.col("brand").unique().sort())
    shared = shared.filter(pl.col("brand").list.len() > 1).sort("item")
    if not shared.is_empty():
        item, brands = shared.row(0)
        raise BuildError(f"item {item!r} stands in the files of {brands}: name only one of them")
    first = raw.select(pl.col("week").dt.strftime("%Y-%m-%d").min()).item()
    days = (pl.col("week") - pl.col("week").min()).dt.total_days()
    off = raw.filter(days % 7 != 0).sort("week", "item")
    if not off.is_empty():
        raise BuildError(
            f"weekStarting {off['week'][0]} of item {off['item'][0]!r} is not a whole number of "
            f"weeks after the first, {first}: all weeks must start on the same weekday"
        )
    weekly = (
        raw.with_columns((days // 7).cast(pl.Int32).alias("period"))
        .sort("item", "county", "period", "town")
        .group_by("item", "brand", "county", "period", maintain_order=True)
        .agg(pl.col("litres").sum().round(3), pl.col("dollars").sum().round(2))
    )
    weeks = int(weekly.select(pl.col("period").max()).item()) + 1
    return Sales(weekly, weeks, first, dropped)


def with_history(sales: Sales, rules: Assumptions) -> pl.DataFrame:
    """Weekly sales of the items sold often enough, and still sold, before planning starts.

    Raises:
        BuildError: If the data is too short or no item has enough history.
    """
    start = sales.weeks - rules.horizon
    if start < rules.reference_weeks:
        raise BuildError(
            f"{sales.weeks} weeks of sales leave {start} before the {rules.horizon} kept weeks; "
            f"at least {rules.reference_weeks} are needed: give more weeks or a shorter --horizon"
        )
    fit = sales.weekly.filter(pl.col("period") < start)
    kept = (
        fit.group_by("item")
        .agg(weeks=pl.col("period").n_unique(), last=pl.col("period").max())
        .filter(
            (pl.col("weeks") >= rules.history_share * start)
            & (pl.col("last") >= start - rules.recent_weeks)
        )
    )
    if kept.is_empty():
        raise BuildError(
            f"no item was sold in {rules.history_share:.0%} of the {start} weeks before the start "
            f"and in the last {rules.recent_weeks} of them: lower --history-share"
        )
    return sales.weekly.join(kept.select("item"), on="item", how="semi", maintain_order="left")
