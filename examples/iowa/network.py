"""The nodes and lanes: suppliers, the hub, regional centres, counties."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from assumptions import Assumptions, BuildError
from geography import (
    FloatArray,
    choose_centres,
    distances,
    find_town,
    locate_counties,
    read_cities,
    read_table,
    read_towns,
)
from numpy.typing import NDArray

PLACE = ("node", "kind", "latitude", "longitude")


@dataclass(frozen=True)
class Sites:
    """Nodes by role, each with columns node, kind, latitude, longitude.

    Attributes:
        suppliers: One row a brand, in brand order; also column brand.
        depots: The hub, then the regional centres: all that hold stock.
        counties: One row a county; also column county_key.
        missing: Brands whose supplier stands at the default site.
    """

    suppliers: pl.DataFrame
    depots: pl.DataFrame
    counties: pl.DataFrame
    missing: list[str]

    @property
    def hub(self) -> str:
        """Name of the hub."""
        return str(self.depots["node"][0])

    @property
    def centres(self) -> list[str]:
        """Names of the regional centres."""
        return self.depots["node"].to_list()[1:]

    def nearest_depot(self) -> NDArray[np.int64]:
        """Index into `depots` of each county's nearest, shape (counties,)."""
        result: NDArray[np.int64] = distances(self.depots, self.counties).argmin(axis=0)
        return result


def place_suppliers(
    brands: list[str], sites: Path, cities: pl.DataFrame
) -> tuple[pl.DataFrame, list[str]]:
    """One supplier a brand at the town that `sites` names; others at its row for brand ``*``.

    Raises:
        BuildError: If a brand has no row and there is no row ``*``, or a town is unknown.
    """
    table = read_table(sites, dict.fromkeys(("brand", "town", "state"), pl.String))
    town = {brand: (name, state) for brand, name, state in table.iter_rows()}
    missing = [brand for brand in brands if brand not in town]
    if missing and "*" not in town:
        raise BuildError(f"{sites}: no row for the brands {missing}, nor one for brand '*'")
    at = [find_town(cities, *town.get(brand, town.get("*", ("", "")))) for brand in brands]
    frame = pl.DataFrame(
        {
            "brand": brands,
            "node": [f"{brand} supplier" for brand in brands],
            "kind": ["supplier"] * len(brands),
            "latitude": [latitude for latitude, _ in at],
            "longitude": [longitude for _, longitude in at],
        }
    )
    return frame, missing


def place_sites(
    sales: pl.DataFrame,
    start: int,
    geography: Path,
    census: Path,
    supplier_sites: Path,
    rules: Assumptions,
) -> Sites:
    """Locate everything; centres are chosen on the demand before the start."""
    cities = read_cities(geography)
    towns = read_towns(geography, census, rules.state)
    counties = locate_counties(towns, sales["county"].unique().sort().to_list())
    litres = sales.filter(pl.col("period") < start).group_by("county")
    demand = counties.join(
        litres.agg(pl.col("litres").sum()),
        left_on="county_key",
        right_on="county",
        how="left",
        maintain_order="left",
    )["litres"].fill_null(0.0)
    latitude, longitude = find_town(cities, rules.hub, rules.state)
    hub = pl.DataFrame({"town": [rules.hub], "latitude": [latitude], "longitude": [longitude]})
    candidates = towns.filter(pl.col("population") >= rules.minimum_population).filter(
        pl.col("town") != rules.hub
    )
    centres = choose_centres(hub, candidates, counties, demand.to_numpy(), rules)
    depots = pl.concat(
        [
            hub.with_columns((pl.col("town") + " warehouse").alias("node")),
            centres.select("town", "latitude", "longitude", (pl.col("town") + " DC").alias("node")),
        ]
    )
    suppliers, missing = place_suppliers(
        sales["brand"].unique().sort().to_list(), supplier_sites, cities
    )
    return Sites(
        suppliers=suppliers,
        depots=depots.with_columns(pl.lit("stocking").alias("kind")).select(PLACE),
        counties=counties.with_columns(
            (pl.col("county") + " County").alias("node"), pl.lit("customer").alias("kind")
        ).select(*PLACE, "county_key"),
        missing=missing,
    )


def serving_choice(reach: FloatArray, rules: Assumptions) -> list[tuple[int, int]]:
    """Which depot may serve which county, given distances of shape (depots, counties).

    The nearest few, and further ones that are hardly farther than the last of these.
    """
    order = np.argsort(reach, axis=0, kind="stable")
    least = min(rules.serving_least, len(reach))
    pairs = []
    for county in range(reach.shape[1]):
        limit = rules.serving_reach * reach[order[least - 1, county], county]
        for rank in range(min(rules.serving_most, len(reach))):
            depot = int(order[rank, county])
            if rank < least or reach[depot, county] <= limit:
                pairs.append((depot, county))
    return pairs


def build_lanes(sites: Sites, lead_time: dict[str, int], rules: Assumptions) -> pl.DataFrame:
    """Lanes with lead time in weeks and cost in dollars a kilogram.

    Suppliers ship to the hub, the hub to the centres, centres to their nearest centres (both
    ways), depots to the counties near them.
    """
    names = sites.depots["node"].to_list()
    rows: list[tuple[str, str, int, float]] = []

    def add(origin: str, destination: str, weeks: int, kilometres: float, rate: float) -> None:
        cost = rules.handling_rate + rate * rules.road_factor * kilometres
        rows.append((origin, destination, weeks, round(cost, 5)))

    supply = distances(sites.suppliers, sites.depots[:1])[:, 0]
    for supplier, kilometres in zip(sites.suppliers["node"], supply, strict=True):
        add(supplier, names[0], lead_time[supplier], kilometres, rules.line_haul_rate)
    between = distances(sites.depots, sites.depots)
    for centre in range(1, len(names)):
        add(names[0], names[centre], 1, between[0, centre], rules.line_haul_rate)
    apart = between.copy()
    np.fill_diagonal(apart, np.inf)
    apart[0] = apart[:, 0] = np.inf
    near = np.argsort(apart[1:], axis=1, kind="stable")[:, : rules.neighbours]
    pairs = {(u + 1, int(v)) for u in range(len(near)) for v in near[u] if apart[u + 1, v] < np.inf}
    for u, v in sorted(pairs | {(v, u) for u, v in pairs}):
        add(names[u], names[v], 1, between[u, v], rules.line_haul_rate)
    reach = distances(sites.depots, sites.counties)
    counties = sites.counties["node"].to_list()
    for depot, county in serving_choice(reach, rules):
        add(names[depot], counties[county], 0, reach[depot, county], rules.delivery_rate)
    schema = {"origin": pl.String, "destination": pl.String}
    return pl.DataFrame(
        rows, schema=schema | {"lead_time": pl.Int64, "cost": pl.Float64}, orient="row"
    ).with_columns(pl.lit("weight").alias("cost_per"))
