"""A small instance folder with every table, and a way to change it."""

from __future__ import annotations

from pathlib import Path

import pytest

TINY = {
    "instance.toml": """
        name = "tiny"
        period = "week"
        periods_per_year = 52
        money = "EUR"
        quantity = "cases"
        start = 10
        horizon = 4
        unmet = "backorder"
        discount = 0.99
        demand_family = "quantile"
        season = 4
        frozen_periods = 2

        [notes]
        demand = "made up"
        costs = 'made up "too"'
        """,
    "nodes.csv": """
        node,kind,latitude,longitude
        mill,supplier,41.5,-93.6
        port,supplier,,
        hub,stocking,42.0,-93.5
        east,stocking,42.1,-91.6
        west,stocking,42.2,-95.9
        town,customer,,
        lake,customer,,
        "hill, old",customer,,
        """,
    "lanes.csv": """
        origin,destination,lead_time,cost,cost_per,fixed_cost,joint_fixed_cost,lot_size,minimum_quantity,maximum_quantity,setup_time,review_period,review_offset
        mill,hub,2,0.1,volume,5,20,,,,0.5,2,0
        port,hub,3,0.3,weight,,,,,500,,,
        hub,east,1,0.2,,,,,,,,,
        hub,west,0,0.25,,,,,,,,,
        east,west,1,0.4,,,,,,,,,
        east,town,0,0.01,,,,,,,,,
        west,town,0,0.02,,,,,,,,,
        west,lake,0,0.03,,,,,,,,,
        east,"hill, old",0,0.04,,,,,,,,,
        """,
    "items.csv": """
        item,unit_cost,volume,weight,time,holding_cost,shortage_cost,terminal_value,supplier
        soap,3,1.5,2,0.1,0.05,4,2.5,mill
        tea,5,0.7,0.3,0.2,0.1,9,4,
        rope,2,2.1,5,0.1,0.02,3,-0.5,
        """,
    "item_nodes.csv": """
        item,node,holding_cost,shortage_cost,terminal_value,service_level,supply_capacity
        soap,town,,8,,0.9,
        tea,hub,0.08,,3.5,,
        tea,port,,,,,300
        """,
    "item_lanes.csv": """
        item,origin,destination,allowed,cost,fixed_cost,lot_size,minimum_quantity,maximum_quantity,setup_time
        rope,port,hub,false,,,,,,
        tea,mill,hub,,0.33,7,10,20,400,1
        """,
    "demand.csv": """
        item,node,period,quantity
        soap,town,0,3
        soap,town,5,4.5
        soap,lake,9,2
        tea,town,9,6
        tea,"hill, old",3,1
        rope,east,2,2
        soap,town,10,5
        tea,lake,12,3
        """,
    "forecast.csv": """
        item,node,period,mean,standard_deviation,q10,q50,q90
        soap,town,10,3,1,1,3,5
        soap,town,11,3,1,1,3,5
        tea,lake,13,2,0.5,1,2,3.5
        """,
    "stock.csv": """
        item,node,quantity
        soap,hub,40
        tea,east,12
        """,
    "backlog.csv": """
        item,node,quantity
        soap,town,1.5
        """,
    "pipeline.csv": """
        item,node,period,quantity
        soap,hub,10,5
        soap,hub,11,6
        rope,hub,12,7
        """,
    "resources.csv": """
        resource,kind,node,origin,destination,consumes,capacity,overflow_cost,takes_setup_time
        hub_space,storage,hub,,,volume,100,,
        east_space,storage,east,,,weight,2,1.5,
        hub_dock,inbound,hub,,,time,80,,
        west_dock,outbound,west,,,unit,90,,
        truck,lane,,hub,east,weight,200,,true
        budget,budget,,,,cost,600,,
        """,
    "capacities.csv": """
        resource,period,capacity
        budget,11,400
        hub_dock,12,0
        """,
    "resource_use.csv": """
        resource,item,use
        west_dock,rope,2
        """,
    "calendar.csv": """
        origin,destination,period
        port,hub,11
        """,
    "frozen.csv": """
        item,origin,destination,period,quantity
        soap,mill,hub,10,30
        tea,port,hub,10,20
        """,
    "arrivals.csv": """
        origin,destination,profile,probability,delay,fraction
        mill,hub,0,0.75,2,1
        mill,hub,1,0.25,3,0.5
        mill,hub,1,0.25,4,0.4
        """,
}


def plain(text: str) -> str:
    """The text without the indentation of the source."""
    return "\n".join(line.strip() for line in text.strip().splitlines()) + "\n"


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    """Two suppliers, a hub, two more stocking nodes, three customers, three items, every table."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name, text in TINY.items():
        (folder / name).write_text(plain(text), encoding="utf-8")
    return folder
