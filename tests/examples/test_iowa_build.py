"""The builder of the Iowa example on a small world of our own, where the raw data is absent."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from optrl.tables import check

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "iowa"
TABLES = ("nodes", "lanes", "items", "item_nodes", "stock", "pipeline", "resources", "arrivals")


def run_build(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE / "build.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def read(folder: Path) -> dict[str, pl.DataFrame]:
    tables = {name: pl.read_csv(folder / f"{name}.csv") for name in TABLES}
    return tables | {"demand": pl.read_parquet(folder / "demand.parquet")}


WEEKS = 130
TOWNS = (
    ("Ankeny", "Polk", 41.73, -93.60, 50_000),
    ("Sheldon", "O'Brien", 43.18, -95.86, 5_000),
    ("Primghar", "O'Brien", 43.09, -95.63, -1),
    ("Dubuque", "Dubuque", 42.50, -90.66, 58_000),
    ("Ottumwa", "Wapello", 41.01, -92.41, 25_000),
)


def brand_rows(item: str, generator: np.random.Generator) -> list[str]:
    days = np.datetime64("2012-01-01") + 7 * np.arange(WEEKS)
    counties = {"SHELDON": "O BRIEN", "ANKENY": "Polk", "DUBUQUE": " DUBUQUE", "OTTUMWA": "WAPELLO"}
    return [
        f"{day},{item},{town},{county},{litres},{litres * 15.0}"
        for day in days
        for (town, county), litres in zip(
            counties.items(), generator.integers(1, 40, len(counties)), strict=True
        )
    ]


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Two brands, four counties, a gazetteer, a census and deliveries, all made up."""
    generator = np.random.default_rng(5)
    header = "weekStarting,item,store_location_city,county,sum_sale_liters,sum_sale_dollars"
    for brand, item in (("Acme", "ACME GIN"), ("Zeta", "ZETA RUM")):
        rows = brand_rows(item, generator)
        if brand == "Acme":  # one row twice, one return, one without county, one rare item
            rows += [rows[0], "2012-01-08,ACME GIN,AMES,Polk,-3,-45", "2012-01-08,ACME GIN,,,3,45"]
            rows += ["2014-05-18,ACME GIFT,ANKENY,POLK,5,100"]
        (tmp_path / f"{brand}_iowa_liquor_sales_brand.csv").write_text("\n".join([header, *rows]))
    cities = [
        f'{row},IA,Iowa,{town},"{county}",{latitude},{longitude}'
        for row, (town, county, latitude, longitude, _) in enumerate(TOWNS)
    ]
    cities += ["90,IA,Iowa,Dubuque,,1.0,1.0", "91,KY,Kentucky,Louisville,Jefferson,38.24,-85.76"]
    (tmp_path / "kelvins_us_cities.csv").write_text(
        "\n".join(["ID,STATE_CODE,STATE_NAME,CITY,COUNTY,LATITUDE,LONGITUDE", *cities])
    )
    (tmp_path / "iowa_town_census_2015.csv").write_text(
        "\n".join(["city,population", *(f"{town.upper()},{n}" for town, *_, n in TOWNS)])
    )
    delivery = "Direct Drop,Truck,{},{},{}"
    dates = [("1/2/12", "19-Jan-12", "18-Jan-12"), ("3/1/12", "20-Mar-12", "27-Mar-12")] * 3
    dates += [("6/1/12", "1-May-12", "1-May-12"), ("Date Not Captured", "1-May-12", "1-May-12")]
    (tmp_path / "deliveries.csv").write_text(
        "\n".join(
            [
                "Fulfill Via,Shipment Mode,PO Sent to Vendor Date,Scheduled Delivery Date,"
                "Delivered to Client Date",
                *(delivery.format(*row) for row in dates),
            ]
        )
    )
    return tmp_path


def own_inputs(world: Path) -> list[str | Path]:
    return [
        *("--sales", world, "--lead-times", world / "deliveries.csv", "--geography", world),
        *("--out", world / "out", "--horizon", "20", "--centres", "1"),
    ]


def test_other_brands_and_counties_build_too(world: Path) -> None:
    """Any files of the form will do: names are cleaned, odd rows counted, unknown brands told."""
    result = run_build(*own_inputs(world))
    assert result.returncode == 0, result.stderr
    assert check(world / "out") == ()
    tables = read(world / "out")
    settings = tomllib.loads((world / "out" / "instance.toml").read_text())
    assert (settings["start"], settings["horizon"]) == (WEEKS - 20, 20)
    assert tables["items"]["item"].to_list() == ["ACME GIN", "ZETA RUM"]
    assert tables["demand"].height == 2 * 4 * WEEKS
    customers = tables["nodes"].filter(pl.col("kind") == "customer")
    assert set(customers["node"]) == {
        "Dubuque County",
        "O'Brien County",
        "Polk County",
        "Wapello County",
    }
    obrien = customers.filter(pl.col("node") == "O'Brien County")
    assert obrien.row(0)[2:] == (43.18, -95.86)  # Primghar's population is unknown
    assert tables["items"]["unit_cost"].to_list() == [10.0, 10.0]
    supply = tables["lanes"].filter(pl.col("origin").str.ends_with("supplier"))
    assert supply["lead_time"].to_list() == [3, 3]  # 17 and 19 days
    shares = tables["arrivals"].filter(pl.col("origin") == "Acme supplier")
    assert shares["delay"].to_list() == [3, 4]
    np.testing.assert_allclose(shares["probability"], [0.5, 0.5])
    assert "suppliers at the default site: Acme, Zeta" in result.stdout
    for reason in ("item or county missing", "litres or dollars not positive", "row repeated"):
        assert f"left out: 1 rows of sales ({reason})" in result.stdout


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


SALES = "Acme_iowa_liquor_sales_brand.csv"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda w: (w / "deliveries.csv").unlink(), "deliveries.csv: cannot be read"),
        (lambda w: change(w / SALES, "county", "parish"), "columns ['county'] are missing"),
        (lambda w: change(w / SALES, "WAPELLO", "WAPELO"), "not in kelvins_us_cities.csv"),
        (lambda w: change(w / SALES, "ACME GIN", "ZETA RUM"), "files of ['Acme', 'Zeta']"),
        (lambda w: change(w / SALES, "2012-01-15", "2012-01-16"), "whole number of weeks"),
        (lambda w: change(w / SALES, "2012-01-15", "15/1/2012"), "have no date of the form"),
        (lambda w: change(w / "deliveries.csv", "Truck", "Air"), "0 truck deliveries"),
        (lambda w: (w / "iowa_town_census_2015.csv").unlink(), "--census"),
        (lambda w: change(w / "kelvins_us_cities.csv", "Ankeny", "Nowhere"), "no town 'Ankeny'"),
        (lambda w: change(w / "iowa_town_census_2015.csv", "58000", "many"), "row 5: population"),
    ],
)
def test_bad_input_gives_one_clear_error_and_no_folder(
    world: Path, spoil: Callable[[Path], None], message: str
) -> None:
    """A builder that cannot go on says what to change, and leaves nothing behind."""
    spoil(world)
    before = {path.name for path in world.iterdir()}
    result = run_build(*own_inputs(world))
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert {path.name for path in world.iterdir()} == before


@pytest.mark.parametrize(
    ("option", "value"),
    [("--horizon", "0"), ("--history-share", "1.5"), ("--reference-weeks", "51")],
)
def test_assumptions_out_of_bounds_are_refused(world: Path, option: str, value: str) -> None:
    """An assumption that makes no sense is named with its bounds, before anything is read."""
    result = run_build(*own_inputs(world), option, value)
    assert result.returncode == 2
    assert f"error: {option} {value} is not between" in result.stderr
    assert not (world / "out").exists()


def test_a_foreign_folder_is_not_replaced(world: Path) -> None:
    """A slip in --out does not cost the user a folder; an instance folder is replaced."""
    (world / "out").mkdir()
    (world / "out" / "thesis.txt").write_text("years of work")
    result = run_build(*own_inputs(world))
    assert result.returncode == 2
    assert "is no instance folder" in result.stderr
    assert (world / "out" / "thesis.txt").read_text() == "years of work"
    (world / "out" / "thesis.txt").unlink()
    assert run_build(*own_inputs(world)).returncode == 0
    assert run_build(*own_inputs(world), "--seed", "3").returncode == 0
    assert "seed 3" in (world / "out" / "instance.toml").read_text()
    assert not list(world.glob(".out-*"))
