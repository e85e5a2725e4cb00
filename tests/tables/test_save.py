"""What is saved loads as it was, and appears whole or not at all."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import networkx as nx
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optrl.errors import InstanceError, OptrlError
from optrl.instance import ArrivalProfile, Forecast, Instance
from optrl.tables import differences, from_graph, load, save


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_round_trip(tiny_folder: Path, tmp_path: Path, form: str) -> None:
    """Saving and loading changes nothing, in either format, also when saved over the other."""
    instance = load(tiny_folder)
    save(instance, tmp_path / "copy", "parquet" if form == "csv" else "csv")
    save(instance, tmp_path / "copy", form)
    assert differences(load(tmp_path / "copy"), instance) == ()
    assert {path.suffix for path in (tmp_path / "copy").iterdir()} == {f".{form}", ".toml"}
    again = contents(tmp_path / "copy")
    save(load(tmp_path / "copy"), tmp_path / "copy", form)
    assert contents(tmp_path / "copy") == again


def test_differences_are_named(tiny_folder: Path) -> None:
    """The comparison the round trip rests on sees a change of a single entry."""
    instance = load(tiny_folder)
    cost = instance.network.lane_cost.copy()
    cost[1, 2] = np.nextafter(cost[1, 2], 1)
    other = replace(instance, horizon=5, network=replace(instance.network, lane_cost=cost))
    assert differences(instance, other) == ("network.lane_cost", "horizon")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_zeros_at_the_edges_stay(tiny_folder: Path, tmp_path: Path, form: str) -> None:
    """Periods, nodes, profiles and calendars that hold only zeros keep their place."""
    tiny = load(tiny_folder)
    quantity = np.zeros((3, 4, 20))
    quantity[1, 2, 5] = 1
    levels = np.array([1e-5, 0.1 + 0.2, 0.5, 0.975])
    forecast = Forecast(np.zeros((3, 4, 7)), None, levels, np.zeros((3, 4, 7, 4)))
    arrivals = (
        ArrivalProfile(0, np.array([0.5, 0.5]), np.array([[0, 0, 0.9, 0], [0, 0, 0, 0]])),
        ArrivalProfile(3, np.array([1.0]), np.array([[0.0, 1.0]])),
    )
    budget = replace(tiny.network.resources[-1], capacity=np.full(14, 600.0))
    instance = replace(
        tiny,
        demand=replace(tiny.demand, first_period=2, quantity=quantity),
        forecast=forecast,
        due=np.zeros((3, 8, 5)),
        frozen=np.zeros((3, 9, 3)),
        arrivals=arrivals,
        network=replace(tiny.network, resources=(*tiny.network.resources[:-1], budget)),
    )
    save(instance, tmp_path / "edges", form)
    assert differences(load(tmp_path / "edges"), instance) == ()


FINITE = st.floats(0, 1e5, allow_subnormal=True)
NAME = st.text(
    st.characters(exclude_categories=("C", "Z")) | st.sampled_from(", \"';#"), min_size=1
).filter(lambda text: text == text.strip())


@st.composite
def instances(draw: st.DrawFn) -> Instance:
    """Instances whose arrays differ from item to item, lane to lane and node to node."""
    n = draw(st.integers(1, 3))
    names = draw(st.lists(NAME, min_size=n + 4, max_size=n + 4, unique=True))
    supplier, other, hub, shop = names[n:]
    graph: nx.DiGraph[str] = nx.DiGraph()
    for node, kind in (
        *((shop, "customer"), (supplier, "supplier")),
        *((hub, "stocking"), (other, "supplier")),
    ):
        graph.add_node(node, kind=kind)
    per = st.sampled_from(["unit", "volume", "weight"])
    graph.add_edge(hub, shop, lead_time=0, cost=draw(FINITE), cost_per=draw(per))
    graph.add_edge(supplier, hub, lead_time=draw(st.integers(0, 3)), cost=draw(FINITE))
    graph.add_edge(other, hub, lead_time=1, cost=draw(FINITE), cost_per=draw(per))
    column = st.lists(FINITE, min_size=n, max_size=n)
    items = pl.DataFrame(
        {"item": names[:n], **{c: draw(column) for c in ("unit_cost", "volume", "weight")}}
    )
    rows = draw(
        st.dictionaries(
            st.tuples(st.sampled_from(names[:n]), st.sampled_from([shop, hub]), st.integers(0, 9)),
            FINITE,
            max_size=6,
        )
    )
    rows[names[0], shop, 0] = draw(FINITE)
    rows[names[0], shop, 5] = draw(FINITE)
    demand = pl.DataFrame(
        [(*key, value) for key, value in rows.items()],
        schema=["item", "node", "period", "quantity"],
        orient="row",
    )
    instance = from_graph(
        graph,
        items,
        demand,
        name=draw(st.text(st.characters(exclude_categories=("Cs",)), min_size=1)),
        period="day",
        periods_per_year=draw(st.floats(1e-3, 1e6)),
        start=draw(st.integers(1, 5)),
        horizon=draw(st.integers(1, 5)),
        unmet=draw(st.sampled_from(["lost", "backorder"])),
        discount=draw(st.floats(0, 1, exclude_min=True)),
        notes=draw(st.dictionaries(NAME, st.text(st.characters(exclude_categories=("Cs",))))),
        resources=pl.DataFrame(
            {"resource": ["r"], "kind": ["budget"], "consumes": ["cost"], "capacity": [9.5]}
        ),
    )
    seed = draw(st.integers(0, 2**32 - 1))
    return _shaken(instance, np.random.default_rng(seed))


def _shaken(instance: Instance, generator: np.random.Generator) -> Instance:
    """The instance with arrays that no table of lanes or items alone can describe."""
    network = instance.network

    def noise(shape: tuple[int, ...]) -> np.ndarray:
        share = generator.random() < 0.5
        return generator.random(shape) * (generator.random(shape) < (0.3 if share else 0.9))

    n, v, a = len(network.items), len(network.nodes), len(network.lanes)
    allowed = generator.random((n, a)) < 0.7
    allowed[:, network.serving_lanes] = True
    allowed[:, network.replenishment_lanes[0]] |= ~allowed[:, network.replenishment_lanes[1]]
    resource = replace(
        network.resources[0],
        use=np.where(generator.random(n) < 0.5, network.unit_cost, generator.random(n)),
        capacity=1e11 + noise((int(generator.integers(1, 6)),)),
    )
    hub = next(k for k, node in enumerate(network.nodes) if network.kind[k] == 1)
    stock = np.zeros((n, v))
    stock[:, hub] = noise((n,))
    due = np.zeros((n, v, int(generator.integers(0, 4))))
    due[:, hub] = noise(due[:, hub].shape)
    levels = np.zeros((n, v))
    levels[:, instance.demand.nodes] = noise((n, len(instance.demand.nodes)))
    return replace(
        instance,
        on_hand=stock,
        due=due,
        network=replace(
            network,
            allowed=allowed,
            lane_cost=np.where(generator.random((n, a)) < 0.5, network.lane_cost, noise((n, a))),
            fixed_cost=noise((n, a)),
            setup_time=noise((n, a)),
            maximum_quantity=np.where(generator.random((n, a)) < 0.5, np.inf, 3 + noise((n, a))),
            minimum_quantity=noise((n, a)),
            joint_fixed_cost=noise((a,)),
            holding_cost=noise((n, v)),
            shortage_cost=noise((n, v)),
            terminal_value=noise((n, v)) - 1.0,
            service_level=levels,
            supply_capacity=np.where(generator.random((n, v)) < 0.5, np.inf, 3.5),
            resources=(resource,),
            closed=frozenset({(1, 3), (0, 7)}) if generator.random() < 0.5 else frozenset(),
        ),
    )


@settings(deadline=None, max_examples=20)
@given(instance=instances(), form=st.sampled_from(["csv", "parquet"]))
def test_round_trip_of_any_instance(instance: Instance, form: str) -> None:
    """load(save(x)) equals x to the last bit, whatever its names and arrays."""
    with tempfile.TemporaryDirectory() as folder:
        save(instance, Path(folder) / "x", form)
        assert differences(load(Path(folder) / "x"), instance) == ()


def test_what_would_not_load_is_not_saved(tiny_folder: Path) -> None:
    """An instance that breaks a rule is refused with its fault; the folder stays as it was."""
    instance = load(tiny_folder)
    before = contents(tiny_folder)
    cost = instance.network.holding_cost.copy()
    cost[0, 0] = np.nan
    broken = replace(instance, network=replace(instance.network, holding_cost=cost))
    with pytest.raises(InstanceError, match="holding_cost"):
        save(broken, tiny_folder)
    with pytest.raises(InstanceError, match="horizon"):
        save(replace(instance, horizon=0), tiny_folder)
    with pytest.raises(OptrlError, match="on_hand"):
        save(replace(instance, on_hand=np.zeros((1, 1))), tiny_folder)
    assert contents(tiny_folder) == before
    assert [path.name for path in tiny_folder.parent.iterdir()] == ["tiny"]


def test_other_folders_are_not_overwritten(tiny_folder: Path, tmp_path: Path) -> None:
    """A folder or file that is no instance is left alone; an instance keeps its other files."""
    instance = load(tiny_folder)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    for place in ("thesis", "thesis/chapter.txt"):
        with pytest.raises(OptrlError, match="no instance folder"):
            save(instance, tmp_path / place)
    assert contents(tmp_path / "thesis") == {"chapter.txt": b"years of work"}
    (tiny_folder / "build.py").write_text("made by me")
    (tiny_folder / "gone").symlink_to("nowhere")
    (tiny_folder / "sources").mkdir()
    (tiny_folder / "sources" / "raw.csv").write_text("a,b")
    save(instance, tiny_folder, "parquet")
    assert (tiny_folder / "build.py").read_text() == "made by me"
    assert (tiny_folder / "sources" / "raw.csv").read_text() == "a,b"
    assert (tiny_folder / "gone").is_symlink()
    assert not list(tiny_folder.glob("*.csv"))
