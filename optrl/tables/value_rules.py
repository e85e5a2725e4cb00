"""Terminal values that would make buying for the end of the horizon pay without limit."""

from __future__ import annotations

import numpy as np
import polars as pl
from optrl_formulations.network import BoolArray, FloatArray

from optrl.tables.coefficients import allowed, lane_cost, lane_values, node_values, resource_use
from optrl.tables.faults import ROW, FaultList
from optrl.tables.references import Tables
from optrl.tables.settings import Settings

_TOLERANCE = 1e-9
_c = pl.col


def check_terminal_values(tables: Tables, settings: Settings | None, faults: FaultList) -> None:
    """Fault a terminal value above what a unit costs at the node, where nothing limits buying.

    Judged only where everything else is sound. No sound plan is refused: a value counts
    discounted over the whole horizon, stock that waits on the way is charged holding cost, and
    lanes that anything limits are left out.
    """
    if faults.faults or settings is None:
        return
    horizon = settings.horizon - settings.frozen_periods
    item_nodes, items = tables["item_nodes"], tables["items"]
    value = node_values(tables, "terminal_value") * settings.discount**settings.horizon
    if horizon < 1 or not (value > items["unit_cost"].to_numpy()[:, None]).any():
        return
    landed = unlimited_landed_cost(tables, horizon)
    above = value > landed + _TOLERANCE * np.maximum(1.0, landed)
    item, node = np.nonzero(above)
    index = pl.DataFrame(
        {
            "item_index": item,
            "node_index": node,
            "at": pl.Series(tables.names["nodes"], dtype=pl.String).gather(node),
            "landed": landed[item, node].round(6),
        }
    )
    problem = (
        "a unit of {item} left at {at} is worth {terminal_value}, but buying it and bringing it "
        "there costs {landed} and nothing limits how much, so that a plan would buy without end"
    )
    remedy = (
        "Lower terminal_value to {landed} or less, or limit the purchase by maximum_quantity, "
        "supply_capacity or a resource."
    )
    own = item_nodes.drop_nulls("terminal_value")
    pair = ["item_index", "node_index"]
    bad = own.join(index, on=pair, how="inner", maintain_order="left")
    faults.add_rows(tables.tables["item_nodes"], bad, "terminal_value", problem, remedy)
    rest = index.join(own.select(pair), on=pair, how="anti", maintain_order="left")
    rest = rest.unique("item_index", keep="first", maintain_order=True)  # one node tells enough
    bad = items.with_columns(item_index=pl.int_range(pl.len())).join(
        rest, on="item_index", how="inner", maintain_order="left"
    )
    faults.add_rows(tables.tables["items"], bad.sort(ROW), "terminal_value", problem, remedy)


def unlimited_landed_cost(tables: Tables, periods: int) -> FloatArray:
    """Cheapest purchase and transport of a unit on ways without any limit, shape (N, V).

    Infinite where there is no such way, or where it takes longer than the horizon.

    Args:
        tables: Sound tables.
        periods: Periods in which orders can be released.
    """
    lanes = tables.lanes
    price, holding = tables["items"]["unit_cost"].to_numpy(), node_values(tables, "holding_cost")
    cost = np.where(unlimited(tables, periods), lane_cost(tables), np.inf)
    origin, destination = lanes["origin_index"].to_numpy(), lanes["destination_index"].to_numpy()
    lead = lanes["lead_time"].to_numpy()
    supplier = (tables["nodes"]["kind"] == "supplier").to_numpy()
    # What a unit in stock at a node has cost, and how long its way there took.
    stocked = np.where(supplier[None, :], price[:, None], np.inf)
    age = np.zeros(stocked.shape)
    changed = True
    while changed:
        changed = False
        for lane in np.flatnonzero(np.isfinite(cost).any(axis=0)):
            u, v = origin[lane], destination[lane]
            way, old = stocked[:, u] + cost[:, lane] + holding[:, v], age[:, u] + lead[lane]
            better = (way < stocked[:, v] * (1 - _TOLERANCE)) & (old < periods)
            stocked[better, v], age[better, v] = way[better], old[better]
            changed |= bool(better.any())
    landed = np.full(stocked.shape, np.inf)
    for lane in np.flatnonzero(np.isfinite(cost).any(axis=0)):
        u, v = origin[lane], destination[lane]
        # What is still on its way at the end counts as well, and is not held.
        held = holding[:, v] if lead[lane] == 0 else 0.0
        landed[:, v] = np.minimum(landed[:, v], stocked[:, u] + cost[:, lane] + held)
    return landed


def unlimited(tables: Tables, periods: int) -> BoolArray:
    """Which item may move over which lane into stock in any quantity, shape (N, A)."""
    lanes = tables.lanes
    origin, destination = lanes["origin_index"].to_numpy(), lanes["destination_index"].to_numpy()
    from_supplier = (lanes["origin_kind"] == "supplier").to_numpy()
    plain = (_c("destination_kind") == "stocking") & (_c("review_period") <= periods)
    special = pl.concat([tables["arrivals"]["lane_index"], tables["calendar"]["lane_index"]])
    plain = plain & ~_c("lane_index").is_in(special.unique().implode())
    free: BoolArray = allowed(tables) & lanes.select(plain).to_series().to_numpy()[None, :]
    free &= np.isinf(lane_values(tables, "maximum_quantity"))
    free &= ~from_supplier[None, :] | np.isinf(node_values(tables, "supply_capacity")[:, origin])
    for index, row in enumerate(tables["resources"].iter_rows(named=True)):
        match row["kind"]:
            case "budget":
                on_it = from_supplier
            case "lane":
                on_it = lanes["lane_index"].to_numpy() == row["lane_index"]
            case "outbound":
                on_it = origin == row["node_index"]
            case _:
                on_it = destination == row["node_index"]
        uses = resource_use(tables, index, row["consumes"] or "unit") > 0
        if row["kind"] != "storage" or row["overflow_cost"] in (None, np.inf):
            free &= ~(uses[:, None] & on_it[None, :])
        else:  # what overflows costs something in every period; leave it to the solver
            free &= ~on_it[None, :]
    return free
