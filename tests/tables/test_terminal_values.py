"""A terminal value that pays for buying without end is a fault; a limited purchase is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optrl.tables import check

TOML = """name = "t"
period = "week"
periods_per_year = 52
start = 3
horizon = 4
unmet = "lost"
money = "EUR"
quantity = "units"
"""


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """Supplier, hub and store; a unit costs 3 + 1 at the hub and 3 + 1 + 0.5 + 2 at the store."""
    files = {
        "instance.toml": TOML,
        "nodes.csv": "node,kind\nmill,supplier\nhub,stocking\nstore,stocking\n",
        "lanes.csv": "origin,destination,lead_time,cost,maximum_quantity\n"
        "mill,hub,1,1,\nhub,store,1,2,\n",
        "items.csv": "item,unit_cost,holding_cost,shortage_cost,volume,terminal_value\n"
        "tea,3,0.5,9,1,0\nsoap,3,0.5,9,1,3\n",
        "demand.csv": "item,node,period,quantity\ntea,store,0,1\nsoap,store,2,1\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("node", "value", "landed"),
    [("hub", 4.1, "4"), ("hub", 4.0, None), ("store", 6.6, "6.5"), ("store", 6.4, None)],
)
def test_value_above_landed_cost(chain: Path, node: str, value: float, landed: str | None) -> None:
    """The fault stands at the cell, with the value and the landed cost, from there on only."""
    text = f"item,node,terminal_value\ntea,{node},{value}\n"
    (chain / "item_nodes.csv").write_text(text)
    faults = check(chain)
    if landed is None:
        assert faults == ()
        return
    (fault,) = faults
    assert (fault.table, fault.row, fault.column) == ("item_nodes.csv", 2, "terminal_value")
    assert fault.value == str(value)
    for words in ("tea", node, f"costs {landed} "):
        assert words in fault.problem
    assert "supply_capacity" in fault.remedy


def test_value_of_the_item(chain: Path) -> None:
    """A value given for all nodes is faulted once, in the items table."""
    items = chain / "items.csv"
    items.write_text(items.read_text().replace("soap,3,0.5,9,1,3", "soap,3,0.5,9,1,9"))
    (fault,) = check(chain)
    assert (fault.table, fault.row) == ("items.csv", 3)
    assert "left at hub" in fault.problem


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("item_nodes.csv", "item,node,terminal_value,supply_capacity\ntea,hub,9,\ntea,mill,,5\n"),
        ("item_lanes.csv", "item,origin,destination,maximum_quantity\ntea,mill,hub,7\n"),
        ("item_lanes.csv", "item,origin,destination,allowed\ntea,mill,hub,false\n"),
        ("resources.csv", "resource,kind,consumes,capacity\npurse,budget,cost,50\n"),
        ("resources.csv", "resource,kind,node,consumes,capacity\ndock,inbound,hub,unit,50\n"),
        ("resources.csv", "resource,kind,node,consumes,capacity\nroom,storage,hub,volume,50\n"),
    ],
)
def test_limited_purchase(chain: Path, file: str, text: str) -> None:
    """Where something limits the purchase, the value may be as high as it likes."""
    (chain / "item_nodes.csv").write_text("item,node,terminal_value\ntea,hub,9\n")
    (chain / "stock.csv").write_text("item,node,quantity\ntea,hub,1\n")
    assert len(check(chain)) == 1
    (chain / file).write_text(text)
    assert check(chain) == ()


def test_discount_and_frozen_horizon(chain: Path) -> None:
    """What the value is worth today counts, and nothing can be bought in frozen periods."""
    (chain / "item_nodes.csv").write_text("item,node,terminal_value\ntea,hub,5\n")
    assert len(check(chain)) == 1
    (chain / "instance.toml").write_text(TOML + "discount = 0.9\n")
    assert 5 * np.power(0.9, 4) < 4
    assert check(chain) == ()
    (chain / "instance.toml").write_text(TOML + "frozen_periods = 4\n")
    assert check(chain) == ()
