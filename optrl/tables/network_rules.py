"""Rules on the network as a whole: cycles and what can be reached."""

from __future__ import annotations

import networkx as nx
import numpy as np
import polars as pl
from optrl_formulations.network import BoolArray

from optrl.tables.coefficients import allowed, node_quantities
from optrl.tables.faults import ROW, FaultList
from optrl.tables.references import Tables

_c = pl.col


def check_network(tables: Tables, faults: FaultList) -> None:
    """Check cycles and reach, as far as nodes and lanes are sound enough to judge."""
    _check_cycles(tables, faults)
    _check_reach(tables, faults)


def _check_cycles(tables: Tables, faults: FaultList) -> None:
    instant = tables["arrivals"].filter((_c("delay") == 0) & (_c("fraction") > 0))
    lanes = tables.lanes.filter(
        (_c("origin_index") != _c("destination_index"))
        & (
            (_c("lead_time") == 0)
            | _c("lane_index").is_in(instant["lane_index"].drop_nulls().implode())
        )
    )
    rows = {(u, v): row for u, v, row in lanes.select("origin", "destination", ROW).iter_rows()}
    graph: nx.DiGraph[str] = nx.DiGraph(list(rows))
    for component in nx.strongly_connected_components(graph):
        if len(component) < 2:
            continue
        part = graph.subgraph(component)
        cycle = list(nx.find_cycle(part))
        path = " -> ".join([*(edge[0] for edge in cycle), cycle[-1][1]])
        first = min(rows[edge[0], edge[1]] for edge in cycle)
        faults.add_rows(
            tables.tables["lanes"],
            lanes.filter(_c(ROW) == first),
            "lead_time",
            _literal(f"lanes with lead time 0 form a cycle: {path}"),
            "Give one lane of the cycle a lead time of at least 1.",
        )


def _check_reach(tables: Tables, faults: FaultList) -> None:
    nodes, lanes = tables.tables["nodes"], tables.tables["lanes"]
    sound = nodes.usable and lanes.usable and tables.tables["items"].usable
    if (
        not sound
        or nodes.frame.select("node", "kind").null_count().row(0) != (0, 0)
        or lanes.frame["lane_index"].null_count()
        or not tables.names["items"]
    ):
        return
    leaving = lanes.frame["origin"].implode()
    faults.add_rows(
        nodes,
        nodes.frame.filter((_c("kind") == "supplier") & ~_c("node").is_in(leaving)),
        "node",
        "no lane leaves the supplier",
        "Add a lane or remove the node.",
    )
    reached = reach(tables)
    anything: BoolArray = np.any(reached, axis=0)
    index = {name: position for position, name in enumerate(tables.names["nodes"])}
    lonely = pl.Series([not anything[index[name]] for name in nodes.frame["node"]])
    faults.add_rows(
        nodes,
        nodes.frame.filter(lonely & (_c("kind") != "supplier")),
        "node",
        "nothing can reach the node: it has no stock and no lanes lead to it from a supplier",
        "Add lanes, or remove the node and what refers to it.",
    )
    for name in ("demand", "forecast"):
        table = tables.tables[name]
        values = [column for column in table.frame.columns if column in ("quantity", "mean")]
        values += [c for c in table.frame.columns if c[0] == "q" and c[1:].isdigit()]
        if not values:
            continue
        rows = table.frame.drop_nulls(["item_index", "node_index"])
        rows = rows.filter(pl.any_horizontal(_c(column) > 0 for column in values))
        i, v = rows["item_index"].to_numpy(), rows["node_index"].to_numpy()
        bad = rows.filter(pl.Series(~reached[i, v] & anything[v])) if rows.height else rows
        bad = bad.filter(_c("node_kind") != "supplier")
        faults.add_rows(
            table,
            bad.unique(["item", "node"], keep="first", maintain_order=True),
            "node",
            "demand for {item} stands here, but no lanes that may carry it lead here from a "
            "supplier or from stock",
            "Allow a lane, add one, or remove the demand.",
        )


def reach(tables: Tables) -> BoolArray:
    """Which item can come to which node from a supplier, stock or pipeline, shape (N, V)."""
    lanes, permitted = tables.lanes, allowed(tables)
    quantity = node_quantities(tables["stock"], tables)
    quantity += node_quantities(tables["pipeline"], tables)
    present: BoolArray = np.greater(quantity, 0.0)
    kinds = tables["nodes"].unique("node", keep="first", maintain_order=True)["kind"]
    present[:, (kinds == "supplier").to_numpy()] = True
    origin, destination = lanes["origin_index"].to_numpy(), lanes["destination_index"].to_numpy()
    frontier = set(np.flatnonzero(present.any(axis=0)).tolist())
    while frontier:  # each round looks again at lanes out of nodes that more items now reach
        grown: set[int] = set()
        for lane in np.flatnonzero(np.isin(origin, list(frontier))):
            u, v = origin[lane], destination[lane]
            now = present[:, v] | (present[:, u] & permitted[:, lane])
            if (now != present[:, v]).any():
                present[:, v] = now
                grown.add(int(v))
        frontier = grown
    return present


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
