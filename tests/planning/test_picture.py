"""The picture puts nodes where they belong, shows the plan's flows, and is a PNG."""

from __future__ import annotations

import io
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from optrl_formulations.network import NodeKind
from PIL import Image

from optrl.planning.picture import network_picture
from optrl.planning.picture_data import plan_flows
from optrl.planning.picture_layout import echelons, lay_out
from optrl.planning.plan import Plan

IOWA = {
    "supplier0": (-85.5, 37.8),
    "supplier1": (-85.5, 37.8),
    "store0": (-93.6, 41.7),
    "store1": (-91.6, 42.0),
    "store2": (-96.4, 42.5),
    "customer0": (-95.0, 43.4),
    "customer1": (-90.6, 40.4),
}


def with_places(plan: Plan, places: dict[str, tuple[float, float]]) -> Plan:
    """The plan with latitude and longitude at the nodes named."""
    graph: nx.DiGraph[str] = plan.instance.network.graph.copy()
    for node, (longitude, latitude) in places.items():
        graph.nodes[node].update(longitude=longitude, latitude=latitude)
    network = replace(plan.instance.network, graph=graph)
    return replace(plan, instance=replace(plan.instance, network=network))


def test_map_keeps_far_suppliers_at_its_edge(limited_plan: Plan) -> None:
    """Far suppliers stand beside the map, apart from each other; all others keep their places."""
    network = with_places(limited_plan, IOWA).instance.network
    layout = lay_out(network)
    place = dict(zip(network.nodes, layout.place, strict=True))
    assert layout.is_map
    inside = layout.place[network.kind != NodeKind.SUPPLIER]
    low, high = inside.min(axis=0), inside.max(axis=0)
    for supplier in ("supplier0", "supplier1"):
        assert high[0] < place[supplier][0] < high[0] + 0.2 * (high[0] - low[0])
        assert low[1] <= place[supplier][1] <= high[1]
    apart = abs(place["supplier0"][1] - place["supplier1"][1])
    assert apart > 0.05 * (high[1] - low[1])
    # 2 degrees of longitude at 42 degrees north, and from Kentucky to the middle of Iowa.
    assert place["store1"][0] - place["store0"][0] == pytest.approx(166, rel=0.02)
    assert layout.distance[:2] == pytest.approx([820, 820], rel=0.1)
    assert (layout.distance[2:] == 0).all()
    assert list(layout.side[:2]) == [1, 1]


def test_near_suppliers_stay(limited_plan: Plan) -> None:
    """A supplier within the map stands where it is."""
    near = IOWA | {"supplier0": (-92.0, 41.0)}
    network = with_places(limited_plan, near).instance.network
    layout = lay_out(network)
    assert layout.side[network.node_index["supplier0"]] == 0
    assert layout.side[network.node_index["supplier1"]] == 1


def test_supplier_without_a_place(limited_plan: Plan) -> None:
    """A supplier without coordinates stands at the edge, without a distance."""
    places = {k: v for k, v in IOWA.items() if k != "supplier0"}
    layout = lay_out(with_places(limited_plan, places).instance.network)
    assert layout.is_map
    assert layout.side[0] != 0
    assert layout.distance[0] == 0
    assert np.isfinite(layout.place).all()


def test_date_line(limited_plan: Plan) -> None:
    """A network about the date line is not torn apart."""
    places = {
        name: (longitude + 274 - 360 * (longitude + 274 > 180), latitude)
        for name, (longitude, latitude) in IOWA.items()
    }
    there, here = (
        lay_out(with_places(limited_plan, places).instance.network) for places in (places, IOWA)
    )
    assert there.place - there.place[2] == pytest.approx(here.place - here.place[2])


def test_layers_without_places(limited_plan: Plan) -> None:
    """Without coordinates of every node with stock or demand, columns are echelons."""
    missing = {k: v for k, v in IOWA.items() if k != "store1"}
    network = with_places(limited_plan, missing).instance.network
    layout = lay_out(network)
    assert not layout.is_map
    layers = dict(zip(network.nodes, echelons(network), strict=True))
    assert layers["supplier0"] == layers["supplier1"] == 0
    assert layers["store0"] == layers["store2"] == 1
    assert layers["store1"] == 2
    assert layers["customer0"] == layers["customer1"] == 3
    assert len({tuple(p) for p in layout.place.round(6)}) == len(network.nodes)
    for lane in zip(network.origin, network.destination, strict=True):
        x, y = layout.place[list(lane), 0]
        layer = [layers[network.nodes[k]] for k in lane]
        assert np.sign(y - x) == np.sign(layer[1] - layer[0])


def test_flows_are_the_tables(limited_plan: Plan) -> None:
    """What arrives at customers and leaves suppliers is what the tables say."""
    network, tables = limited_plan.instance.network, limited_plan.tables
    flows = plan_flows(limited_plan)
    assert flows.lane.sum() == pytest.approx(
        tables.orders["quantity"].sum() + tables.serving["quantity"].sum()
    )
    customers = network.kind == NodeKind.CUSTOMER
    assert flows.node[customers].sum() == pytest.approx(tables.serving["quantity"].sum())
    store = network.node_index["store2"]
    own = tables.service.filter(tables.service["node"] == "store2")["served"].sum()
    assert flows.node[store] == pytest.approx(flows.lane[network.origin == store].sum() + own)


@pytest.mark.parametrize("places", [{}, IOWA], ids=["layers", "map"])
def test_png(limited_plan: Plan, places: dict[str, tuple[float, float]]) -> None:
    """The bytes are a PNG with ink on it, of moderate size."""
    data = network_picture(with_places(limited_plan, places))
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        assert 1000 < image.width < 2500
        colours = image.convert("RGB").getcolors(maxcolors=1 << 16)
    assert colours is not None
    assert len(colours) > 20
    assert len(data) < 400_000


def test_odd_names(limited_plan: Plan) -> None:
    """Names that look like formulas or are in another script do not stop the picture."""
    plan = limited_plan
    network = plan.instance.network
    names = {"store0": "lager $x$ _{", "store1": "倉庫 ✓"}
    tables = {
        name: getattr(plan.tables, name).with_columns(
            **{
                column: getattr(plan.tables, name)[column].replace(names)
                for column in ("node", "origin", "destination")
                if column in getattr(plan.tables, name).columns
            }
        )
        for name in ("orders", "serving", "stock", "service")
    }
    graph = nx.relabel_nodes(network.graph, names)
    assert list(graph.edges) == [(names.get(u, u), names.get(v, v)) for u, v in network.lanes]
    odd = replace(
        plan,
        instance=replace(
            plan.instance, network=replace(network, graph=graph), name="a $b$", money="$"
        ),
        tables=replace(plan.tables, **tables),
    )
    assert network_picture(odd)[:4] == b"\x89PNG"


def test_nothing_flows(limited_plan: Plan) -> None:
    """A plan without any order or sale still has a picture."""
    empty = replace(
        limited_plan.tables,
        orders=limited_plan.tables.orders.head(0),
        serving=limited_plan.tables.serving.head(0),
    )
    assert network_picture(replace(limited_plan, tables=empty))[:4] == b"\x89PNG"
