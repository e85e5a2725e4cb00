"""Where things are: towns, counties weighted by population, distances, sites of centres."""

from __future__ import annotations

import re
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import polars as pl
from assumptions import Assumptions, BuildError
from numpy.typing import NDArray
from sales import place_key

EARTH_RADIUS = 6371.0
MOST_COMBINATIONS = 500_000
CITIES = "kelvins_us_cities.csv"

FloatArray = NDArray[np.float64]


def read_table(path: Path, columns: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    """Read the named columns of a CSV file.

    Raises:
        BuildError: If the file or a column is missing, or a value has the wrong type.
    """
    try:
        table = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).split("\n")[0]
        raise BuildError(f"{path}: cannot be read as CSV ({reason})") from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise BuildError(f"{path}: columns {missing} are missing, it has {table.columns}")
    typed = table.select(pl.col(name).cast(kind, strict=False) for name, kind in columns.items())
    for name, kind in columns.items():
        wrong = (table[name].is_not_null() & typed[name].is_null()).arg_true()
        if len(wrong):
            row = int(wrong[0])
            raise BuildError(
                f"{path}, row {row + 2}: {name} {table[name][row]!r} is no {kind.__name__}"
            )
    return typed


def read_towns(folder: Path, census: Path, state: str) -> pl.DataFrame:
    """Towns of the state: town, town_key, county, county_key, latitude, longitude, population.

    Towns listed without a county are left out (their namesake with a county stays); population
    is 0 where the census file has none, or has it as unknown (-1).

    Raises:
        BuildError: If the state has no town.
    """
    cities = read_cities(folder).filter(pl.col("state") == state).drop("state")
    cities = cities.filter(pl.col("county") != "")
    if cities.is_empty():
        raise BuildError(f"{folder / CITIES}: no town of state {state!r} with a county")
    people = (
        read_table(census, {"city": pl.String, "population": pl.Int64})
        .select(place_key("city").alias("town_key"), pl.col("population").clip(0))
        .unique("town_key", keep="first", maintain_order=True)
    )
    return (
        cities.join(people, on="town_key", how="left", maintain_order="left")
        .with_columns(pl.col("population").fill_null(0))
        .sort("county_key", "town_key")
    )


def read_cities(folder: Path) -> pl.DataFrame:
    """All cities with coordinates: state, town, town_key, county, county_key, coordinates."""
    table = read_table(
        folder / CITIES,
        {"STATE_CODE": pl.String, "CITY": pl.String, "COUNTY": pl.String}
        | {"LATITUDE": pl.Float64, "LONGITUDE": pl.Float64},
    )
    return table.select(
        pl.col("STATE_CODE").alias("state"),
        pl.col("CITY").alias("town"),
        place_key("CITY").alias("town_key"),
        pl.col("COUNTY").fill_null("").alias("county"),
        place_key("COUNTY").fill_null("").alias("county_key"),
        pl.col("LATITUDE").alias("latitude"),
        pl.col("LONGITUDE").alias("longitude"),
    ).drop_nulls(["latitude", "longitude"])


def find_town(cities: pl.DataFrame, town: str, state: str) -> tuple[float, float]:
    """Latitude and longitude of a town.

    Raises:
        BuildError: If the gazetteer does not list it.
    """
    key = re.sub("[^A-Z]", "", town.upper())
    found = cities.filter((pl.col("state") == state) & (pl.col("town_key") == key))
    if found.is_empty():
        raise BuildError(f"{CITIES} lists no town {town!r} in state {state!r}")
    return float(found["latitude"][0]), float(found["longitude"][0])


def locate_counties(towns: pl.DataFrame, wanted: list[str]) -> pl.DataFrame:
    """Population-weighted centre of each wanted county: county_key, county, coordinates.

    A county none of whose towns has a known population takes the plain mean of its towns.

    Raises:
        BuildError: If a county of the sales is not in the gazetteer.
    """
    weight = (
        pl.when(pl.col("population").sum().over("county_key") > 0)
        .then(pl.col("population"))
        .otherwise(1)
    )
    counties = (
        towns.with_columns(weight.alias("weight"))
        .group_by("county_key", maintain_order=True)
        .agg(
            pl.col("county").first(),
            *(
                ((pl.col(name) * pl.col("weight")).sum() / pl.col("weight").sum()).round(5)
                for name in ("latitude", "longitude")
            ),
        )
    )
    unknown = sorted(set(wanted) - set(counties["county_key"]))
    if unknown:
        raise BuildError(
            f"{len(unknown)} counties of the sales are not in {CITIES}: {unknown}. "
            "Correct their spelling or give --state"
        )
    return counties.filter(pl.col("county_key").is_in(wanted)).sort("county_key")


def distances(origin: pl.DataFrame, destination: pl.DataFrame) -> FloatArray:
    """Great-circle kilometres (haversine), shape (origins, destinations)."""
    here = np.radians(origin.select("latitude", "longitude").to_numpy())[:, None, :]
    there = np.radians(destination.select("latitude", "longitude").to_numpy())[None, :, :]
    half = np.sin((there - here) / 2.0) ** 2
    chord = half[..., 0] + np.cos(here[..., 0]) * np.cos(there[..., 0]) * half[..., 1]
    result: FloatArray = 2.0 * EARTH_RADIUS * np.arcsin(np.sqrt(chord))
    return result


def choose_centres(
    hub: pl.DataFrame,
    candidates: pl.DataFrame,
    counties: pl.DataFrame,
    demand: FloatArray,
    rules: Assumptions,
) -> pl.DataFrame:
    """The candidates that, with the hub, minimize demand times distance to the nearest of them.

    The p-median problem with one site given, solved by enumeration: exact, and fast enough for
    the few towns that are large enough.

    Args:
        hub: One row with latitude and longitude.
        candidates: Candidate towns.
        counties: Customers.
        demand: Litres of each county, shape (counties,).
        rules: Number of centres.

    Raises:
        BuildError: If there are too few candidates, or too many to enumerate.
    """
    count = rules.centres
    if candidates.height < count:
        raise BuildError(
            f"{candidates.height} towns have {rules.minimum_population:,} inhabitants, "
            f"{count} centres are wanted: lower --minimum-population or --centres"
        )
    choices = comb(candidates.height, count)
    if choices > MOST_COMBINATIONS:
        raise BuildError(
            f"{candidates.height} candidate towns give {choices:,} choices of {count} "
            f"(at most {MOST_COMBINATIONS:,}): raise --minimum-population or lower --centres"
        )
    subsets = np.array(list(combinations(range(candidates.height), count)), dtype=np.int64)
    reach = distances(candidates, counties)
    nearest = distances(hub, counties)[0]
    cost = np.empty(len(subsets))
    for first in range(0, len(subsets), 4096):
        block = subsets[first : first + 4096]
        served = np.minimum(nearest, reach[block].min(axis=1))
        cost[first : first + 4096] = served @ demand
    return candidates[np.sort(subsets[int(np.argmin(cost))])]
