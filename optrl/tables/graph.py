"""An instance from a NetworkX graph of the user's own, through the same check as a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
from optrl_formulations.network import Unmet

from optrl.errors import Fault, InstanceError
from optrl.instance import DemandFamily, Instance
from optrl.tables.building import build_instance
from optrl.tables.cells import absent_table, read_cells
from optrl.tables.faults import FaultList, Table
from optrl.tables.folder import check_tables
from optrl.tables.schema import LANES, NODES
from optrl.tables.settings import check_settings


def from_graph(
    graph: nx.DiGraph[str],
    items: pl.DataFrame,
    demand: pl.DataFrame | None = None,
    *,
    name: str,
    period: str,
    periods_per_year: float,
    start: int,
    horizon: int,
    unmet: Unmet,
    money: str = "money",
    quantity: str = "units",
    discount: float = 1.0,
    demand_family: DemandFamily = "negative_binomial",
    season: int = 0,
    frozen_periods: int = 0,
    notes: Mapping[str, str] | None = None,
    item_nodes: pl.DataFrame | None = None,
    item_lanes: pl.DataFrame | None = None,
    forecast: pl.DataFrame | None = None,
    stock: pl.DataFrame | None = None,
    backlog: pl.DataFrame | None = None,
    pipeline: pl.DataFrame | None = None,
    resources: pl.DataFrame | None = None,
    capacities: pl.DataFrame | None = None,
    resource_use: pl.DataFrame | None = None,
    calendar: pl.DataFrame | None = None,
    frozen: pl.DataFrame | None = None,
    arrivals: pl.DataFrame | None = None,
) -> Instance:
    """Check a graph and tables and build the instance they describe.

    Node and lane attributes are the columns of the tables nodes and lanes, with the same defaults.
    Settings and tables are those of the instance folder.

    Args:
        graph: Directed graph; nodes carry ``kind``, lanes ``lead_time`` and what else applies.
        items: The items table.
        demand: The demand table.
        name: See `optrl.instance.Instance`, as for all other settings.
        period: What one period is.
        periods_per_year: To annualize turns.
        start: First period to plan.
        horizon: Number of periods to plan.
        unmet: What becomes of unmet demand.
        money: Currency.
        quantity: Unit of quantity.
        discount: Factor by which costs count less a period later.
        demand_family: How demand is fitted.
        season: Periods of a season, 0 for none.
        frozen_periods: Periods in which orders are already fixed.
        notes: What is real and what is assumed.
        item_nodes: Table of that name in the instance folder, as for all that follow.
        item_lanes: As above.
        forecast: As above.
        stock: As above.
        backlog: As above.
        pipeline: As above.
        resources: As above.
        capacities: As above.
        resource_use: As above.
        calendar: As above.
        frozen: As above.
        arrivals: As above.

    Raises:
        InstanceError: If anything is wrong; lists every fault. Rows of tables are counted as in a
            file, the header being row 1; nodes and lanes are named.
    """
    faults = FaultList()
    values = {
        "name": name,
        "period": period,
        "periods_per_year": periods_per_year,
        "start": start,
        "horizon": horizon,
        "unmet": unmet,
        "money": money,
        "quantity": quantity,
        "discount": discount,
        "demand_family": demand_family,
        "season": season,
        "frozen_periods": frozen_periods,
        "notes": dict(notes or {}),
    }
    given = {
        "items": items,
        "demand": demand,
        "item_nodes": item_nodes,
        "item_lanes": item_lanes,
        "forecast": forecast,
        "stock": stock,
        "backlog": backlog,
        "pipeline": pipeline,
        "resources": resources,
        "capacities": capacities,
        "resource_use": resource_use,
        "calendar": calendar,
        "frozen": frozen,
        "arrivals": arrivals,
    }
    frames: dict[str, pl.DataFrame | Table] = {
        table: frame for table, frame in given.items() if frame is not None
    }
    settings, known = check_settings(values, "settings", faults)
    frames |= graph_tables(graph, faults)
    tables = check_tables(
        settings, known, frames, {table: table for table in frames}, "settings", faults
    )
    if faults.faults or settings is None:
        raise InstanceError(faults.faults)
    return build_instance(settings, tables)


def graph_tables(graph: nx.DiGraph[str], faults: FaultList) -> dict[str, Table]:
    """The nodes and lanes tables of a graph, their cells checked."""
    if not graph.is_directed() or graph.is_multigraph():
        kind = type(graph).__name__
        remedy = "Use networkx.DiGraph, with one lane from a node to another."
        faults.add(Fault("graph", None, None, kind, "is no simple directed graph", remedy))
        return {schema.name: absent_table(schema, usable=False) for schema in (NODES, LANES)}
    strange = [node for node in graph.nodes if not isinstance(node, str)]
    if strange:
        remedy = "Rename the nodes: networkx.relabel_nodes(graph, str)."
        problem = f"{len(strange)} node names are not texts"
        faults.add(Fault("graph nodes", None, "node", repr(strange[0]), problem, remedy))
        return {schema.name: absent_table(schema, usable=False) for schema in (NODES, LANES)}
    nodes = _frame({"node": list(graph.nodes)}, [data for _, data in graph.nodes(data=True)])
    ends = list(graph.edges)
    lanes = _frame(
        {"origin": [u for u, _ in ends], "destination": [v for _, v in ends]},
        [data for _, _, data in graph.edges(data=True)],
    )
    return {
        "nodes": read_cells(NODES, "graph nodes", nodes, faults, numbered=False),
        "lanes": read_cells(LANES, "graph lanes", lanes, faults, numbered=False),
    }


def _frame(names: dict[str, list[str]], attributes: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    keys = dict.fromkeys(key for data in attributes for key in data)
    columns = {name: pl.Series(values, dtype=pl.String) for name, values in names.items()}
    for key in keys:
        columns[str(key)] = _series([data.get(key) for data in attributes])
    return pl.DataFrame(columns)


def _series(values: list[Any]) -> pl.Series:  # attributes of any type
    """Numbers or truth values as such if all are; else texts, whose cells are then judged."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, bool | np.bool_) for value in known):
        return pl.Series([None if v is None else bool(v) for v in values], dtype=pl.Boolean)
    numbers = int | float | np.integer | np.floating
    if all(isinstance(v, numbers) and not isinstance(v, bool) for v in known):
        return pl.Series([None if v is None else float(v) for v in values], dtype=pl.Float64)
    return pl.Series([None if v is None else str(v) for v in values], dtype=pl.String)
