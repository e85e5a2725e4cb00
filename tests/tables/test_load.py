"""An instance folder becomes the arrays that its tables describe."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import polars as pl
import pytest

import optrl.tables
from optrl.errors import InstanceError
from optrl.instance import Instance
from optrl.tables import from_graph, load, schema_markdown
from optrl.tables.building import quantile_mean
from optrl.tables.schema import TABLES


@pytest.fixture
def tiny(tiny_folder: Path) -> Instance:
    """The tiny folder, loaded."""
    return load(tiny_folder)


def test_settings(tiny: Instance) -> None:
    """Settings arrive as they stand in the file."""
    assert (tiny.name, tiny.period, tiny.money, tiny.quantity) == ("tiny", "week", "EUR", "cases")
    assert (tiny.start, tiny.horizon, tiny.season, tiny.periods_per_year) == (10, 4, 4, 52)
    assert (tiny.network.unmet, tiny.network.discount) == ("backorder", 0.99)
    assert tiny.demand_family == "quantile"
    assert tiny.notes == {"demand": "made up", "costs": 'made up "too"'}


def test_lanes_in_graph_order(tiny: Instance) -> None:
    """Lane arrays follow the order in which the graph lists its lanes, not that of the file."""
    network = tiny.network
    assert network.lanes == tuple(network.graph.edges)
    assert network.lanes.index(("east", "hill, old")) < network.lanes.index(("west", "town"))
    by_name = dict(zip(network.lanes, network.lane_cost[2], strict=True))
    assert by_name[("east", "hill, old")] == 0.04
    assert by_name[("west", "town")] == 0.02
    assert dict(zip(network.lanes, network.lead_time, strict=True))[("port", "hub")] == 3


def test_costs_by_measure_and_override(tiny: Instance) -> None:
    """A lane's cost is counted by volume or weight unless item_lanes says it by unit."""
    network = tiny.network
    mill, port = network.lanes.index(("mill", "hub")), network.lanes.index(("port", "hub"))
    np.testing.assert_array_equal(network.lane_cost[:, mill], [0.1 * 1.5, 0.33, 0.1 * 2.1])
    np.testing.assert_array_equal(network.lane_cost[:, port], [0.3 * 2, 0.3 * 0.3, 0.3 * 5])
    np.testing.assert_array_equal(network.fixed_cost[:, mill], [5, 7, 5])
    np.testing.assert_array_equal(network.lot_size[:, mill], [0, 10, 0])
    np.testing.assert_array_equal(network.maximum_quantity[:, mill], [np.inf, 400, np.inf])
    np.testing.assert_array_equal(network.maximum_quantity[:, port], [500] * 3)
    # Soap names the mill as its supplier, rope is not allowed from the port.
    np.testing.assert_array_equal(network.allowed[:, mill], [True, True, True])
    np.testing.assert_array_equal(network.allowed[:, port], [False, True, False])
    assert network.allowed[:, network.lanes.index(("hub", "east"))].all()


def test_item_nodes(tiny: Instance) -> None:
    """Item values hold at all nodes but where item_nodes replaces them."""
    network, at = tiny.network, tiny.network.node_index
    assert network.shortage_cost[0, at["town"]] == 8
    assert network.shortage_cost[0, at["lake"]] == 4
    assert network.service_level[0, at["town"]] == 0.9
    assert np.count_nonzero(network.service_level) == 1
    assert network.terminal_value[1, at["hub"]] == 3.5
    assert network.terminal_value[2, at["hub"]] == -0.5
    assert network.supply_capacity[1, at["port"]] == 300
    assert np.isinf(network.supply_capacity).sum() == network.supply_capacity.size - 1


def test_state(tiny: Instance) -> None:
    """What arrives in the first period is stock; later arrivals count from the period after."""
    at = tiny.network.node_index
    assert tiny.on_hand[0, at["hub"]] == 45
    assert tiny.on_hand.sum() == 57
    assert tiny.due.shape == (3, 8, 2)
    assert (tiny.due[0, at["hub"], 0], tiny.due[2, at["hub"], 1]) == (6, 7)
    assert tiny.due.sum() == 13
    assert tiny.backlog[0, at["town"]] == tiny.backlog.sum() == 1.5
    lane = tiny.network.lanes.index(("mill", "hub"))
    assert tiny.frozen.shape == (3, 9, 2)
    assert tiny.frozen[0, lane, 0] == 30
    assert tiny.network.closed == {(tiny.network.lanes.index(("port", "hub")), 11)}


def test_demand_and_forecast(tiny: Instance) -> None:
    """Absent rows are zero; demand nodes are those of both tables."""
    names = [tiny.network.nodes[v] for v in tiny.demand.nodes]
    assert names == ["east", "town", "lake", "hill, old"]
    assert (tiny.demand.first_period, tiny.demand.periods, tiny.kept_periods) == (0, 13, 3)
    assert tiny.history.shape == (3, 4, 10)
    assert tiny.history.sum() == 18.5
    assert tiny.demand.quantity[0, 1, 5] == 4.5
    forecast = tiny.forecast
    assert forecast is not None
    assert forecast.mean.shape == (3, 4, 4)
    assert forecast.mean[1, 2, 3] == 2
    assert forecast.standard_deviation is not None
    assert forecast.standard_deviation[1, 2, 3] == 0.5
    assert forecast.probabilities is not None
    assert forecast.quantiles is not None
    np.testing.assert_array_equal(forecast.probabilities, [0.1, 0.5, 0.9])
    np.testing.assert_array_equal(forecast.quantiles[1, 2, 3], [1, 2, 3.5])


def test_resources(tiny: Instance) -> None:
    """Consumption, capacity calendar and set-up time of each resource."""
    space, east, dock, west, truck, budget = tiny.network.resources
    np.testing.assert_array_equal(space.use, [1.5, 0.7, 2.1])
    np.testing.assert_array_equal(west.use, [1, 1, 2])
    np.testing.assert_array_equal(budget.use, [3, 5, 2])
    np.testing.assert_array_equal(budget.capacity_at(10, 4), [600, 400, 600, 600])
    np.testing.assert_array_equal(dock.capacity_at(11, 3), [80, 0, 80])
    assert (space.overflow_cost, east.overflow_cost) == (float("inf"), 1.5)
    assert [r.takes_setup_time for r in (space, dock, west, truck)] == [False, True, False, True]
    assert truck.lane == tiny.network.lanes.index(("hub", "east"))


def test_arrivals(tiny: Instance) -> None:
    """A profile may deliver late, in parts and in part."""
    (profile,) = tiny.arrivals
    np.testing.assert_array_equal(profile.probability, [0.75, 0.25])
    np.testing.assert_array_equal(profile.fraction, [[0, 0, 1, 0, 0], [0, 0, 0, 0.5, 0.4]])


def test_parquet_with_narrow_types(tiny_folder: Path, tiny: Instance) -> None:
    """Parquet columns of other types of number, and categories as names, load the same."""
    frame = pl.read_csv(tiny_folder / "demand.csv")
    frame = frame.cast({"item": pl.Categorical, "period": pl.Int16, "quantity": pl.Float32})
    (tiny_folder / "demand.csv").unlink()
    frame.write_parquet(tiny_folder / "demand.parquet")
    assert optrl.tables.differences(load(tiny_folder), tiny) == ()


def test_forecast_of_quantiles_alone(tiny_folder: Path) -> None:
    """Without a mean column the mean is that of the quantile function."""
    text = "item,node,period,q25,q75\nsoap,town,13,4,8\n"
    (tiny_folder / "forecast.csv").write_text(text)
    forecast = load(tiny_folder).forecast
    assert forecast is not None
    assert forecast.standard_deviation is None
    # a quarter of the mass at 4, a quarter at 8, half uniform between them
    assert forecast.mean[0, 1, 3] == 0.25 * 4 + 0.5 * 6 + 0.25 * 8


def test_quantile_mean_of_the_uniform() -> None:
    """The mean of dense quantiles of a distribution approaches its mean."""
    levels = np.arange(0.005, 1, 0.01)
    assert quantile_mean(levels, 10 * levels) == pytest.approx(5)
    exponential = quantile_mean(levels, -np.log1p(-levels))
    assert exponential == pytest.approx(1, abs=0.01)


def test_byte_order_mark(tiny_folder: Path, tiny: Instance) -> None:
    """Files as spreadsheets save them, with a byte order mark and CRLF, load the same."""
    for path in tiny_folder.glob("*.csv"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert optrl.tables.differences(load(tiny_folder), tiny) == ()


def test_a_table_without_history(tiny_folder: Path) -> None:
    """A forecast alone is enough, and then there is no observed demand."""
    (tiny_folder / "demand.csv").unlink()
    instance = load(tiny_folder)
    assert instance.demand.quantity.shape == (3, 2, 0)
    assert instance.history.shape == (3, 2, 0)


def graph_of(instance: Instance) -> nx.DiGraph[str]:
    """A user's graph with the least that is asked for."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    for node in instance.network.nodes:
        graph.add_node(node, kind=instance.network.graph.nodes[node]["kind"])
    for lane, data in instance.network.graph.edges.items():
        graph.add_edge(*lane, **data)
    return graph


SETTINGS = {"name": "mine", "period": "week", "periods_per_year": 52, "start": 10, "horizon": 4}


def test_from_graph_equals_the_folder(tiny_folder: Path, tiny: Instance) -> None:
    """A graph with the folder's lanes, and the folder's tables as frames, is the same instance."""
    frames = {
        path.stem: pl.read_csv(path)
        for path in tiny_folder.glob("*.csv")
        if path.stem not in ("nodes", "lanes")
    }
    made = from_graph(
        graph_of(tiny),
        **frames,
        **{**SETTINGS, "name": "tiny", "unmet": "backorder"},
        money="EUR",
        quantity="cases",
        discount=0.99,
        demand_family="quantile",
        season=4,
        frozen_periods=2,
        notes=tiny.notes,
    )
    assert optrl.tables.differences(made, tiny) == ()


def test_from_graph_names_the_lane(tiny: Instance) -> None:
    """Faults of a graph name the node or lane; its own check is that of the folder."""
    graph = graph_of(tiny)
    graph.nodes["port"]["kind"] = "vendor"
    graph.edges["hub", "east"]["lead_time"] = -1
    graph.edges["hub", "west"]["cost"] = "cheap"
    graph.edges["east", "town"]["cots"] = 3
    items = pl.DataFrame({"item": ["soap"], "volume": [1.0], "weight": [1.0]})
    demand = pl.DataFrame({"item": ["sope"], "node": ["town"], "period": [9], "quantity": [1]})
    with pytest.raises(InstanceError) as raised:
        from_graph(graph, items, demand, **{**SETTINGS, "unmet": "lost", "horizon": 0})
    found = {(f.table, f.row, f.column): f for f in raised.value.faults}
    assert set(found) == {
        ("settings", None, "horizon"),
        ("graph nodes", None, "kind"),
        ("graph lanes", None, "cots"),
        ("graph lanes", None, "lead_time"),
        ("graph lanes", None, "cost"),
        ("demand", 2, "item"),
    }
    assert found["graph lanes", None, "lead_time"].problem.startswith("hub -> east: ")
    assert found["graph nodes", None, "kind"].problem.startswith("port: ")
    assert found["graph lanes", None, "cots"].remedy == "Did you mean 'cost'?"


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (nx.Graph([("a", "b")]), "directed"),
        (nx.MultiDiGraph([("a", "b")]), "directed"),
        (nx.DiGraph([(1, 2)]), "not texts"),
        (nx.DiGraph([("a", "b")]), "column is missing"),
    ],
)
def test_from_graph_of_another_kind(graph: nx.DiGraph[str], words: str) -> None:
    """Graphs that cannot be a network are refused with what to use instead."""
    items = pl.DataFrame({"item": ["soap"]})
    demand = pl.DataFrame({"item": ["soap"], "node": ["b"], "period": [9], "quantity": [1]})
    with pytest.raises(InstanceError, match=words):
        from_graph(graph, items, demand, **{**SETTINGS, "unmet": "lost"})


def test_markdown_covers_the_schema() -> None:
    """The generated documentation has a row for every column of every table."""
    text = schema_markdown()
    for table in TABLES:
        part = text.split(f"### {table.name}")[1].split("###")[0]
        for column in table.columns:
            assert f"| `{column.name}` |" in part
