"""The Iowa folder: rebuilt from the raw data it is the folder that ships, and it is sound."""

import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.optimize import linprog
from scipy.sparse import coo_array

from optrl.tables import check, load

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "iowa"
SHIPPED = EXAMPLE / "instance"
TABLES = ("nodes", "lanes", "items", "item_nodes", "stock", "pipeline", "resources", "arrivals")
START, HORIZON = 179, 52


def run_build(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE / "build.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def read(folder: Path) -> dict[str, pl.DataFrame]:
    tables = {name: pl.read_csv(folder / f"{name}.csv") for name in TABLES}
    return tables | {"demand": pl.read_parquet(folder / "demand.parquet")}


@pytest.fixture(scope="module")
def shipped() -> dict[str, pl.DataFrame]:
    return read(SHIPPED)


@pytest.fixture(scope="module")
def raw(shared_data: Path) -> pl.DataFrame:
    files = sorted((shared_data / "retail-iowa").glob("*_brand.csv.gz"))
    return pl.concat([pl.read_csv(file, try_parse_dates=True) for file in files])


def real_inputs(shared_data: Path) -> list[str | Path]:
    return [
        *("--sales", shared_data / "retail-iowa"),
        *("--lead-times", shared_data / "lead-times-scms" / "scms_deliveries_open.csv"),
        *("--geography", shared_data / "geography-us"),
    ]


def test_rebuilding_gives_the_shipped_folder(shared_data: Path, tmp_path: Path) -> None:
    """The shipped folder is what the program makes of the raw data, not edited by hand."""
    result = run_build(*real_inputs(shared_data), "--out", tmp_path / "instance")
    assert result.returncode == 0, result.stderr
    fresh, kept = read(tmp_path / "instance"), read(SHIPPED)
    for name, table in kept.items():
        assert fresh[name].equals(table), name
    assert (tmp_path / "instance" / "instance.toml").read_text() == (
        SHIPPED / "instance.toml"
    ).read_text()
    assert {path.name for path in (tmp_path / "instance").iterdir()} == {
        path.name for path in SHIPPED.iterdir()
    }


def test_demand_adds_up_to_the_raw_orders(
    raw: pl.DataFrame, shipped: dict[str, pl.DataFrame]
) -> None:
    """Nothing is lost or counted twice: item by item and week by week the litres are the same."""
    demand = shipped["demand"]
    orders = raw.filter(pl.col("item").is_in(demand["item"].unique().to_list()))
    weeks = (pl.col("weekStarting") - pl.col("weekStarting").min()).dt.total_days() // 7
    expected = (
        orders.with_columns(weeks.alias("period"))
        .group_by("item", "period")
        .agg(pl.col("sum_sale_liters").sum())
        .sort("item", "period")
    )
    found = demand.group_by("item", "period").agg(pl.col("quantity").sum()).sort("item", "period")
    assert found["item"].equals(expected["item"])
    np.testing.assert_array_equal(found["period"], expected["period"])
    np.testing.assert_allclose(found["quantity"], expected["sum_sale_liters"], rtol=1e-9)
    linn = demand.filter((pl.col("item") == "JIM BEAM") & (pl.col("node") == "Linn County"))
    there = raw.filter((pl.col("item") == "JIM BEAM") & (pl.col("county") == "LINN"))
    assert linn["quantity"].sum() == pytest.approx(there["sum_sale_liters"].sum(), rel=1e-9)


def test_items_are_all_those_with_enough_history(
    raw: pl.DataFrame, shipped: dict[str, pl.DataFrame]
) -> None:
    """An item is in if and only if it sold in 60 % of the weeks before, and in the last eight."""
    week = (pl.col("weekStarting") - pl.col("weekStarting").min()).dt.total_days() // 7
    history = raw.with_columns(week.alias("week")).filter(pl.col("week") < START)
    weeks = history.group_by("item").agg(pl.col("week").n_unique(), last=pl.col("week").max())
    expected = weeks.filter((pl.col("week") >= 0.6 * START) & (pl.col("last") >= START - 8))
    assert set(shipped["items"]["item"]) == set(expected["item"])


def test_the_folder_is_small_and_passes_the_check() -> None:
    """An ordinary clone can plan it: under 5 MB and without a fault."""
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 5_000_000
    assert check(SHIPPED) == ()
    instance = load(SHIPPED)
    assert len(instance.network.items) == 23
    assert (instance.start, instance.horizon) == (START, HORIZON)
    assert instance.kept_periods == HORIZON
    assert instance.demand.quantity.sum() == pytest.approx(
        pl.read_parquet(SHIPPED / "demand.parquet")["quantity"].sum()
    )


def test_no_exchange_of_a_centre_shortens_the_way_to_demand(
    shared_data: Path, shipped: dict[str, pl.DataFrame]
) -> None:
    """The centres solve the p-median problem: no other large town improves on any of them."""
    nodes = shipped["nodes"]
    counties = nodes.filter(pl.col("kind") == "customer")
    demand = (
        shipped["demand"]
        .filter(pl.col("period") < START)
        .group_by("node")
        .agg(pl.col("quantity").sum())
        .sort("node")
    )
    assert demand["node"].equals(counties["node"])
    people = pl.read_csv(shared_data / "retail-iowa" / "iowa_town_census_2015.csv")
    large = people.filter(pl.col("population") >= 20_000)["city"].to_list()
    cities = pl.read_csv(shared_data / "geography-us" / "kelvins_us_cities.csv").filter(
        (pl.col("STATE_CODE") == "IA") & pl.col("CITY").str.to_uppercase().is_in(large)
    )

    def unit(latitude: pl.Series, longitude: pl.Series) -> np.ndarray:
        a, b = np.radians(latitude.to_numpy()), np.radians(longitude.to_numpy())
        return np.column_stack([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)])

    there = unit(counties["latitude"], counties["longitude"])
    depots = nodes.filter(pl.col("kind") == "stocking")
    chosen = np.arccos(unit(depots["latitude"], depots["longitude"]) @ there.T)
    other = np.arccos(unit(cities["LATITUDE"], cities["LONGITUDE"]) @ there.T)
    cost = chosen.min(axis=0) @ demand["quantity"].to_numpy()
    assert len(chosen) == 6
    for out, into in product(range(1, 6), range(len(other))):
        exchanged = np.minimum(np.delete(chosen, out, axis=0).min(axis=0), other[into])
        assert exchanged @ demand["quantity"].to_numpy() >= cost * (1 - 1e-9)


def test_lead_times_and_delays_agree(shipped: dict[str, pl.DataFrame]) -> None:
    """Orders arrive whole, never early, and the planned lead time is the rounded mean."""
    arrivals = shipped["arrivals"].join(shipped["lanes"], on=["origin", "destination"])
    assert (arrivals["delay"] >= arrivals["lead_time"]).all()
    lane = arrivals.group_by("origin").agg(
        total=pl.col("probability").sum(),
        expected=(pl.col("probability") * pl.col("fraction")).sum(),
        mean=(pl.col("probability") * pl.col("delay")).sum(),
        planned=pl.col("lead_time").first(),
    )
    assert lane.height == 7
    np.testing.assert_allclose(lane["total"], 1.0, atol=1e-12)
    np.testing.assert_allclose(lane["expected"], 1.0, atol=1e-12)
    np.testing.assert_array_equal(lane["mean"].round(0), lane["planned"])


def test_no_chain_of_shipments_earns_terminal_value(shipped: dict[str, pl.DataFrame]) -> None:
    """Buying or moving stock only to hold it when the horizon ends never pays."""
    items, lanes, item_nodes = (shipped[name] for name in ("items", "lanes", "item_nodes"))
    hub = "Ankeny warehouse"
    own = items.select("item", pl.lit(hub).alias("node"), "terminal_value")
    value = pl.concat([own, item_nodes.select("item", "node", "terminal_value")])
    goods = items.select("item", "weight", "unit_cost", "supplier")
    moves = lanes.filter(pl.col("lead_time") > 0).join(goods, how="cross")
    moves = (
        moves.join(value, left_on=["item", "destination"], right_on=["item", "node"])
        .join(
            value.rename({"terminal_value": "left"}),
            left_on=["item", "origin"],
            right_on=["item", "node"],
            how="left",
        )
        .filter((pl.col("origin") == pl.col("supplier")) | pl.col("left").is_not_null())
        .with_columns(pl.coalesce("left", "unit_cost").alias("before"))
    )
    paid = moves["before"] + moves["weight"] * moves["cost"]
    assert moves.height == 23 * (1 + lanes.filter(pl.col("lead_time") == 1).height)
    assert (moves["terminal_value"] < paid).all()


def test_first_stock_fits_its_storage(shipped: dict[str, pl.DataFrame]) -> None:
    """Planning starts from a state that every storage can hold."""
    room = shipped["resources"].filter(pl.col("kind") == "storage").select("node", "capacity")
    held = shipped["stock"].group_by("node").agg(pl.col("quantity").sum()).join(room, on="node")
    assert held.height == 6
    assert (held["quantity"] < held["capacity"]).all()
    assert (held["quantity"] > 0.4 * held["capacity"]).all()


def test_peaks_exceed_capacity_yet_all_demand_can_be_served(
    shipped: dict[str, pl.DataFrame],
) -> None:
    """Resources bind, not forbid: peak weeks exceed them, and preparing for peaks serves all.

    Least lost litres of the flow summed over items, knowing demand: hub to centres to counties
    under every throughput limit and storage; the hub buys under its inbound limit and the budget
    at the mean purchase cost, with the mean lead time.
    """
    lanes, resources = shipped["lanes"], shipped["resources"]
    nodes = shipped["nodes"]
    depots = nodes.filter(pl.col("kind") == "stocking")["node"].to_list()
    counties = nodes.filter(pl.col("kind") == "customer")["node"].to_list()
    capacity = {
        (kind, node): value
        for kind, node, value in resources.select("kind", "node", "capacity").iter_rows()
    }
    kept = shipped["demand"].filter(pl.col("period") >= START).join(shipped["items"], on="item")
    demand = np.zeros((len(counties), HORIZON))
    where = kept["node"].replace_strict({name: row for row, name in enumerate(counties)})
    np.add.at(
        demand, (where.to_numpy(), kept["period"].to_numpy() - START), kept["quantity"].to_numpy()
    )
    hub = depots[0]
    weekly = demand.sum(axis=0)
    assert 5 <= (weekly > capacity["outbound", hub]).sum() <= 20
    assert weekly.mean() < 0.92 * capacity["outbound", hub]

    supply = kept.join(lanes, left_on="supplier", right_on="origin")
    weight = supply["quantity"] / supply["quantity"].sum()
    lead = round(float((weight * supply["lead_time"]).sum()))
    price = float((weight * supply["unit_cost"]).sum())
    buy = min(capacity["inbound", hub], capacity["budget", None] / price)

    pairs = lanes.select("origin", "destination").rows()
    moves = [pair for pair in pairs if pair[0] in depots]
    inner = {index for index, (_, end) in enumerate(moves) if end in depots}
    columns = len(moves) + len(depots) + 1 + len(counties)  # moves, stock, purchase, lost
    stock, purchase, lost = len(moves), len(moves) + len(depots), len(moves) + len(depots) + 1
    equal: list[tuple[int, int, float]] = []
    below: list[tuple[int, int, float]] = []
    right, limit = [], []
    first = dict(shipped["stock"].group_by("node").agg(pl.col("quantity").sum()).iter_rows())
    due = dict(shipped["pipeline"].group_by("period").agg(pl.col("quantity").sum()).iter_rows())
    for week, (row, node) in product(range(HORIZON), enumerate(depots)):
        at = len(right)
        equal.append((at, week * columns + stock + row, 1.0))
        if week:
            equal.append((at, (week - 1) * columns + stock + row, -1.0))
        for index, (start, end) in enumerate(moves):
            if start == node:
                equal.append((at, week * columns + index, 1.0))
            elif end == node and week:
                equal.append((at, (week - 1) * columns + index, -1.0))
        if node == hub and week >= lead:
            equal.append((at, (week - lead) * columns + purchase, -1.0))
        arriving = due.get(START + week, 0.0) if node == hub else 0.0
        right.append(arriving + (0.0 if week else first[node]))
        for kind, end in (("outbound", 0), ("inbound", 1)):
            using = [i for i, pair in enumerate(moves) if pair[end] == node]
            below += [(len(limit), week * columns + i, 1.0) for i in using]
            limit.append(capacity[kind, node])
    for week, (row, county) in product(range(HORIZON), enumerate(counties)):
        at = len(right)
        for index, (_, end) in enumerate(moves):
            if end == county:
                equal.append((at, week * columns + index, 1.0))
        equal.append((at, week * columns + lost + row, 1.0))
        right.append(demand[row, week])
    upper = np.full(columns, np.inf)
    upper[stock:purchase] = [capacity["storage", node] for node in depots]
    upper[purchase] = buy
    cost = np.zeros(columns)
    cost[lost:] = 1.0
    cost[sorted(inner)] = 1e-4

    def matrix(entries: list[tuple[int, int, float]], rows: int) -> coo_array:
        i, j, value = zip(*entries, strict=True)
        return coo_array((value, (i, j)), shape=(rows, columns * HORIZON))

    solved = linprog(
        np.tile(cost, HORIZON),
        A_ub=matrix(below, len(limit)),
        b_ub=limit,
        A_eq=matrix(equal, len(right)),
        b_eq=right,
        bounds=np.column_stack([np.zeros(columns * HORIZON), np.tile(upper, HORIZON)]),
        method="highs",
    )
    assert solved.status == 0
    flow = solved.x.reshape(HORIZON, columns)
    assert flow[:, lost:].sum() < 1e-6 * demand.sum()
    sent = flow[:, [i for i, (start, _) in enumerate(moves) if start == hub]].sum(axis=1)
    assert (sent > capacity["outbound", hub] - 1e-6).sum() >= 1
