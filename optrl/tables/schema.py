"""The tables of an instance folder, declared once.

Reading, checking, writing and the documentation all follow this declaration: a column is added
here and nowhere else. The settings of ``instance.toml`` are declared in `optrl.tables.settings`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["text", "number", "integer", "boolean"]
Reference = Literal["nodes", "items", "resources"]

LARGEST_PERIOD = 1_000_000
LARGEST_NUMBER = 1e12
"""In absolute value, where a column names no bound: solvers work in double precision, so that
programs of larger numbers come out wrong or not at all."""

QUANTILE = re.compile(r"q(\d\d|\d{2,20}[1-9])")


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: Name in the header.
        type: What its cells hold.
        meaning: For the documentation.
        required: Whether the column must be there and no cell may be empty.
        default: What an empty cell or an absent column means; None leaves the cell empty.
        minimum: Smallest value; None for `LARGEST_NUMBER` below zero.
        maximum: Largest finite value; None for `LARGEST_NUMBER`.
        infinite: Whether ``inf`` is a value.
        choices: The only texts allowed, if any are listed.
        references: The table whose key each cell must name.
    """

    name: str
    type: ColumnType
    meaning: str
    required: bool = False
    default: float | str | bool | None = None
    minimum: float | None = None
    maximum: float | None = None
    infinite: bool = False
    choices: tuple[str, ...] = ()
    references: Reference | None = None


@dataclass(frozen=True)
class TableSchema:
    """One table.

    Attributes:
        name: File name without extension.
        meaning: For the documentation.
        columns: Its columns in the order in which they are written.
        key: Columns that together name a row; no two rows may agree in all of them.
        required: Whether the folder must hold the table.
        is_lane: Whether origin and destination must name a lane of the lanes table.
        quantiles: Whether columns ``q05``, ``q50``, ... may be added.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    required: bool = False
    is_lane: bool = False
    quantiles: bool = False

    def column(self, name: str) -> Column:
        """The column of that name; a quantile column is made to measure.

        Raises:
            KeyError: If there is no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        if self.quantiles and QUANTILE.fullmatch(name) and quantile_level(name) > 0:
            return Column(name, "number", "quantile", required=True, minimum=0)
        raise KeyError(name)


def quantile_level(column: str) -> float:
    """Probability a quantile column stands for: its digits follow the decimal point.

    >>> quantile_level("q05"), quantile_level("q975")
    (0.05, 0.975)
    """
    return float("0." + column[1:])


def _name(name: str, meaning: str) -> Column:
    return Column(name, "text", meaning, required=True)


def _of(name: str, table: Reference, meaning: str, required: bool = True) -> Column:
    return Column(name, "text", meaning, required=required, references=table)


def _amount(name: str, meaning: str, default: float | None = 0.0) -> Column:
    return Column(
        name, "number", meaning, default=default, minimum=0, infinite=default == float("inf")
    )


def _override(name: str, meaning: str, infinite: bool = False) -> Column:
    return Column(name, "number", meaning, minimum=0, infinite=infinite)


_ITEM = _of("item", "items", "item")
_NODE = _of("node", "nodes", "node")
_ORIGIN = _of("origin", "nodes", "node where the lane starts")
_DESTINATION = _of("destination", "nodes", "node where the lane ends")
_PERIOD = Column("period", "integer", "period", True, minimum=0, maximum=LARGEST_PERIOD)
_QUANTITY = Column("quantity", "number", "quantity in item units", True, minimum=0)

NODES = TableSchema(
    "nodes",
    "Places. Suppliers never run out, stocking nodes hold stock, customers hold none.",
    (
        _name("node", "name of the node"),
        Column("kind", "text", "what it does", True, choices=("supplier", "stocking", "customer")),
        Column("latitude", "number", "degrees north", minimum=-90, maximum=90),
        Column("longitude", "number", "degrees east", minimum=-180, maximum=180),
    ),
    key=("node",),
    required=True,
)
LANES = TableSchema(
    "lanes",
    "Ways from node to node. A lane into a customer serves demand and has lead time 0.",
    (
        _ORIGIN,
        _DESTINATION,
        Column("lead_time", "integer", "periods from release to usable", True, None, 0, 10_000),
        _amount("cost", "transport cost per unit of `cost_per`"),
        Column(
            "cost_per",
            "text",
            "measure of the item by which the cost is counted",
            default="unit",
            choices=("unit", "volume", "weight"),
        ),
        _amount("fixed_cost", "cost of each period in which an item is released"),
        _amount("joint_fixed_cost", "cost of each period in which the lane is used at all"),
        _amount("lot_size", "quantities are multiples of it; 0 for any quantity"),
        _amount("minimum_quantity", "smallest quantity of an item if any is released"),
        _amount("maximum_quantity", "largest quantity of an item in a period", float("inf")),
        _amount("setup_time", "capacity taken by releasing an item at all"),
        Column(
            "review_period",
            "integer",
            "releases happen in periods t with t mod review_period = review_offset",
            default=1,
            minimum=1,
            maximum=LARGEST_PERIOD,
        ),
        Column(
            "review_offset",
            "integer",
            "see review_period",
            default=0,
            minimum=0,
            maximum=LARGEST_PERIOD,
        ),
    ),
    key=("origin", "destination"),
    required=True,
)
ITEMS = TableSchema(
    "items",
    "What is stocked and sold.",
    (
        _name("item", "name of the item"),
        _amount("unit_cost", "purchase price, paid on lanes out of suppliers"),
        _amount("volume", "volume of a unit"),
        _amount("weight", "weight of a unit"),
        _amount("time", "processing time of a unit"),
        _amount("holding_cost", "cost of a unit in stock at the end of a period"),
        _amount("shortage_cost", "cost of a unit lost, or of a unit and period waiting"),
        Column(
            "terminal_value", "number", "value of a unit left when the horizon ends", default=0.0
        ),
        _of("supplier", "nodes", "the only supplier that sells it; empty for all", False),
    ),
    key=("item",),
    required=True,
)
ITEM_NODES = TableSchema(
    "item_nodes",
    "What differs for an item at a node; an empty cell keeps the item's own value.",
    (
        _ITEM,
        _NODE,
        _override("holding_cost", "replaces that of the item"),
        _override("shortage_cost", "replaces that of the item"),
        Column("terminal_value", "number", "replaces that of the item"),
        Column(
            "service_level",
            "number",
            "smallest share of demand met over the horizon (0 where not given)",
            minimum=0,
            maximum=1,
        ),
        _override(
            "supply_capacity",
            "largest quantity a supplier releases of the item in a period (inf where not given)",
            infinite=True,
        ),
    ),
    key=("item", "node"),
)
ITEM_LANES = TableSchema(
    "item_lanes",
    "What differs for an item on a lane; an empty cell keeps the lane's own value.",
    (
        _ITEM,
        _ORIGIN,
        _DESTINATION,
        Column("allowed", "boolean", "whether the item may use the lane"),
        _override("cost", "transport cost per item unit"),
        _override("fixed_cost", "replaces that of the lane"),
        _override("lot_size", "replaces that of the lane"),
        _override("minimum_quantity", "replaces that of the lane"),
        _override("maximum_quantity", "replaces that of the lane", infinite=True),
        _override("setup_time", "replaces that of the lane"),
    ),
    key=("item", "origin", "destination"),
    is_lane=True,
)
DEMAND = TableSchema(
    "demand",
    "Observed demand. Periods before `start` are history, later ones are kept to judge on; an "
    "absent row is zero demand. May be left out where a forecast is given.",
    (_ITEM, _NODE, _PERIOD, _QUANTITY),
    key=("item", "node", "period"),
)
FORECAST = TableSchema(
    "forecast",
    "A forecast from `start` to the end of the horizon or beyond; an absent row is zero. Quantile "
    "columns are named by the digits after the decimal point: q05, q50, q975. Without a mean "
    "column, the mean is that of the quantile function, linear in between and flat outside.",
    (
        _ITEM,
        _NODE,
        _PERIOD,
        Column("mean", "number", "expected demand", True, minimum=0),
        Column("standard_deviation", "number", "standard deviation of demand", True, minimum=0),
    ),
    key=("item", "node", "period"),
    quantiles=True,
)
STOCK = TableSchema(
    "stock",
    "Stock at stocking nodes when planning starts; an absent row is none.",
    (_ITEM, _NODE, _QUANTITY),
    key=("item", "node"),
)
BACKLOG = TableSchema(
    "backlog",
    "Demand that waits when planning starts, where unmet demand is backordered.",
    (_ITEM, _NODE, _QUANTITY),
    key=("item", "node"),
)
PIPELINE = TableSchema(
    "pipeline",
    "Shipments on their way to stocking nodes. What arrives in period `start` counts as stock.",
    (
        _ITEM,
        _NODE,
        Column(
            "period", "integer", "period of arrival, from `start` on", True, None, 0, LARGEST_PERIOD
        ),
        _QUANTITY,
    ),
    key=("item", "node", "period"),
)
RESOURCES = TableSchema(
    "resources",
    "Capacities that all items share in each period.",
    (
        _name("resource", "name of the resource"),
        Column(
            "kind",
            "text",
            "storage limits stock at a node, inbound and outbound what is released into or out of "
            "it, lane what is released on a lane, budget what is bought from all suppliers",
            True,
            choices=("storage", "inbound", "outbound", "lane", "budget"),
        ),
        _of("node", "nodes", "its node (storage, inbound, outbound)", False),
        _of("origin", "nodes", "where its lane starts (lane)", False),
        _of("destination", "nodes", "where its lane ends (lane)", False),
        Column(
            "consumes",
            "text",
            "measure of the item that is counted; cost is the unit_cost",
            default="unit",
            choices=("unit", "volume", "weight", "time", "cost"),
        ),
        Column("capacity", "number", "capacity of a period", True, minimum=0),
        Column(
            "overflow_cost",
            "number",
            "cost per capacity unit and period above a storage capacity (inf: must hold)",
            minimum=0,
            infinite=True,
        ),
        Column(
            "takes_setup_time",
            "boolean",
            "whether set-up time consumes it too; empty: if it consumes time and is no storage",
        ),
    ),
    key=("resource",),
)
_RESOURCE = _of("resource", "resources", "resource")
CAPACITIES = TableSchema(
    "capacities",
    "Capacity in single periods, instead of that in the resources table.",
    (_RESOURCE, _PERIOD, Column("capacity", "number", "capacity", True, minimum=0)),
    key=("resource", "period"),
)
RESOURCE_USE = TableSchema(
    "resource_use",
    "Consumption of single items, instead of the measure named in the resources table.",
    (_RESOURCE, _ITEM, Column("use", "number", "consumption of a unit", True, minimum=0)),
    key=("resource", "item"),
)
CALENDAR = TableSchema(
    "calendar",
    "Periods in which a lane releases nothing, besides its review period.",
    (_ORIGIN, _DESTINATION, _PERIOD),
    key=("origin", "destination", "period"),
    is_lane=True,
)
FROZEN = TableSchema(
    "frozen",
    "Orders already fixed for the first `frozen_periods` periods; an absent row is no order.",
    (_ITEM, _ORIGIN, _DESTINATION, _PERIOD, _QUANTITY),
    key=("item", "origin", "destination", "period"),
    is_lane=True,
)
ARRIVALS = TableSchema(
    "arrivals",
    "Random lead times and yields: each order on the lane draws one profile, and the fraction "
    "becomes usable `delay` periods after release. Lanes without rows deliver after lead_time.",
    (
        _ORIGIN,
        _DESTINATION,
        Column("profile", "integer", "number of the profile", True, None, 0, 1_000_000),
        Column("probability", "number", "probability of the profile", True, None, 0, 1),
        Column("delay", "integer", "periods from release to usable", True, None, 0, 10_000),
        Column("fraction", "number", "share of the order", True, None, 0, 1),
    ),
    key=("origin", "destination", "profile", "delay"),
    is_lane=True,
)

TABLES = (
    *(NODES, LANES, ITEMS, ITEM_NODES, ITEM_LANES, DEMAND, FORECAST, STOCK, BACKLOG, PIPELINE),
    *(RESOURCES, CAPACITIES, RESOURCE_USE, CALENDAR, FROZEN, ARRIVALS),
)
"""Every table, in the order in which they are checked and documented."""
