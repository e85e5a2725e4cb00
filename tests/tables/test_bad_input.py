"""Every kind of bad input gives its one clear fault and nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from optrl.errors import InstanceError
from optrl.tables import check, load


@dataclass(frozen=True)
class Bad:
    """An edit of the tiny folder and the one fault it must give."""

    kind: str
    file: str
    old: str | None  # None: the whole file is replaced (or written) by new
    new: str | None  # None: the file is removed
    row: int | None
    column: str | None
    value: str | None
    words: str
    table: str | None = None  # where the fault is, if not in the file edited


TOML, NODES, LANES, ITEMS = "instance.toml", "nodes.csv", "lanes.csv", "items.csv"
DEMAND, STOCK, RESOURCES, FROZEN = "demand.csv", "stock.csv", "resources.csv", "frozen.csv"
FORECAST, ARRIVALS, PIPELINE = "forecast.csv", "arrivals.csv", "pipeline.csv"
ITEM_NODES, ITEM_LANES = "item_nodes.csv", "item_lanes.csv"
END = "tea,lake,12,3\n"

# fmt: off
CASES = [
    # files
    Bad("missing settings", TOML, None, None, None, None, None, "missing"),
    Bad("missing table", LANES, None, None, None, None, None, "missing"),
    Bad("empty file", ITEMS, None, "", None, None, None, "empty"),
    Bad("no rows", ITEMS, None, "item,unit_cost\n", None, None, None,
        "no rows"),
    Bad("both formats", "stock.parquet", None, "x", None, None, None, "only one", STOCK),
    Bad("misspelt file", "resource.csv", None, "a\n1\n", None, None, None, "no such table"),
    Bad("too many cells", DEMAND, "0,3\n", "0,3,7\n", 2, None, "soap,town,0,3,7", "5 cells"),
    Bad("open quote", DEMAND, "lake,9", '"lake,9', None, None, None, "valid CSV"),
    Bad("semicolons", STOCK, None, "item;node;quantity\na;b;1\n", 1, None, "item;node", "commas"),
    Bad("bad toml", TOML, '"tiny"', "tiny", None, None, None, "TOML"),
    # settings
    Bad("unknown setting", TOML, "money =", "mony =", None, "mony", "EUR", "no such setting"),
    Bad("missing setting", TOML, "horizon = 4", "", None, "horizon", None, "missing"),
    Bad("text for number", TOML, "start = 10", 'start = "ten"', None, "start", "ten", "integer"),
    Bad("horizon below 1", TOML, "horizon = 4", "horizon = 0", None, "horizon", "0", "equal to 1"),
    Bad("season below 0", TOML, "season = 4", "season = -1", None, "season", "-1", "equal to 0"),
    Bad("discount above 1", TOML, "0.99", "1.01", None, "discount", "1.01", "equal to 1"),
    Bad("discount zero", TOML, "0.99", "0", None, "discount", "0", "greater than 0"),
    Bad("discount nan", TOML, "0.99", "nan", None, "discount", "nan", "number"),
    Bad("unmet unknown", TOML, '"backorder"', '"wait"', None, "unmet", "wait", "'lost'"),
    Bad("note not text", TOML, '"made up"', "5", None, "notes.demand", "5", "string"),
    Bad("frozen beyond horizon", TOML, "_periods = 2", "_periods = 5", None, "frozen_periods",
        "5", "horizon of 4"),
    # columns
    Bad("unknown column", LANES, "cost_per", "cost_pr", 1, "cost_pr", None, "no such column"),
    Bad("misspelt required", LANES, "lead_time", "leadtime", 1, "leadtime", None, "no such column"),
    Bad("missing column", STOCK, None, "item,node\nsoap,hub\n", 1, "quantity", None, "is missing"),
    Bad("column twice", STOCK, "item,node,quantity\nsoap,hub,40\ntea,east,12",
        "item,node,quantity,node\nsoap,hub,40,hub\ntea,east,12,east", 1, "node", None, "twice"),
    Bad("forecast without values", FORECAST, None, "item,node,period\nsoap,town,13\n", 1, "mean",
        None, "column is missing"),
    # cells
    Bad("text in number", DEMAND, "5,4.5", "5,4 1/2", 3, "quantity", "4 1/2", "not a number"),
    Bad("empty cell", DEMAND, "5,4.5", "5,", 3, "quantity", "", "empty"),
    Bad("NaN", ITEMS, "soap,3", "soap,NaN", 2, "unit_cost", "NaN", "not a number"),
    Bad("infinite cost", ITEMS, "soap,3", "soap,inf", 2, "unit_cost", "inf", "finite"),
    Bad("negative cost", LANES, "0.2,", "-0.2,", 4, "cost", "-0.2", "at least 0"),
    Bad("absurd cost", ITEMS, "soap,3", "soap,1e308", 2, "unit_cost", "1e308", "1000000000000"),
    Bad("absurd shortage", ITEM_NODES, "soap,town,,8", "soap,town,,1e30", 2, "shortage_cost",
        "1e30", "at most"),
    Bad("absurd demand", DEMAND, "5,4.5", "5,1e300", 3, "quantity", "1e300", "at most"),
    Bad("absurd terminal value", ITEMS, "-0.5", "-2e12", 4, "terminal_value", "-2e12", "at least"),
    Bad("absurd maximum", LANES, ",,500", ",,1e13", 3, "maximum_quantity", "1e13", "at most"),
    Bad("negative lead time", LANES, "east,1", "east,-1", 4, "lead_time", "-1", "at least 0"),
    Bad("fractional lead time", LANES, "east,1", "east,1.5", 4, "lead_time", "1.5", "whole"),
    Bad("fractional period", DEMAND, "town,5", "town,5.5", 3, "period", "5.5", "whole"),
    Bad("negative period", DEMAND, "town,5", "town,-5", 3, "period", "-5", "at least 0"),
    Bad("negative quantity", STOCK, "40", "-40", 2, "quantity", "-40", "at least 0"),
    Bad("negative budget", RESOURCES, "600", "-600", 7, "capacity", "-600", "at least 0"),
    Bad("service level above 1", ITEM_NODES, "0.9", "90", 2, "service_level", "90", "at most 1"),
    Bad("unknown kind", NODES, "port,supplier", "port,vendor", 3, "kind", "vendor", "one of"),
    Bad("neither true nor false", ITEM_LANES, "false", "never", 2, "allowed", "never", "neither"),
    Bad("latitude", NODES, "41.5", "141.5", 2, "latitude", "141.5", "at most 90"),
    Bad("spaces about a name", NODES, "hill, old", "hill, old ", 9, "node", "hill, old ", "spaces"),
    # keys and references
    Bad("repeated key", DEMAND, END, END + "soap,lake,9,1\n", 10, "item, node, period",
        "soap, lake, 9", "row 4"),
    Bad("repeated node", NODES, "lake,customer,,", "lake,customer,,\nlake,customer,,", 9, "node",
        "lake", "row 8"),
    Bad("repeated lane", LANES, "hub,west,0", "hub,east,3,,,,,,,,,,\nhub,west,0", 5,
        "origin, destination", "hub, east", "row 4"),
    Bad("unknown item", DEMAND, END, END + "sope,town,3,1\n", 10, "item", "sope", "no such item"),
    Bad("unknown node", STOCK, "east", "eest", 3, "node", "eest", "no such node"),
    Bad("unknown lane", "calendar.csv", "port,hub", "hub,port", 2, "origin, destination",
        "hub -> port", "no such lane"),
    Bad("unknown resource", "capacities.csv", "budget", "bugdet", 2, "resource", "bugdet",
        "no such resource"),
    Bad("supplier is none", ITEMS, "2.5,mill", "2.5,hub", 2, "supplier", "hub", "not a supplier"),
    # network
    Bad("lane into supplier", LANES, "hub,east,1", "east,port,1,,,,,,,,,,\nhub,east,1", 4,
        "destination", "port", "into a supplier"),
    Bad("lane out of customer", LANES, "hub,east,1", "town,hub,1,,,,,,,,,,\nhub,east,1", 4,
        "origin", "town", "out of a customer"),
    Bad("lane to itself", LANES, "hub,east,1", "hub,hub,1,,,,,,,,,,\nhub,east,1", 4,
        "destination", "hub", "itself"),
    Bad("serving takes time", LANES, "town,0,0.01", "town,1,0.01", 7, "lead_time", "1",
        "lead time 0"),
    Bad("zero-lead cycle", LANES, "hub,east,1", "west,hub,0,,,,,,,,,,\nhub,east,1", 4,
        "lead_time", "0", "cycle"),
    Bad("dangling stocking node", NODES, "lake,", "yard,stocking,,\nlake,", 8, "node", "yard",
        "nothing can reach"),
    Bad("dangling supplier", NODES, "lake,", "farm,supplier,,\nlake,", 8, "node", "farm",
        "no lane leaves"),
    Bad("dangling customer", LANES, "west,lake,0,0.03,,,,,,,,,\n", "", 8, "node", "lake",
        "nothing can reach", NODES),
    Bad("item cannot come", ITEM_LANES, "rope,port,hub,false,,,,,,",
        "rope,east,town,false,,,,,,\nrope,west,town,false,,,,,,", 10, "node", "town",
        "demand for rope", DEMAND),
    Bad("minimum above maximum", LANES, ",,500", ",600,500", 3, "minimum_quantity", "600",
        "largest quantity 500"),
    Bad("maximum below lot", LANES, ",,,500", ",700,,500", 3, "maximum_quantity", "500",
        "lot size 700"),
    Bad("item maximum below minimum", ITEM_LANES, "20,400", "20,12", 3, "minimum_quantity", "20",
        "largest quantity 12"),
    Bad("review offset", LANES, "0.5,2,0", "0.5,2,2", 2, "review_offset", "2", "which is 2"),
    Bad("measure not given", RESOURCES, "unit,90", "time,90", 5, "consumes", "time", "no column"),
    # demand and state
    Bad("demand at supplier", DEMAND, END, END + "soap,mill,3,1\n", 10, "node", "mill",
        "at a supplier"),
    Bad("stock at customer", STOCK, "tea,east", "tea,lake", 3, "node", "lake", "customer"),
    Bad("stock at supplier", STOCK, "tea,east", "tea,port", 3, "node", "port", "supplier"),
    Bad("arrival in the past", PIPELINE, "hub,11", "hub,9", 3, "period", "9", "period 10"),
    Bad("pipeline to customer", PIPELINE, "rope,hub", "rope,town", 4, "node", "town", "customer"),
    Bad("forecast of the past", FORECAST, "town,11", "town,9", 3, "period", "9", "period 10"),
    Bad("forecast too short", FORECAST, "lake,13", "lake,12", None, "period", "12", "period 13"),
    Bad("crossing quantiles", FORECAST, "0.5,1,2,3.5", "0.5,1,4,3.5", 4, "q90", "3.5", "q50 is 4"),
    Bad("neither history nor forecast", FORECAST, None, None, None, None, None, "neither", DEMAND),
    Bad("start beyond history", FORECAST, None, None, None, "start", "10", "no forecast", TOML),
    Bad("period typed as date", DEMAND, "tea,town,9,", "tea,town,20240101,", 5, "period",
        "20240101", "at most"),
    Bad("backlog though lost", TOML, '"backorder"', '"lost"', 2, "quantity", "1.5", "lost",
        "backlog.csv"),
    Bad("backlog without demand", "backlog.csv", "soap,town", "soap,west", 2, "node", "west",
        "no demand stands"),
    Bad("service level at a hub", ITEM_NODES, "3.5,,", "3.5,0.9,", 3, "service_level", "0.9",
        "no demand for tea"),
    Bad("service level of another item", ITEM_NODES, "soap,town", "rope,town", 2, "service_level",
        "0.9", "no demand for rope"),
    Bad("service level at a supplier", ITEM_NODES, "tea,port,,,,,", "tea,port,,,,0.5,", 4,
        "service_level", "0.5", "no demand for tea"),
    # resources and orders
    Bad("stock above storage", RESOURCES, "volume,100", "volume,60", 2, "capacity", "60", "67.5"),
    Bad("resource without node", RESOURCES, "inbound,hub", "inbound,", 4, "node", "", "needs a"),
    Bad("storage at customer", RESOURCES, "storage,hub", "storage,town", 2, "node", "town",
        "customer"),
    Bad("resource without lane", RESOURCES, "hub,east", "hub,", 6, "destination", "",
        "origin and destination"),
    Bad("budget with node", RESOURCES, "budget,budget,", "budget,budget,hub", 7, "node", "hub",
        "has no node"),
    Bad("dock that overflows", RESOURCES, "time,80,", "time,80,3", 4, "overflow_cost", "3",
        "only storage"),
    Bad("infeasible budget", RESOURCES, "cost,600", "cost,150", 7, "capacity", "150",
        "infeasible purchase budget"),
    Bad("frozen above dock", RESOURCES, "time,80", "time,7", 4, "capacity", "7", "7.5"),
    Bad("frozen too late", FROZEN, "soap,mill,hub,10", "soap,mill,hub,12", 2, "period", "12",
        "2 frozen periods"),
    Bad("frozen when closed", FROZEN, "tea,port,hub,10", "tea,port,hub,11", 3, "period", "11",
        "closed"),
    Bad("frozen off cycle", FROZEN, "soap,mill,hub,10", "soap,mill,hub,11", 2, "period", "11",
        "mod 2"),
    Bad("frozen not allowed", FROZEN, "tea,port", "rope,port", 3, "item", "rope", "may not use"),
    Bad("frozen above maximum", FROZEN, "tea,port,hub,10,20", "tea,port,hub,10,501", 3,
        "quantity", "501", "500"),
    Bad("frozen no multiple", FROZEN, "tea,port", "tea,mill", 3, "quantity", "25", "lot size 10"),
    Bad("frozen above supply", ITEM_NODES, "300", "19", 3, "quantity", "20", "supply capacity 19",
        FROZEN),
    Bad("frozen to customer", FROZEN, "tea,port,hub", "tea,east,town", 3, "destination", "town",
        "takes no orders"),
    # arrivals
    Bad("probabilities", ARRIVALS, "0,0.75", "0,0.65", 2, "probability", "0.9", "sum to 1"),
    Bad("probabilities of a profile", ARRIVALS, "1,0.25,4", "1,0.35,4", 4, "probability", "0.35",
        "0.25"),
    Bad("fractions", ARRIVALS, "4,0.4", "4,0.6", 3, "fraction", "1.1", "more than 1"),
    Bad("random serving", ARRIVALS, "mill,hub,0,0.75,2,1\n",
        "mill,hub,0,0.75,2,1\nwest,lake,0,1,0,1\n", 3, "destination", "lake", "cannot be random"),
]
# fmt: on

EXTRA = {  # what must be edited beside the case to leave only its own fault
    "item cannot come": [(DEMAND, END, END + "rope,town,3,1\n")],
    "frozen no multiple": [(FROZEN, "10,20", "10,25")],
    "frozen above maximum": [(RESOURCES, "cost,600", "cost,6000"), (RESOURCES, "80", "800"),
                             (ITEM_NODES, "300", "900")],
    "neither history nor forecast": [(DEMAND, None, None), ("backlog.csv", None, None)],
    "start beyond history": [(DEMAND, "soap,town,10,5\ntea,lake,12,3\n", ""),
                             (DEMAND, ",9,", ",8,")],
    "measure not given": [(ITEMS, None, "item,unit_cost,volume,weight,holding_cost\n"
                           "soap,3,1,1,1\ntea,5,1,1,1\nrope,2,1,1,1\n"),
                          (RESOURCES, "time,80", "unit,80")],
}  # fmt: skip


def edit(folder: Path, file: str, old: str | None, new: str | None) -> None:
    """Replace part of a file, which must be there, or all of it."""
    path = folder / file
    if new is None:
        path.unlink()
    elif old is None:
        path.write_text(new, encoding="utf-8")
    else:
        text = path.read_text(encoding="utf-8")
        assert old in text
        count = -1 if (file, old) == (DEMAND, ",9,") else 1
        path.write_text(text.replace(old, new, count), encoding="utf-8")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
def test_one_clear_fault(tiny_folder: Path, case: Bad) -> None:
    """Exactly one fault, at the right file, row and column, with the value; nothing is written."""
    edit(tiny_folder, case.file, case.old, case.new)
    for file, old, new in EXTRA.get(case.kind) or []:
        edit(tiny_folder, file, old, new)
    before = contents(tiny_folder.parent)

    with pytest.raises(InstanceError) as raised:
        load(tiny_folder)

    faults = raised.value.faults
    assert len(faults) == 1, "\n".join(map(str, faults))
    fault = faults[0]
    place = (fault.table, fault.row, fault.column)
    assert place == (case.table or case.file, case.row, case.column), str(fault)
    if case.value is None:
        assert fault.value is None
    else:
        assert fault.value is not None
        assert fault.value.startswith(case.value)
    assert case.words in fault.problem
    assert fault.remedy
    assert contents(tiny_folder.parent) == before


def test_the_tiny_folder_is_sound(tiny_folder: Path) -> None:
    """Without an edit there is no fault, so each fault above is due to its edit."""
    assert check(tiny_folder) == ()


def test_cycle_is_named(tiny_folder: Path) -> None:
    """The fault of a zero-lead cycle names the nodes around it."""
    edit(tiny_folder, LANES, "hub,east,1", "west,hub,0,,,,,,,,,,\nhub,east,1")
    (fault,) = check(tiny_folder)
    assert "hub -> west -> hub" in fault.problem or "west -> hub -> west" in fault.problem


def test_cycle_through_random_arrivals(tiny_folder: Path) -> None:
    """A lane that may deliver at once closes a cycle although its lead time is positive."""
    edit(tiny_folder, LANES, "hub,east,1", "west,hub,1,,,,,,,,,,\nhub,east,1")
    assert check(tiny_folder) == ()
    edit(tiny_folder, ARRIVALS, "mill,hub,0,0.75,2,1\n", "mill,hub,0,0.75,2,1\nwest,hub,0,1,0,1\n")
    (fault,) = check(tiny_folder)
    assert (fault.table, fault.column) == (LANES, "lead_time")


def test_suggestions(tiny_folder: Path) -> None:
    """A misspelt name is answered with the nearest one that exists."""
    edit(tiny_folder, LANES, "lead_time", "leadtime")
    edit(tiny_folder, STOCK, "east", "eastt")
    edit(tiny_folder, TOML, "money", "mony")
    toml, lanes, stock = check(tiny_folder)
    assert "'money'" in toml.remedy
    assert "'lead_time'" in lanes.remedy
    assert "'east'" in stock.remedy


def test_all_faults_at_once(tiny_folder: Path) -> None:
    """Faults of different tables, and of one table, all come out in one pass, in order."""
    edit(tiny_folder, TOML, "horizon = 4", "horizon = 0")
    edit(tiny_folder, NODES, "port,supplier", "port,vendor")
    edit(tiny_folder, LANES, "east,1", "east,-1")
    edit(tiny_folder, LANES, "0.25", "a quarter")
    edit(tiny_folder, DEMAND, "soap,town,0,3", "sope,twon,0,NaN")
    edit(tiny_folder, STOCK, "tea,east", "tea,lake")
    edit(tiny_folder, RESOURCES, "volume,100", "volume,60")
    edit(tiny_folder, ARRIVALS, "4,0.4", "4,0.6")
    found = [(fault.table, fault.row, fault.column) for fault in check(tiny_folder)]
    assert found[:5] == [
        (TOML, None, "horizon"),
        (NODES, 3, "kind"),
        (LANES, 4, "lead_time"),
        (LANES, 5, "cost"),
        (DEMAND, 2, "quantity"),
    ]
    assert set(found[5:]) == {
        (DEMAND, 2, "item"),
        (DEMAND, 2, "node"),
        (STOCK, 3, "node"),
        (RESOURCES, 2, "capacity"),
        (ARRIVALS, 3, "fraction"),
    }
    assert len(found) == 10
    with pytest.raises(InstanceError, match="10 faults") as raised:
        load(tiny_folder)
    assert raised.value.faults == check(tiny_folder)


def test_many_rows_are_counted(tiny_folder: Path) -> None:
    """Beyond the limit the rows of one problem are counted, and all are listed on request."""
    lines = "".join(f"soap,town,{period},-1\n" for period in range(20, 320))
    edit(tiny_folder, DEMAND, END, END + lines)
    faults = check(tiny_folder)
    assert len(faults) == 101
    assert "200 more rows" in faults[-1].problem
    assert len(check(tiny_folder, limit=None)) == 300


def test_rows_count_blank_lines(tiny_folder: Path) -> None:
    """Row numbers are those an editor shows, blank lines included."""
    edit(tiny_folder, DEMAND, "soap,lake,9,2", "\n\nsoap,lake,9,-2")
    (fault,) = check(tiny_folder)
    assert fault.row == 6


def test_not_text(tiny_folder: Path) -> None:
    """A file in another encoding names the row where it leaves UTF-8."""
    data = (tiny_folder / DEMAND).read_bytes().replace(b"soap,lake", b"s\xf6ap,lake")
    (tiny_folder / DEMAND).write_bytes(data)
    (fault,) = check(tiny_folder)
    assert (fault.table, fault.row) == (DEMAND, 4)
    assert "UTF-8" in fault.problem


def test_corrupt_parquet(tiny_folder: Path) -> None:
    """A Parquet file that is cut off is one fault, as is one whose column has the wrong type."""
    frame = pl.read_csv(tiny_folder / STOCK)
    (tiny_folder / STOCK).unlink()
    frame.write_parquet(tiny_folder / "stock.parquet")
    assert check(tiny_folder) == ()
    frame.with_columns(quantity=pl.lit(True)).write_parquet(tiny_folder / "stock.parquet")
    (fault,) = check(tiny_folder)
    assert (fault.table, fault.column) == ("stock.parquet", "quantity")
    frame.with_columns(quantity=pl.Series([1.0, float("nan")])).write_parquet(
        tiny_folder / "stock.parquet"
    )
    (fault,) = check(tiny_folder)
    assert (fault.row, fault.column, fault.value) == (3, "quantity", "nan")
    frame.write_parquet(tiny_folder / "stock.parquet")
    data = (tiny_folder / "stock.parquet").read_bytes()
    (tiny_folder / "stock.parquet").write_bytes(data[: len(data) // 2])
    (fault,) = check(tiny_folder)
    assert fault.table == "stock.parquet"
    assert "cannot be read" in fault.problem


def test_missing_folder(tmp_path: Path) -> None:
    """A folder that is not there, or is a file, is said plainly."""
    (fault,) = check(tmp_path / "nowhere")
    assert "does not exist" in fault.problem
    (tmp_path / "file").write_text("x")
    (fault,) = check(tmp_path / "file")
    assert "is a file" in fault.problem


def test_many_unknown_names_take_no_time(tiny_folder: Path) -> None:
    """A table of another data set is answered soon: names are not compared one by one for ever."""
    rows = pl.DataFrame({"item": pl.int_range(200_000, eager=True).cast(pl.String)})
    rows = rows.with_columns(node=pl.lit("town"), period=pl.lit(0), quantity=pl.lit(1))
    rows.write_csv(tiny_folder / DEMAND)
    faults = check(tiny_folder)
    assert len(faults) == 101
    assert "199900 more rows" in faults[-1].problem
