"""Duplicated keys and references between tables, as indexes the other checks build on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from optrl.tables.faults import ROW, FaultList, Table, nearest
from optrl.tables.schema import TABLES

_FIRST, _REMEDY = "__first__", "__remedy__"
_SEARCHED = 2_000
"""Most names among which the nearest to an unknown one is searched for."""


@dataclass(frozen=True)
class Tables:
    """All tables with references resolved.

    Each column that refers to nodes, items or resources has a column ``*_index`` beside it, each
    node one ``*_kind`` too, and rows that name a lane a ``lane_index``; they are empty where the
    reference fails.

    Attributes:
        tables: By name.
        names: Names in index order, of nodes, items and resources.
        lanes: Lanes in index order, which is the order in which a graph lists them: one row each
            with every column of the lanes table.
    """

    tables: dict[str, Table]
    names: dict[str, Sequence[str]]
    lanes: pl.DataFrame

    def __getitem__(self, name: str) -> pl.DataFrame:
        return self.tables[name].frame


def resolve(tables: dict[str, Table], faults: FaultList) -> Tables:
    """Check keys and references of all tables and add the index columns."""
    tables = dict(tables)
    for table in tables.values():
        _check_key(table, faults)
    names = {
        name: tables[name]
        .frame[tables[name].schema.key[0]]
        .drop_nulls()
        .unique(maintain_order=True)
        for name in ("nodes", "items", "resources")
    }
    kinds = tables["nodes"].frame.drop_nulls("node").unique("node", maintain_order=True)["kind"]
    for name, table in tables.items():
        tables[name] = _resolve_names(table, tables, names, kinds, faults)
    lanes = tables["lanes"].frame.drop_nulls(["origin_index", "destination_index"])
    lanes = lanes.unique(["origin_index", "destination_index"], keep="first", maintain_order=True)
    lanes = lanes.sort("origin_index", maintain_order=True).with_row_index("lane_index")
    lanes = lanes.with_columns(pl.col("lane_index").cast(pl.Int64))
    tables["lanes"] = replace(
        tables["lanes"],
        frame=tables["lanes"].frame.join(
            lanes.select(ROW, "lane_index"), on=ROW, how="left", maintain_order="left"
        ),
    )
    complete = tables["lanes"].usable and lanes.height == tables["lanes"].frame.height
    for schema in TABLES:
        if schema.is_lane or schema.name == "resources":
            table = tables[schema.name]
            tables[schema.name] = _resolve_lanes(table, lanes, complete, faults)
    ordered: dict[str, Sequence[str]] = {name: series.to_list() for name, series in names.items()}
    return Tables(tables, ordered, lanes)


def _check_key(table: Table, faults: FaultList) -> None:
    key = list(table.schema.key)
    frame = table.frame.drop_nulls(key)
    if frame.select(key).n_unique() == frame.height:
        return
    frame = frame.with_columns(pl.col(ROW).first().over(key).alias(_FIRST))
    bad = frame.filter(pl.col(_FIRST) != pl.col(ROW))
    problem = f"repeats the key of row {{{_FIRST}}}" if table.numbered else "repeats the key"
    value = ", ".join(f"{{{name}}}" for name in key)
    remedy = "Keep one of the two rows, or add them up."
    faults.add_rows(table, bad, ", ".join(key), problem, remedy, value)


def _resolve_names(
    table: Table,
    tables: dict[str, Table],
    names: dict[str, pl.Series],
    kinds: pl.Series,
    faults: FaultList,
) -> Table:
    frame = table.frame
    added: list[pl.Series] = []
    for column in table.schema.columns:
        if column.references is None or column.name not in frame:
            continue
        known = names[column.references]
        texts = frame[column.name]
        if frame.height:
            index = texts.cast(pl.Enum(known), strict=False).to_physical().cast(pl.Int64)
        else:  # spares the cost of a million categories for each table that is not there
            index = pl.Series([], dtype=pl.Int64)
        added.append(index.alias(f"{column.name}_index"))
        if column.references == "nodes":
            kind = kinds.gather(index) if len(kinds) else texts.clear(len(texts))
            added.append(kind.alias(f"{column.name}_kind"))
        target = tables[column.references]
        lost = frame.filter(index.is_null() & texts.is_not_null())
        if not lost.height or not target.usable:
            continue
        general = f"Add it to {target.label} or correct the name."
        remedies = {
            text: (nearest(text, known) if len(known) <= _SEARCHED else None) or general
            for text in lost[column.name].head(faults.limit or lost.height).unique()
        }
        remedy = pl.col(column.name).replace_strict(remedies, default=general)
        faults.add_rows(
            table,
            lost.with_columns(remedy.alias(_REMEDY)),
            column.name,
            f"there is no such {column.references.removesuffix('s')}",
            f"{{{_REMEDY}}}",
        )
    return replace(table, frame=frame.with_columns(added))


def _resolve_lanes(table: Table, lanes: pl.DataFrame, complete: bool, faults: FaultList) -> Table:
    pair = ["origin_index", "destination_index"]
    frame = table.frame.join(
        lanes.select(*pair, "lane_index"), on=pair, how="left", maintain_order="left"
    )
    lost = frame.filter(
        pl.all_horizontal(pl.col(pair).is_not_null()) & pl.col("lane_index").is_null()
    )
    if complete:
        faults.add_rows(
            table,
            lost,
            "origin, destination",
            "there is no such lane",
            "Add it to the lanes table or correct the names.",
            value="{origin} -> {destination}",
        )
    return replace(table, frame=frame)
