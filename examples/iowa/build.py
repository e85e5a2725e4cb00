"""Build the Iowa instance folder from brand files of weekly sales, lead times and a gazetteer.

    python examples/iowa/build.py --sales FOLDER --lead-times FILE --geography FOLDER --out FOLDER

Works for any brand files of the same form. The same inputs give the same tables. The folder
appears whole or not at all. README.md beside this file says what is real and what is assumed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path

import polars as pl
from assumptions import Assumptions, BuildError
from capacity import build_resources, first_pipeline, first_stock, gather_history
from economics import build_item_nodes, build_items
from lead_times import LeadTimes, draw_lead_times, read_lead_times
from network import PLACE, Sites, build_lanes, place_sites
from sales import read_sales, with_history
from settings import write_notes, write_settings

CENSUS = "iowa_town_census_2015.csv"


def build_demand(sales: pl.DataFrame, sites: Sites) -> pl.DataFrame:
    """Litres by item, county and week; weeks without a sale have no row."""
    names = sites.counties.select(pl.col("county_key").alias("county"), "node")
    return (
        sales.join(names, on="county")
        .select("item", "node", pl.col("period").cast(pl.Int32), pl.col("litres").alias("quantity"))
        .sort("item", "node", "period")
    )


def build_arrivals(lead_time: dict[str, int], hub: str, delays: LeadTimes) -> pl.DataFrame:
    """Each order comes whole, on schedule or some weeks late, as often as real ones did."""
    rows = [
        (supplier, hub, late, float(probability), weeks + late, 1.0)
        for supplier, weeks in lead_time.items()
        for late, probability in enumerate(delays.delay_probability)
        if probability > 0.0
    ]
    schema = {"origin": pl.String, "destination": pl.String, "profile": pl.Int64}
    return pl.DataFrame(
        rows,
        schema=schema | {"probability": pl.Float64, "delay": pl.Int64, "fraction": pl.Float64},
        orient="row",
    )


def write_folder(out: Path, settings: str, tables: dict[str, pl.DataFrame]) -> None:
    """Write everything to a temporary folder beside `out`, then put it in its place.

    Raises:
        BuildError: If `out` exists and is neither empty nor an instance folder, or the disk
            refuses.
    """
    if out.exists() and not (
        out.is_dir() and ((out / "instance.toml").is_file() or not any(out.iterdir()))
    ):
        raise BuildError(f"--out {out} exists and is no instance folder: name another")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as parent:
            fresh = Path(parent) / out.name
            fresh.mkdir()
            (fresh / "instance.toml").write_text(settings, encoding="utf-8")
            for name, table in tables.items():
                if name == "demand":
                    table.write_parquet(fresh / "demand.parquet", compression="zstd")
                else:
                    table.write_csv(fresh / f"{name}.csv")
            if out.exists():
                shutil.move(out, Path(parent) / "replaced")
            fresh.rename(out)
    except OSError as error:
        raise BuildError(f"--out {out} cannot be written: {error}") from error


def build(arguments: argparse.Namespace, rules: Assumptions) -> None:
    """Read, assemble, write, and say what was built.

    Raises:
        BuildError: If any input is not usable; nothing is written then.
    """
    sales = read_sales(arguments.sales)
    kept = with_history(sales, rules)
    start = sales.weeks - rules.horizon
    sites = place_sites(
        kept, start, arguments.geography, find_census(arguments), arguments.suppliers, rules
    )
    delays = read_lead_times(arguments.lead_times, rules)
    lead_time = draw_lead_times(sites.suppliers["node"].to_list(), delays, rules.seed)
    lanes = build_lanes(sites, lead_time, rules)
    items = build_items(kept, start, sites, lanes, rules)
    history = gather_history(kept, start, items, sites, lead_time, rules)
    nodes = pl.concat(
        part.select(PLACE) for part in (sites.suppliers, sites.depots, sites.counties)
    )
    tables = {
        "nodes": nodes,
        "lanes": lanes,
        "items": items,
        "item_nodes": build_item_nodes(items, sites, lanes, rules),
        "demand": build_demand(kept, sites),
        "stock": first_stock(history, rules),
        "pipeline": first_pipeline(history, start, rules),
        "resources": build_resources(history, rules),
        "arrivals": build_arrivals(lead_time, sites.hub, delays),
    }
    notes = write_notes(sales, kept, sites, delays, rules)
    write_folder(arguments.out, write_settings(notes, start, rules), tables)
    size = sum(file.stat().st_size for file in arguments.out.iterdir())
    print(
        f"{arguments.out}: {items.height} items, {nodes.height} nodes "
        f"({', '.join(sites.depots['node'])}), {lanes.height} lanes, "
        f"{tables['demand'].height:,} rows of demand in {sales.weeks} weeks, start {start}, "
        f"{tables['resources'].height} resources, {size / 1e6:.2f} MB"
    )
    for reason, count in sales.dropped.items():
        if count:
            print(f"left out: {count} rows of sales ({reason})")
    if sites.missing:
        print(f"suppliers at the default site: {', '.join(sites.missing)}")


def find_census(arguments: argparse.Namespace) -> Path:
    """The census file named, or the one that lies beside the sales.

    Raises:
        BuildError: If there is none.
    """
    if arguments.census is not None:
        return Path(arguments.census)
    for source in arguments.sales:
        found = Path(source if source.is_dir() else source.parent) / CENSUS
        if found.is_file():
            return found
    raise BuildError(f"no {CENSUS} beside the sales: name a file of town populations by --census")


def parse(argv: list[str] | None) -> tuple[argparse.Namespace, Assumptions]:
    """Command line: the inputs, and any assumption under its own name.

    Raises:
        BuildError: If an assumption is out of its bounds.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sales", type=Path, nargs="+", required=True, help="brand files, folders")
    parser.add_argument("--lead-times", type=Path, required=True, help="SCMS deliveries, CSV")
    parser.add_argument("--geography", type=Path, required=True, help="folder of the gazetteer")
    parser.add_argument("--out", type=Path, required=True, help="instance folder to write")
    parser.add_argument("--census", type=Path, help=f"town populations (default: {CENSUS})")
    parser.add_argument(
        "--suppliers",
        type=Path,
        default=Path(__file__).with_name("suppliers.csv"),
        help="town of each brand's supplier (default: suppliers.csv beside this file)",
    )
    for field in fields(Assumptions):
        parser.add_argument(
            "--" + field.name.replace("_", "-"), type=type(field.default), default=field.default
        )
    arguments = parser.parse_args(argv)
    values = {field.name: getattr(arguments, field.name) for field in fields(Assumptions)}
    return arguments, replace(Assumptions(), **values)


def main(argv: list[str] | None = None) -> int:
    """Build; 0 on success, 2 with one clear message otherwise."""
    try:
        arguments, rules = parse(argv)
        build(arguments, rules)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
